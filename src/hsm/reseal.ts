// What of an HSM hangs from the root key, sealed under the one that is in charge now: its domain key, the exchange key of one that waits, and what lets
// its backups into their storage.

import type { CryptoModule } from '../crypto/module.ts';
import { asSealedDomainKey } from '../crypto/types.ts';
import type { Writer } from '../store/store.ts';
import { TOKEN_PURPOSE } from './backup/jobs.ts';
import { HSMS_TAG } from './pool.ts';

/** Every HSM's, deleted ones included. The domain keys stay the same, and so do all keys under them. */
export async function resealDomains(writer: Writer, crypto: Pick<CryptoModule, 'resealDomain'>): Promise<void> {
  for (const { id, sealed_domain_key } of await writer.selectFrom('hsms').select(['id', 'sealed_domain_key']).execute()) {
    const resealed = crypto.resealDomain({ hsmId: id, sealed: asSealedDomainKey(sealed_domain_key) });
    if (resealed !== undefined) await writer.updateTable('hsms').set({ sealed_domain_key: resealed }).where('id', '=', id).execute();
  }
  writer.touch(HSMS_TAG);
}

export async function resealExchangeKeys(writer: Writer, crypto: Pick<CryptoModule, 'resealSecret'>): Promise<void> {
  for (const { hsm_id, sealed } of await writer.selectFrom('exchange_keys').select(['hsm_id', 'sealed']).execute()) {
    const resealed = crypto.resealSecret('exchange-key', hsm_id, sealed);
    if (resealed !== undefined) await writer.updateTable('exchange_keys').set({ sealed: resealed }).where('hsm_id', '=', hsm_id).execute();
  }
}

/** The SAS tokens of jobs under way and of schedules. */
export async function resealBackupTokens(writer: Writer, crypto: Pick<CryptoModule, 'resealSecret'>): Promise<void> {
  for (const { id, sealed_token } of await writer.selectFrom('backup_jobs').select(['id', 'sealed_token']).execute()) {
    const resealed = sealed_token === null ? undefined : crypto.resealSecret(TOKEN_PURPOSE, id, sealed_token);
    if (resealed !== undefined) await writer.updateTable('backup_jobs').set({ sealed_token: resealed }).where('id', '=', id).execute();
  }
  for (const { hsm_id, sealed_token } of await writer.selectFrom('backup_schedules').select(['hsm_id', 'sealed_token']).execute()) {
    const resealed = sealed_token === null ? undefined : crypto.resealSecret(TOKEN_PURPOSE, hsm_id, sealed_token);
    if (resealed !== undefined)
      await writer.updateTable('backup_schedules').set({ sealed_token: resealed }).where('hsm_id', '=', hsm_id).execute();
  }
}
