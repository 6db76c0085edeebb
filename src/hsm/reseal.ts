// What of an HSM hangs from the root key, sealed under the one that is in charge now: its domain key, and the exchange key of one that waits.

import type { CryptoModule } from '../crypto/module.ts';
import { asSealedDomainKey } from '../crypto/types.ts';
import type { Writer } from '../store/store.ts';
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
