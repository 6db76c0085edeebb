// Refresh tokens know the sign-in they come from, when they were exchanged, and under which number of their principal they were made.

import type { Kysely } from 'kysely';

export async function up({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .alterTable('grants')
    .addColumn('session', 'integer', (c) => c.notNull().defaultTo(0))
    .execute();
  await schema.alterTable('grants').addColumn('family', 'text').execute();
  await schema.alterTable('grants').addColumn('redeemed_at', 'bigint').execute();
  await schema.createIndex('grants_by_family').on('grants').column('family').execute();
  await schema.createIndex('grants_by_principal').on('grants').column('principal_id').execute();
}
