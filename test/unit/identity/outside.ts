// Outside issuers for tests: key pairs, what they publish, and the tokens that they sign.

import type { KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import type { PublishedKey } from '../../../src/identity/issuers/key-sets.ts';
import type { TrustedIssuer } from '../../../src/identity/issuers/settings.ts';
import { rsaPair } from '../../rsa-pairs.ts';

export interface SigningPair {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly published: PublishedKey;
}

export function signingPair(kid: string): SigningPair {
  const { privateKey, publicKey } = rsaPair(2048);
  const { n, e } = publicKey.export({ format: 'jwk' });
  return { kid, privateKey, publicKey, published: { kty: 'RSA', kid, use: 'sig', alg: 'RS256', n, e } };
}

/** A trusted issuer whose tokens for `strongroom` open the HSMs. */
export function issuerNamed(issuer: string, settings: Partial<TrustedIssuer> = {}): TrustedIssuer {
  return {
    issuer,
    keysUrl: undefined,
    ca: undefined,
    algorithms: ['RS256', 'ES256'],
    subjectClaim: 'sub',
    requiredClaims: {},
    audiences: { hsm: ['strongroom'], management: [], graph: [] },
    ...settings,
  };
}

/** A token with the usual claims, and others; undefined leaves one out. */
export function signed(
  pair: SigningPair,
  claims: Readonly<Record<string, unknown>>,
  header: Readonly<Record<string, unknown>> = {},
  now = Date.now(),
): Promise<string> {
  const seconds = Math.floor(now / 1000);
  const usual = { sub: 'alice', aud: 'strongroom', iat: seconds, exp: seconds + 3600 };
  return new SignJWT({ ...usual, ...claims }).setProtectedHeader({ alg: 'RS256', kid: pair.kid, ...header }).sign(pair.privateKey);
}
