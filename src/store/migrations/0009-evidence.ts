// The authorities under which HSMs sign what they release and attest, and the HSMs' own signing keys.

import type { Kysely } from 'kysely';

export async function up({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('evidence_authorities')
    .addColumn('purpose', 'text', (c) => c.primaryKey())
    .addColumn('chain', 'text', (c) => c.notNull())
    .addColumn('sealed', 'blob', (c) => c.notNull())
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .execute();

  await schema
    .createTable('evidence_signers')
    .addColumn('hsm_id', 'text', (c) => c.notNull().references('hsms.id').onDelete('cascade'))
    .addColumn('purpose', 'text', (c) => c.notNull())
    .addColumn('kid', 'text', (c) => c.notNull())
    .addColumn('host', 'text', (c) => c.notNull())
    .addColumn('chain', 'text', (c) => c.notNull())
    .addColumn('sealed', 'blob', (c) => c.notNull())
    .addColumn('renew_at', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('evidence_signers_key', ['hsm_id', 'purpose'])
    .execute();
}
