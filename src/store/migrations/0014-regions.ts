// The regions that each HSM was extended to, besides its location; null is none.

import type { Kysely } from 'kysely';

export async function up({ schema }: Kysely<unknown>): Promise<void> {
  await schema.alterTable('hsms').addColumn('other_regions_json', 'text').execute();
}
