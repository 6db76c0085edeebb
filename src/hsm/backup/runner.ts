// Drives the jobs of backup and restore from where their rows say they are to their end, also after a restart. Lives where the writer is; the heavy work is
// done elsewhere (work.ts) and handed in.

import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import type { Clock } from '../../core/clock.ts';
import { jobFailure, jobTaken, serviceEnded } from '../../core/errors-backup.ts';
import { Failure } from '../../core/failure.ts';
import type { Urls } from '../../core/urls.ts';
import type { CryptoModule } from '../../crypto/module.ts';
import { insertContent, type PlacedRow } from '../../store/hsm-content.ts';
import type { Reader, Store, Writer } from '../../store/store.ts';
import { refuseFull } from '../keys/limit.ts';
import { keyTag, nameKey } from '../keys/names.ts';
import { endRestoring, hsmNumbered } from '../pool.ts';
import { endJob, failureOfJob, type JobRow, jobNamed, placeOf } from './jobs.ts';
import { AGAIN_AFTER, decide, replaceContent, shut } from './replace.ts';
import { afterScheduled } from './retention.ts';
import type { BackupWork, Counts, Order } from './work.ts';

export interface RunnerParts {
  readonly read: Reader;
  readonly write: Store['write'];
  readonly crypto: Pick<CryptoModule, 'sealSecret' | 'openSecret'>;
  readonly clock: Clock;
  readonly urls: Urls;
  readonly work: BackupWork;
  /** As whom this run of the service has jobs. */
  readonly holder: () => string;
  /** Which of these principals exist in this service's directory. */
  knownPrincipals(ids: readonly string[]): Promise<readonly string[]>;
  /** Told of every job that ended. */
  ended?(job: JobRow): void;
  /** Told of mistakes of our own and of a store that does not take changes: for the log. */
  troubled(error: unknown): void;
}

/** How many looks in a row, one a second, find a job without anybody who drives it before it counts as left: it may have begun, or ended, a moment ago. */
const LEFT_AFTER = 10;

/** A restore has ended its job itself, in the commit that opened the HSM again. */
const ENDED = Symbol('ended');

export interface BackupRunner {
  start(jobId: string): void;
  /** Goes on with jobs that a run of the service left under way when it ended, or ends them with words. */
  resume(jobIds: readonly string[]): void;
  /** Goes on with jobs of this run that nobody drives: their rows came to be, and the store was away when that should have been known here. */
  look(): Promise<void>;
  /** Resolves when nothing is under way; for tests and for schedules. */
  settled(): Promise<void>;
  /** Stops what is under way where it can be gone on with. */
  close(): Promise<void>;
}

