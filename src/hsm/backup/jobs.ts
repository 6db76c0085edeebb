// Backups and restores as rows: begun by an operation, driven by the runner, asked for by clients until they have ended. A job survives its thread and
// its service. What grants access to a storage is in a row sealed, and only until the job has ended.

import { randomBytes } from 'node:crypto';
import type { Selectable } from 'kysely';
import { seconds } from '../../core/clock.ts';
import { anotherJobRuns, jobFailure } from '../../core/errors-backup.ts';
import { Failure } from '../../core/failure.ts';
import type { CryptoModule } from '../../crypto/module.ts';
import type { SecretPurpose } from '../../crypto/types.ts';
import { nodeOf, ShutOut } from '../../store/nodes.ts';
import type { Tables } from '../../store/schema.ts';
import type { Reader, Store, Writer } from '../../store/store.ts';
import type { HasEnded } from '../pool.ts';
import type { HsmWriteParts } from '../world.ts';
import type { Named } from './place.ts';
import type { Place } from './storage.ts';

export type JobRow = Selectable<Tables['backup_jobs']>;
export type JobKind = JobRow['kind'];

export interface NewJob {
  readonly hsmId: string;
  readonly kind: JobKind;
  /** Undefined for a check that names no storage. */
  readonly named: Named | undefined;
  readonly folder: string;
  readonly keyName?: string;
  readonly scheduled?: boolean;
}

export const TOKEN_PURPOSE = 'backup-token' satisfies SecretPurpose;

/** Writes the job down, if the HSM has no other under way; throws Conflict otherwise. Inside the transaction that proves the HSM. */
export async function insertJob(writer: Writer, crypto: Pick<CryptoModule, 'sealSecret'>, job: NewJob, now: number): Promise<JobRow> {
  const other = await jobUnderWay(writer, job.hsmId);
  if (other !== undefined) throw anotherJobRuns(other.kind === 'backup' || other.kind === 'prebackup' ? 'backup' : 'restore');
  const id = randomBytes(16).toString('hex');
  const token = job.named?.token;
  const row: JobRow = {
    id,
    hsm_id: job.hsmId,
    kind: job.kind,
    status: 'InProgress',
    phase: 'working',
    place_json: JSON.stringify(job.named?.place ?? null),
    sealed_token: token === undefined ? null : crypto.sealSecret(TOKEN_PURPOSE, id, Buffer.from(token)),
    folder: job.folder,
    key_name: job.keyName ?? null,
    scheduled: job.scheduled === true ? 1 : 0,
    holder: writer.holder,
    details: null,
    error_code: null,
    error_message: null,
    removed: 0,
    started_at: now,
    ended_at: null,
  };
  await writer.insertInto('backup_jobs').values(row).execute();
  return row;
}

/**
 * What runs of the service left under way when they ended is this one's. A backup of another node's goes on in a folder of its own: whoever thinks that it
 * still has the job writes into the old one. Returns the ids, for the runner to go on with.
 */
export async function adoptJobs(writer: Writer, hasEnded: HasEnded, now: number): Promise<readonly string[]> {
  const left = await writer
    .selectFrom('backup_jobs')
    .innerJoin('hsms', 'hsms.id', 'backup_jobs.hsm_id')
    .select(['backup_jobs.id', 'backup_jobs.kind', 'backup_jobs.holder', 'backup_jobs.folder', 'hsms.name'])
    .where('backup_jobs.status', '=', 'InProgress')
    .execute();
  const orphans = left.filter(({ holder }) => hasEnded(holder));
  for (const { id, kind, holder, folder, name } of orphans) {
    const isOthers = holder !== null && nodeOf(holder) !== nodeOf(writer.holder);
    const moved = kind === 'backup' && isOthers ? folderFor(name, now) : folder;
    await writer.updateTable('backup_jobs').set({ holder: writer.holder, folder: moved }).where('id', '=', id).execute();
  }
  return orphans.map(({ id }) => id);
}

/** Whether this run of the service still has the job, and in this folder. Rejects when the store cannot say. */
export async function hasJob(
  write: Store['write'],
  { jobId, folder }: { readonly jobId: string; readonly folder: string },
): Promise<boolean> {
  try {
    return await write(async (writer) => {
      const job = await jobNamed(writer, jobId);
      // Purged with its HSM: nobody else has it.
      return job === undefined || (job.holder === writer.holder && job.folder === folder);
    });
  } catch (error) {
    if (error instanceof Failure && error.cause instanceof ShutOut) return false;
    throw error;
  }
}

