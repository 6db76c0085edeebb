// What is due in the resource manager: deleted HSMs whose retention is over are purged, results of operations are forgotten after a day.

import { purge } from './managed-hsms/delete.ts';
import type { ManagementWriteParts } from './world.ts';

const DAY = 86_400_000;

export async function sweepManagement(parts: ManagementWriteParts): Promise<void> {
  const { read, write, clock } = parts;
  const now = clock.now();
  const due = await read.selectFrom('managed_hsms').select('id').where('scheduled_purge_at', '<=', now).execute();
  for (const { id } of due) {
    await write(async (writer) => {
      // Asked again: it may have been recovered since.
      const still = await writer
        .selectFrom('managed_hsms')
        .select('name')
        .where('id', '=', id)
        .where('scheduled_purge_at', '<=', now)
        .executeTakeFirst();
      if (still === undefined) return;
      await purge(writer, parts, id);
      writer.note({ operation: 'ManagedHsmPurgeIfDue', hsm: still.name });
    });
  }
  const old = await read
    .selectFrom('arm_operations')
    .select('id')
    .where('created_at', '<', now - DAY)
    .limit(1)
    .executeTakeFirst();
  if (old !== undefined)
    await write((writer) =>
      writer
        .deleteFrom('arm_operations')
        .where('created_at', '<', now - DAY)
        .execute(),
    );
}
