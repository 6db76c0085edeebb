// Where a key version came from: made here or brought in. Null for those that are there already.

import type { Kysely } from 'kysely';

export async function up({ schema }: Kysely<unknown>): Promise<void> {
  await schema.alterTable('key_versions').addColumn('origin', 'text').execute();
}
