// The few facts that there is one of in a database: one text for each name.

import type { Reader, Writer } from './store.ts';

export async function readMeta(read: Reader | Pick<Writer, 'selectFrom'>, key: string): Promise<string | undefined> {
  const row = await read.selectFrom('meta').select('value').where('key', '=', key).executeTakeFirst();
  return row?.value;
}

/** Sets the text, or takes it away. */
export async function writeMeta(writer: Writer, key: string, value: string | undefined): Promise<void> {
  if (value === undefined) {
    await writer.deleteFrom('meta').where('key', '=', key).execute();
    return;
  }
  await writer
    .insertInto('meta')
    .values({ key, value })
    .onConflict((row) => row.column('key').doUpdateSet({ value }))
    .execute();
}
