// An attestation authority inside a test, and the environments that it attests: tokens as Azure Attestation writes them. For tests alone.

import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import { rsaPair } from '../../../rsa-pairs.ts';

export interface Environment {
  readonly privateKey: KeyObject;
  /** As the token's `x-ms-runtime.keys` has it. */
  readonly jwk: Readonly<Record<string, unknown>>;
}

let made = 0;

export function environment(bits = 2048, more: Readonly<Record<string, unknown>> = { key_ops: ['encrypt'] }): Environment {
  const { publicKey, privateKey } = rsaPair(bits);
  made += 1;
  return { privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid: `TpmEphemeralEncryptionKey-${made}`, ...more } };
}

export interface AuthorityKey {
  readonly kid: string;
  readonly alg: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject | Uint8Array;
}

export function authorityKey(kid = 'one', alg = 'RS256'): AuthorityKey {
  const pair = alg.startsWith('ES')
    ? generateKeyPairSync('ec', { namedCurve: { ES256: 'P-256', ES384: 'P-384' }[alg] ?? 'P-521' })
    : rsaPair(2048);
  return { kid, alg, ...pair };
}

/** `now` in milliseconds; `claims` beside those that every token has, and in their place. */
export function token(
  key: AuthorityKey,
  issuer: string,
  now: number,
  target: Environment | undefined,
  claims: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const seconds = Math.floor(now / 1000);
  const all = {
    iss: issuer,
    iat: seconds,
    nbf: seconds,
    exp: seconds + 28_800,
    ...(target === undefined ? {} : { 'x-ms-runtime': { keys: [target.jwk] } }),
    ...claims,
  };
  return new SignJWT(all).setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'JWT', jku: `${issuer}/certs` }).sign(key.privateKey);
}

/** base64url of a policy that asks these claims of one authority. */
export function policyData(authority: string, claims: Readonly<Record<string, unknown>>): string {
  const allOf = Object.entries(claims).map(([claim, equals]) => ({ claim, equals }));
  return Buffer.from(JSON.stringify({ version: '1.0.0', anyOf: [{ authority, allOf }] })).toString('base64url');
}
