// RSA and EC operations with a native key: the limits that the caller can see are checked here, the mathematics is OpenSSL's.
// Knows the algorithm table; not where a key comes from.

import { badParameter, cryptographicFailure } from '../core/errors-keyvault.ts';
import type { EcSignature, RsaEncryption, RsaSignature } from './algorithms.ts';
import { derFromRaw, rawFromDer } from './ecdsa-signature.ts';
import type { NativeKey } from './libcrypto.ts';
import { ecSign, ecVerify, rsaDecrypt, rsaEncrypt, rsaSign, rsaVerify } from './openssl.ts';

/** RSNULL: bytes of the modulus that PKCS#1 v1.5 needs for itself (RFC 8017 section 9.2). */
const PKCS1_OVERHEAD = 11;

/** Signs a digest of the algorithm's exact length, RSNULL any short value. ES signatures are r‖s. */
export function signNative(key: NativeKey, algorithm: RsaSignature | EcSignature, value: Uint8Array): Buffer {
  checkValue(key, algorithm, value);
  return algorithm.kind === 'rsa-signature' ? rsaSign(key, algorithm, value) : rawFromDer(ecSign(key, value), algorithm.width);
}

/** Whether the signature is this key's over this value; a malformed one is not. */
export function verifyNative(key: NativeKey, algorithm: RsaSignature | EcSignature, value: Uint8Array, signature: Uint8Array): boolean {
  checkValue(key, algorithm, value);
  if (algorithm.kind === 'rsa-signature') return signature.length === key.size && rsaVerify(key, algorithm, value, signature);
  const der = derFromRaw(signature, algorithm.width);
  return der !== undefined && ecVerify(key, value, der);
}

function checkValue(key: NativeKey, algorithm: RsaSignature | EcSignature, value: Uint8Array): void {
  const exact = algorithm.valueBytes;
  if (exact === undefined) {
    const longest = key.size - PKCS1_OVERHEAD;
    if (value.length >= 1 && value.length <= longest) return;
    throw badParameter(`Algorithm '${algorithm.name}' requires a value of 1 to ${longest} bytes with this key, and it has ${value.length}`);
  }
  if (value.length !== exact) {
    throw badParameter(`Algorithm '${algorithm.name}' requires a digest of ${exact} bytes, and the value has ${value.length}`);
  }
}

/** Throws BadParameter when the value is longer than the padding leaves room for. */
export function encryptNative(key: NativeKey, algorithm: RsaEncryption, value: Uint8Array): Buffer {
  const longest = key.size - algorithm.overhead;
  if (value.length > longest) {
    throw badParameter(`Algorithm '${algorithm.name}' takes at most ${longest} bytes with this key, and the value has ${value.length}`);
  }
  return rsaEncrypt(key, algorithm, value);
}

/** The ciphertext has exactly the length of the modulus (RFC 8017 section 7.1.2); OpenSSL would take a shorter one for a smaller number. */
export function decryptNative(key: NativeKey, algorithm: RsaEncryption, value: Uint8Array): Buffer {
  const plain = value.length === key.size ? rsaDecrypt(key, algorithm, value) : undefined;
  if (plain === undefined) throw cryptographicFailure();
  return plain;
}
