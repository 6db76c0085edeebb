// Deleted keys whose retention is over go by themselves, protected from purge or not.

import type { HsmWriteParts } from '../world.ts';
import { endKey } from './delete.ts';

/** At a time; the rest waits for the next round. */
const BATCH = 500;

export async function sweepKeys({ read, write, clock }: HsmWriteParts): Promise<void> {
  const now = clock.now();
  const due = await read.selectFrom('keys').select(['hsm_id', 'name_key']).where('scheduled_purge_at', '<=', now).limit(BATCH).execute();
  if (due.length === 0) return;
  await write(async (writer) => {
    for (const { hsm_id, name_key } of due) {
      // Asked again: it may have been recovered since.
      const still = await writer
        .selectFrom('keys')
        .innerJoin('hsms', 'hsms.id', 'keys.hsm_id')
        .select(['keys.name', 'hsms.name as hsm'])
        .where('hsm_id', '=', hsm_id)
        .where('keys.name_key', '=', name_key)
        .where('scheduled_purge_at', '<=', now)
        .executeTakeFirst();
      if (still === undefined) continue;
      await endKey(writer, hsm_id, name_key);
      writer.note({ operation: 'KeyPurgeIfDue', hsm: still.hsm, key: still.name });
    }
  });
}
