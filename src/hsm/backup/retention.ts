// What follows a backup that a schedule made: what went wrong stands in the schedule, and older ones than are to stay are removed from the storage.

import { Failure } from '../../core/failure.ts';
import type { Writer } from '../../store/store.ts';
import { failureOfJob, type JobRow, TOKEN_PURPOSE } from './jobs.ts';
import type { RunnerParts } from './runner.ts';
import { HOUR, keptToken, type ScheduleRow, scheduleOf } from './schedule.ts';
import type { Order } from './work.ts';

type Ordered = (job: JobRow, use: (order: Order) => Promise<void>) => Promise<void>;

/** `ordered` tells a step of the work what it has to know of a job. */
export async function afterScheduled(parts: RunnerParts, job: JobRow, ordered: Ordered): Promise<void> {
  const { write, clock } = parts;
  await write((writer) => noteOutcome(writer, job, clock.now()));
  if (job.status !== 'Succeeded') return;
  for (;;) {
    // Decided anew for each, as a change: a node that was taken for dead meanwhile decides nothing any more.
    const due = await write((writer) => outlived(writer, job.hsm_id));
    if (due === undefined) return;
    const { schedule, old } = due;
    const failure = await removed(parts, schedule, old, ordered);
    if (failure === undefined) await write((writer) => markRemoved(writer, old));
    // The next backup tries again.
    else return write((writer) => setTrouble(writer, job.hsm_id, `An old backup could not be removed: ${failure.message}`));
  }
}

/** Undefined when it is gone now, whoever removed it. */
async function removed({ crypto, work }: RunnerParts, schedule: ScheduleRow, old: JobRow, ordered: Ordered): Promise<Failure | undefined> {
  const token = keptToken(crypto, schedule);
  const sealedToken = token === undefined ? null : crypto.sealSecret(TOKEN_PURPOSE, old.id, Buffer.from(token));
  try {
    await ordered(old, (order) => work.remove({ ...order, sealedToken }));
  } catch (error) {
    if (!(error instanceof Failure && error.code === 'BackupNotFound')) return failureOfJob(error);
  }
  return undefined;
}

async function markRemoved(writer: Writer, { id, hsm_id }: JobRow): Promise<void> {
  await writer.updateTable('backup_jobs').set({ removed: 1 }).where('id', '=', id).execute();
  const hsm = await writer.selectFrom('hsms').select('name').where('id', '=', hsm_id).executeTakeFirst();
  if (hsm !== undefined) writer.note({ operation: 'BackupRemoveIfDue', hsm: hsm.name });
}

async function setTrouble(writer: Writer, hsmId: string, trouble: string): Promise<void> {
  await writer.updateTable('backup_schedules').set({ trouble }).where('hsm_id', '=', hsmId).execute();
}

/** One that failed is tried again within the hour, and what is wrong stands in the schedule. */
async function noteOutcome(writer: Writer, job: JobRow, now: number): Promise<void> {
  const schedule = await scheduleOf(writer, job.hsm_id);
  if (schedule === undefined) return;
  const next_at = job.status === 'Failed' ? Math.min(schedule.next_at, now + HOUR) : schedule.next_at;
  await writer.updateTable('backup_schedules').set({ trouble: job.error_message, next_at }).where('hsm_id', '=', job.hsm_id).execute();
}

/** The oldest of the scheduled backups beyond the number that stays, and the schedule which says that. */
async function outlived(writer: Writer, hsmId: string): Promise<{ readonly schedule: ScheduleRow; readonly old: JobRow } | undefined> {
  const schedule = await scheduleOf(writer, hsmId);
  if (schedule === undefined) return undefined;
  const there = await writer
    .selectFrom('backup_jobs')
    .selectAll()
    .where('hsm_id', '=', hsmId)
    .where('kind', '=', 'backup')
    .where('status', '=', 'Succeeded')
    .where('scheduled', '=', 1)
    .where('removed', '=', 0)
    .orderBy('started_at', 'desc')
    .execute();
  const old = there.slice(schedule.keep).at(-1);
  return old === undefined ? undefined : { schedule, old };
}
