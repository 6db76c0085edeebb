// What each commit touched, in the order of commits, for nodes that read the same store: each drops from its caches what others changed. Written only where
// the store can be shared; pruned from its old end.

import type { Kysely } from 'kysely';

export async function up({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('store_changes')
    .addColumn('sequence', 'bigint', (c) => c.primaryKey())
    .addColumn('node', 'text', (c) => c.notNull())
    .addColumn('tags_json', 'text', (c) => c.notNull())
    .execute();
}
