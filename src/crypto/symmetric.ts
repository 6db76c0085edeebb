// AES and HMAC with a secret key, through node:crypto. Checks what the caller can see (lengths, iv, tag) and lets every failure that depends
// on the key look the same.

import { type CipherGCMTypes, createCipheriv, createDecipheriv, createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import { badParameter, cryptographicFailure } from '../core/errors-keyvault.ts';
import type { AesCbc, AesGcm, AesKeyWrap, Hmac } from './algorithms.ts';
import type { DecryptParameters, Encrypted, EncryptParameters } from './module.ts';
import { NONCE_LENGTH, randomNonce } from './nonce.ts';

type Aes = AesGcm | AesCbc | AesKeyWrap;

const BLOCK = 16;
const SEMIBLOCK = 8;
const TAG_LENGTH = 16;
const TAG = { authTagLength: TAG_LENGTH } as const;
// What an intact unwrapped key begins with: RFC 3394 section 2.2.3.1, RFC 5649 section 3.
const WRAP_CHECK = Buffer.from('a6a6a6a6a6a6a6a6', 'hex');
const WRAP_PAD_CHECK = Buffer.from('a65959a6', 'hex');

interface Ciphers {
  readonly gcm: CipherGCMTypes;
  readonly cbc: string;
  readonly wrap: string;
  readonly wrapPad: string;
}

// biome-ignore format: a table reads by its columns
const ciphers: Readonly<Record<number, Ciphers>> = {
  16: { gcm: 'aes-128-gcm', cbc: 'aes-128-cbc', wrap: 'id-aes128-wrap', wrapPad: 'id-aes128-wrap-pad' },
  24: { gcm: 'aes-192-gcm', cbc: 'aes-192-cbc', wrap: 'id-aes192-wrap', wrapPad: 'id-aes192-wrap-pad' },
  32: { gcm: 'aes-256-gcm', cbc: 'aes-256-cbc', wrap: 'id-aes256-wrap', wrapPad: 'id-aes256-wrap-pad' },
};

/** OpenSSL's names for the ciphers of this key. `algorithmFor` has seen to it that the key is an AES key of the algorithm's size. */
function ciphersOf(key: KeyObject): Ciphers {
  const found = ciphers[key.symmetricKeySize ?? 0];
  if (found === undefined) throw new RangeError('this key has not the size of an AES key');
  return found;
}

/** Encrypts or wraps. Throws BadParameter for a length that the algorithm does not take and for a missing or misshapen iv. */
export function encryptAes(key: KeyObject, algorithm: Aes, value: Uint8Array, parameters: EncryptParameters): Encrypted {
  switch (algorithm.kind) {
    case 'aes-gcm':
      return encryptGcm(key, value, parameters.aad);
    case 'aes-cbc':
      return encryptCbc(key, algorithm, value, required(algorithm, 'iv', parameters.iv, BLOCK));
    case 'aes-kw':
      return { value: wrapAes(key, algorithm, value) };
  }
}

/** Decrypts or unwraps. A missing or misshapen iv or tag is a BadParameter that says so; whatever else fails is `cryptographicFailure`. */
export function decryptAes(key: KeyObject, algorithm: Aes, value: Uint8Array, parameters: DecryptParameters): Buffer {
  switch (algorithm.kind) {
    case 'aes-gcm': {
      const iv = required(algorithm, 'iv', parameters.iv, NONCE_LENGTH);
      const tag = required(algorithm, 'tag', parameters.tag, TAG_LENGTH);
      return decryptGcm(key, value, iv, tag, parameters.aad);
    }
    case 'aes-cbc':
      return decryptCbc(key, algorithm, value, required(algorithm, 'iv', parameters.iv, BLOCK));
    case 'aes-kw':
      return unwrapAes(key, algorithm.padded, value);
  }
}

function required(algorithm: Aes, member: 'iv' | 'tag', bytes: Uint8Array | undefined, length: number): Uint8Array {
  if (bytes === undefined) throw badParameter(`Algorithm '${algorithm.name}' requires the parameter '${member}'`);
  if (bytes.length !== length) {
    throw badParameter(`Algorithm '${algorithm.name}' requires '${member}' to have ${length} bytes, and it has ${bytes.length}`);
  }
  return bytes;
}

/** The iv is made here (NIST SP 800-38D section 8.2.2): an iv of the caller's, used twice, would give the key away. */
function encryptGcm(key: KeyObject, value: Uint8Array, aad: Uint8Array | undefined): Encrypted {
  const iv = randomNonce();
  const cipher = createCipheriv(ciphersOf(key).gcm, key, iv, TAG);
  if (aad !== undefined) cipher.setAAD(aad);
  const encrypted = cipher.update(value);
  cipher.final();
  return { value: encrypted, iv, tag: cipher.getAuthTag() };
}

function decryptGcm(key: KeyObject, value: Uint8Array, iv: Uint8Array, tag: Uint8Array, aad: Uint8Array | undefined): Buffer {
  const decipher = createDecipheriv(ciphersOf(key).gcm, key, iv, TAG);
  if (aad !== undefined) decipher.setAAD(aad);
  decipher.setAuthTag(tag);
  const plain = decipher.update(value);
  try {
    decipher.final();
    return plain;
  } catch {
    plain.fill(0);
    throw cryptographicFailure();
  }
}

function encryptCbc(key: KeyObject, algorithm: AesCbc, value: Uint8Array, iv: Uint8Array): Encrypted {
  if (!algorithm.padded && (value.length === 0 || value.length % BLOCK !== 0)) {
    throw badParameter(`Algorithm '${algorithm.name}' requires a value whose length is a multiple of ${BLOCK} bytes`);
  }
  const cipher = createCipheriv(ciphersOf(key).cbc, key, iv).setAutoPadding(algorithm.padded);
  return { value: Buffer.concat([cipher.update(value), cipher.final()]), iv: Buffer.from(iv) };
}

function decryptCbc(key: KeyObject, algorithm: AesCbc, value: Uint8Array, iv: Uint8Array): Buffer {
  if (value.length === 0 || value.length % BLOCK !== 0) throw cryptographicFailure();
  const decipher = createDecipheriv(ciphersOf(key).cbc, key, iv).setAutoPadding(algorithm.padded);
  const first = decipher.update(value);
  try {
    const last = decipher.final();
    const plain = Buffer.concat([first, last]);
    last.fill(0);
    return plain;
  } catch {
    throw cryptographicFailure();
  } finally {
    first.fill(0);
  }
}

/** RFC 3394, or RFC 5649 where the algorithm pads. Throws BadParameter for a length that it does not take. */
export function wrapAes(key: KeyObject, algorithm: Pick<AesKeyWrap, 'name' | 'padded'>, value: Uint8Array): Buffer {
  if (algorithm.padded ? value.length === 0 : value.length < 2 * SEMIBLOCK || value.length % SEMIBLOCK !== 0) {
    const rule = algorithm.padded ? 'of at least 1 byte' : `of at least ${2 * SEMIBLOCK} bytes whose length is a multiple of ${SEMIBLOCK}`;
    throw badParameter(`Algorithm '${algorithm.name}' requires a value ${rule}`);
  }
  const names = ciphersOf(key);
  const cipher = createCipheriv(algorithm.padded ? names.wrapPad : names.wrap, key, algorithm.padded ? WRAP_PAD_CHECK : WRAP_CHECK);
  const wrapped = cipher.update(value);
  cipher.final();
  return wrapped;
}

/** The caller zeroes the result. Whatever is wrong is `cryptographicFailure`. */
export function unwrapAes(key: KeyObject, padded: boolean, value: Uint8Array): Buffer {
  const shortest = padded ? 2 * SEMIBLOCK : 3 * SEMIBLOCK;
  if (value.length < shortest || value.length % SEMIBLOCK !== 0) throw cryptographicFailure();
  const names = ciphersOf(key);
  const decipher = createDecipheriv(padded ? names.wrapPad : names.wrap, key, padded ? WRAP_PAD_CHECK : WRAP_CHECK);
  try {
    const plain = decipher.update(value);
    decipher.final();
    return plain;
  } catch {
    throw cryptographicFailure();
  }
}

/** The code of the bytes as they are given: nothing is required of their length (RFC 2104). */
export function signHmac(key: KeyObject, algorithm: Hmac, value: Uint8Array): Buffer {
  return createHmac(algorithm.digest, key).update(value).digest();
}

export function verifyHmac(key: KeyObject, algorithm: Hmac, value: Uint8Array, signature: Uint8Array): boolean {
  const right = signHmac(key, algorithm, value);
  return signature.length === right.length && timingSafeEqual(signature, right);
}
