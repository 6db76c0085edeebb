// All rows that make up what an HSM holds, table by table in an order in which they can be put back, as a backup takes them and a restore replaces them.
// Rows pass through whole: a column that a later schema adds is carried without being named here.

import { type SqlBool, sql } from 'kysely';
import type { Tables } from './schema.ts';
import type { Reader, Writer } from './store.ts';

/** In the order in which rows are written: a key before its versions. `order` is a key of the table within one HSM. */
export const HSM_CONTENT = {
  role_definitions: { order: ['name'], bytes: [] },
  role_assignments: { order: ['name'], bytes: [] },
  hsm_settings: { order: ['name'], bytes: [] },
  keys: { order: ['name_key'], bytes: [] },
  key_versions: { order: ['name_key', 'sequence'], bytes: ['sealed'] },
  rotation_policies: { order: ['name_key'], bytes: [] },
} as const satisfies { readonly [T in keyof Tables]?: { readonly order: readonly (keyof Tables[T])[]; readonly bytes: readonly string[] } };

export type ContentTable = keyof typeof HSM_CONTENT;

/** A row without the HSM that it belongs to: text, numbers, null and bytes by column. */
export type ContentRow = Readonly<Record<string, unknown>>;

export interface PlacedRow {
  readonly table: ContentTable;
  readonly row: ContentRow;
}

// An object lists its members as they were written.
export const CONTENT_TABLES = Object.keys(HSM_CONTENT) as readonly ContentTable[];

const PAGE = 256;

/** Everything that the HSM holds, a page in memory at a time. */
export async function* contentOf(read: Reader, hsmId: string): AsyncGenerator<PlacedRow, void, void> {
  for (const table of CONTENT_TABLES) {
    let last: ContentRow | undefined;
    do {
      const rows: readonly ContentRow[] = await pageOf(read, table, hsmId, last);
      for (const { hsm_id: _, ...row } of rows) yield { table, row };
      last = rows.length < PAGE ? undefined : rows.at(-1);
    } while (last !== undefined);
  }
}

function pageOf(read: Reader, table: ContentTable, hsmId: string, after: ContentRow | undefined): Promise<readonly ContentRow[]> {
  const columns = columnsOf(table);
  let query = read.selectFrom(table).selectAll().where('hsm_id', '=', hsmId);
  if (after !== undefined) {
    const values = sql.join(HSM_CONTENT[table].order.map((column) => sql`${after[column]}`));
    query = query.where(sql<SqlBool>`(${columns}) > (${values})`);
  }
  return query.orderBy(columns).limit(PAGE).execute();
}

function columnsOf(table: ContentTable) {
  return sql.join(HSM_CONTENT[table].order.map((column) => sql.ref(column)));
}

/** Puts rows back, for whichever HSM they are now. */
export async function insertContent(writer: Writer, hsmId: string, rows: readonly PlacedRow[]): Promise<void> {
  for (const { table, row } of rows) {
    // What was written from this table's rows has this table's columns.
    await writer
      .insertInto(table)
      .values({ ...row, hsm_id: hsmId } as never)
      .execute();
  }
}

/**
 * Removes some of what the HSM holds, the last written first; for `true` there may be more. `keyRemoved` is told of each key (lower-case name) that is
 * no longer there or has lost versions.
 */
export async function removeSome(writer: Writer, hsmId: string, most: number, keyRemoved: (name: string) => void): Promise<boolean> {
  for (const table of CONTENT_TABLES.toReversed()) {
    const columns = columnsOf(table);
    const some = writer.selectFrom(table).selectAll().where('hsm_id', '=', hsmId).orderBy(columns).limit(most);
    const rows: readonly ContentRow[] = await some.execute();
    const last = rows.at(-1);
    if (last === undefined) continue;
    const values = sql.join(HSM_CONTENT[table].order.map((column) => sql`${last[column]}`));
    await writer.deleteFrom(table).where('hsm_id', '=', hsmId).where(sql<SqlBool>`(${columns}) <= (${values})`).execute();
    for (const { name_key: name } of rows) if (typeof name === 'string') keyRemoved(name);
    return true;
  }
  return false;
}
