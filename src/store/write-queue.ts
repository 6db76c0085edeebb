// Group commit: jobs that wait share one transaction and so one sync to disk; each has its own savepoint, so that one that fails takes nothing with it.

import type { Tag, Versions } from '../core/coherence.ts';
import { Failure } from '../core/failure.ts';
import type { Connection } from './sqlite.ts';
import { isStorageError, storeUnavailable } from './storage-errors.ts';
import type { Writer } from './store.ts';

interface Job {
  run(writer: Writer): Promise<unknown>;
  resolve(result: unknown): void;
  reject(reason: unknown): void;
}

interface Done {
  readonly job: Job;
  readonly result: unknown;
  readonly tags: readonly Tag[];
}

const LARGEST_GROUP = 128;

export class WriteQueue {
  readonly #connection: Connection;
  readonly #versions: Versions;
  readonly #committed: (tags: readonly Tag[]) => void;
  readonly #waiting: Job[] = [];
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(connection: Connection, versions: Versions, committed: (tags: readonly Tag[]) => void) {
    this.#connection = connection;
    this.#versions = versions;
    this.#committed = committed;
  }

  add<Result>(job: (writer: Writer) => Promise<Result>): Promise<Result> {
    if (this.#closed) return Promise.reject(new Failure(503, 'ServiceUnavailable', 'The service is shutting down.'));
    return new Promise<Result>((resolve, reject) => {
      // `resolve` is only ever called with what this job's own `run` returned.
      this.#waiting.push({ run: job, resolve: (result) => resolve(result as Result), reject });
      this.#running ??= this.#drain();
    });
  }

  /** Takes no more jobs and resolves when those that were accepted are on disk. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  async #drain(): Promise<void> {
    do {
      // One turn of the loop lets requests that arrived together join the same commit; and one writer that writes again and again keeps nobody waiting.
      await new Promise(setImmediate);
      await this.#commitGroup(this.#waiting.splice(0, LARGEST_GROUP));
    } while (this.#waiting.length > 0);
    this.#running = undefined;
  }

  async #commitGroup(jobs: readonly Job[]): Promise<void> {
    const done: Done[] = [];
    try {
      this.#connection.exec('BEGIN IMMEDIATE');
      for (const job of jobs) {
        const finished = await this.#inSavepoint(job);
        if (finished !== undefined) done.push(finished);
      }
      this.#connection.exec('COMMIT');
    } catch (error) {
      this.#rollBack();
      const reason = storeUnavailable(error);
      for (const job of jobs) job.reject(reason);
      return;
    }
    const tags = done.flatMap((finished) => finished.tags);
    for (const tag of tags) this.#versions.touch(tag);
    for (const { job, result } of done) job.resolve(result);
    if (tags.length > 0) this.#committed(tags);
  }

  async #inSavepoint(job: Job): Promise<Done | undefined> {
    const tags: Tag[] = [];
    this.#connection.exec('SAVEPOINT job');
    try {
      const result = await job.run(writerOver(this.#connection, tags));
      this.#connection.exec('RELEASE job');
      return { job, result, tags };
    } catch (error) {
      // An error that ended the whole transaction (disk full, say) makes this statement fail too, and so the whole group.
      this.#connection.exec('ROLLBACK TO job; RELEASE job');
      job.reject(isStorageError(error) ? storeUnavailable(error) : error);
      return undefined;
    }
  }

  #rollBack(): void {
    try {
      this.#connection.exec('ROLLBACK');
    } catch {
      // SQLite has already rolled back; there is no transaction left to end.
    }
  }
}

function writerOver({ db }: Connection, tags: Tag[]): Writer {
  return {
    selectFrom: db.selectFrom.bind(db),
    insertInto: db.insertInto.bind(db),
    updateTable: db.updateTable.bind(db),
    deleteFrom: db.deleteFrom.bind(db),
    touch: (tag) => tags.push(tag),
    // Whoever records hands its own writer on.
    note: () => undefined,
  };
}
