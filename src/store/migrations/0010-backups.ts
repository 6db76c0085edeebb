// Backups and restores of whole HSMs: the jobs with where they stand, and what a restore has brought in before it replaces what is there.

import type { Kysely } from 'kysely';

export async function up({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('backup_jobs')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('hsm_id', 'text', (c) => c.notNull().references('hsms.id').onDelete('cascade'))
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('status', 'text', (c) => c.notNull())
    .addColumn('phase', 'text', (c) => c.notNull())
    .addColumn('place_json', 'text', (c) => c.notNull())
    .addColumn('sealed_token', 'blob')
    .addColumn('folder', 'text', (c) => c.notNull())
    .addColumn('key_name', 'text')
    .addColumn('scheduled', 'integer', (c) => c.notNull())
    .addColumn('details', 'text')
    .addColumn('error_code', 'text')
    .addColumn('error_message', 'text')
    .addColumn('removed', 'integer', (c) => c.notNull())
    .addColumn('started_at', 'bigint', (c) => c.notNull())
    .addColumn('ended_at', 'bigint')
    .execute();
  await schema.createIndex('backup_jobs_by_hsm').on('backup_jobs').columns(['hsm_id', 'started_at']).execute();
  await schema
    .createIndex('backup_jobs_under_way')
    .on('backup_jobs')
    .column('hsm_id')
    .where('status' as never, '=', 'InProgress')
    .execute();

  await schema
    .createTable('restore_staging')
    .addColumn('job_id', 'text', (c) => c.notNull().references('backup_jobs.id').onDelete('cascade'))
    .addColumn('sequence', 'integer', (c) => c.notNull())
    .addColumn('rows', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('restore_staging_key', ['job_id', 'sequence'])
    .execute();

  await schema
    .createTable('backup_schedules')
    .addColumn('hsm_id', 'text', (c) => c.primaryKey().references('hsms.id').onDelete('cascade'))
    .addColumn('place_json', 'text', (c) => c.notNull())
    .addColumn('sealed_token', 'blob')
    .addColumn('every_hours', 'integer', (c) => c.notNull())
    .addColumn('keep', 'integer', (c) => c.notNull())
    .addColumn('next_at', 'bigint', (c) => c.notNull())
    .addColumn('trouble', 'text')
    .addColumn('updated_at', 'bigint', (c) => c.notNull())
    .execute();
}
