// `strongroom verify-attestation`: holds a saved answer of GET …/attestation against the certificate chain and the statements in it, with no service and no
// network, and prints what holds, what does not, and what is said of the key. docs/attestation.md describes what it reads.

import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compactVerify } from 'jose';
import * as v from 'valibot';
import { dataFolderOf } from './connection-file.ts';
import { ATTESTATION_VERSION, PrivateStatement, PublicStatement, publicJwk, sha256, thumbprint } from './core/key-attestation.ts';
import { certificatesIn } from './core/x509.ts';
import { UsageError } from './terminal/usage-error.ts';

export const VERIFY_HELP = `usage: ./strongroom verify-attestation FILE [--root FILE]

Checks a saved answer of GET /keys/NAME/VERSION/attestation; no service is needed for it.
  FILE          the answer, JSON
  --root FILE   the root certificate (PEM) that the chain has to end in; attestation-root.pem of the data folder when left out
`;

/** What was looked at, and whether it is as it should be. */
export interface Finding {
  readonly holds: boolean;
  readonly what: string;
}

export interface Verdict {
  readonly findings: readonly Finding[];
  /** What the HSM says of the key; undefined when nobody has to believe it. */
  readonly says: PrivateStatement | undefined;
}

const Answer = v.object({
  key: v.looseObject({ kid: v.string(), kty: v.string() }),
  attributes: v.looseObject({
    exportable: v.optional(v.boolean()),
    attestation: v.object({
      version: v.literal(ATTESTATION_VERSION),
      certificatePemFile: v.string(),
      privateKeyAttestation: v.string(),
      publicKeyAttestation: v.optional(v.string()),
    }),
  }),
  release_policy: v.optional(v.looseObject({ data: v.string() })),
});

type Answer = v.InferOutput<typeof Answer>;

const AUTHORITY = /^CN=Strongroom key attestation authority$/m;

/** Returns the exit status: 0 when everything holds. Throws UsageError, and Error with words for the terminal. */
export async function runVerifyAttestation(args: readonly string[], print: (text: string) => void): Promise<number> {
  if (args.length === 0 || args.some((word) => word === '--help' || word === '-h')) {
    print(VERIFY_HELP);
    return 0;
  }
  const { file, root } = readArguments(args);
  const { findings, says } = await verifyAttestation(readAnswer(await readText(file), file), await readRoot(root));
  for (const { holds, what } of findings) print(`${holds ? 'holds' : 'FAILS'}  ${what}\n`);
  if (says !== undefined) for (const line of saying(says)) print(`says   ${line}\n`);
  const wrong = findings.filter(({ holds }) => !holds).length;
  print(wrong === 0 ? 'the attestation holds\n' : `the attestation does NOT hold: ${wrong} of ${findings.length} checks failed\n`);
  return wrong === 0 ? 0 : 1;
}

function readArguments(args: readonly string[]) {
  const text = { type: 'string' } as const;
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: { root: text, data: text }, allowPositionals: true });
    const [file, ...more] = positionals;
    if (file === undefined || more.length > 0) throw new UsageError(VERIFY_HELP);
    return { file, root: values.root ?? { inFolder: dataFolderOf(values.data) } };
  } catch (error) {
    throw error instanceof UsageError
      ? error
      : new UsageError(`${error instanceof Error ? error.message : String(error)}\n\n${VERIFY_HELP}`);
  }
}

async function readRoot(root: string | { readonly inFolder: string }): Promise<X509Certificate | undefined> {
  const file = typeof root === 'string' ? root : join(root.inFolder, 'attestation-root.pem');
  try {
    return new X509Certificate(await readFile(file));
  } catch (cause) {
    if (typeof root !== 'string') return undefined;
    throw new Error(`'${file}' is not a certificate that can be read`, { cause });
  }
}

async function readText(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new Error(`cannot read '${file}': ${error.code === 'ENOENT' ? 'there is no such file' : error.message}`);
  });
}

/** Throws an Error that names the file, for what is no attestation of ours. */
export function readAnswer(text: string, file: string): Answer {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw new Error(`'${file}' is not JSON`);
  }
  const answer = v.safeParse(Answer, content);
  if (answer.success) return answer.output;
  const where = answer.issues.map((issue) => v.getDotPath(issue) ?? 'the whole').join(', ');
  throw new Error(`'${file}' is not an attestation of version ${ATTESTATION_VERSION} (${where})`);
}

