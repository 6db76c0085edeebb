// Keys on their way out, to the holder of an RSA key that was attested: a released key, and a key that was wrapped here for nobody else to see.
// Who the target is and whether it may have the key was decided before; this only sees to it that nobody else can read it.

import { constants, type KeyObject, publicEncrypt, randomBytes } from 'node:crypto';
import { cryptographicFailure } from '../core/errors-keyvault.ts';
import type { Algorithm, Digest } from './algorithms.ts';
import { decryptWith, encryptWith } from './operations.ts';
import type { UsableKey } from './plain-key.ts';
import { wrapInTransit } from './rsa-aes-key-wrap.ts';
import type { ReleaseEncryption } from './types.ts';

const digests: Readonly<Record<ReleaseEncryption, Digest>> = {
  CKM_RSA_AES_KEY_WRAP: 'sha1',
  RSA_AES_KEY_WRAP_256: 'sha256',
  RSA_AES_KEY_WRAP_384: 'sha384',
};

const FRESH_KEY_LENGTH = 32;

/** The caller zeroes `plain`. */
export function wrapForRelease(target: KeyObject, plain: Uint8Array, encryption: ReleaseEncryption): Buffer {
  return wrapInTransit(target, plain, digests[encryption]);
}

/** A new AES-256 key that nobody has seen, wrapped. */
export function wrapFreshKey(usable: UsableKey, algorithm: Algorithm): Buffer {
  const fresh = randomBytes(FRESH_KEY_LENGTH);
  try {
    return encryptWith(usable, algorithm, fresh, {}).value;
  } finally {
    fresh.fill(0);
  }
}

/** What `wrapFreshKey` wrapped, encrypted to the target. Anything else that may be in there fails as one. */
export function unwrapForTarget(usable: UsableKey, algorithm: Algorithm, value: Uint8Array, target: KeyObject): Buffer {
  const fresh = decryptWith(usable, algorithm, value, {});
  try {
    if (fresh.length !== FRESH_KEY_LENGTH) throw cryptographicFailure();
    return publicEncrypt({ key: target, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }, fresh);
  } finally {
    fresh.fill(0);
  }
}
