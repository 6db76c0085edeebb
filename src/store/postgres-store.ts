// The store in a PostgreSQL database: the main thread has the writer and hears of other nodes' commits, each thread reads through connections of its own.

import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { steady } from '../core/clock.ts';
import { type PostgresAddress, shownStore } from '../core/store-address.ts';
import { followChanges } from './follow-changes.ts';
import { readMeta } from './meta.ts';
import {
  announceNode,
  DATABASE_NOW,
  drainNode,
  enterNode,
  holderOf,
  leaveNode,
  listNodes,
  type NodeFacts,
  removeNode,
  whyShutOut,
} from './nodes.ts';
import { type Client, isSilence, type Limits, type Near, openClient, openPool, type Run } from './postgres.ts';
import { migratePostgres, schemaIn } from './postgres-schema.ts';
import { InUse, openPostgresWriter, type PostgresWriter } from './postgres-writer.ts';
import type { Nodes, OpenReader, Reader, Store, StoreOptions } from './store.ts';
import { WriteQueue } from './write-queue.ts';

/** Connections of one thread. */
const READERS = 4;
/** Milliseconds. */
const LOOK_EVERY = 2000;

/** Throws an Error for the operator. */
export async function openPostgresStore(
  address: PostgresAddress,
  { versions, committed, lost, node, toldTime }: StoreOptions,
): Promise<Store> {
  const id = randomUUID();
  const writer = openPostgresWriter({ address, id, node: node?.name, lost });
  await writer.open();
  try {
    await withClient(address, MIGRATING, (client) => migratePostgres(client, { isNode: node !== undefined }));
    const queue = new WriteQueue(writer, versions, committed);
    const member = node === undefined ? undefined : await enter(queue, node, toldTime);
    if (member !== undefined) {
      writer.fence(member.name, member.session);
      queue.holder = holderOf(member);
    }
    const follower = await followChanges({ address, node: id, versions, committed, beat: member?.beat, lost });
    const pool = openPool(address, READERS);
    const looking = lookEvery(writer, (error) => lost?.(error));
    return {
      read: pool.db,
      write: (job) => queue.add(job),
      ...(member === undefined ? {} : { nodes: nodesOf(member, pool.db, queue) }),
      close: async () => {
        if (member !== undefined) await queue.add((writer) => leaveNode(writer, member.name, member.session)).catch(() => undefined);
        await queue.close();
        await looking.stop();
        await follower.stop();
        await pool.close();
        await writer.close();
      },
    };
  } catch (failure) {
    await writer.close();
    throw failure;
  }
}

interface Member {
  readonly name: string;
  readonly session: number;
  isDrained: boolean;
  beat(run: Run): Promise<void>;
}

async function enter(queue: WriteQueue, facts: NodeFacts, toldTime: StoreOptions['toldTime']): Promise<Member> {
  const { name } = facts;
  const { session, state } = await queue.add((writer) => enterNode(writer, facts));
  const member: Member = {
    name,
    session,
    isDrained: state === 'drained',
    beat: async (run) => {
      const mine = `name = $1 and session = $2 and ended_at is null and state <> 'removed'`;
      const asked = steady();
      const heard = await run(`update nodes set heard_at = ${DATABASE_NOW} where ${mine} returning state, heard_at`, [name, session]);
      if (heard.rows.length === 1) {
        toldTime?.(Number(heard.rows[0]?.heard_at), [asked, steady()]);
        member.isDrained = heard.rows[0]?.state === 'drained';
        return;
      }
      const { rows } = await run('select session, state, ended_at from nodes where name = $1', [name]);
      const reason = whyShutOut(name, session, rows[0]);
      if (reason !== undefined) throw reason;
    },
  };
  return member;
}

function nodesOf(member: Member, read: Reader, queue: WriteQueue): Nodes {
  return {
    holder: holderOf(member),
    get isDrained() {
      return member.isDrained;
    },
    list: () => listNodes(read),
    announce: (address) => queue.add((writer) => announceNode(writer, member.name, address)),
    remove: (name) => queue.add((writer) => removeNode(writer, name)),
    drain: (name, isDrained) => queue.add((writer) => drainNode(writer, name, isDrained)),
  };
}

/** More often than the server's patience with a silent session; anything but the loss of the database is met by the next change. */
function lookEvery(writer: PostgresWriter, lost: (error: Error) => void): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const run = async (): Promise<void> => {
    while (await pause(LOOK_EVERY, true, { signal: stopping.signal }).catch(() => false)) {
      try {
        await writer.look();
      } catch (error) {
        if (error instanceof InUse) return lost(error);
      }
    }
  };
  const running = run();
  return {
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

export function openPostgresReader(address: PostgresAddress, near?: Near): OpenReader {
  const pool = openPool(address, READERS, near);
  return { read: pool.db, close: () => pool.close() };
}

/** Milliseconds for one page of a snapshot: what does not come by then does not come, and a backup that waited on would keep the next one from beginning. */
const PAGE_WITHIN = 60_000;

/** As of one moment, for as long as somebody reads: a slow reader is no reason to lose what was read, a silent server is. */
export async function openPostgresSnapshot(address: PostgresAddress, silence = PAGE_WITHIN): Promise<OpenReader> {
  const client = await openClient(address, { statement: 0, idleInTransaction: 0, silence });
  await client.run('begin isolation level repeatable read read only');
  // The first question is the moment.
  await client.run('select 1 from meta limit 1');
  return { read: client.db, close: () => client.close() };
}

/** Milliseconds for a look before anything is opened: nobody waits longer to hear that the server says nothing. */
const LOOK_WITHIN = 10_000;

/** One fact before the store is opened for good: undefined when nothing of ours is there, or no such fact. Changes nothing. */
export async function peekPostgres(address: PostgresAddress, key: string, within = LOOK_WITHIN): Promise<string | undefined> {
  return lookInto(address, within, async ({ db, run }) => ((await schemaIn(run)) === 0 ? undefined : readMeta(db, key)));
}

export async function postgresExists(address: PostgresAddress, within = LOOK_WITHIN): Promise<boolean> {
  return lookInto(address, within, async ({ run }) => (await schemaIn(run)) > 0);
}

/** Throws an Error for the operator when a statement is not answered `within` milliseconds. */
async function lookInto<Result>(address: PostgresAddress, within: number, look: (client: Client) => Promise<Result>): Promise<Result> {
  try {
    return await withClient(address, { statement: within, silence: within }, look);
  } catch (cause) {
    if (!isSilence(cause)) throw cause;
    throw new Error(
      `the server of ${shownStore(address)} does not answer; nothing was changed. See whether it stands still, and whether somebody has its tables locked ` +
        '(pg_locks, pg_stat_activity). Try again when that is mended',
      { cause },
    );
  }
}

/** The statements of migrations may take their time; one that stands still between them keeps everybody's changes waiting, and is ended. */
const MIGRATING: Limits = { statement: 0, idleInTransaction: 10_000 };

async function withClient<Result>(address: PostgresAddress, limits: Limits, use: (client: Client) => Promise<Result>): Promise<Result> {
  const client = await openClient(address, limits);
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}
