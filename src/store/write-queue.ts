// Group commit: jobs that wait share one transaction and so one sync to disk; each has its own savepoint, so that one that fails takes nothing with it.
// One that is alone has a transaction of its own, and needs none.

import type { Tag, Versions } from '../core/coherence.ts';
import { Failure } from '../core/failure.ts';
import { isStorageError, outcomeUnknown, storeUnavailable } from './storage-errors.ts';
import { ALONE, type Writer } from './store.ts';
import { type Transactions, UnknownOutcome } from './transactions.ts';

interface Job {
  run(writer: Writer): Promise<unknown>;
  resolve(result: unknown): void;
  reject(reason: unknown): void;
}

interface Done {
  readonly tags: readonly Tag[];
  /** It failed, and leaves nothing behind. */
  readonly isRefused: boolean;
  /** Tells whoever waits for the job, once the group is on disk. */
  readonly answer: () => void;
}

const LARGEST_GROUP = 128;

export class WriteQueue {
  readonly #transactions: Transactions;
  readonly #versions: Versions;
  readonly #committed: (tags: readonly Tag[]) => void;
  /** Who writes, once that is known. */
  holder = ALONE;
  readonly #waiting: Job[] = [];
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(transactions: Transactions, versions: Versions, committed: (tags: readonly Tag[]) => void) {
    this.#transactions = transactions;
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
      await this.#transactions.begin();
      for (const job of jobs) {
        done.push(await (jobs.length === 1 ? this.#run(job) : this.#inSavepoint(job)));
      }
      // What one that was alone did until it failed goes with its transaction.
      if (done.every(({ isRefused }) => isRefused)) await this.#transactions.rollBack();
      else await this.#transactions.commit(tagsOf(done));
    } catch (error) {
      await this.#transactions.rollBack();
      const isUnknown = error instanceof UnknownOutcome;
      // What may have been changed is read anew.
      if (isUnknown) this.#tell(tagsOf(done));
      const reason = isUnknown ? outcomeUnknown(error) : storeUnavailable(error);
      for (const job of jobs) job.reject(reason);
      return;
    }
    this.#tell(tagsOf(done));
    for (const { answer } of done) answer();
  }

  /** Every thread's caches first; `committed` only frees memory. */
  #tell(tags: readonly Tag[]): void {
    this.#versions.countCommit();
    for (const tag of tags) this.#versions.touch(tag);
    if (tags.length > 0) this.#committed(tags);
  }

  /** An error that ended the whole transaction (disk full, say) makes the undoing fail too, and so the whole group. */
  async #inSavepoint(job: Job): Promise<Done> {
    await this.#transactions.save();
    const done = await this.#run(job, () => this.#transactions.release());
    if (done.isRefused) await this.#transactions.undo();
    return done;
  }

  /** One that is refused is answered with the others: what it was refused for may be what another one of the group has just made. */
  async #run(job: Job, finish?: () => Promise<void>): Promise<Done> {
    const tags: Tag[] = [];
    try {
      const result = await job.run(writerOver(this.#transactions, tags, this.holder));
      await finish?.();
      return { tags, isRefused: false, answer: () => job.resolve(result) };
    } catch (error) {
      return { tags: [], isRefused: true, answer: () => job.reject(isStorageError(error) ? storeUnavailable(error) : error) };
    }
  }
}

function tagsOf(done: readonly Done[]): readonly Tag[] {
  return done.flatMap((finished) => finished.tags);
}

function writerOver({ db }: Transactions, tags: Tag[], holder: string): Writer {
  return {
    holder,
    getExecutor: db.getExecutor.bind(db),
    selectFrom: db.selectFrom.bind(db),
    insertInto: db.insertInto.bind(db),
    updateTable: db.updateTable.bind(db),
    deleteFrom: db.deleteFrom.bind(db),
    touch: (tag) => tags.push(tag),
    // Whoever records hands its own writer on.
    note: () => undefined,
  };
}
