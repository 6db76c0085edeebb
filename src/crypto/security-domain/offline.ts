// What custodians can do with a security-domain file away from any service: look at it, try one key on its share, and put a quorum of keys together.

import { cryptographicFailure } from '../../core/errors-keyvault.ts';
import { type Custodians, thumbprint, type WrappingCertificate } from './certificate.ts';
import { decodeDomain } from './content.ts';
import { belongTogether } from './custodian.ts';
import {
  type CustodianKey,
  type DomainBlob,
  MASTER_KEY_LENGTH,
  makeRestoreBlob,
  openSecurityDomain,
  type SecurityDomainFile,
  writeSecurityDomain,
  zero,
} from './file.ts';
import { openWithKey } from './jwe.ts';
import { isShare } from './shamir.ts';

export interface Inspection {
  /** How many of the keys open it together. */
  readonly required: number;
  /** `x5t#S256` of the certificates that it was made for, in their order. */
  readonly thumbprints: readonly string[];
  readonly tags: readonly string[];
}

export function inspect({ SharedKeys, EncData }: SecurityDomainFile): Inspection {
  return {
    required: SharedKeys.required,
    thumbprints: SharedKeys.enc_shares.map(({ x5t_256 }) => x5t_256),
    tags: EncData.data.map(({ tag }) => tag),
  };
}

/** What trying a key on its share has shown; the share itself goes no further. */
export type ShareCheck =
  | { readonly result: 'opens'; readonly position: number }
  | { readonly result: 'no share' | 'another key' | 'does not open' };

/** Whether this key opens a share of the file, and which, counted from 1. Needs no other custodian and reveals nothing. */
export function checkShare({ SharedKeys }: SecurityDomainFile, custodian: CustodianKey): ShareCheck {
  const x5t256 = thumbprint(custodian.certificateDer);
  const index = SharedKeys.enc_shares.findIndex(({ x5t_256 }) => x5t_256 === x5t256);
  const sealed = SharedKeys.enc_shares[index];
  if (sealed === undefined) return { result: 'no share' };
  if (!belongTogether(custodian.certificateDer, custodian.privateKey)) return { result: 'another key' };
  let share: Buffer | undefined;
  try {
    share = openWithKey(sealed.enc_key, custodian.privateKey);
    return isShare(share, index, MASTER_KEY_LENGTH) ? { result: 'opens', position: index + 1 } : { result: 'does not open' };
  } catch {
    return { result: 'does not open' };
  } finally {
    share?.fill(0);
  }
}

/**
 * With a quorum: the restore blob for the HSM whose exchange certificate this is, the same that `az keyvault security-domain restore-blob` makes. Opens files
 * of any service, whatever their blobs contain. Throws BadParameter.
 */
export function rewrap(file: SecurityDomainFile, custodians: readonly CustodianKey[], exchange: WrappingCertificate): string {
  return withBlobs(file, custodians, (blobs) => makeRestoreBlob(blobs, exchange));
}

/** With a quorum: a file of the same domain for other custodians. Throws BadParameter, also for a file that none of our HSMs made. */
export function reshare(file: SecurityDomainFile, custodians: readonly CustodianKey[], { certificates, quorum }: Custodians): string {
  return withBlobs(file, custodians, (blobs) => {
    decodeDomain(new Map(blobs.map(({ tag, plain }) => [tag, plain]))).domainKey.fill(0);
    return writeSecurityDomain({ blobs, certificates, quorum });
  });
}

function withBlobs<Result>(
  file: SecurityDomainFile,
  custodians: readonly CustodianKey[],
  use: (blobs: readonly (DomainBlob & { readonly plain: Buffer })[]) => Result,
): Result {
  if (!custodians.every(({ certificateDer, privateKey }) => belongTogether(certificateDer, privateKey))) throw cryptographicFailure();
  const opened = openSecurityDomain(file, custodians);
  try {
    return use([...opened].map(([tag, plain]) => ({ tag, plain })));
  } finally {
    zero(opened.values());
  }
}
