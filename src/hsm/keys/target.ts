// Whom a key may be given to: the environment that a token of a trusted attestation authority describes, if the key's policy is content with it. The token's
// own key, in its claims, is what the key is then encrypted to.

import { createPublicKey, type KeyObject } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, errors, jwtVerify } from 'jose';
import * as v from 'valibot';
import { attestationRefused } from '../../core/errors-keyvault.ts';
import { withoutSlash } from '../../core/issuer-keys.ts';
import type { ActiveReads } from '../world.ts';
import type { KeyVersion } from './key-version.ts';
import type { KeyRef } from './lookup.ts';
import { isSatisfied } from './policy-grammar.ts';
import { conditionsOf, type ReleasePolicy } from './release-policy.ts';

export interface Target {
  readonly key: KeyObject;
  /** What the target calls it. */
  readonly kid: string;
  /** Who attested it, without a slash at the end. */
  readonly issuer: string;
}

/** Asymmetric ones alone: with a shared secret, or none, anybody could speak for the authority. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'];
/** Seconds by which the authority's clock may differ. */
const SKEW = 60;
/** Tokens of Azure Attestation have about 10,000 characters. */
export const LONGEST_TOKEN = 64 << 10;

const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 8192;

const EncryptionKey = v.object({ kty: v.literal('RSA'), n: v.string(), e: v.string(), kid: v.optional(v.string()) });
const Keys = v.object({ 'x-ms-runtime': v.object({ keys: v.array(v.looseObject({})) }) });

/**
 * The key that `find` lets be used, and a target that its policy accepts. Asking an authority takes time, in which the key may be disabled, its policy changed
 * or a role taken away: so all of it has to hold afterwards too. Throws Forbidden, in the service's words, for whatever is wrong with the token.
 */
export async function keyForTarget(
  world: ActiveReads,
  ref: KeyRef,
  token: string,
  find: (world: ActiveReads, ref: KeyRef) => Promise<KeyVersion>,
): Promise<{ readonly key: KeyVersion; readonly target: Target }> {
  const key = await find(world, ref);
  const target = await attestedTarget(world, token, key.release.policy);
  const now = await find(await world.again(), { name: key.name, version: key.version });
  if (JSON.stringify(now.release) !== JSON.stringify(key.release)) throw attestationRefused(new Error('the policy was changed meanwhile'));
  return { key: now, target };
}

/** What of the world it takes to look at a token. */
type Looking = Pick<ActiveReads, 'issuerKeys' | 'clock'>;

/** The environment that the token attests. Throws Forbidden unless the policy accepts it. */
export async function attestedTarget(world: Looking, token: string, policy: ReleasePolicy | undefined): Promise<Target> {
  try {
    if (policy === undefined) throw new Error('the key has no release policy');
    return await verifiedTarget(world, token, policy);
  } catch (cause) {
    throw attestationRefused(cause);
  }
}

async function verifiedTarget({ issuerKeys, clock }: Looking, token: string, policy: ReleasePolicy): Promise<Target> {
  const { iss } = decodeJwt(token);
  if (typeof iss !== 'string') throw new Error('the token names no issuer');
  // Only addresses that the policy names are ever asked.
  const authorities = conditionsOf(policy).anyOf.filter(({ authority }) => withoutSlash(authority) === withoutSlash(iss));
  const [trusted] = authorities;
  if (trusted === undefined) throw new Error('the policy does not name the issuer');
  if (!ALGORITHMS.includes(decodeProtectedHeader(token).alg ?? '')) throw new Error('the token is signed in a way that is not accepted');
  const issuer = withoutSlash(trusted.authority);
  const { payload } = await jwtVerify(
    token,
    async ({ kid }) => {
      const key = await issuerKeys.keyOf(issuer, kid);
      if (key === undefined) throw new errors.JWKSNoMatchingKey();
      return key;
    },
    { algorithms: ALGORITHMS, clockTolerance: SKEW, currentDate: new Date(clock.now()), requiredClaims: ['iss', 'exp'] },
  );
  if (!authorities.some((conditions) => isSatisfied(conditions, payload))) throw new Error('the claims are not what the policy asks for');
  return { ...encryptionKey(payload), issuer };
}

/** The first RSA key that the environment says is for encryption. */
function encryptionKey(claims: unknown): Omit<Target, 'issuer'> {
  const { keys } = v.parse(Keys, claims)['x-ms-runtime'];
  const jwk = keys.find(
    ({ kty, use, key_ops }) => kty === 'RSA' && (use === 'enc' || (Array.isArray(key_ops) && key_ops.includes('encrypt'))),
  );
  const { kid = '', ...members } = v.parse(EncryptionKey, jwk);
  const key = createPublicKey({ key: members, format: 'jwk' });
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (modulusLength < MIN_RSA_BITS || modulusLength > MAX_RSA_BITS) throw new Error(`the target's key has ${modulusLength} bits`);
  // With an exponent of 1 what is encrypted would be readable to everybody.
  if (publicExponent < 3n || publicExponent % 2n === 0n) throw new Error("the target's key has an exponent that encrypts nothing");
  return { key, kid };
}
