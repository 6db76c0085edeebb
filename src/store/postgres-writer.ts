// Transactions on a PostgreSQL server, one after another under one lock that every writer of the database takes first: so each rule of an operation stands
// as it does with the embedded engine, and no transaction has to be tried twice. What a lost connection left open is found out before it is answered.

import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import type { Tag } from '../core/coherence.ts';
import type { PostgresAddress } from '../core/store-address.ts';
import { whyShutOut } from './nodes.ts';
import { type Client, openClient, type Run } from './postgres.ts';
import { lockArguments, nameLockArguments } from './postgres-schema.ts';
import { StoreGone } from './storage-errors.ts';
import { type Transactions, UnknownOutcome } from './transactions.ts';

export interface PostgresWriter extends Transactions {
  /**
   * Connects, and refuses a server that does not keep what it acknowledges. A node is refused while a command has the database for itself or another node has
   * its name; whoever is no node is refused while anybody else uses the database.
   */
  open(): Promise<void>;
  /** From here on every transaction begins with a look at the row of this node: another run of it, or its end, ends this one. */
  fence(name: string, session: number): void;
  /** Called now and then: finds out early that the connection is lost, and connects anew. Rejects with InUse when another service took the database meanwhile. */
  look(): Promise<void>;
  close(): Promise<void>;
}

/** Milliseconds between attempts to connect: doubled each time, up to the second. */
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 1000;
/** For how long a start waits for a service that is just ending, or was killed a moment ago. */
const HANDOVER = 5000;
/** Milliseconds of silence after which the server ends a session, and with it what it had. */
const SILENCE = 10_000;
/** For how long the outcome of a commit whose answer was lost is looked for. */
const LOOK_FOR = 20_000;
/** Commits that are remembered, and how often older ones are removed: a node that missed more drops everything. */
const REMEMBERED = 10_000;
const PRUNED_EVERY = 500;

export interface WriterParts {
  readonly address: PostgresAddress;
  /** Who writes, in what is noted of each commit. */
  readonly id: string;
  /** The name of the node; undefined for a command that has the database for itself. */
  readonly node?: string | undefined;
  /** Told when a transaction finds that this node has no place any more. */
  readonly lost?: ((error: Error) => void) | undefined;
}

export function openPostgresWriter({ address, id, node, lost }: WriterParts): PostgresWriter {
  let client: Client | undefined;
  let fence: Fence | undefined;
  let nextTry = 0;
  let wait = FIRST_PAUSE;

  /** One attempt at a time: a second would find the database in use by the first. */
  let connecting: Promise<Client> | undefined;

  function connected(): Promise<Client> {
    if (client !== undefined && !client.isLost) return Promise.resolve(client);
    connecting ??= reconnect().finally(() => {
      connecting = undefined;
    });
    return connecting;
  }

  async function reconnect(): Promise<Client> {
    client = undefined;
    if (performance.now() < nextTry) throw new StoreGone('the store could not be reached a moment ago; it will be tried again');
    try {
      client = await ready();
      wait = FIRST_PAUSE;
      return client;
    } catch (error) {
      nextTry = performance.now() + wait;
      wait = Math.min(wait * 2, LONGEST_PAUSE);
      throw error;
    }
  }

  async function ready(): Promise<Client> {
    const opened = await openClient(address);
    try {
      await checkServer(opened.run);
      await opened.run(LET_GO);
      await takePlace(opened.run, node);
      return opened;
    } catch (error) {
      await opened.close();
      throw error;
    }
  }

  /** The connection of the transaction that is open: once that is lost no other takes its place, or what follows would be outside of it. */
  let held: Client | undefined;

  function current(): Client {
    if (held === undefined) throw new StoreGone('there is no connection to the store');
    return held;
  }

  async function begin(): Promise<Error | undefined> {
    held = await connected();
    if (fence !== undefined) return beginFenced(held.run, fence);
    await held.run(BEGIN);
    return undefined;
  }

  const exec = async (sql: string): Promise<void> => {
    await current().run(sql);
  };

  /** After the answer to a commit was lost: its own row says whether it was made, once whoever holds the lock has let go of it. */
  async function findOut(sequence: number, cause: unknown): Promise<void> {
    const until = performance.now() + LOOK_FOR;
    while (performance.now() < until) {
      const looking = await openClient(address).catch(() => undefined);
      try {
        await looking?.run(BEGIN);
        const found = await looking?.run(OUTCOME, [sequence, id]);
        const [row] = found?.rows ?? [];
        if (row?.found === 1) return;
        // A standby may have what it does not show yet.
        if (row?.standby === 0) throw cause;
      } catch (error) {
        if (error === cause) throw error;
      } finally {
        await looking?.close();
      }
      await pause(FIRST_PAUSE);
    }
    throw new UnknownOutcome('the answer to a commit was lost, and the store could not be asked afterwards', { cause });
  }

  return {
    get db() {
      return current().db;
    },
    open: async () => {
      const until = performance.now() + HANDOVER;
      for (;;) {
        try {
          client = await ready();
          return;
        } catch (error) {
          if (!(error instanceof InUse) || performance.now() > until) throw error;
          await pause(FIRST_PAUSE * 2);
        }
      }
    },
    look: async () => {
      await (await connected()).run('select 1').catch((error: unknown) => {
        if (error instanceof StoreGone) return connected();
        return undefined;
      });
    },
    fence: (name, session) => {
      fence = { name, session };
    },
    begin: async () => {
      // Nothing was done yet: a connection that ended while nobody used it is replaced.
      const shutOut = await begin().catch((error: unknown) => (error instanceof StoreGone ? begin() : Promise.reject(error)));
      if (shutOut === undefined) return;
      lost?.(shutOut);
      throw shutOut;
    },
    save: () => exec('savepoint job'),
    release: () => exec('release savepoint job'),
    undo: () => exec('rollback to savepoint job; release savepoint job'),
    commit: async (tags) => {
      const sequence = await note(current().run, id, tags);
      try {
        const { command } = await current().run('commit');
        // A transaction that cannot be committed is rolled back with this very statement, and no error.
        if (command !== 'COMMIT') throw new Error('the store rolled the transaction back');
      } catch (error) {
        if (!current().isLost) throw error;
        await findOut(sequence, error);
      }
    },
    rollBack: async () => {
      await held?.run('rollback').catch(() => undefined);
      held = undefined;
    },
    close: async () => {
      await client?.close();
    },
  };
}

