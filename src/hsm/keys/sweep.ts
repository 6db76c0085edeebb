// Deleted keys whose retention is over go by themselves, protected from purge or not.

import type { HsmWriteParts } from '../world.ts';
import { keyTag } from './names.ts';

/** At a time; the rest waits for the next round. */
const BATCH = 500;

export async function sweepKeys({ read, write, clock }: HsmWriteParts): Promise<void> {
  const now = clock.now();
  const due = await read.selectFrom('keys').select(['hsm_id', 'name_key']).where('scheduled_purge_at', '<=', now).limit(BATCH).execute();
  if (due.length === 0) return;
  await write(async (writer) => {
    for (const { hsm_id, name_key } of due) {
      // Asked again: it may have been recovered since.
      await writer
        .deleteFrom('keys')
        .where('hsm_id', '=', hsm_id)
        .where('name_key', '=', name_key)
        .where('scheduled_purge_at', '<=', now)
        .execute();
      writer.touch(keyTag(hsm_id, name_key));
    }
  });
}
