// What a ceremony writes down: who did what and when, with hashes and thumbprints, each entry chained to the one before; signed by the custodians' keys
// over its exact text. Anybody can verify it with nothing but the file.

import { constants, createHash, type KeyObject, sign, verify, X509Certificate } from 'node:crypto';
import * as v from 'valibot';
import { fromBase64url, toBase64url } from '../core/encoding.ts';
import { thumbprint } from '../crypto/security-domain/certificate.ts';
import type { CustodianKey } from '../crypto/security-domain/file.ts';

const FORMAT = 'strongroom-ceremony-transcript-1';
/** The keys open shares too: what they sign begins with words that are in nothing else. */
const PREFIX = `${FORMAT}\n`;
const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } as const;

const Person = v.object({
  name: v.string(),
  role: v.picklist(['administrator', 'custodian', 'witness']),
  /** Of a custodian's certificate. */
  thumbprint: v.optional(v.string()),
});
export type Person = v.InferOutput<typeof Person>;

const Entry = v.object({
  at: v.string(),
  who: v.string(),
  what: v.string(),
  /** Facts by name: hashes, thumbprints, counts. Never anything secret. */
  facts: v.record(v.string(), v.string()),
  /** `hashOf` the entry before. */
  after: v.string(),
});
export type Entry = v.InferOutput<typeof Entry>;

const Transcript = v.object({
  id: v.string(),
  kind: v.picklist(['activation', 'new custodians', 'recovery']),
  title: v.string(),
  hsm: v.string(),
  program: v.string(),
  required: v.number(),
  people: v.array(Person),
  entries: v.array(Entry),
});
export type Transcript = v.InferOutput<typeof Transcript>;

const Signature = v.object({ name: v.string(), certificate: v.string(), signature: v.string() });
const Signed = v.object({ format: v.literal(FORMAT), transcript: v.string(), signatures: v.array(Signature) });

export function noted(transcript: Transcript, entry: Omit<Entry, 'after'>): Transcript {
  const last = transcript.entries.at(-1);
  return { ...transcript, entries: [...transcript.entries, { ...entry, after: hashOf(last) }] };
}

/** SHA-256 of an entry's members in one order; of the empty text for none. */
function hashOf(entry: Entry | undefined): string {
  if (entry === undefined) return sha256('');
  const facts = Object.entries(entry.facts).sort(([one], [other]) => (one < other ? -1 : 1));
  return sha256(JSON.stringify([entry.at, entry.who, entry.what, facts, entry.after]));
}

export function readTranscript(text: string): Transcript | undefined {
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), Transcript), text);
  return parsed.success ? parsed.output : undefined;
}

/** The signed file. */
export function signedTranscript(transcript: Transcript, signers: readonly (CustodianKey & { readonly name: string })[]): string {
  const text = JSON.stringify(transcript);
  const signatures = signers.map(({ name, privateKey, certificateDer }) => ({
    name,
    certificate: new X509Certificate(certificateDer).toString(),
    signature: toBase64url(sign('sha256', Buffer.from(PREFIX + text), { key: privateKey, ...PSS })),
  }));
  return `${JSON.stringify({ format: FORMAT, transcript: text, signatures } satisfies v.InferOutput<typeof Signed>, undefined, 2)}\n`;
}

export interface Verdict {
  readonly transcript: Transcript;
  readonly signers: readonly { readonly name: string; readonly thumbprint: string }[];
  /** What is wrong, in words; nothing when the transcript can be relied on as far as its signers can. */
  readonly problems: readonly string[];
}

/** Judges a signed transcript; undefined when the text is none. */
export function judgeTranscript(text: string): Verdict | undefined {
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), Signed), text);
  const transcript = parsed.success ? readTranscript(parsed.output.transcript) : undefined;
  if (!parsed.success || transcript === undefined) return undefined;
  const problems: string[] = [];
  const signers: { name: string; thumbprint: string }[] = [];
  for (const { name, certificate, signature } of parsed.output.signatures) {
    const signer = signerOf(certificate);
    const known = transcript.people.find((person) => person.role === 'custodian' && person.thumbprint === signer?.thumbprint);
    if (signer === undefined) problems.push(`the certificate of '${name}' cannot be read`);
    else if (known?.name !== name) problems.push(`'${name}' signed with a key that is none of the custodians'`);
    else if (!isSigned(parsed.output.transcript, signer.publicKey, signature)) problems.push(`the signature of '${name}' is wrong`);
    else signers.push({ name, thumbprint: signer.thumbprint });
  }
  for (const { name } of present(transcript)) {
    if (!signers.some((signer) => signer.name === name)) problems.push(`'${name}' took part and did not sign`);
  }
  transcript.entries.forEach((entry, index) => {
    const before = transcript.entries[index - 1];
    if (entry.after !== hashOf(before)) problems.push(`entry ${index + 1} does not follow the one before it`);
  });
  if (signers.length === 0) problems.push('nobody signed it');
  return { transcript, signers, problems };
}

/** The custodians whose keys were used: those who can sign. */
function present({ people, entries }: Transcript): readonly Person[] {
  return people.filter(({ name, role }) => role === 'custodian' && entries.some((entry) => entry.who === name));
}

function signerOf(certificate: string): { readonly publicKey: KeyObject; readonly thumbprint: string } | undefined {
  try {
    const parsed = new X509Certificate(certificate);
    return { publicKey: parsed.publicKey, thumbprint: thumbprint(parsed.raw) };
  } catch {
    return undefined;
  }
}

function isSigned(text: string, publicKey: KeyObject, signature: string): boolean {
  const bytes = fromBase64url(signature);
  return bytes !== undefined && verify('sha256', Buffer.from(PREFIX + text), { key: publicKey, ...PSS }, bytes);
}

export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
