// One service for one data folder: a lock that the operating system holds for this process and lets go when the process ends, however it ends.

import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { isTaken } from './storage-errors.ts';

export interface FolderLock {
  release(): void;
}

/** Takes the folder, or throws an Error for the operator when another process has it; what the disk has to say is thrown as it is. */
export function lockFolder(dataFolder: string): FolderLock {
  const file = join(dataFolder, 'lock.db');
  const database = new DatabaseSync(file);
  try {
    // The lock is one on the file (POSIX advisory lock), so that nothing has to be cleared away after a kill -9.
    database.exec('PRAGMA journal_mode = DELETE; PRAGMA locking_mode = EXCLUSIVE; PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE;');
  } catch (cause) {
    database.close();
    if (!isTaken(cause)) throw cause;
    throw new Error(`another service is running on '${dataFolder}'; stop it, or choose another data folder with --data`, { cause });
  }
  return { release: () => database.close() };
}
