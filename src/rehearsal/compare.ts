// Whether a rebuilt HSM's keys are the keys of the HSM that it was rebuilt from: each is used on the new one, and what it does is held against the public
// half, or for symmetric keys against what the old one does. Knows HSMs as their clients do.

import { constants, createHash, createPublicKey, publicEncrypt, randomBytes, verify } from 'node:crypto';
import { table } from '../core/table.ts';
import type { Answer, CallOptions } from '../shell/client.ts';
import { at, flagAt, listAt, numberAt, textAt, textsAt } from '../shell/read.ts';

/** One HSM: a call on it. Throws for refusals that are not allowed. */
export type Hsm = (method: string, path: string, options?: CallOptions) => Promise<Answer>;

export interface Comparison {
  /** Key versions that do the same on both. */
  readonly working: number;
  /** Those that nobody may use now (disabled, expired, without an operation for it): their public halves are the same. */
  readonly samePublicHalf: number;
  /** `name/version`, with why: could not be tried. */
  readonly untried: readonly string[];
  /** `name/version`, with what differs. */
  readonly different: readonly string[];
  /** `name/version` that the old HSM has and the rebuilt one has not: newer than the backup. */
  readonly lost: readonly string[];
  /** `name/version` that only the rebuilt one has: deleted since the backup. */
  readonly deletedSince: readonly string[];
}

const AT_A_TIME = 8;

/** `now`: milliseconds since 1970. `progress` is told how many key versions are done, and of how many. */
export async function compareKeys(old: Hsm, rebuilt: Hsm, now: number, progress: (done: number, of: number) => void): Promise<Comparison> {
  const [before, after] = [new Set(await versionsOf(old)), new Set(await versionsOf(rebuilt))];
  const result = { working: 0, samePublicHalf: 0, untried: [] as string[], different: [] as string[] };
  const shared = [...before].filter((key) => after.has(key));
  let next = 0;
  const walk = async (): Promise<void> => {
    for (let key = shared[next++]; key !== undefined; key = shared[next++]) {
      const outcome = await compared(old, rebuilt, key, now / 1000);
      if (outcome === 'works') result.working += 1;
      else if (outcome === 'same public half') result.samePublicHalf += 1;
      else if (outcome.is === 'untried') result.untried.push(`${key}: ${outcome.why}`);
      else result.different.push(`${key}: ${outcome.why}`);
      progress(Math.min(next, shared.length), shared.length);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, walk));
  return {
    ...result,
    lost: [...before].filter((key) => !after.has(key)),
    deletedSince: [...after].filter((key) => !before.has(key)),
  };
}

/** `name/version` of every live key. */
async function versionsOf(hsm: Hsm): Promise<readonly string[]> {
  const found: string[] = [];
  for (const item of await itemsOf(hsm, '/keys')) {
    const name = textAt(item, 'kid')?.split('/').at(-1) ?? '';
    for (const version of await itemsOf(hsm, `/keys/${name}/versions`)) found.push(`${name}/${textAt(version, 'kid')?.split('/').at(-1)}`);
  }
  return found;
}

async function itemsOf(hsm: Hsm, path: string): Promise<readonly unknown[]> {
  const found: unknown[] = [];
  for (let next: string | undefined = path; next !== undefined; ) {
    const { json }: Answer = await hsm('GET', next);
    found.push(...listAt(json, 'value'));
    next = textAt(json, 'nextLink');
  }
  return found;
}

type Outcome = 'works' | 'same public half' | { readonly is: 'untried' | 'different'; readonly why: string };

async function compared(old: Hsm, rebuilt: Hsm, key: string, now: number): Promise<Outcome> {
  const path = `/keys/${key}`;
  const [{ json: known }, { json: found }] = [await old('GET', path), await rebuilt('GET', path)];
  for (const member of ['kty', 'crv', 'n', 'e', 'x', 'y', 'pub']) {
    if (at(known, 'key', member) !== at(found, 'key', member)) return { is: 'different', why: `${member} of its public half` };
  }
  const trial = trialOf(known);
  const hasPublicHalf = textAt(known, 'key', 'n') !== undefined || textAt(known, 'key', 'x') !== undefined;
  if (trial === undefined || !isUsable(known, now))
    return hasPublicHalf ? 'same public half' : { is: 'untried', why: 'nobody may use it now' };
  try {
    return (await trial(path, old, rebuilt)) ? 'works' : { is: 'different', why: 'it does something else' };
  } catch (error) {
    return { is: error instanceof OldRefuses ? 'untried' : 'different', why: error instanceof Error ? error.message : String(error) };
  }
}

function isUsable(key: unknown, now: number): boolean {
  const [from, until] = [numberAt(key, 'attributes', 'nbf'), numberAt(key, 'attributes', 'exp')];
  return flagAt(key, 'attributes', 'enabled') !== false && (from === undefined || from <= now) && (until === undefined || until > now);
}

/** The old HSM does not do its half of a trial: that says nothing of the rebuilt one. */
class OldRefuses extends Error {}

