// Keys in transit to the holder of an RSA key: CKM_RSA_AES_KEY_WRAP (PKCS #11 version 3.1, section 6.1.21). A fresh AES-256 key under RSA-OAEP, then
// what is carried under that key (AES key wrap with padding, RFC 5649). Knows neither files nor what is carried.

import { constants, createSecretKey, type KeyObject, publicEncrypt, randomBytes } from 'node:crypto';
import { cryptographicFailure } from '../core/errors-keyvault.ts';
import type { Digest } from './algorithms.ts';
import type { NativeKey } from './libcrypto.ts';
import { rsaDecrypt } from './openssl.ts';
import { unwrapAes, wrapAes } from './symmetric.ts';

const AES_KEY_LENGTH = 32;
const NAME = 'CKM_RSA_AES_KEY_WRAP';

/** Wraps for the holder of this RSA key. The digest is that of OAEP and of its MGF1; the mechanism's own name means SHA-1. The caller zeroes `plain`. */
export function wrapInTransit(recipient: KeyObject, plain: Uint8Array, digest: Digest = 'sha1'): Buffer {
  const aesKey = randomBytes(AES_KEY_LENGTH);
  try {
    const wrappedKey = publicEncrypt({ key: recipient, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: digest }, aesKey);
    return Buffer.concat([wrappedKey, wrapAes(createSecretKey(aesKey), { name: NAME, padded: true }, plain)]);
  } finally {
    aesKey.fill(0);
  }
}

/** Unwraps what was wrapped (with SHA-1) for this key; the caller zeroes the result. There is one failure, wherever it is: `cryptographicFailure`. */
export function unwrapInTransit(recipient: NativeKey, wrapped: Uint8Array): Buffer {
  const aesKey = wrappedAesKey(recipient, wrapped.subarray(0, recipient.size));
  try {
    return unwrapAes(createSecretKey(aesKey), true, wrapped.subarray(recipient.size));
  } finally {
    aesKey.fill(0);
  }
}

/** What does not decrypt is replaced by a random key, so that the unwrapping refuses it in the same place and time as everything else. */
function wrappedAesKey(recipient: NativeKey, wrapped: Uint8Array): Buffer {
  if (wrapped.length !== recipient.size) throw cryptographicFailure();
  const replacement = randomBytes(AES_KEY_LENGTH);
  const found = rsaDecrypt(recipient, { padding: 'oaep', digest: 'sha1' }, wrapped) ?? replacement;
  if (found.length === AES_KEY_LENGTH) return found;
  found.fill(0);
  return replacement;
}