export function openBackupRunner(parts: RunnerParts): BackupRunner {
  const { read, write, clock, work } = parts;
  const running = new Map<string, Promise<void>>();
  /** Jobs that nobody drives, with the number of looks that have found them so. */
  let left = new Map<string, number>();
  const closing = new AbortController();

  /** What a job does is not part of the call that began it: its changes have records of their own. */
  const outside = AsyncLocalStorage.snapshot();

  function start(jobId: string, resumed = false): void {
    if (running.has(jobId)) return;
    const task = outside(run, jobId, resumed)
      .catch((error: unknown) => parts.troubled(error))
      .finally(() => running.delete(jobId));
    running.set(jobId, task);
  }

  async function run(jobId: string, resumed: boolean): Promise<void> {
    const job = await surely(() => jobNamed(read, jobId));
    // Another node may have it, if this one slept since the row came to be.
    if (job?.status !== 'InProgress' || isOthers(job)) return;
    try {
      const details = await (resumed ? goOn(job) : perform(job));
      if (details !== ENDED) await surely(() => write((writer) => endJob(writer, job.id, { details }, clock.now())));
    } catch (error) {
      // The row stays as it is: the next start of the service finds it, or it is another node's.
      if (closing.signal.aborted || (error instanceof Failure && error.code === jobTaken().code)) return;
      if (!(error instanceof Failure)) parts.troubled(error);
      await surely(() =>
        write(async (writer) => {
          await endJob(writer, job.id, { failure: failureOfJob(error) }, clock.now());
          if (job.kind === 'restore') await endRestoring(writer, job.hsm_id);
        }),
      );
    }
    const ended = await surely(() => jobNamed(read, jobId));
    // Ended by another node, if this one is just ending.
    if (ended === undefined || ended.status === 'InProgress' || closing.signal.aborted) return;
    parts.ended?.(ended);
    if (ended.scheduled === 1) await afterScheduled(parts, ended, (old, use) => ordered(old, use));
  }

  /** That a job was begun has to be read, and how it ended to be written, or it would be under way for ever: a store that is away is asked again. */
  async function surely<Result>(job: () => Promise<Result>): Promise<Result | undefined> {
    while (!closing.signal.aborted) {
      try {
        return await job();
      } catch (error) {
        parts.troubled(error);
        await pause(AGAIN_AFTER, undefined, { signal: closing.signal }).catch(() => undefined);
      }
    }
    return undefined;
  }

  function isOthers({ holder }: JobRow): boolean {
    return holder !== parts.holder();
  }

  function perform(job: JobRow): Promise<string | null | typeof ENDED> {
    switch (job.kind) {
      case 'backup':
        return ordered(job, async (order) => {
          await work.backup(order);
          return null;
        });
      case 'prebackup':
        if (placeOf(job) === undefined) return noStorage();
        return ordered(job, async (order) => {
          await work.probe(order);
          return null;
        });
      case 'prerestore':
        if (placeOf(job) === undefined) return noStorage();
        return ordered(job, async (order) => couldBeRestored(await work.verify(order)));
      case 'restore':
        return restore(job);
      case 'restore-key':
        return ordered(job, async (order) => restoreKey(job, await work.find(order, job.key_name ?? '')));
    }
  }

  /** After a restart. A backup goes on; a restore that had begun to replace is brought to its end, and any other is as if it had not been asked for. */
  async function goOn(job: JobRow): Promise<string | null | typeof ENDED> {
    if (job.kind === 'backup') return perform(job);
    if (job.kind === 'restore' && job.phase !== 'working') return replaced(job);
    throw serviceEnded(job.kind === 'restore' ? 'The HSM is as it was before the restore.' : 'Nothing was changed.');
  }

  /** What a step is told, read anew for each: the root key that domains and tokens are sealed under may have changed since the last one. */
  async function ordered<Result>({ id: jobId, hsm_id }: JobRow, use: (order: Order) => Promise<Result>): Promise<Result> {
    const job = await jobNamed(read, jobId);
    const hsm = await hsmNumbered(parts, hsm_id);
    if (job === undefined || hsm === undefined) throw jobFailure('HsmDeleted', 'The HSM was deleted meanwhile.');
    if (job.status === 'InProgress' && isOthers(job)) throw jobTaken();
    const place = placeOf(job);
    if (place === undefined) throw new Error('a job that needs a storage has none');
    const { id, name, domainId, domain } = hsm;
    return use({ jobId, hsm: { id, name, domainId, domain }, place, sealedToken: job.sealed_token, folder: job.folder });
  }

  /** The backup is looked at while the HSM still answers; from the first row that is fetched it does not. */
  async function restore(job: JobRow): Promise<typeof ENDED> {
    await ordered(job, work.look);
    await write((writer) => shut(writer, job.hsm_id));
    const { versions, batches, administrators } = await ordered(job, work.stage);
    const known = await parts.knownPrincipals(administrators);
    const details = restoredDetails(versions, 0);
    await write((writer) => decide(writer, job, { batches, administrators, areStrangers: known.length === 0, details }));
    return replaced(job);
  }

  async function replaced(job: JobRow): Promise<typeof ENDED> {
    await replaceContent(parts, job.id, closing.signal, parts.troubled);
    return ENDED;
  }

  async function restoreKey(job: JobRow, rows: readonly PlacedRow[]): Promise<string> {
    const versions = rows.filter(({ table }) => table === 'key_versions').length;
    const name = job.key_name ?? '';
    if (versions === 0) throw jobFailure('KeyNotFound', `The backup has no key '${name}'.`);
    return write(async (writer) => {
      if (await isTaken(writer, job.hsm_id, name)) return restoredDetails(0, versions);
      await refuseFull(writer, job.hsm_id);
      await insertContent(writer, job.hsm_id, rows.map(alive));
      writer.touch(keyTag(job.hsm_id, name));
      return restoredDetails(versions, 0);
    });
  }

  return {
    start,
    resume(jobIds) {
      for (const id of jobIds) start(id, true);
    },
    async look() {
      const rows = await read
        .selectFrom('backup_jobs')
        .select('id')
        .where('status', '=', 'InProgress')
        .where('holder', '=', parts.holder())
        .execute();
      left = new Map(rows.filter(({ id }) => !running.has(id)).map(({ id }) => [id, (left.get(id) ?? 0) + 1]));
      for (const [id, looks] of left) if (looks >= LEFT_AFTER) start(id, true);
    },
    async settled() {
      while (running.size > 0) await Promise.all(running.values());
    },
    async close() {
      closing.abort();
      work.close();
      await Promise.all(running.values());
    },
  };
}

/** In the service's words. */
export function restoredDetails(restored: number, kept: number): string {
  return `Number of successful key versions restored: ${restored}, Number of key versions could not overwrite: ${kept}`;
}

async function noStorage(): Promise<string> {
  return 'The HSM is ready. No storage was named, so none was asked.';
}

function couldBeRestored({ keys, versions }: Counts): string {
  return `The backup is whole and can be restored: ${keys} keys with ${versions} versions.`;
}

/** A key that is asked for by name comes back to be used, also when the backup has it among the deleted ones. */
function alive({ table, row }: PlacedRow): PlacedRow {
  return table === 'keys' ? { table, row: { ...row, deleted_at: null, scheduled_purge_at: null } } : { table, row };
}

async function isTaken(writer: Writer, hsmId: string, name: string): Promise<boolean> {
  const row = await writer
    .selectFrom('keys')
    .select('name')
    .where('hsm_id', '=', hsmId)
    .where('name_key', '=', nameKey(name))
    .executeTakeFirst();
  return row !== undefined;
}
