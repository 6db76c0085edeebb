// Carries everything that a store holds into another one, whichever engines they have: table by table in an order in which rows may be written, a page in
// memory at a time, and compared afterwards by what is in them. One that was cut off goes on where it stopped.

import { createHash } from 'node:crypto';
import { type SqlBool, sql } from 'kysely';
import { toBase64url } from '../core/encoding.ts';
import type { Tables } from './schema.ts';
import type { Reader, Store, Writer } from './store.ts';

/** What speaks of one database alone. */
export const NOT_CARRIED = ['store_changes', 'nodes', 'leases', 'sign_in_failures'] as const satisfies readonly (keyof Tables)[];

/** Every table with its key, each after those that it refers to. A table that is in neither list does not compile. */
export const CARRIED = {
  meta: ['key'],
  principals: ['id'],
  applications: ['id'],
  links: ['kind', 'object_id', 'member_id'],
  credentials: ['id'],
  federated_credentials: ['id'],
  outside_identities: ['issuer', 'subject'],
  grants: ['id'],
  signing_keys: ['kid'],
  subscriptions: ['id'],
  managed_identities: ['subscription_id', 'group_key', 'name_key'],
  resource_groups: ['subscription_id', 'name_key'],
  managed_hsms: ['id'],
  arm_operations: ['id'],
  arm_role_assignments: ['id'],
  hsms: ['id'],
  role_assignments: ['hsm_id', 'name'],
  role_definitions: ['hsm_id', 'name'],
  hsm_settings: ['hsm_id', 'name'],
  keys: ['hsm_id', 'name_key'],
  key_versions: ['hsm_id', 'name_key', 'version'],
  exchange_keys: ['hsm_id'],
  evidence_authorities: ['purpose'],
  evidence_signers: ['hsm_id', 'purpose'],
  rotation_policies: ['hsm_id', 'name_key'],
  audit_keys: ['kid'],
  audit_chains: ['chain'],
  audit_changes: ['request_id'],
  audit_sinks: ['chain', 'sink'],
  audit_records: ['chain', 'sequence'],
  backup_jobs: ['id'],
  restore_staging: ['job_id', 'sequence'],
  backup_schedules: ['hsm_id'],
} as const satisfies { readonly [T in Exclude<keyof Tables, (typeof NOT_CARRIED)[number]>]: readonly (keyof Tables[T])[] };

export type CarriedTable = keyof typeof CARRIED;

// An object lists its members as they were written.
export const CARRIED_TABLES = Object.keys(CARRIED) as readonly CarriedTable[];

export interface Content {
  readonly rows: number;
  /** SHA-256 over the rows in the order of their keys. */
  readonly sha256: string;
}

type Row = Readonly<Record<string, unknown>>;

const PAGE = 250;

/** What is in a table, but for the facts of `meta` that are left out. */
export async function contentOfTable(read: Reader, table: CarriedTable, without: readonly string[]): Promise<Content> {
  const hash = createHash('sha256');
  let rows = 0;
  for await (const page of pagesOf(read, table, without)) {
    for (const row of page) hash.update(`${textOf(row)}\n`);
    rows += page.length;
  }
  return { rows, sha256: hash.digest('hex') };
}

/**
 * Copies a table, from behind the last row that is there already, and compares. What is there and was not in the source is found by the comparison: the table
 * is then emptied and copied anew, once. Throws an Error when it differs even so.
 */
export async function copyTable(source: Reader, target: Store, table: CarriedTable, without: readonly string[]): Promise<Content> {
  const wanted = await contentOfTable(source, table, without);
  for (const isFresh of [false, true]) {
    if (isFresh) await target.write((writer) => emptyTable(writer, table, without));
    const last = await lastKeyOf(target.read, table, without);
    for await (const page of pagesOf(source, table, without, last)) {
      await target.write(async (writer) => {
        // Read from this table of one store, for this table of another with the same schema.
        await writer
          .insertInto(table)
          .values(page as never)
          .execute();
      });
    }
    const found = await contentOfTable(target.read, table, without);
    if (found.rows === wanted.rows && found.sha256 === wanted.sha256) return found;
  }
  throw new Error(`the table ${table} is not the same after it was copied; nothing in the source was changed`);
}

async function* pagesOf(
  read: Reader,
  table: CarriedTable,
  without: readonly string[],
  after?: Row,
): AsyncGenerator<readonly Row[], void, void> {
  let last = after;
  do {
    let query = read.selectFrom(table).selectAll().where(kept(table, without));
    if (last !== undefined) query = query.where(sql<SqlBool>`(${columnsOf(table)}) > (${valuesOf(table, last)})`);
    const page: readonly Row[] = await query.orderBy(columnsOf(table)).limit(PAGE).execute();
    if (page.length > 0) yield page;
    last = page.length < PAGE ? undefined : page.at(-1);
  } while (last !== undefined);
}

async function lastKeyOf(read: Reader, table: CarriedTable, without: readonly string[]): Promise<Row | undefined> {
  const backwards = sql.join(CARRIED[table].map((column) => sql`${sql.ref(column)} desc`));
  return read.selectFrom(table).selectAll().where(kept(table, without)).orderBy(backwards).limit(1).executeTakeFirst();
}

/** Only a table on which no other's rows depend yet is emptied in practice: they are copied in that order. */
async function emptyTable(writer: Writer, table: CarriedTable, without: readonly string[]): Promise<void> {
  await writer.deleteFrom(table).where(kept(table, without)).execute();
}

function kept(table: CarriedTable, without: readonly string[]) {
  return table === 'meta' && without.length > 0 ? sql<SqlBool>`key not in (${sql.join(without)})` : sql<SqlBool>`1 = 1`;
}

function columnsOf(table: CarriedTable) {
  return sql.join(CARRIED[table].map((column) => sql.ref(column)));
}

function valuesOf(table: CarriedTable, row: Row) {
  return sql.join(CARRIED[table].map((column) => sql`${row[column]}`));
}

/** The same text for the same row, whichever engine it comes from. */
function textOf(row: Row): string {
  const columns = Object.keys(row).sort();
  return JSON.stringify(columns.map((column) => [column, plain(row[column])]));
}

function plain(value: unknown): unknown {
  return value instanceof Uint8Array ? { bytes: toBase64url(value) } : value;
}