async function byOld<Result>(asked: Promise<Result>): Promise<Result> {
  try {
    return await asked;
  } catch (error) {
    throw new OldRefuses(error instanceof Error ? error.message : String(error));
  }
}

type Trial = (path: string, old: Hsm, rebuilt: Hsm) => Promise<boolean>;

const EC: Readonly<Record<string, readonly [alg: string, hash: string]>> = table({
  'P-256': ['ES256', 'sha256'],
  'P-256K': ['ES256K', 'sha256'],
  'P-384': ['ES384', 'sha384'],
  'P-521': ['ES512', 'sha512'],
});

/** What to do with such a key; undefined when it has no operation that shows anything. */
function trialOf(key: unknown): Trial | undefined {
  const jwk = at(key, 'key');
  const may = new Set(textsAt(jwk, 'key_ops'));
  const kty = textAt(jwk, 'kty')?.replace(/-HSM$/, '');
  const [alg, hash] = EC[textAt(jwk, 'crv') ?? ''] ?? [];
  if (kty === 'EC' && alg !== undefined && hash !== undefined && may.has('sign')) return signs(jwk, alg, hash, 'ieee-p1363');
  if (kty === 'RSA' && may.has('sign')) return signs(jwk, 'RS256', 'sha256');
  if (kty === 'RSA' && may.has('decrypt')) return opens(jwk, 'decrypt');
  if (kty === 'RSA' && may.has('unwrapKey')) return opens(jwk, 'unwrapkey');
  if (kty === 'oct' && may.has('encrypt') && may.has('decrypt')) return carries('encrypt', 'decrypt', 'GCM');
  if (kty === 'oct' && may.has('wrapKey') && may.has('unwrapKey')) return carries('wrapkey', 'unwrapkey', 'KW');
  if (kty === 'oct' && may.has('sign')) return agrees;
  return undefined;
}

function publicKey(jwk: unknown): ReturnType<typeof createPublicKey> {
  const member = (name: string): string | undefined => textAt(jwk, name);
  const crv = member('crv') === 'P-256K' ? 'secp256k1' : member('crv');
  const plain = crv === undefined ? { kty: 'RSA', n: member('n'), e: member('e') } : { kty: 'EC', crv, x: member('x'), y: member('y') };
  return createPublicKey({ format: 'jwk', key: Object.fromEntries(Object.entries(plain).filter(([, value]) => value !== undefined)) });
}

/** The rebuilt HSM signs, and the old one's public half verifies. */
function signs(jwk: unknown, alg: string, hash: string, dsaEncoding?: 'ieee-p1363'): Trial {
  return async (path, _old, rebuilt) => {
    const message = randomBytes(64);
    const value = createHash(hash).update(message).digest('base64url');
    const { json } = await rebuilt('POST', `${path}/sign`, { body: { alg, value } });
    const key = dsaEncoding === undefined ? publicKey(jwk) : { key: publicKey(jwk), dsaEncoding };
    return verify(hash, message, key, bytesOf(json, 'value'));
  };
}

/** What is encrypted to the old one's public half, the rebuilt HSM decrypts. */
function opens(jwk: unknown, operation: 'decrypt' | 'unwrapkey'): Trial {
  return async (path, _old, rebuilt) => {
    const secret = randomBytes(32);
    const sealed = publicEncrypt({ key: publicKey(jwk), padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }, secret);
    const { json } = await rebuilt('POST', `${path}/${operation}`, { body: { alg: 'RSA-OAEP-256', value: sealed.toString('base64url') } });
    return bytesOf(json, 'value').equals(secret);
  };
}

/** What the old HSM encrypts or wraps, the rebuilt one opens. The size is found by trying: a symmetric key does not tell it. */
function carries(there: string, back: string, mode: 'GCM' | 'KW'): Trial {
  return async (path, old, rebuilt) => {
    const secret = randomBytes(32);
    let refused: unknown;
    for (const size of [256, 128, 192]) {
      const alg = `A${size}${mode}`;
      const sealed = await old('POST', `${path}/${there}`, { body: { alg, value: secret.toString('base64url') } }).catch(
        (error: unknown) => {
          refused = error;
          return undefined;
        },
      );
      if (sealed === undefined) continue;
      const { value, iv, tag } = Object(sealed.json);
      const { json } = await rebuilt('POST', `${path}/${back}`, { body: { alg, value, iv, tag } });
      return bytesOf(json, 'value').equals(secret);
    }
    throw new OldRefuses(refused instanceof Error ? refused.message : String(refused));
  };
}

/** Both make the same code of the same bytes. */
const agrees: Trial = async (path, old, rebuilt) => {
  const body = { alg: 'HS256', value: createHash('sha256').update(randomBytes(32)).digest('base64url') };
  const one = await byOld(old('POST', `${path}/sign`, { body }));
  const other = await rebuilt('POST', `${path}/sign`, { body });
  return bytesOf(one.json, 'value').equals(bytesOf(other.json, 'value'));
};

function bytesOf(json: unknown, member: string): Buffer {
  return Buffer.from(textAt(json, member) ?? '', 'base64url');
}
