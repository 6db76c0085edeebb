// What is looked for every second is found without going through its table: HSMs that wait for something, what is due to go, jobs under way.

import type { Kysely } from 'kysely';

export async function up({ schema }: Kysely<unknown>): Promise<void> {
  await schema.createIndex('hsms_by_state').on('hsms').columns(['state', 'active_at']).execute();
  await schema
    .createIndex('managed_hsms_by_purge')
    .on('managed_hsms')
    .column('scheduled_purge_at')
    .where('scheduled_purge_at' as never, 'is not', null)
    .execute();
  await schema.createIndex('arm_operations_by_time').on('arm_operations').column('created_at').execute();
  await schema.createIndex('backup_jobs_by_status').on('backup_jobs').column('status').execute();
  await schema.createIndex('backup_jobs_by_end').on('backup_jobs').column('ended_at').execute();
}