/** A node that stands still, or whose machine is gone, keeps nobody out: the server ends a session that says nothing for this long, and one whose machine does not answer. */
const LET_GO = `set idle_session_timeout = ${SILENCE}; set tcp_keepalives_idle = 3; set tcp_keepalives_interval = 2; set tcp_keepalives_count = 3`;

/** Each statement after the lock sees all that was committed before it was had; the lock goes with the transaction. */
const BEGIN = `begin isolation level read committed; select pg_advisory_xact_lock(${lockArguments('writing')})`;

const OUTCOME = 'select pg_is_in_recovery() as standby, exists (select 1 from store_changes where sequence = $1 and node = $2) as found';

interface Fence {
  readonly name: string;
  readonly session: number;
}

/** In the same round trip. A name has letters, digits and hyphens alone. */
async function beginFenced(run: Run, { name, session }: Fence): Promise<Error | undefined> {
  // Of several statements in one, each has its answer.
  const answers: unknown = await run(`${BEGIN}; select session, state, ended_at from nodes where name = '${name}'`);
  const { rows } = (answers as readonly Awaited<ReturnType<Run>>[]).at(-1) ?? { rows: [] };
  return whyShutOut(name, session, rows[0]);
}

/**
 * Nodes share the database; a command that copies it or seals it anew has it for itself. Both for as long as the connection lasts: whoever ends, is killed or
 * stands still makes room.
 */
async function takePlace(run: Run, node: string | undefined): Promise<void> {
  const how = node === undefined ? '' : '_shared';
  const { rows } = await run(`select pg_try_advisory_lock${how}(${lockArguments('service')}) as taken`);
  if (rows[0]?.taken !== 1) throw new InUse(node === undefined ? 'another service is running on this database; stop it first' : RESERVED);
  if (node === undefined) return;
  const named = await run(`select pg_try_advisory_lock(${nameLockArguments(node)}) as taken`);
  if (named.rows[0]?.taken !== 1)
    throw new InUse(`a node '${node}' is running on this database: give this one a name of its own with --node`);
}

const RESERVED = 'a command has this database for itself (store copy, or root-key rotate); start again when it has ended';

/** Somebody else has the database, or the name. */
export class InUse extends Error {}

/**
 * Notes what the transaction touched, as the one after the last. The commit that follows has no time limit of the server's own: it would end the wait for a
 * standby as if the standby had answered.
 */
async function note(run: Run, node: string, tags: readonly Tag[]): Promise<number> {
  const { rows } = await run(
    `insert into store_changes (sequence, node, tags_json) select coalesce(max(sequence), 0) + 1, $1, $2 from store_changes
     returning sequence, set_config('statement_timeout', '0', true)`,
    [node, JSON.stringify([...new Set(tags)])],
  );
  const sequence = Number(rows[0]?.sequence);
  if (sequence % PRUNED_EVERY === 0) await run('delete from store_changes where sequence < $1', [sequence - REMEMBERED]);
  return sequence;
}

/** Throws an Error for the operator. */
async function checkServer(run: Run): Promise<void> {
  const { rows } = await run(`select current_setting('server_version_num')::int as version, pg_is_in_recovery() as standby,
    current_setting('fsync') as fsync, current_setting('full_page_writes') as pages, current_setting('synchronous_commit') as commit,
    current_setting('server_encoding') as encoding`);
  const found: Readonly<Record<string, unknown>> = rows[0] ?? {};
  if (Number(found.version) < 140_000) throw new Error('the server is older than PostgreSQL 14');
  if (found.standby === 1) throw new StoreGone('the server is a standby, which takes no changes');
  if (found.encoding !== 'UTF8') throw new Error(`the database holds texts as ${found.encoding}; make one with the encoding UTF8`);
  for (const [name, value] of [
    ['fsync', found.fsync],
    ['full_page_writes', found.pages],
  ] as const) {
    if (value !== 'on') throw new Error(`the server has ${name} = ${value}: what it acknowledges may be lost; it has to be on`);
  }
  if (found.commit !== 'on' && found.commit !== 'remote_apply') {
    throw new Error(
      `the server has synchronous_commit = ${found.commit}: what it acknowledges may be lost; it has to be on, or remote_apply`,
    );
  }
}
