// What the queue of changes wants of an engine: transactions one after another on one connection, with a savepoint for each job that is not alone.

import type { Kysely } from 'kysely';
import type { Tag } from '../core/coherence.ts';
import type { Tables } from './schema.ts';

export interface Transactions {
  /** Its queries belong to the transaction that is open. */
  readonly db: Kysely<Tables>;
  /** Resolves when no other writer can change anything until this transaction has ended. */
  begin(): Promise<void>;
  save(): Promise<void>;
  release(): Promise<void>;
  /** Undoes what happened since `save`; rejects when the whole transaction is lost. */
  undo(): Promise<void>;
  /**
   * Resolves when everything is on disk; a rejection means that nothing of it was kept, except with an UnknownOutcome.
   * `tags`: what the transaction changed, for those who read the same store elsewhere.
   */
  commit(tags: readonly Tag[]): Promise<void>;
  /** Ends a transaction that cannot be committed, if there is one; never rejects. */
  rollBack(): Promise<void>;
}

/** The answer to a commit was lost and could not be found out afterwards. */
export class UnknownOutcome extends Error {}
