// Everything that is sealed under the root key, one row for each purpose, so that none is forgotten when the root key changes.

import { resealAuditKeys } from '../audit/keys.ts';
import type { CryptoModule } from '../crypto/module.ts';
import type { SecretPurpose } from '../crypto/types.ts';
import { resealEvidenceAuthorities, resealEvidenceSigners } from '../hsm/evidence/signers.ts';
import { resealBackupTokens, resealDomains, resealExchangeKeys } from '../hsm/reseal.ts';
import { resealFirstAccounts } from '../identity/open-tenant.ts';
import { resealSigningKeys } from '../identity/signing-keys.ts';
import type { Writer } from '../store/store.ts';
import { resealSharedAuthority } from './shared-authority.ts';

type Reseal = (writer: Writer, crypto: CryptoModule) => Promise<void>;

/** What is in no row. */
const notStored: Reseal = async () => undefined;

// biome-ignore format: a table reads by its columns
const SECRETS: Readonly<Record<SecretPurpose, Reseal>> = {
  'token-signing-key': resealSigningKeys,
  'first-account':     resealFirstAccounts,
  'exchange-key':      resealExchangeKeys,
  'audit-signing-key': resealAuditKeys,
  'evidence-authority': resealEvidenceAuthorities,
  'evidence-signer':   resealEvidenceSigners,
  'backup-token':      resealBackupTokens,
  'certificate-authority': resealSharedAuthority,
  // In a page, for a quarter of an hour.
  'sign-in form':      notStored,
  // The other root key, while one is being changed: the change sees to it.
  'root-key':          notStored,
};

/** Inside one transaction: all of it under the root key that is in charge now. What is there already stays as it is. */
export async function resealEverything(writer: Writer, crypto: CryptoModule): Promise<void> {
  await resealDomains(writer, crypto);
  for (const reseal of Object.values(SECRETS)) await reseal(writer, crypto);
}
