// The records of one HSM in the order of each node's chain, for whoever reads those of all nodes; the time comes along, so that older ones are passed over in the index.

import type { Kysely } from 'kysely';

export async function up({ schema }: Kysely<unknown>): Promise<void> {
  await schema.createIndex('audit_records_by_hsm').on('audit_records').columns(['hsm_id', 'chain', 'sequence', 'time']).execute();
}
