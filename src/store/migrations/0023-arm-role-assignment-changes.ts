// When a role assignment of the resource manager last changed, and by whom.

import type { Kysely } from 'kysely';

export async function up({ schema }: Kysely<unknown>): Promise<void> {
  await schema.alterTable('arm_role_assignments').addColumn('updated_by', 'text').execute();
  await schema.alterTable('arm_role_assignments').addColumn('updated_at', 'bigint').execute();
}
