// The audit record's copy in the database, for those who ask it questions in SQL (`--audit-sink database`). The chain in the audit folder is the record.

import type { Kysely } from 'kysely';

export async function up({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('audit_records')
    .addColumn('chain', 'text', (c) => c.notNull())
    .addColumn('sequence', 'bigint', (c) => c.notNull())
    .addColumn('hash', 'text', (c) => c.notNull())
    .addColumn('time', 'bigint', (c) => c.notNull())
    .addColumn('operation', 'text', (c) => c.notNull())
    .addColumn('status', 'integer', (c) => c.notNull())
    .addColumn('hsm_id', 'text')
    .addColumn('caller', 'text')
    .addColumn('event_json', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('audit_records_key', ['chain', 'sequence'])
    .execute();
  await schema.createIndex('audit_records_by_time').on('audit_records').column('time').execute();
}
