// What a full restore does to an HSM once everything is there: nothing answers, what was there goes, what was brought in takes its place, in steps that
// are small enough for the one writer to do other things between them. Each step stands in the job's row, so that a restart goes on with the next one:
//
//   working ──all rows staged, in one commit──▶ emptying ──nothing left──▶ filling ──nothing staged──▶ ended
//
// Before `emptying` a restart leaves the HSM as it was; from `emptying` on, as it is to be.

import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Clock } from '../../core/clock.ts';
import { hsmRestoring } from '../../core/errors-backup.ts';
import { insertContent, type PlacedRow, removeSome } from '../../store/hsm-content.ts';
import type { Store, Writer } from '../../store/store.ts';
import { ADMINISTRATOR } from '../access/built-in-roles.ts';
import { accessTag } from '../access/grants.ts';
import { keyTag } from '../keys/names.ts';
import { beginRestoring, endRestoring } from '../pool.ts';
import { lineOf, rowsIn } from './format.ts';
import { endJob, type JobRow, jobNamed } from './jobs.ts';

/** Rows that go in one step. */
const STEP = 500;
/** Milliseconds until a store that did not take a change is asked again. */
export const AGAIN_AFTER = 2000;

export interface ReplaceParts {
  readonly write: Store['write'];
  readonly clock: Clock;
}

export async function keepRows(
  writer: Writer,
  batch: { readonly jobId: string; readonly sequence: number; readonly rows: string },
): Promise<void> {
  await writer.insertInto('restore_staging').values({ job_id: batch.jobId, sequence: batch.sequence, rows: batch.rows }).execute();
}

/** From here on the HSM answers nothing but the job's status. */
export async function shut(writer: Writer, hsmId: string): Promise<void> {
  if (!(await beginRestoring(writer, hsmId))) throw hsmRestoring();
}

export interface Decision {
  readonly batches: number;
  /** Who administers the HSM in the backup. */
  readonly administrators: readonly string[];
  /**
   * None of them exists in this service, as on a new machine: whoever administers the HSM now stays, or nobody could ever assign a role again.
   */
  readonly areStrangers: boolean;
  readonly details: string;
}

/** The point of no return. */
export async function decide(writer: Writer, job: JobRow, { batches, administrators, areStrangers, details }: Decision): Promise<void> {
  if (areStrangers) {
    const rows = await writer
      .selectFrom('role_assignments')
      .selectAll()
      .where('hsm_id', '=', job.hsm_id)
      .where('role_definition_id', '=', ADMINISTRATOR)
      .where('scope_key', 'in', ['/', '/keys'])
      .execute();
    const staying = rows.filter((row) => !administrators.includes(row.principal_id));
    // Under names of their own: the backup may have theirs.
    const lines = staying.map(({ hsm_id: _, ...row }) => lineOf({ table: 'role_assignments', row: { ...row, name: randomUUID() } }));
    await keepRows(writer, { jobId: job.id, sequence: batches, rows: lines.join('\n') });
  }
  await writer.updateTable('backup_jobs').set({ phase: 'emptying', sealed_token: null, details }).where('id', '=', job.id).execute();
}

/**
 * Does the rest of the steps; ends the job in the commit that opens the HSM again. There is no other way out: a step that fails (a full disk, say) is tried
 * again until it does not, or until `stop`, and then by the next run of the service. `troubled` is told.
 */
export async function replaceContent(
  { write, clock }: ReplaceParts,
  jobId: string,
  stop: AbortSignal,
  troubled: (error: unknown) => void,
): Promise<void> {
  while (!stop.aborted) {
    try {
      if (await write((writer) => step(writer, jobId, clock.now()))) return;
    } catch (error) {
      if (stop.aborted) return;
      troubled(error);
      await pause(AGAIN_AFTER, undefined, { signal: stop }).catch(() => undefined);
    }
  }
}

/** Whether that was the last. */
async function step(writer: Writer, jobId: string, now: number): Promise<boolean> {
  const job = await jobNamed(writer, jobId);
  // Gone with its HSM, which was purged meanwhile.
  if (job === undefined || job.status !== 'InProgress') return true;
  if (job.phase === 'filling') return fillSome(writer, job, now);
  const more = await removeSome(writer, job.hsm_id, STEP, (name) => writer.touch(keyTag(job.hsm_id, name)));
  if (!more) await writer.updateTable('backup_jobs').set({ phase: 'filling' }).where('id', '=', job.id).execute();
  return false;
}

async function fillSome(writer: Writer, job: JobRow, now: number): Promise<boolean> {
  const next = await writer
    .selectFrom('restore_staging')
    .selectAll()
    .where('job_id', '=', job.id)
    .orderBy('sequence')
    .limit(1)
    .executeTakeFirst();
  if (next === undefined) {
    await endJob(writer, job.id, { details: job.details }, now);
    await endRestoring(writer, job.hsm_id);
    writer.touch(accessTag(job.hsm_id));
    return true;
  }
  const rows: readonly PlacedRow[] = rowsIn(next.rows);
  await insertContent(writer, job.hsm_id, rows);
  await writer.deleteFrom('restore_staging').where('job_id', '=', job.id).where('sequence', '=', next.sequence).execute();
  return false;
}
