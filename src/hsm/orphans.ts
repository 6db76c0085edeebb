// What a run of the service that has ended was in the middle of: somebody else's now, or as if it had not begun.

import type { Writer } from '../store/store.ts';
import { adoptJobs } from './backup/jobs.ts';
import { type HasEnded, returnUnconfirmed } from './pool.ts';

/** Returns the ids of the jobs that this run has to go on with. */
export async function adoptOrphans(writer: Writer, hasEnded: HasEnded, now: number): Promise<readonly string[]> {
  await returnUnconfirmed(writer, hasEnded);
  return adoptJobs(writer, hasEnded, now);
}

/** Everybody who is in the middle of something. */
export async function holders(read: Pick<Writer, 'selectFrom'>): Promise<readonly (string | null)[]> {
  const [jobs, confirming] = await Promise.all([
    read.selectFrom('backup_jobs').select('holder').where('status', '=', 'InProgress').execute(),
    read.selectFrom('hsms').select('holder').where('state', '=', 'confirming').execute(),
  ]);
  return [...jobs, ...confirming].map(({ holder }) => holder);
}
