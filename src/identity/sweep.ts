// What time alone ends: grants, and signing keys that were replaced.

import { sweepGrants } from './grants.ts';
import type { TenantParts } from './world.ts';

/** Deletes what is over by now. Called every second; two small queries when nothing is. */
export async function sweepIdentity(parts: Pick<TenantParts, 'read' | 'write' | 'clock'>): Promise<void> {
  await sweepGrants(parts);
  const now = parts.clock.now();
  const due = await parts.read.selectFrom('signing_keys').select('kid').where('retired_at', '<=', now).limit(1).executeTakeFirst();
  if (due === undefined) return;
  await parts.write(async (writer) => {
    await writer.deleteFrom('signing_keys').where('retired_at', '<=', now).execute();
    writer.touch('signing-keys');
  });
}
