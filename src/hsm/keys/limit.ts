// How many keys an HSM may have, deleted ones among them (Managed HSM service limits).

import { badParameter } from '../../core/errors-keyvault.ts';
import { keysIn } from '../../store/key-counts.ts';
import type { Writer } from '../../store/store.ts';

export const KEYS_PER_HSM = 5000;

/** Throws BadParameter when there is no room for another key. */
export async function refuseFull(writer: Writer, hsmId: string): Promise<void> {
  if ((await keysIn(writer, hsmId)) >= KEYS_PER_HSM)
    throw badParameter(`The HSM has ${KEYS_PER_HSM} keys, which is the limit. Purge some first.`);
}
