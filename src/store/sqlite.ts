// The embedded engine: node:sqlite behind Kysely. Write-ahead log with every commit synced (synchronous=FULL), one writer, any number of readers.

import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { Kysely, type LimitNode, type SqliteDatabase, SqliteDialect, SqliteQueryCompiler, ValueNode } from 'kysely';
import { LRUCache } from 'lru-cache';
import type { Tables } from './schema.ts';
import type { Transactions } from './transactions.ts';

export interface Connection {
  readonly db: Kysely<Tables>;
  /** Runs a statement that is no query: BEGIN, SAVEPOINT, COMMIT, PRAGMA. */
  exec(sql: string): void;
  close(): void;
}

const PREPARED_STATEMENTS = 256;
/** KiB of pages that a connection keeps at most: the upper levels of the indexes of a million keys, which SQLite's own 2 MB do not hold. */
const PAGE_CACHE = 32_768;

/** Opens the database file for writing; made when it is not there. */
export function openWriter(file: string): Connection {
  const database = new DatabaseSync(file, { enableForeignKeyConstraints: true, enableDoubleQuotedStringLiterals: false });
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000; PRAGMA wal_autocheckpoint = 2000;');
  database.exec(`PRAGMA cache_size = -${PAGE_CACHE}`);
  return connection(database);
}

/** Opens an existing database file for reading alone. */
export function openReader(file: string): Connection {
  const database = new DatabaseSync(file, { readOnly: true, enableDoubleQuotedStringLiterals: false });
  database.exec('PRAGMA busy_timeout = 5000; PRAGMA query_only = ON;');
  database.exec(`PRAGMA cache_size = -${PAGE_CACHE}`);
  return connection(database);
}

/** The connection for the queue of changes. */
export function transactionsOf({ db, exec }: Connection): Transactions {
  const run = async (sql: string): Promise<void> => exec(sql);
  return {
    db,
    begin: () => run('BEGIN IMMEDIATE'),
    save: () => run('SAVEPOINT job'),
    release: () => run('RELEASE job'),
    undo: () => run('ROLLBACK TO job; RELEASE job'),
    // Whoever else reads this file is a thread of this process, and is told by the queue.
    commit: () => run('COMMIT'),
    // It may have rolled back by itself; then there is no transaction left to end.
    rollBack: () => run('ROLLBACK').catch(() => undefined),
  };
}

function connection(database: DatabaseSync): Connection {
  const db = new Kysely<Tables>({ dialect: new Dialect({ database: forKysely(database) }) });
  return { db, exec: (sql) => database.exec(sql), close: () => database.close() };
}

class Dialect extends SqliteDialect {
  override createQueryCompiler(): SqliteQueryCompiler {
    return new Compiler();
  }
}

/** A limit stands in the text: as a parameter it has SQLite plan the query anew each time that it runs, which takes longer than most of them do. */
class Compiler extends SqliteQueryCompiler {
  protected override visitLimit(node: LimitNode): void {
    const limit = ValueNode.is(node.limit) ? node.limit.value : undefined;
    if (typeof limit === 'number' && Number.isSafeInteger(limit)) this.append(`limit ${limit}`);
    else super.visitLimit(node);
  }
}

/** The few calls of better-sqlite3's interface that Kysely's dialect makes, answered by node:sqlite. */
function forKysely(database: DatabaseSync): SqliteDatabase {
  const prepared = new LRUCache<string, { statement: StatementSync; reader: boolean }>({ max: PREPARED_STATEMENTS });
  return {
    close: () => undefined,
    prepare: (sql) => {
      let known = prepared.get(sql);
      if (known === undefined) {
        const statement = database.prepare(sql);
        known = { statement, reader: statement.columns().length > 0 };
        prepared.set(sql, known);
      }
      const { statement, reader } = known;
      return {
        reader,
        all: (parameters) => statement.all(...values(parameters)),
        run: (parameters) => statement.run(...values(parameters)),
        iterate: (parameters) => statement.iterate(...values(parameters)),
      };
    },
  };
}

function values(parameters: readonly unknown[]): SQLInputValue[] {
  return parameters.map((value) => {
    if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint') return value;
    if (value instanceof Uint8Array) return value;
    throw new TypeError(`a ${typeof value} cannot be stored`);
  });
}
