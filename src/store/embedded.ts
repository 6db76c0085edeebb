// The embedded store: one database file in the data folder. The main thread opens it for writing, each worker for reading.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { copyDatabase } from './copy.ts';
import { KEEP_COUNTS } from './key-counts.ts';
import { readMeta } from './meta.ts';
import { migrate, schemaOf } from './migrate.ts';
import { type Connection, openReader, openWriter, transactionsOf } from './sqlite.ts';
import { isDamage } from './storage-errors.ts';
import type { OpenReader, Store, StoreOptions } from './store.ts';
import { WriteQueue } from './write-queue.ts';

export function databaseFile(dataFolder: string): string {
  return join(dataFolder, 'strongroom.db');
}

export function databaseExists(dataFolder: string): boolean {
  return existsSync(databaseFile(dataFolder));
}

/** The database as an older program left it, whole and on disk, beside the one that is about to change. */
function keepCopy(writer: Connection, dataFolder: string, schema: number, copied: StoreOptions['copied']): void {
  const file = join(dataFolder, `strongroom.schema-${schema}.db`);
  try {
    copyDatabase(writer, file);
  } catch (cause) {
    throw new Error(`the database has an older schema, and no copy of it could be made at '${file}'; nothing was changed`, { cause });
  }
  copied?.(file);
}

export async function openEmbeddedStore(dataFolder: string, options: StoreOptions): Promise<Store> {
  const file = databaseFile(dataFolder);
  const writer = openWriter(file);
  try {
    await migrate(writer, (schema) => keepCopy(writer, dataFolder, schema, options.copied));
    writer.exec(KEEP_COUNTS);
  } catch (failure) {
    writer.close();
    throw failure;
  }
  const reader = openReader(file);
  const queue = new WriteQueue(transactionsOf(writer), options.versions, options.committed);
  return {
    read: reader.db,
    write: (job) => queue.add(job),
    close: async () => {
      await queue.close();
      reader.close();
      writer.close();
    },
  };
}

/**
 * One fact of a database before it is opened for good: undefined when there is no database, or no such fact. Lets SQLite finish what a crash cut off, and
 * changes nothing else. Throws an Error for the operator when the file is no database of ours.
 */
export async function peekMeta(dataFolder: string, key: string): Promise<string | undefined> {
  if (!databaseExists(dataFolder)) return undefined;
  const file = databaseFile(dataFolder);
  let connection: Connection | undefined;
  try {
    connection = openWriter(file);
    return (await schemaOf(connection)) === 0 ? undefined : await readMeta(connection.db, key);
  } catch (error) {
    if (isDamage(error)) throw new Error(`'${file}' is damaged; take one from a snapshot. Nothing was changed`, { cause: error });
    throw error;
  } finally {
    connection?.close();
  }
}

export function openEmbeddedReader(dataFolder: string): OpenReader {
  const reader = openReader(databaseFile(dataFolder));
  return { read: reader.db, close: () => reader.close() };
}

/**
 * The store as it is now, for as long as somebody reads: commits go on and are not seen. On a connection of its own. The write-ahead log cannot be emptied meanwhile, so it is not kept for longer than it takes to read.
 */
export function openEmbeddedSnapshot(dataFolder: string): OpenReader {
  const reader = openReader(databaseFile(dataFolder));
  reader.exec('BEGIN');
  return { read: reader.db, close: () => reader.close() };
}
