// Failed sign-ins, as all nodes of a service count them. The key is a hash of what is counted: a name, a place, or both.

import type { Kysely } from 'kysely';

export async function up({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('sign_in_failures')
    .addColumn('key', 'text', (c) => c.primaryKey())
    .addColumn('failures', 'bigint', (c) => c.notNull())
    .addColumn('until', 'bigint', (c) => c.notNull())
    .execute();
  await schema.createIndex('sign_in_failures_by_end').on('sign_in_failures').column('until').execute();
}
