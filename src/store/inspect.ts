// What can be seen of an embedded database from outside, before anything is read from it or written to it.

import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { databaseFile } from './embedded.ts';

/** A file up to this size is looked at whole, which takes a fraction of a second; of a larger one the first and last part. */
const WHOLE = 64 << 20;
const PART = 4 << 20;

export interface FileFacts {
  readonly size: number;
  /** Of the whole file, or of its first and last 4 MB when it is larger than 64 MB. */
  readonly sha256: string;
}

export async function factsOf(file: string): Promise<FileFacts> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const hash = createHash('sha256');
    const parts =
      size <= WHOLE
        ? [[0, size]]
        : [
            [0, PART],
            [size - PART, size],
          ];
    for (const [start = 0, end = 0] of parts) {
      if (end === start) continue;
      for await (const piece of handle.createReadStream({ start, end: end - 1, autoClose: false, highWaterMark: 1 << 20 }))
        hash.update(piece);
    }
    return { size, sha256: hash.digest('hex') };
  } finally {
    await handle.close();
  }
}

const MAGIC = 'SQLite format 3\0';

/**
 * What is wrong with the file itself, in words, or undefined: it is too short for its own header (sqlite.org/fileformat.html, section 1.3). A file that has not
 * been checkpointed may be shorter than its header says after a crash, so nothing is said about one with a write-ahead log beside it.
 */
export async function visibleDamage(dataFolder: string): Promise<string | undefined> {
  const handle = await open(databaseFile(dataFolder), 'r');
  try {
    const { size } = await handle.stat();
    if (size === 0) return undefined;
    const header = Buffer.alloc(100);
    const { bytesRead } = await handle.read(header, 0, header.length, 0);
    if (bytesRead < header.length || header.toString('latin1', 0, MAGIC.length) !== MAGIC) return 'it is no SQLite database';
    const stored = header.readUInt16BE(16);
    const pageSize = stored === 1 ? 65536 : stored;
    const pages = header.readUInt32BE(28);
    if (size % pageSize !== 0 || size < pages * pageSize) {
      return (await hasLog(dataFolder)) ? undefined : `it was cut off: it has ${size} bytes, and says that it has ${pages * pageSize}`;
    }
    return undefined;
  } finally {
    await handle.close();
  }
}

/** Whether there are changes beside the file that are not in it yet. */
export async function hasLog(dataFolder: string): Promise<boolean> {
  let log: FileHandle;
  try {
    log = await open(`${databaseFile(dataFolder)}-wal`, 'r');
  } catch {
    return false;
  }
  try {
    return (await log.stat()).size > 0;
  } finally {
    await log.close();
  }
}

/**
 * SQLite's own look at the structure of the database: undefined, or the first thing that it finds. `thorough` also compares every index with its table.
 * Takes about a second for each 200 MB.
 */
export function structuralDamage(file: string, thorough: boolean): string | undefined {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    const [row] = database.prepare(thorough ? 'PRAGMA integrity_check(1)' : 'PRAGMA quick_check(1)').all();
    const said = String(Object.values(row ?? {})[0]).replace(/\s+/g, ' ');
    return said === 'ok' ? undefined : said;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    database.close();
  }
}

/** Whether `structuralDamage` is quick enough for every start. */
export async function isSmall(dataFolder: string): Promise<boolean> {
  const handle = await open(databaseFile(dataFolder), 'r');
  try {
    return (await handle.stat()).size <= WHOLE;
  } finally {
    await handle.close();
  }
}
