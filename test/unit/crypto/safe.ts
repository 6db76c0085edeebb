// A safe with one HSM in it for tests, keys brought into it from node:crypto, and the few asserts that many tests share.

import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { type Algorithm, algorithms } from '../../../src/crypto/algorithms.ts';
import type { CryptoModule } from '../../../src/crypto/module.ts';
import { openCryptoModule } from '../../../src/crypto/openssl-module.ts';
import type { Curve, DomainAtRest, KeyAtRest, KeyIdentity, KeySpec, PrivateJwk } from '../../../src/crypto/types.ts';
import type { Pair } from '../../rsa-pairs.ts';

export interface Safe {
  readonly module: CryptoModule;
  readonly domain: DomainAtRest;
  make(spec: KeySpec): Promise<KeyAtRest>;
  bring(jwk: PrivateJwk): KeyAtRest;
}

export function openSafe(options: { rootKey?: Buffer; cacheSize?: number; hsmId?: string } = {}): Safe {
  const { rootKey = randomBytes(32), hsmId = 'hsm-1', cacheSize } = options;
  const module = openCryptoModule({ rootKey, ...(cacheSize === undefined ? {} : { cacheSize }) });
  const domain = { hsmId, sealed: module.createDomain(hsmId) };
  return {
    module,
    domain,
    async make(spec) {
      const identity = someVersion(hsmId);
      return { domain, identity, ...(await module.generate(domain, identity, spec)) };
    },
    bring(jwk) {
      const identity = someVersion(hsmId);
      return { domain, identity, ...module.import(domain, identity, jwk) };
    },
  };
}

function someVersion(hsmId: string): KeyIdentity {
  return { hsmId, name: 'my-key', version: randomBytes(16).toString('hex') };
}

export function algorithm(name: string): Algorithm {
  const row = algorithms.find((candidate) => candidate.name === name);
  assert.ok(row, name);
  return row;
}

export const nodeCurves: Readonly<Record<Curve, string>> = {
  'P-256': 'prime256v1',
  'P-256K': 'secp256k1',
  'P-384': 'secp384r1',
  'P-521': 'secp521r1',
};
export const curves: readonly Curve[] = ['P-256', 'P-256K', 'P-384', 'P-521'];

export function ecPair(curve: Curve): Pair {
  return generateKeyPairSync('ec', { namedCurve: nodeCurves[curve] });
}

/** The private key as a client would import it. */
export function privateJwk({ privateKey }: Pair, curve?: Curve): PrivateJwk & Record<string, string> {
  const jwk = { ...privateKey.export({ format: 'jwk' }), ...(curve === undefined ? {} : { crv: curve }) };
  return jwk as PrivateJwk & Record<string, string>;
}

/** The one answer to everything that fails because of the key. */
export function failsAsOne(action: () => unknown): void {
  assert.throws(action, (error: unknown) => {
    const { name, status, code, message, cause, inner } = error as Record<string, unknown>;
    const expected = {
      name: 'Failure',
      status: 400,
      code: 'BadParameter',
      message: 'The parameter is incorrect.',
      cause: undefined,
      inner: undefined,
    };
    assert.deepEqual({ name, status, code, message, cause, inner }, expected);
    return true;
  });
}

export function isBadParameter(action: () => unknown, message: RegExp): void {
  assert.throws(action, (error: unknown) => {
    const { name, status, code, message: words } = error as Record<string, unknown>;
    assert.deepEqual({ name, status, code }, { name: 'Failure', status: 400, code: 'BadParameter' });
    assert.match(String(words), message);
    return true;
  });
}

/** The same bytes with one bit of one byte turned; counted from the end when negative. */
export function turned(bytes: Uint8Array, at: number, bit = 1): Buffer {
  const copy = Buffer.from(bytes);
  const index = at < 0 ? copy.length + at : at;
  copy[index] = (copy[index] ?? 0) ^ bit;
  return copy;
}

/** The number that gives 1 with `value`, by Euclid's algorithm. */
export function inverse(value: bigint, modulus: bigint): bigint {
  let [r, next, s, nextS] = [modulus, value % modulus, 0n, 1n];
  while (next !== 0n) {
    const quotient = r / next;
    [r, next] = [next, r - quotient * next];
    [s, nextS] = [nextS, s - quotient * nextS];
  }
  assert.equal(r, 1n);
  return ((s % modulus) + modulus) % modulus;
}
