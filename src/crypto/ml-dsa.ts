// ML-DSA (FIPS 204): keys from their seed, and signatures over messages or over what was made of them elsewhere. The mathematics is OpenSSL's.
// Knows the algorithm table; not where a key comes from.

import { randomFillSync } from 'node:crypto';
import { toBase64url } from '../core/encoding.ts';
import { badParameter } from '../core/errors-keyvault.ts';
import type { MlDsaSignature } from './algorithms.ts';
import type { NativeKey } from './libcrypto.ts';
import type { SignParameters } from './module.ts';
import { publicOctets } from './native-keys.ts';
import { mlDsaSign, mlDsaVerify } from './openssl.ts';
import { readPrivateKey } from './private-key.ts';
import type { KeyMaterial, MlDsaSet } from './types.ts';

interface Sizes {
  /** The last byte of its object identifier, 2.16.840.1.101.3.4.3.x (RFC 9881 section 2). */
  readonly arc: number;
  /** Bytes of a public key and of a signature (FIPS 204 table 2). */
  readonly publicKey: number;
  readonly signature: number;
}

// biome-ignore format: a table reads by its columns
const sets: Readonly<Record<MlDsaSet, Sizes>> = {
  'ML-DSA-44': { arc: 0x11, publicKey: 1312, signature: 2420 },
  'ML-DSA-65': { arc: 0x12, publicKey: 1952, signature: 3309 },
  'ML-DSA-87': { arc: 0x13, publicKey: 2592, signature: 4627 },
};

const SEED_LENGTH = 32;
const LONGEST_CONTEXT = 255;
const MU_LENGTH = 64;

// PKCS#8 with the seed alone (RFC 9881 section 6): version 0, the algorithm, an octet string with the seed under tag [0].
const PKCS8_UP_TO_ARC = Buffer.from('3034020100300b06096086480165030403', 'hex');
const PKCS8_UP_TO_SEED = Buffer.from('04228020', 'hex');

/** A new key; the caller zeroes `plain`. Everything else follows from the random seed (FIPS 204 algorithm 1). */
export function makeMlDsa(alg: MlDsaSet): { readonly plain: Buffer; readonly material: KeyMaterial } {
  const plain = mlDsaPkcs8(alg);
  randomFillSync(plain, plain.length - SEED_LENGTH);
  const key = readPrivateKey(plain);
  if (key === undefined) throw new Error(`OpenSSL makes no key of ${alg}`);
  try {
    return { plain, material: { kty: 'AKP-HSM', alg, pub: toBase64url(publicOctets(key, sets[alg].publicKey)) } };
  } finally {
    key.free();
  }
}

/** PKCS#8 whose last 32 bytes are the seed: zeros, for the caller to fill. */
export function mlDsaPkcs8(alg: MlDsaSet): Buffer {
  return Buffer.concat([PKCS8_UP_TO_ARC, Buffer.of(sets[alg].arc), PKCS8_UP_TO_SEED, Buffer.alloc(SEED_LENGTH)]);
}

/** How long an encoded public key is. */
export function mlDsaPublicBytes(alg: MlDsaSet): number {
  return sets[alg].publicKey;
}

/** Whether the key is the private half of what is described. */
export function isMlDsaOf(key: NativeKey, { alg, pub }: Extract<KeyMaterial, { kty: 'AKP-HSM' }>): boolean {
  return key.size === sets[alg].signature && toBase64url(publicOctets(key, sets[alg].publicKey)) === pub;
}

export function signMlDsa(key: NativeKey, algorithm: MlDsaSignature, value: Uint8Array, parameters: SignParameters): Buffer {
  checkParameters(algorithm, value, parameters);
  return mlDsaSign(key, value, parameters);
}

/** Whether the signature is this key's over this value in this context; a malformed one is not. */
export function verifyMlDsa(
  key: NativeKey,
  algorithm: MlDsaSignature,
  value: Uint8Array,
  signature: Uint8Array,
  parameters: SignParameters,
): boolean {
  checkParameters(algorithm, value, parameters);
  return signature.length === sets[algorithm.name].signature && mlDsaVerify(key, value, signature, parameters);
}

function checkParameters({ name }: MlDsaSignature, value: Uint8Array, { context, isMu }: SignParameters): void {
  // The context is in the representative already.
  if (isMu && context !== undefined) throw badParameter('Property external_mu excludes context');
  if (isMu && value.length !== MU_LENGTH)
    throw badParameter(`Algorithm '${name}' requires external_mu to have ${MU_LENGTH} bytes, and it has ${value.length}`);
  if (context !== undefined && context.length > LONGEST_CONTEXT)
    throw badParameter(`Algorithm '${name}' takes a context of at most ${LONGEST_CONTEXT} bytes, and it has ${context.length}`);
}
