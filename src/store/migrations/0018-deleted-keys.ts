// The list of deleted keys is found without reading those that live: there may be a million of them.

import type { Kysely } from 'kysely';

export async function up({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createIndex('keys_deleted')
    .on('keys')
    .columns(['hsm_id', 'name_key'])
    .where('deleted_at' as never, 'is not', null)
    .execute();
}
