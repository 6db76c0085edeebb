// The safe with one domain in it, from a security-domain file and a quorum of its custodians: for looking at backups where no service is. Everything in it
// is under a root key that nobody else ever sees, and goes with `close`.

import { randomBytes, randomUUID } from 'node:crypto';
import { sealDomainKey } from './domain.ts';
import type { CryptoModule } from './module.ts';
import { openCryptoModule } from './openssl-module.ts';
import { decodeDomain } from './security-domain/content.ts';
import { type CustodianKey, openSecurityDomain, type SecurityDomainFile, zero } from './security-domain/file.ts';
import type { DomainAtRest } from './types.ts';

export interface OfflineDomain {
  readonly crypto: CryptoModule;
  readonly domainId: string;
  /** As it is known to this module alone; the HSM's id is made up. */
  readonly domain: DomainAtRest;
}

/** Throws BadParameter for a file that the keys do not open, or that none of our HSMs made. The caller closes the module. */
export function openOffline(file: SecurityDomainFile, custodians: readonly CustodianKey[]): OfflineDomain {
  const blobs = openSecurityDomain(file, custodians);
  const rootKey = randomBytes(32);
  try {
    const { domainId, domainKey } = decodeDomain(blobs);
    try {
      const hsmId = randomUUID();
      const domain = { hsmId, sealed: sealDomainKey(rootKey, hsmId, domainKey) };
      return { crypto: openCryptoModule({ rootKey, cacheSize: 1 }), domainId, domain };
    } finally {
      domainKey.fill(0);
    }
  } finally {
    rootKey.fill(0);
    zero(blobs.values());
  }
}
