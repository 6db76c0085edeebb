// What a caller holds in an HSM, which every change asks again inside its transaction: found by the caller, however many others hold something there.

import type { Kysely } from 'kysely';

export async function up({ schema }: Kysely<unknown>): Promise<void> {
  await schema.createIndex('role_assignments_by_principal').on('role_assignments').columns(['hsm_id', 'principal_id']).execute();
}
