// A whole copy of an embedded database as it is at one moment, while it is read and written.

import { chmodSync, closeSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Connection } from './sqlite.ts';

/** A copy of the database in a file that others may have open. */
export function copyDatabaseFile(from: string, to: string): void {
  const database = new DatabaseSync(from, { readOnly: true, timeout: 5000 });
  try {
    copyDatabase(database, to);
  } finally {
    database.close();
  }
}

/** Writes the copy beside its place, syncs it, and puts it there in one step; an older file there is replaced. Blocks for as long as it takes. */
export function copyDatabase(connection: Pick<Connection, 'exec'>, file: string): void {
  const draft = `${file}.new`;
  rmSync(draft, { force: true });
  try {
    // A read transaction of SQLite's own: what is committed meanwhile is not in it.
    connection.exec(`VACUUM INTO '${draft.replaceAll("'", "''")}'`);
    chmodSync(draft, 0o600);
    sync(draft);
    renameSync(draft, file);
    if (process.platform !== 'win32') sync(dirname(file));
  } catch (failure) {
    rmSync(draft, { force: true });
    throw failure;
  }
}

function sync(path: string): void {
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
