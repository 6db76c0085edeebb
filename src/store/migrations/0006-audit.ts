// What the audit keeps beside its files: the keys that sign its segments, how far each chain came, and the records of changes, which are written
// in the change's own transaction and leave when the chain has them.

import type { Kysely } from 'kysely';

export async function up({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('audit_keys')
    .addColumn('kid', 'text', (c) => c.primaryKey())
    .addColumn('sealed', 'blob', (c) => c.notNull())
    .addColumn('public_pem', 'text', (c) => c.notNull())
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .execute();

  await schema
    .createTable('audit_chains')
    .addColumn('chain', 'text', (c) => c.primaryKey())
    .addColumn('sequence', 'bigint', (c) => c.notNull())
    .addColumn('hash', 'text', (c) => c.notNull())
    .addColumn('segment', 'bigint', (c) => c.notNull())
    .execute();

  await schema
    .createTable('audit_changes')
    .addColumn('request_id', 'text', (c) => c.primaryKey())
    .addColumn('chain', 'text', (c) => c.notNull())
    .addColumn('after_sequence', 'bigint', (c) => c.notNull())
    .addColumn('facts_json', 'text', (c) => c.notNull())
    .execute();

  await schema
    .createTable('audit_sinks')
    .addColumn('chain', 'text', (c) => c.notNull())
    .addColumn('sink', 'text', (c) => c.notNull())
    .addColumn('segment', 'bigint', (c) => c.notNull())
    .addColumn('position', 'bigint', (c) => c.notNull())
    .addColumn('sequence', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('audit_sinks_key', ['chain', 'sink'])
    .execute();
}
