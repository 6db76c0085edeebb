// Which old backups of a schedule are removed: decided for each of them when its turn comes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jobNamed } from '../../../../src/hsm/backup/jobs.ts';
import { afterScheduled } from '../../../../src/hsm/backup/retention.ts';
import type { RunnerParts } from '../../../../src/hsm/backup/runner.ts';
import { type BackupEstate, openBackupEstate } from './backup-estate.ts';

/** As many backups as there are folders, one an hour, each made by the schedule. */
async function scheduled(on: BackupEstate, folders: readonly string[], keep: number): Promise<void> {
  const { parts } = on.estate;
  for (const [hour, folder] of folders.entries()) {
    const { id, place_json } = await on.run('backup', folder);
    await parts.write(async (writer) => {
      await writer.updateTable('backup_jobs').set({ scheduled: 1, started_at: hour }).where('id', '=', id).execute();
      const values = { place_json, sealed_token: null, every_hours: 1, keep, next_at: 0, trouble: null, updated_at: 0 };
      await writer
        .insertInto('backup_schedules')
        .values({ hsm_id: on.hsmId, ...values })
        .onConflict((row) => row.column('hsm_id').doNothing())
        .execute();
    });
  }
}

/** Folders that are removed after the latest of them was made; `meanwhile` is done while one is. */
async function removedAfter(on: BackupEstate, meanwhile: () => Promise<unknown>): Promise<readonly string[]> {
  const { parts } = on.estate;
  const { id } = await parts.read.selectFrom('backup_jobs').select('id').orderBy('started_at', 'desc').executeTakeFirstOrThrow();
  const latest = await jobNamed(parts.read, id);
  assert.ok(latest);
  const removed: string[] = [];
  // What a runner has besides is not asked for.
  await afterScheduled(parts as unknown as RunnerParts, latest, async (old) => {
    removed.push(old.folder);
    await meanwhile();
  });
  const marked = await parts.read.selectFrom('backup_jobs').select('folder').where('removed', '=', 1).orderBy('started_at').execute();
  assert.deepEqual(
    marked.map(({ folder }) => folder),
    removed,
  );
  return removed;
}

test('the oldest go until as many are there as stay', async (t) => {
  const on = await openBackupEstate(t);
  await scheduled(on, ['a', 'b', 'c', 'd'], 2);
  assert.deepEqual(await removedAfter(on, async () => undefined), ['a', 'b']);
});

test('what a schedule is told while an old backup is removed holds for the next one', async (t) => {
  for (const told of ['more of them stay', 'the schedule is gone'] as const) {
    const on = await openBackupEstate(t);
    await scheduled(on, ['a', 'b', 'c', 'd'], 1);
    const meanwhile = (): Promise<unknown> =>
      on.estate.parts.write<unknown>((writer) =>
        told === 'more of them stay'
          ? writer.updateTable('backup_schedules').set({ keep: 3 }).execute()
          : writer.deleteFrom('backup_schedules').execute(),
      );
    assert.deepEqual(await removedAfter(on, meanwhile), ['a'], told);
  }
});
