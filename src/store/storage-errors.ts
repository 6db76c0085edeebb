// Tells apart what a statement met: a constraint of the schema, or a disk or a server that is full, failing, read-only or gone.

import { Failure } from '../core/failure.ts';

/** Whether somebody else has the database (SQLITE_BUSY, SQLITE_LOCKED). */
export function isTaken(error: unknown): boolean {
  const result = primaryResult(error);
  return result === 5 || result === 6;
}

/** What is wrong with the disk, in a few words, when that is what the error of a file or of the database says. */
export function diskTrouble(error: unknown): string | undefined {
  if (error instanceof Failure) return diskTrouble(error.cause);
  const result = primaryResult(error);
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (result === 13 || code === 'ENOSPC' || code === 'EDQUOT') return 'there is no room on the disk';
  if (result === 8 || code === 'EROFS') return 'the file system is read-only';
  return result === 10 || code === 'EIO' ? 'the disk fails' : undefined;
}

/** Whether SQLite found that the file is not whole, or none of its own (SQLITE_CORRUPT, SQLITE_NOTADB). */
export function isDamage(error: unknown): boolean {
  const result = primaryResult(error);
  return result === 11 || result === 26;
}

/** Whether the error speaks of the disk or of the server, not of the statement. */
export function isStorageError(error: unknown): boolean {
  const result = primaryResult(error);
  if (result !== undefined) return STORAGE_RESULTS.has(result);
  const state = sqlState(error);
  return state === undefined ? error instanceof StoreGone : STORAGE_STATES.test(state);
}

/** The connection to the server is not there any more, or cannot be had. */
export class StoreGone extends Error {}

export function storeUnavailable(cause: unknown): Failure {
  return new Failure(503, 'ServiceUnavailable', 'The change could not be stored and was not made. The service log says why.', { cause });
}

export function storeUnreadable(cause: unknown): Failure {
  return new Failure(503, 'ServiceUnavailable', 'The store cannot be read at the moment. The service log says why.', { cause });
}

export function outcomeUnknown(cause: unknown): Failure {
  return new Failure(
    503,
    'ServiceUnavailable',
    'The store was lost while it kept the change: it may have been made, or not. Look before you try again.',
    { cause },
  );
}

/** SQLite's primary result codes PERM, BUSY, NOMEM, READONLY, IOERR, CORRUPT, FULL, CANTOPEN and NOTADB (sqlite.org/rescode.html). */
const STORAGE_RESULTS = new Set([3, 5, 7, 8, 10, 11, 13, 14, 26]);

/**
 * PostgreSQL's classes of connection exceptions, insufficient resources, operator intervention, system and internal errors; and its serialization failures,
 * deadlocks, lock time-outs, read-only transactions and transactions ended for idling (postgresql.org/docs/current/errcodes-appendix.html).
 */
const STORAGE_STATES = /^(?:08|53|57|58|XX|40001|40P01|55P03|25006|25P03)/;

/** Of an error that PostgreSQL's server sent; the server's are the only ones with a severity. */
export function sqlState(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('severity' in error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

function primaryResult(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('errcode' in error)) return undefined;
  return typeof error.errcode === 'number' ? error.errcode & 0xff : undefined;
}
