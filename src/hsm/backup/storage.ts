// Where a backup is kept, as the work on it sees it: a folder of files that are written once. Two implementations: blobs, and a folder of this machine.

import { createHash } from 'node:crypto';

/** Where backups go and come from, as a client named it; checked by `place.ts`, without what grants access. */
export type Place =
  /** `uri`: the container, without a query or a slash at the end. */
  | { readonly kind: 'blobs'; readonly uri: string; readonly useManagedIdentity: boolean }
  /** `path`: absolute, inside the folder that the operator allowed. */
  | { readonly kind: 'folder'; readonly uri: string; readonly path: string };

/** The files of one backup. Every call throws a Failure that says what is wrong, with the storage's own code where it has one. */
export interface Storage {
  /** Writes a file whole, or not at all. */
  put(name: string, bytes: Uint8Array): Promise<void>;
  /** Whether the file is there with exactly these bytes. */
  has(name: string, bytes: Uint8Array): Promise<boolean>;
  /** Throws BackupNotFound when it is not there; refuses a file longer than `largest` bytes. */
  get(name: string, largest: number): Promise<Buffer>;
  /** Removes the file; nothing happens when it is not there. */
  remove(name: string): Promise<void>;
  close(): void;
}

/** What every storage is opened with. */
export interface StorageAccess {
  /** The SAS token; undefined for a folder and for a managed identity. */
  readonly token: string | undefined;
  /** A token of the HSM's managed identity for the storage service. */
  identityToken(): Promise<{ readonly token: string; readonly expiresAt: number }>;
  /** Ends what is under way. */
  readonly signal: AbortSignal;
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
