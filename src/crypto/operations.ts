// What can be done with a key that is ready for use: hands each operation to the kind of key and algorithm that it is about.
// Knows nothing of seals, rows and caches.

import { badParameter } from '../core/errors-keyvault.ts';
import type { AesCbc, AesGcm, AesKeyWrap, Algorithm, EcSignature, RsaSignature } from './algorithms.ts';
import { decryptNative, encryptNative, signNative, verifyNative } from './asymmetric.ts';
import { signMlDsa, verifyMlDsa } from './ml-dsa.ts';
import type { DecryptParameters, Encrypted, EncryptParameters, SignParameters } from './module.ts';
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

export function signWith(usable: UsableKey, algorithm: Algorithm, value: Uint8Array, parameters: SignParameters = {}): Buffer {
  if (usable.kind === 'native' && algorithm.kind === 'ml-dsa') return signMlDsa(usable.key, algorithm, value, parameters);
  refuseParameters(algorithm, parameters);
  if (usable.kind === 'native' && isSignature(algorithm)) return signNative(usable.key, algorithm, value);
  if (usable.kind === 'secret' && algorithm.kind === 'hmac') return signHmac(usable.key, algorithm, value);
  throw mismatch(algorithm, 'sign');
}

export function verifyWith(
  usable: UsableKey,
  algorithm: Algorithm,
  value: Uint8Array,
  signature: Uint8Array,
  parameters: SignParameters = {},
): boolean {
  if (usable.kind === 'native' && algorithm.kind === 'ml-dsa') return verifyMlDsa(usable.key, algorithm, value, signature, parameters);
  refuseParameters(algorithm, parameters);
  if (usable.kind === 'native' && isSignature(algorithm)) return verifyNative(usable.key, algorithm, value, signature);
  if (usable.kind === 'secret' && algorithm.kind === 'hmac') return verifyHmac(usable.key, algorithm, value, signature);
  throw mismatch(algorithm, 'verify');
}

/** A context that was asked for and not signed would be a signature of something else. */
function refuseParameters(algorithm: Algorithm, { context, isMu }: SignParameters): void {
  if (context !== undefined || isMu) throw badParameter(`Algorithm '${algorithm.name}' takes neither context nor external_mu`);
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
