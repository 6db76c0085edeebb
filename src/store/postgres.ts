// Connections to a PostgreSQL server behind Kysely: how they are opened and bounded, and how its values become the same plain values that the embedded
// engine gives. Loaded only where a service has its store there.

import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import {
  type DatabaseConnection,
  type Dialect,
  type Driver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
} from 'kysely';
import pg from 'pg';
import pgpass from 'pgpass';
import { Failure } from '../core/failure.ts';
import type { PostgresAddress } from '../core/store-address.ts';
import type { Tables } from './schema.ts';
import { isStorageError, StoreGone, sqlState, storeUnreadable } from './storage-errors.ts';

/** Milliseconds. A server that does not answer within these is as good as gone. */
const CONNECT_WITHIN = 5000;
const STATEMENT_WITHIN = 30_000;
/** For as long a transaction that waits for its own next statement may hold others up: a node that was stopped in the middle of one. */
const IDLE_WITHIN = 3000;
/** Before the first look at whether a connection on which nothing comes still leads somewhere; the system sets how often it is repeated. */
const QUIET = 10_000;
/** Reading is in pages. A node that was cut off finds out by this, where the network does not say so. */
const READ_WITHIN = 10_000;

export interface Limits {
  /** Milliseconds; 0 is without end. */
  readonly statement?: number;
  readonly idleInTransaction?: number;
  /** Milliseconds without an answer after which the server counts as gone; shortly after `statement` where that has an end, else never. */
  readonly silence?: number;
}

export type Run = (sql: string, parameters?: readonly unknown[]) => Promise<pg.QueryResult>;

/** One connection, for transactions. */
export interface Client {
  readonly db: Kysely<Tables>;
  /** Rejects with StoreGone once the connection is lost, and never opens another by itself. */
  readonly run: Run;
  readonly isLost: boolean;
  close(): Promise<void>;
}

/** Connections for reading, as many as are needed and no more than `most`. */
export interface Pool {
  readonly db: Kysely<Tables>;
  close(): Promise<void>;
}

/** Throws an Error that says why, without what is secret. */
export async function openClient(address: PostgresAddress, limits: Limits = {}): Promise<Client> {
  const client = new pg.Client(settingsFor(address, limits));
  let lost: Error | undefined;
  client.on('error', (error) => (lost ??= error));
  client.on('end', () => (lost ??= new Error('the connection ended')));
  try {
    await client.connect();
  } catch (cause) {
    // Otherwise a connection that comes too late would stay.
    client.end().catch(() => undefined);
    throw new StoreGone(`the store cannot be reached: ${wordsOf(cause)}`, { cause });
  }
  const run: Run = async (sql, parameters = []) => {
    if (lost !== undefined) throw new StoreGone(`the connection to the store was lost: ${wordsOf(lost)}`, { cause: lost });
    refuseNul(parameters);
    try {
      return await client.query({ text: sql, values: [...parameters] });
    } catch (error) {
      const state = sqlState(error);
      if (state !== undefined && !ENDS_CONNECTION.test(state)) throw error;
      // No answer of the server's: what is under way on this connection is not known any more, so it is not used again.
      lost ??= error instanceof Error ? error : new Error(String(error));
      client.end().catch(() => undefined);
      throw new StoreGone(`the connection to the store was lost: ${wordsOf(error)}`, { cause: error });
    }
  };
  return {
    db: new Kysely<Tables>({ dialect: dialectOver(run) }),
    run,
    get isLost() {
      return lost !== undefined;
    },
    close: () => farewell(client),
  };
}

/** A server that is silent does not say goodbye either, and a connection that waits for it keeps the process from ending. */
async function farewell(client: pg.Client): Promise<void> {
  const waiting = setTimeout(() => client.connection.stream.destroy(), CONNECT_WITHIN);
  await client.end().catch(() => undefined);
  clearTimeout(waiting);
}

/** Whether what was thrown says that the server did not answer, or not in time: pg's words where it said nothing at all, the server's code for a statement that waited. */
export function isSilence(error: unknown): boolean {
  if (error instanceof StoreGone) return error.cause instanceof Error && SILENT.has(error.cause.message);
  return WAITED.has(sqlState(error) ?? '');
}

const SILENT = new Set(['timeout expired', 'Query read timeout']);
/** query_canceled, by statement_timeout; lock_not_available. */
const WAITED = new Set(['57014', '55P03']);

/** A server near by that may answer instead, while it may. */
export interface Near {
  readonly address: PostgresAddress;
  mayRead(): boolean;
}

/** Reads that meet a server which is gone end with a 503, or with what a new connection answers. */
export function openPool(address: PostgresAddress, most: number, near?: Near): Pool {
  const pool = poolAt(address, most);
  const once: Run = (sql, parameters = []) => pool.query({ text: sql, values: [...parameters] });
  const replica = near === undefined ? undefined : poolAt(near.address, most);
  const run: Run = async (sql, parameters = []) => {
    refuseNul(parameters);
    if (replica !== undefined && near?.mayRead() === true) {
      const answer = await replica.query({ text: sql, values: [...parameters] }).catch(() => undefined);
      if (answer !== undefined) return answer;
    }
    try {
      // The one that was used may have ended a moment ago, with the server's restart.
      return await once(sql, parameters).catch((error: unknown) => {
        if (!isLostConnection(error)) throw error;
        return once(sql, parameters);
      });
    } catch (error) {
      if (isLostConnection(error) || isStorageError(error)) throw storeUnreadable(error);
      throw error;
    }
  };
  return {
    db: new Kysely<Tables>({ dialect: dialectOver(readOnly(run)) }),
    close: async () => {
      await Promise.all([pool.end(), replica?.end()]);
    },
  };
}

