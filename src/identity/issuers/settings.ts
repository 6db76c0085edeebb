// The file of --issuers: whose tokens are believed besides our own, for what, and under which conditions. The operator writes it; nobody changes it over
// the wire, so nobody else decides whom this service connects to.

import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import * as v from 'valibot';

/** What a token of this issuer may be signed with: public keys alone, so that a published key is never a shared secret. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as const;

/** Plain data: worker threads get a copy. */
export interface TrustedIssuer {
  /** `iss`, letter for letter. */
  readonly issuer: string;
  /** Where its keys are; otherwise its discovery document says it. */
  readonly keysUrl: string | undefined;
  /** PEM, believed besides the public authorities when its keys are fetched. */
  readonly ca: string | undefined;
  readonly algorithms: readonly string[];
  /** The claim that names whoever the token is about. */
  readonly subjectClaim: string;
  /** What every token must say besides. */
  readonly requiredClaims: Readonly<Record<string, string | number | boolean>>;
  /** The audiences under which its tokens are taken directly, for each room; none: they only serve as client assertions. */
  readonly audiences: Readonly<Record<'hsm' | 'management' | 'graph', readonly string[]>>;
}

const MOST = 50;

const text = v.pipe(v.string('must be text'), v.minLength(1, 'must not be empty'), v.maxLength(1000, 'is too long'));

const httpsUrl = v.pipe(
  text,
  v.check((value) => URL.canParse(value) && new URL(value).protocol === 'https:', 'must be an https address'),
  v.check((value) => {
    const { username, password, search, hash } = new URL(value);
    return username === '' && password === '' && search === '' && hash === '';
  }, 'must not have a user, a query or a fragment'),
);

const names = v.optional(v.array(text, 'must be a list of audiences'), []);

const Issuer = v.strictObject({
  issuer: httpsUrl,
  keysUrl: v.optional(httpsUrl),
  caFile: v.optional(text),
  algorithms: v.optional(v.pipe(v.array(v.picklist(ALGORITHMS, `can be ${ALGORITHMS.join(', ')}`)), v.minLength(1, 'must not be empty')), [
    ...ALGORITHMS,
  ]),
  subjectClaim: v.optional(text, 'sub'),
  requiredClaims: v.optional(v.record(text, v.union([text, v.number(), v.boolean()], 'can be text, a number, true or false')), {}),
  audiences: v.optional(v.strictObject({ hsm: names, management: names, graph: names }), {}),
});

const File = v.strictObject({ issuers: v.pipe(v.array(Issuer), v.maxLength(MOST, `may be ${MOST} at most`)) });

/** Reads the file. Throws an Error for the operator, who asked for these issuers: the service does not start without one of them. */
export function readIssuers(file: string): readonly TrustedIssuer[] {
  const parsed = v.safeParse(File, jsonOf(file), { abortPipeEarly: true });
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const words = issue.type === 'strict_object' ? unfit(issue.expected) : issue.message;
    throw new Error(`--issuers ${file}: ${v.getDotPath(issue) ?? 'it'} ${words}`);
  }
  const seen = new Set<string>();
  return parsed.output.issuers.map(({ caFile, keysUrl, ...issuer }) => {
    if (seen.has(issuer.issuer)) throw new Error(`--issuers ${file}: ${issuer.issuer} is there twice`);
    seen.add(issuer.issuer);
    const ca = caFile === undefined ? undefined : textOf(resolve(dirname(file), caFile), file);
    return { ...issuer, keysUrl, ca };
  });
}

/** The library says `never` of a member that nobody asked for. */
function unfit(expected: string | null): string {
  return expected === 'never' ? 'is not a setting' : 'is missing or of another kind';
}

function jsonOf(file: string): unknown {
  try {
    return JSON.parse(textOf(file, file));
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new Error(`--issuers ${file}: it is not JSON`, { cause });
  }
}

function textOf(path: string, file: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    throw new Error(`--issuers ${file}: cannot read '${path}': ${code}`, { cause });
  }
}