export function jobUnderWay(read: Reader, hsmId: string): Promise<JobRow | undefined> {
  return read.selectFrom('backup_jobs').selectAll().where('hsm_id', '=', hsmId).where('status', '=', 'InProgress').executeTakeFirst();
}

/** Whether a job of any HSM is under way. */
export async function anyJobUnderWay(read: Reader): Promise<boolean> {
  return (await read.selectFrom('backup_jobs').select('id').where('status', '=', 'InProgress').executeTakeFirst()) !== undefined;
}

export function jobNamed(read: Reader, id: string): Promise<JobRow | undefined> {
  return read.selectFrom('backup_jobs').selectAll().where('id', '=', id).executeTakeFirst();
}

/** How a job ended. */
export type Outcome = { readonly details: string | null } | { readonly failure: Failure };

/** What the audit record calls the ends of jobs. The checks change nothing, so their calls are record enough. */
const ENDS: Readonly<Partial<Record<JobKind, string>>> = { backup: 'Backup', restore: 'Restore', 'restore-key': 'SelectiveKeyRestore' };

/** The job has ended; its token is forgotten. */
export async function endJob(writer: Writer, id: string, outcome: Outcome, now: number): Promise<void> {
  const job = await writer
    .selectFrom('backup_jobs')
    .innerJoin('hsms', 'hsms.id', 'backup_jobs.hsm_id')
    .select(['hsms.name', 'backup_jobs.kind', 'backup_jobs.key_name'])
    .where('backup_jobs.id', '=', id)
    .where('backup_jobs.status', '=', 'InProgress')
    .executeTakeFirst();
  if (job === undefined) return;
  const operation = ENDS[job.kind];
  if (operation !== undefined)
    writer.note({
      operation: `${operation}${'failure' in outcome ? 'Failed' : 'Completed'}`,
      hsm: job.name,
      key: job.key_name ?? undefined,
    });
  const ended =
    'failure' in outcome
      ? { status: 'Failed' as const, error_code: outcome.failure.code, error_message: outcome.failure.message }
      : { status: 'Succeeded' as const, details: outcome.details };
  await writer
    .updateTable('backup_jobs')
    .set({ ...ended, phase: 'ended', sealed_token: null, ended_at: now })
    .where('id', '=', id)
    .where('status', '=', 'InProgress')
    .execute();
  await writer.deleteFrom('restore_staging').where('job_id', '=', id).execute();
}

/** What a job may tell of whatever was thrown: a Failure's words, and of a mistake of our own that there was one. */
export function failureOfJob(error: unknown): Failure {
  if (error instanceof Failure) return error;
  return jobFailure('InternalError', 'The service made a mistake, which its log describes. Nothing was changed.', error);
}

/** The folder of a backup that begins now: `mhsm-{name}-yyyyMMddHHmmssff`, UTC, with hundredths of a second. */
export function folderFor(name: string, now: number): string {
  const digits = new Date(now).toISOString().replace(/\D/g, '').slice(0, 16);
  return `mhsm-${name}-${digits}`;
}

export function placeOf(job: Pick<JobRow, 'place_json'>): Place | undefined {
  const place: Place | null = JSON.parse(job.place_json);
  return place ?? undefined;
}

/** Members in the service's order; times in Unix seconds. */
export function wireJob(job: JobRow) {
  const error = job.error_code === null ? null : { code: job.error_code, message: job.error_message };
  const status = {
    endTime: job.ended_at === null ? null : seconds(job.ended_at),
    error,
    jobId: job.id,
    startTime: seconds(job.started_at),
    status: job.status,
    statusDetails: job.error_message ?? job.details,
  };
  if (job.kind !== 'backup' && job.kind !== 'prebackup') return status;
  const isThere = job.kind === 'backup' && job.status === 'Succeeded';
  return { azureStorageBlobContainerUri: isThere ? `${placeOf(job)?.uri}/${job.folder}` : null, ...status };
}

/** How long the status of a job can be asked for. Backups that succeeded are remembered until a schedule removes them. */
const REMEMBERED = 90 * 86_400_000;

export async function forgetOldJobs({ read, write, clock }: Pick<HsmWriteParts, 'read' | 'write' | 'clock'>): Promise<void> {
  const old = await read
    .selectFrom('backup_jobs')
    .select('id')
    .where('ended_at', '<', clock.now() - REMEMBERED)
    .where((of) => of.or([of('kind', '!=', 'backup'), of('status', '!=', 'Succeeded'), of('removed', '=', 1)]))
    .limit(100)
    .execute();
  if (old.length === 0) return;
  const ids = old.map(({ id }) => id);
  await write((writer) => writer.deleteFrom('backup_jobs').where('id', 'in', ids).execute());
}
