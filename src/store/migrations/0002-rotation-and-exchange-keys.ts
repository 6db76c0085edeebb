// Rotation policies of keys, with the moment when each is due, and the exchange keys of HSMs that wait for a security domain.

import type { Kysely } from 'kysely';

export async function up({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('exchange_keys')
    .addColumn('hsm_id', 'text', (c) => c.primaryKey().references('hsms.id').onDelete('cascade'))
    .addColumn('certificate', 'blob', (c) => c.notNull())
    .addColumn('sealed', 'blob', (c) => c.notNull())
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .execute();

  await schema
    .createTable('rotation_policies')
    .addColumn('hsm_id', 'text', (c) => c.notNull())
    .addColumn('name_key', 'text', (c) => c.notNull())
    .addColumn('policy_json', 'text', (c) => c.notNull())
    .addColumn('created', 'bigint', (c) => c.notNull())
    .addColumn('updated', 'bigint', (c) => c.notNull())
    .addColumn('due_at', 'bigint')
    .addPrimaryKeyConstraint('rotation_policies_key', ['hsm_id', 'name_key'])
    .addForeignKeyConstraint('rotation_policies_of_key', ['hsm_id', 'name_key'], 'keys', ['hsm_id', 'name_key'], (f) =>
      f.onDelete('cascade'),
    )
    .execute();
  await schema
    .createIndex('rotation_policies_by_due')
    .on('rotation_policies')
    .column('due_at')
    .where('due_at' as never, 'is not', null)
    .execute();
}
