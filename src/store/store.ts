// What rooms see of the database: a Reader anywhere, a Writer only inside a transaction. No engine is named here.

import type { Kysely } from 'kysely';
import type { Deed } from '../core/audit.ts';
import type { Tag, Versions } from '../core/coherence.ts';
import type { KnownNode, NodeFacts } from './nodes.ts';
import type { Tables } from './schema.ts';

export type Reader = Pick<Kysely<Tables>, 'selectFrom' | 'getExecutor'>;

export interface Writer extends Reader, Pick<Kysely<Tables>, 'insertInto' | 'updateTable' | 'deleteFrom'> {
  /** The run of the service that makes the change; what it holds is free for others once it has ended. */
  readonly holder: string;
  /** Says what this transaction changed, so that every thread's caches drop it before the change is answered. */
  touch(tag: Tag): void;
  /** Says what the service did by itself in this transaction, so that it is recorded with it. */
  note(deed: Deed): void;
}

export interface StoreOptions {
  readonly versions: Versions;
  /** Called after each commit with what it touched, when no thread serves the old values any more. */
  readonly committed: (tags: readonly Tag[]) => void;
  /** Told of the copy that was made before the schema of an embedded database changed. */
  readonly copied?: (file: string) => void;
  /** Told when this service has no place in the store any more. */
  readonly lost?: (error: Error) => void;
  /** Told what time it is by the clock of a shared store, between which two moments of `steady`: at once, and every second. */
  readonly toldTime?: ((now: number, between: readonly [number, number]) => void) | undefined;
  /** Who shares a store on a server. A command of the operator's, which is alone with the store while it runs, says nothing. */
  readonly node?: NodeFacts | undefined;
}

/** What reads, and what lets go of it. */
export interface OpenReader {
  readonly read: Reader;
  close(): unknown;
}

export interface Store {
  readonly read: Reader;
  /**
   * Runs the job in a transaction and resolves when it is on disk. A job that throws leaves nothing behind.
   * Jobs run one after another and share a commit with others that were waiting; so a job awaits nothing but its own queries.
   */
  write<Result>(job: (writer: Writer) => Promise<Result>): Promise<Result>;
  /** The nodes that share the store; undefined where a store has one service. */
  readonly nodes?: Nodes;
  close(): Promise<void>;
}

/** A service's place among the nodes of its store. */
export interface Nodes {
  /** This run of it: what `Writer` has. */
  readonly holder: string;
  /** Whether the operator wants it to take nothing on. */
  readonly isDrained: boolean;
  /** All that ever were, by name. */
  list(): Promise<readonly KnownNode[]>;
  /** Says where this one answers: a host and a port. */
  announce(address: string): Promise<void>;
  /** Shuts a node out for good. Throws an Error for the operator when there is none of that name. */
  remove(name: string): Promise<void>;
  /** Takes a node out of service, or back into it. Throws as `remove` does. */
  drain(name: string, isDrained: boolean): Promise<void>;
}

/** Holds everything where a store has one service. */
export const ALONE = 'alone';
