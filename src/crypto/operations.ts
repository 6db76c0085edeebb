// What can be done with a key that is ready for use: hands each operation to the kind of key and algorithm that it is about.
// Knows nothing of seals, rows and caches.

import type { AesCbc, AesGcm, AesKeyWrap, Algorithm, EcSignature, RsaSignature } from './algorithms.ts';
import { decryptNative, encryptNative, signNative, verifyNative } from './asymmetric.ts';
import type { DecryptParameters, Encrypted, EncryptParameters } from './module.ts';
import type { UsableKey } from './plain-key.ts';
import { decryptAes, encryptAes, signHmac, verifyHmac } from './symmetric.ts';

// The limits and failures are those of `CryptoModule`. A key of the wrong kind is a mistake of this program, so a TypeError.

export function encryptWith(usable: UsableKey, algorithm: Algorithm, value: Uint8Array, parameters: EncryptParameters): Encrypted {
  if (usable.kind === 'native' && algorithm.kind === 'rsa-encryption') return { value: encryptNative(usable.key, algorithm, value) };
  if (usable.kind === 'secret' && isAes(algorithm)) return encryptAes(usable.key, algorithm, value, parameters);
  throw mismatch(algorithm, 'encrypt');
}

export function decryptWith(usable: UsableKey, algorithm: Algorithm, value: Uint8Array, parameters: DecryptParameters): Buffer {
  if (usable.kind === 'native' && algorithm.kind === 'rsa-encryption') return decryptNative(usable.key, algorithm, value);
  if (usable.kind === 'secret' && isAes(algorithm)) return decryptAes(usable.key, algorithm, value, parameters);
  throw mismatch(algorithm, 'decrypt');
}

export function signWith(usable: UsableKey, algorithm: Algorithm, value: Uint8Array): Buffer {
  if (usable.kind === 'native' && isSignature(algorithm)) return signNative(usable.key, algorithm, value);
  if (usable.kind === 'secret' && algorithm.kind === 'hmac') return signHmac(usable.key, algorithm, value);
  throw mismatch(algorithm, 'sign');
}

export function verifyWith(usable: UsableKey, algorithm: Algorithm, value: Uint8Array, signature: Uint8Array): boolean {
  if (usable.kind === 'native' && isSignature(algorithm)) return verifyNative(usable.key, algorithm, value, signature);
  if (usable.kind === 'secret' && algorithm.kind === 'hmac') return verifyHmac(usable.key, algorithm, value, signature);
  throw mismatch(algorithm, 'verify');
}

function isAes(algorithm: Algorithm): algorithm is AesGcm | AesCbc | AesKeyWrap {
  return algorithm.kind === 'aes-gcm' || algorithm.kind === 'aes-cbc' || algorithm.kind === 'aes-kw';
}

function isSignature(algorithm: Algorithm): algorithm is RsaSignature | EcSignature {
  return algorithm.kind === 'rsa-signature' || algorithm.kind === 'ec-signature';
}

/** For the one who asked for a combination that the algorithm table does not have. */
export function mismatch(algorithm: Algorithm, what: string): TypeError {
  return new TypeError(`${algorithm.name} does not go with ${what}`);
}
