// Which run of the service has what takes a while, so that another node of the same store leaves it alone until that run has ended; and what one node does
// for all, with a number that goes up each time that another one has it.

import type { Kysely } from 'kysely';

export async function up({ schema }: Kysely<unknown>): Promise<void> {
  await schema.alterTable('hsms').addColumn('holder', 'text').execute();
  await schema.alterTable('backup_jobs').addColumn('holder', 'text').execute();
  await schema
    .createTable('leases')
    .addColumn('name', 'text', (c) => c.primaryKey())
    .addColumn('holder', 'text')
    .addColumn('fence', 'bigint', (c) => c.notNull())
    .execute();
}
