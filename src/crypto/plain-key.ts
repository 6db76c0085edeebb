// The plain form of a key: PKCS#8 DER of an RSA, EC or ML-DSA key, the bytes themselves of a secret one. It exists between making (or unsealing) a
// key and putting it into native memory, in a buffer that is zeroed. Knows no seal and no algorithm.

import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { toBase64url } from '../core/encoding.ts';
import type { NativeKey } from './libcrypto.ts';
import { isMlDsaOf, makeMlDsa } from './ml-dsa.ts';
import { generateEc, generateRsa, numbersOf, rsaPublicNumbers } from './native-keys.ts';
import { curveBytes, readPrivateKey, writePrivateKey } from './private-key.ts';
import type { Curve, KeyMaterial, KeySpec } from './types.ts';

/** The caller zeroes `plain`. */
export interface PlainKey {
  readonly plain: Buffer;
  readonly material: KeyMaterial;
}

/** A key ready for use. `free` cleanses an RSA or EC key at once; OpenSSL cleanses a secret key when its object is collected. */
export type UsableKey = { readonly kind: 'native'; readonly key: NativeKey } | { readonly kind: 'secret'; readonly key: KeyObject };

/** What an RSA or EC key is described by. */
export type AsymmetricMaterial = Extract<KeyMaterial, { kty: 'RSA-HSM' | 'EC-HSM' }>;

/** Makes a new key. The search for the primes of an RSA key runs on another thread. */
export async function makeKey(spec: KeySpec): Promise<PlainKey> {
  switch (spec.kty) {
    case 'RSA-HSM':
      return takeOut(await generateRsa(spec.size, spec.exponent), describeRsa);
    case 'EC-HSM':
      return takeOut(generateEc(spec.curve), (key) => describeEc(key, spec.curve));
    case 'oct-HSM':
      return { plain: randomBytes(spec.size / 8), material: { kty: 'oct-HSM', size: spec.size } };
    case 'AKP-HSM':
      return makeMlDsa(spec.alg);
  }
}

/** Moves a native key into its plain form. */
export function takeOut(key: NativeKey, describe: (key: NativeKey) => AsymmetricMaterial): PlainKey {
  try {
    const material = describe(key);
    return { plain: writePrivateKey(key, material.kty === 'EC-HSM' ? material.crv : 'RSA'), material };
  } finally {
    key.free();
  }
}

export function describeRsa(key: NativeKey): AsymmetricMaterial {
  const { n, e } = rsaPublicNumbers(key);
  return { kty: 'RSA-HSM', size: bitLength(n), n: toBase64url(n), e: toBase64url(e) };
}

/** The caller knows the curve: it asked for it, or has it in the row. */
export function describeEc(key: NativeKey, curve: Curve): Extract<KeyMaterial, { kty: 'EC-HSM' }> {
  const { qx, qy } = numbersOf(key, ['qx', 'qy'], curveBytes[curve]);
  return { kty: 'EC-HSM', crv: curve, x: toBase64url(qx), y: toBase64url(qy) };
}

function bitLength(number: Buffer): number {
  return number.length * 8 - Math.clz32(number[0] ?? 0) + 24;
}

/**
 * Makes a key usable. Throws when the plain form is not the private half of `material`: the public description lies in the row unsealed,
 * and a changed one would have clients encrypt to, or trust, somebody else's key.
 */
export function bringIn(plain: Uint8Array, material: KeyMaterial): UsableKey {
  if (material.kty === 'oct-HSM') {
    if (plain.length * 8 !== material.size) throw isNotDescribed();
    return { kind: 'secret', key: createSecretKey(plain) };
  }
  const key = readPrivateKey(plain);
  if (key === undefined) throw isNotDescribed();
  try {
    if (!isDescribed(key, material)) throw isNotDescribed();
  } catch (failure) {
    key.free();
    throw failure;
  }
  return { kind: 'native', key };
}

function isDescribed(key: NativeKey, material: Exclude<KeyMaterial, { kty: 'oct-HSM' }>): boolean {
  if (material.kty === 'RSA-HSM') {
    const { n, e } = rsaPublicNumbers(key);
    return toBase64url(n) === material.n && toBase64url(e) === material.e && bitLength(n) === material.size;
  }
  if (material.kty === 'AKP-HSM') return isMlDsaOf(key, material);
  const { x, y } = describeEc(key, material.crv);
  return x === material.x && y === material.y;
}

function isNotDescribed(): Error {
  return new Error('A key does not match its public description: the row was changed.');
}