function poolAt(address: PostgresAddress, most: number): pg.Pool {
  const pool = new pg.Pool({
    ...settingsFor(address, { statement: READ_WITHIN }),
    max: most,
    idleTimeoutMillis: 60_000,
    allowExitOnIdle: true,
  });
  // A connection that ends while nobody uses it is replaced by the next query.
  pool.on('error', () => undefined);
  return pool;
}

/** The pool's connections are the writer's equals before the server; what reads is held to reading here. */
function readOnly(run: Run): Run {
  return async (sql, parameters) => {
    if (!/^\s*(?:select|with|show)\b/i.test(sql)) throw new Error('this connection only reads');
    return run(sql, parameters);
  };
}

/** The server's last words on a connection: an administrator ended it, the server stops or starts, a transaction idled for too long. */
const ENDS_CONNECTION = /^(?:08|57P0|25P03)/;

function isLostConnection(error: unknown): boolean {
  const state = sqlState(error);
  return state === undefined || ENDS_CONNECTION.test(state);
}

function settingsFor(address: PostgresAddress, limits: Limits): pg.ClientConfig {
  const { statement = STATEMENT_WITHIN, idleInTransaction = IDLE_WITHIN } = limits;
  const { host, port, database, tls } = address;
  const user = address.user ?? (process.env.PGUSER || userInfo().username);
  return {
    host,
    port,
    database,
    user,
    password: () => passwordOf({ ...address, user }),
    ssl:
      tls === undefined
        ? false
        : {
            rejectUnauthorized: true,
            ...(tls.authorities === undefined ? {} : { ca: readFileSync(tls.authorities, 'utf8') }),
            ...(tls.certificate === undefined ? {} : { cert: readFileSync(tls.certificate, 'utf8') }),
            ...(tls.key === undefined ? {} : { key: readFileSync(tls.key, 'utf8') }),
          },
    application_name: 'strongroom',
    keepAlive: true,
    keepAliveInitialDelayMillis: QUIET,
    connectionTimeoutMillis: CONNECT_WITHIN,
    statement_timeout: statement,
    // The server's own limit comes first; this one is for a server that is silent.
    query_timeout: limits.silence ?? (statement === 0 ? undefined : statement + CONNECT_WITHIN),
    lock_timeout: statement === 0 ? undefined : CONNECT_WITHIN * 2,
    idle_in_transaction_session_timeout: idleInTransaction,
    types: { getTypeParser: parserOf as pg.CustomTypesConfig['getTypeParser'] },
  };
}

/** Asked for when the server wants one: of the address, the environment or the password file, in this order. */
function passwordOf({ password, ...connection }: PostgresAddress & { readonly user: string }): Promise<string> {
  const known = password ?? (process.env.PGPASSWORD || undefined);
  if (known !== undefined) return Promise.resolve(known);
  return new Promise((done, failed) =>
    pgpass(connection, (found) =>
      found === undefined
        ? failed(new Error('the server wants a password, and neither $PGPASSWORD nor the password file has one'))
        : done(found),
    ),
  );
}

/** Type oids of PostgreSQL (pg_type.dat): bytea, int8, int2, int4, numeric, bool. All else is text as it is. */
const PARSERS: Readonly<Record<number, (text: string) => unknown>> = {
  17: (text) => Uint8Array.fromHex(text.slice(2)),
  16: (text) => (text === 't' ? 1 : 0),
  20: whole,
  21: whole,
  23: whole,
  1700: Number,
};

function parserOf(oid: number): (text: string) => unknown {
  return PARSERS[oid] ?? String;
}

function whole(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number)) throw new RangeError('the store has a number that is too large');
  return number;
}

/** The one character that a text of PostgreSQL cannot hold, and that no name or description needs. */
function refuseNul(parameters: readonly unknown[]): void {
  if (parameters.some((value) => typeof value === 'string' && value.includes('\0'))) {
    throw new Failure(400, 'BadParameter', 'A text has a NUL character in it, which cannot be stored.');
  }
}

/** What went wrong, in words that name no secret: pg's errors have the server's words or the system's, and neither has the password. */
function wordsOf(error: unknown): string {
  // Several addresses of one host were tried.
  if (error instanceof AggregateError) return error.errors.map(wordsOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}

const CHANGING = new Set(['INSERT', 'UPDATE', 'DELETE']);

/** Kysely speaks to whatever runs its SQL; transactions are begun and ended by those who have the connection. */
function dialectOver(run: Run): Dialect {
  const connection: DatabaseConnection = {
    executeQuery: async <Row>({ sql, parameters }: { sql: string; parameters: readonly unknown[] }): Promise<QueryResult<Row>> => {
      const { rows, rowCount, command } = await run(sql, parameters);
      return CHANGING.has(command) ? { rows, numAffectedRows: BigInt(rowCount ?? 0) } : { rows };
    },
    streamQuery: () => {
      throw new Error('queries are not streamed');
    },
  };
  const refuse = async (): Promise<void> => {
    throw new Error('transactions are the queue of changes');
  };
  const driver: Driver = {
    init: async () => undefined,
    acquireConnection: async () => connection,
    releaseConnection: async () => undefined,
    destroy: async () => undefined,
    beginTransaction: refuse,
    commitTransaction: refuse,
    rollbackTransaction: refuse,
  };
  return {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => driver,
    createQueryCompiler: () => new PostgresQueryCompiler(),
    createIntrospector: (db) => new PostgresIntrospector(db),
  };
}
