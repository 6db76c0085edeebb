// Tells apart what a statement met: a constraint of the schema, or a disk that is full, failing or read-only.

import { Failure } from '../core/failure.ts';

/** Whether the statement met a constraint: a name that is taken, a row that is gone (SQLITE_CONSTRAINT). */
export function isConstraintViolation(error: unknown): boolean {
  return primaryResult(error) === 19;
}

/** Whether the error speaks of the disk, not of the statement. */
export function isStorageError(error: unknown): boolean {
  const result = primaryResult(error);
  return result !== undefined && STORAGE_RESULTS.has(result);
}

export function storeUnavailable(cause: unknown): Failure {
  return new Failure(503, 'ServiceUnavailable', 'The change could not be stored and was not made. The service log says why.', { cause });
}

/** SQLite's primary result codes PERM, BUSY, NOMEM, READONLY, IOERR, CORRUPT, FULL, CANTOPEN and NOTADB (sqlite.org/rescode.html). */
const STORAGE_RESULTS = new Set([3, 5, 7, 8, 10, 11, 13, 14, 26]);

function primaryResult(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('errcode' in error)) return undefined;
  return typeof error.errcode === 'number' ? error.errcode & 0xff : undefined;
}