/** Everything that can be checked, each by itself. Without a root nothing says whose chain it is, and that is a failure too. */
export async function verifyAttestation(answer: Answer, root: X509Certificate | undefined): Promise<Verdict> {
  const findings: Finding[] = [];
  const note = (holds: boolean, what: string): boolean => {
    findings.push({ holds, what });
    return holds;
  };
  const { attestation } = answer.attributes;
  const chain = certificates(attestation.certificatePemFile);
  const [leaf] = chain;
  const last = chain.at(-1);
  const whole = note(isChain(chain), `the certificates are one chain: each is signed by the next, under '${nameOf(last)}'`);
  const own =
    root === undefined
      ? note(false, `the chain ends in a root that is trusted: none was given to compare it with (SHA-256 ${last?.fingerprint256 ?? '-'})`)
      : note(last?.raw.equals(root.raw) === true, 'the chain ends in the root that is trusted');

  const privateOne = await statement(PrivateStatement, attestation.privateKeyAttestation, leaf);
  const signed = note(privateOne !== undefined, `the statement about the private key is signed by '${nameOf(leaf)}'`);
  const isAsymmetric = publicJwk(answer.key) !== undefined;
  const publicOne = attestation.publicKeyAttestation && (await statement(PublicStatement, attestation.publicKeyAttestation, leaf));
  if (isAsymmetric) note(Boolean(publicOne), `the statement about the public key is signed by '${nameOf(leaf)}'`);
  if (privateOne === undefined || leaf === undefined) return { findings, says: undefined };

  const statements = [privateOne, ...(publicOne ? [publicOne] : [])];
  note(
    statements.every(({ iat }) => chain.every((certificate) => isValidAt(certificate, iat))),
    'the certificates were valid when the statements were signed',
  );
  note(
    statements.every(({ hsm, kid }) => leaf.checkHost(hsm) !== undefined && URL.parse(kid)?.hostname === hsm),
    `the HSM that signed is the one in the key's address, ${privateOne.hsm}`,
  );
  note(
    statements.every(({ kid }) => kid === answer.key.kid),
    `the statements are about this version of the key, ${answer.key.kid}`,
  );
  if (publicOne) {
    const shown = publicJwk(answer.key);
    const same = shown !== undefined && thumbprint(publicOne.jwk) === thumbprint(shown);
    note(same && privateOne.jkt === thumbprint(publicOne.jwk), 'the public key of the answer is the one that both statements are about');
  }
  note(privateOne.kty === answer.key.kty, `the key is of type ${answer.key.kty}`);
  note(agreesOnRelease(answer, privateOne), 'exportable and release policy of the answer are those that are attested');
  return { findings, says: whole && own && signed ? privateOne : undefined };
}

function certificates(text: string): readonly X509Certificate[] {
  try {
    return certificatesIn(Buffer.from(text, 'base64url').toString('latin1'));
  } catch {
    return [];
  }
}

/** A signer, the authority for attestations, and a root that signs itself. */
function isChain([leaf, authority, root, ...more]: readonly X509Certificate[]): boolean {
  if (leaf === undefined || authority === undefined || root === undefined || more.length > 0) return false;
  const isSigned = (certificate: X509Certificate, by: X509Certificate) => certificate.checkIssued(by) && certificate.verify(by.publicKey);
  const places = !leaf.ca && authority.ca && root.ca && AUTHORITY.test(authority.subject);
  return places && isSigned(leaf, authority) && isSigned(authority, root) && isSigned(root, root);
}

function nameOf(certificate: X509Certificate | undefined): string {
  return certificate?.subject.replace(/^CN=/, '') ?? 'nobody';
}

function isValidAt({ validFromDate, validToDate }: X509Certificate, seconds: number): boolean {
  return validFromDate.getTime() <= seconds * 1000 && seconds * 1000 <= validToDate.getTime();
}

/** The statement, when the signer signed it as one of this version. */
async function statement<Schema extends v.GenericSchema>(
  schema: Schema,
  text: string,
  signer: X509Certificate | undefined,
): Promise<v.InferOutput<Schema> | undefined> {
  if (signer === undefined) return undefined;
  try {
    const jws = Buffer.from(text, 'base64url').toString('latin1');
    const { payload, protectedHeader } = await compactVerify(jws, signer.publicKey, { algorithms: ['ES256'] });
    if (protectedHeader.typ !== ATTESTATION_VERSION) return undefined;
    const parsed = v.safeParse(schema, JSON.parse(Buffer.from(payload).toString()));
    return parsed.success ? parsed.output : undefined;
  } catch {
    return undefined;
  }
}

function agreesOnRelease({ attributes, release_policy }: Answer, { release, release_policy_sha256 }: PrivateStatement): boolean {
  const policy = release_policy === undefined ? undefined : sha256(Buffer.from(release_policy.data, 'base64url'));
  return (attributes.exportable === true) === (release === 'exportable') && policy === release_policy_sha256;
}

function saying(statement: PrivateStatement): readonly string[] {
  const { origin, release, release_policy_immutable } = statement;
  const origins = {
    generated: 'it was generated by the HSM',
    imported: 'it was imported',
    unknown: 'the HSM did not keep where it came from',
  };
  const releases = {
    never: 'it cannot be released',
    exportable: 'it can be released to environments that its release policy accepts',
    'secure wrapping': 'it cannot be released; what it wraps is unwrapped for environments that its release policy accepts',
  };
  return [
    'protection: software. The private key is sealed in a database and used in the memory of a process; no hardware protects it',
    'certification: none. No FIPS validation',
    `origin: ${origins[origin]}`,
    `release: ${releases[release]}`,
    ...(release_policy_immutable === undefined ? [] : [`release policy: ${release_policy_immutable ? 'immutable' : 'may be changed'}`]),
    `signed: ${new Date(statement.iat * 1000).toISOString()}`,
  ];
}
