// Role assignments of the resource manager as clients make them, and where a long-running operation was started, so that only those see its result
// who may act there.

import type { Kysely } from 'kysely';

export async function up({ schema }: Kysely<unknown>): Promise<void> {
  for (const column of ['shown_scope', 'principal_type', 'description', 'created_by'] as const)
    await schema.alterTable('arm_role_assignments').addColumn(column, 'text').execute();
  await schema
    .createIndex('arm_role_assignments_once')
    .unique()
    .on('arm_role_assignments')
    .columns(['scope', 'principal_id', 'role'])
    .execute();
  await schema.alterTable('arm_operations').addColumn('scope', 'text').execute();
}
