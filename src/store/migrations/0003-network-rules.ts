// From where each HSM may be called; null is from everywhere.

import type { Kysely } from 'kysely';

export async function up({ schema }: Kysely<unknown>): Promise<void> {
  await schema.alterTable('hsms').addColumn('network_json', 'text').execute();
}
