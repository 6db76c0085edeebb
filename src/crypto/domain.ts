// The domain key of an HSM: 32 random bytes from which everything secret in that HSM hangs. Sealed under the root key for the row, opened
// for as long as one call takes. Knows neither keys nor algorithms.

import { open, seal, subkey } from './seal.ts';
import { asSealedDomainKey, type DomainAtRest, type SealedDomainKey } from './types.ts';

export const DOMAIN_KEY_LENGTH = 32;

/** Seals a domain key under the root key, bound to the HSM. The caller zeroes `domainKey`. */
export function sealDomainKey(rootKey: Uint8Array, hsmId: string, domainKey: Uint8Array): SealedDomainKey {
  if (domainKey.length !== DOMAIN_KEY_LENGTH) throw new RangeError(`a domain key has ${DOMAIN_KEY_LENGTH} bytes`);
  const key = subkey(rootKey, 'domain key');
  try {
    return asSealedDomainKey(seal(key, 'domain key', [hsmId], domainKey));
  } finally {
    key.fill(0);
  }
}

/** The domain key of this HSM; the caller zeroes it. Throws when it was sealed for another HSM or under another root key, or was changed. */
export function openDomainKey(rootKey: Uint8Array, domain: DomainAtRest): Buffer {
  const key = subkey(rootKey, 'domain key');
  try {
    return open(key, 'domain key', [domain.hsmId], domain.sealed);
  } finally {
    key.fill(0);
  }
}
