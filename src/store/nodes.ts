// The nodes of a store on a server, as rows: how one enters, is heard of, and leaves. Every time is by the database's clock. A run of the service that has lost
// its place here changes nothing any more: postgres-writer.ts looks at the row in each transaction.

import { type Selectable, sql } from 'kysely';
import { SCHEMA } from './migrate.ts';
import type { Tables } from './schema.ts';
import type { Reader, Writer } from './store.ts';

/** What a node says of itself. */
export interface NodeFacts {
  /** Lower-case letters, digits and hyphens. */
  readonly name: string;
  readonly region?: string | undefined;
  /** Of the program. */
  readonly version: string;
}

export type NodeRow = Selectable<Tables['nodes']>;

export interface KnownNode extends NodeRow {
  /** Milliseconds since it was last heard of. */
  readonly silentFor: number;
}

/** What commits that change a node's row touch, but for its being heard of. */
export const NODES_TAG = 'nodes';

/** Milliseconds since 1970, as all nodes see them. */
export const DATABASE_NOW = '(extract(epoch from clock_timestamp()) * 1000)::bigint';
const now = sql<number>`${sql.raw(DATABASE_NOW)}`;

/** The node no longer has its place in the store. */
export class ShutOut extends Error {
  override readonly name = 'ShutOut';
}

/** A new run of the service under this name; whatever had the name before is over. A drained node stays drained. Throws ShutOut when the name was removed. */
export async function enterNode(writer: Writer, { name, region, version }: NodeFacts): Promise<Pick<NodeRow, 'session' | 'state'>> {
  const said = { region: region ?? null, version, schema: SCHEMA, address: null, started_at: now, heard_at: now, ended_at: null };
  const entered = await writer
    .insertInto('nodes')
    .values({ ...said, name, session: 1, state: 'serving' })
    .onConflict((row) =>
      row
        .column('name')
        .doUpdateSet((of) => ({ ...said, session: of('nodes.session', '+', 1) }))
        .where('nodes.state', '!=', 'removed'),
    )
    .returning(['session', 'state'])
    .executeTakeFirst();
  if (entered === undefined) throw removed(name);
  writer.touch(NODES_TAG);
  return entered;
}

export async function leaveNode(writer: Writer, name: string, session: number): Promise<void> {
  await writer.updateTable('nodes').set({ ended_at: now }).where('name', '=', name).where('session', '=', session).execute();
  writer.touch(NODES_TAG);
}

/** Those that were not heard of for too long and may still think that they are there: from now on they are not. */
export async function endNodes(writer: Writer, silent: readonly Silent[]): Promise<void> {
  await endRows(writer, silent);
  writer.touch(NODES_TAG);
}

type Silent = Pick<NodeRow, 'name' | 'session' | 'heard_at'>;

async function endRows(writer: Pick<Writer, 'updateTable'>, silent: readonly Silent[]): Promise<void> {
  for (const { name, session, heard_at } of silent) {
    await writer
      .updateTable('nodes')
      .set({ ended_at: now })
      .where('name', '=', name)
      .where('session', '=', session)
      // It may have come back a moment ago.
      .where('heard_at', '=', heard_at)
      .where('ended_at', 'is', null)
      .execute();
  }
}

/** Milliseconds. */
const HEARD_WITHIN = 10_000;

/** For what a node does alone, or what not all others can go on with: ends those that were not heard of for a while, and returns the rest. */
export async function runningNodes(writer: Reader & Pick<Writer, 'updateTable'>, holder?: string): Promise<readonly NodeRow[]> {
  const others = (await listNodes(writer)).filter((node) => node.ended_at === null && holderOf(node) !== holder);
  const isHeard = (node: KnownNode): boolean => node.silentFor < HEARD_WITHIN;
  await endRows(
    writer,
    others.filter((node) => !isHeard(node)),
  );
  return others.filter(isHeard);
}

/** What a run of the service is called as the holder of something. A name has no dot in it. */
export function holderOf({ name, session }: Pick<NodeRow, 'name' | 'session'>): string {
  return `${name}.${session}`;
}

/** The node of a holder. */
export function nodeOf(holder: string): string {
  return holder.split('.', 1)[0] ?? holder;
}

/** The runs that have not ended, as far as the rows say. */
export async function runsOf(read: Reader): Promise<ReadonlySet<string>> {
  const rows = await read.selectFrom('nodes').select(['name', 'session']).where('ended_at', 'is', null).execute();
  return new Set(rows.map(holderOf));
}

/** Shuts a node out for good: its transactions are refused from this one on. */
export async function removeNode(writer: Writer, name: string): Promise<void> {
  const ended_at = sql<number>`coalesce(ended_at, ${now})`;
  refuseUnknown(await writer.updateTable('nodes').set({ state: 'removed', ended_at }).where('name', '=', name).executeTakeFirst(), name);
  writer.touch(NODES_TAG);
}

export async function drainNode(writer: Writer, name: string, isDrained: boolean): Promise<void> {
  const state = isDrained ? 'drained' : 'serving';
  const changed = writer.updateTable('nodes').set({ state }).where('name', '=', name).where('state', '!=', 'removed');
  refuseUnknown(await changed.executeTakeFirst(), name);
  writer.touch(NODES_TAG);
}

function refuseUnknown({ numUpdatedRows }: { readonly numUpdatedRows: bigint }, name: string): void {
  if (numUpdatedRows === 0n) throw new Error(`there is no node '${name}' that could be changed`);
}

/** Where the node answers, for whoever lists them. */
export async function announceNode(writer: Writer, name: string, address: string): Promise<void> {
  await writer.updateTable('nodes').set({ address }).where('name', '=', name).execute();
  writer.touch(NODES_TAG);
}

/** All that ever were, by name. */
export async function listNodes(read: Reader): Promise<readonly KnownNode[]> {
  return read.selectFrom('nodes').selectAll().select(sql<number>`${now} - heard_at`.as('silentFor')).orderBy('name').execute();
}

/** Milliseconds: a node that was not heard of for longer is not counted on. */
const COUNTED_ON = 60_000;

/** Where the nodes are that may answer; null: one that is in no region. */
export async function regionsOfNodes(read: Reader): Promise<readonly (string | null)[]> {
  const rows = await read
    .selectFrom('nodes')
    .select('region')
    .where('state', '!=', 'removed')
    .where('ended_at', 'is', null)
    .where('heard_at', '>', sql<number>`${now} - ${sql.lit(COUNTED_ON)}`)
    .execute();
  return rows.map(({ region }) => region);
}

/** Why a run of the service has no place any more; undefined when it has. */
export function whyShutOut(
  name: string,
  session: number,
  row: Pick<NodeRow, 'session' | 'state' | 'ended_at'> | undefined,
): ShutOut | undefined {
  if (row?.state === 'removed') return removed(name);
  if (row?.session === session && row.ended_at === null) return undefined;
  return new ShutOut(`the node '${name}' was taken for dead while it was not heard of, and others have what it had; start it again`);
}

function removed(name: string): ShutOut {
  return new ShutOut(`the node '${name}' was removed from this store; a node that comes instead has a name of its own (--node)`);
}
