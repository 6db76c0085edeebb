// Beside how far each audit chain came, the last of its events that did anything but look at the other chains: nothing else is worth being looked at.

import type { Kysely } from 'kysely';

export async function up({ schema }: Kysely<unknown>): Promise<void> {
  await schema.alterTable('audit_chains').addColumn('deeds', 'bigint').execute();
}
