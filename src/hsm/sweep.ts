// What is due in the HSMs: keys are rotated, keys whose retention is over go, and backups begin. One node does it for all.

import { forgetOldJobs } from './backup/jobs.ts';
import { beginDueBackups } from './backup/schedule.ts';
import { rotateDue } from './keys/rotate.ts';
import { sweepKeys } from './keys/sweep.ts';
import type { HsmWriteParts } from './world.ts';

export async function sweepHsms(parts: HsmWriteParts): Promise<void> {
  await rotateDue(parts);
  await sweepKeys(parts);
  await beginDueBackups(parts);
  await forgetOldJobs(parts);
}
