// A service that is killed in the middle of a backup or a restore: after its restart the HSM is as it was before or as it should be after, the job says
// which, and no backup is half there.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { administrator, person } from '../estate.ts';
import { type BackupEstate, openBackupEstate } from './backup-estate.ts';

async function fillWith(on: BackupEstate, prefix: string, keys: number): Promise<void> {
  await on.estate.parts.write(async (writer) => {
    await writer.deleteFrom('keys').where('hsm_id', '=', on.hsmId).execute();
    for (let i = 0; i < keys; i += 1)
      await writer
        .insertInto('keys')
        .values({ hsm_id: on.hsmId, name: `${prefix}-${i}`, name_key: `${prefix}-${i}`, deleted_at: null, scheduled_purge_at: null })
        .execute();
  });
}

test('a restore that is killed after any of its transactions leaves the HSM as before, or is finished by the next start', async (t) => {
  const on = await openBackupEstate(t);
  await fillWith(on, 'old', 600);
  const wanted = await on.content();
  assert.equal((await on.run('backup', 'b')).status, 'Succeeded');
  await fillWith(on, 'new', 600);
  const before = await on.content();
  const outcomes: string[] = [];
  for (let cut = 0; ; cut += 1) {
    on.killAfter(cut);
    const jobId = await on.begin('restore', 'b');
    const killed = await on.settled(jobId);
    if (killed.status !== 'InProgress') {
      assert.ok(cut > 6, `only ${cut} transactions`);
      break;
    }
    await on.restart();
    const job = await on.settled(jobId);
    const content = await on.content();
    const { state } = await on.estate.parts.read.selectFrom('hsms').select('state').where('id', '=', on.hsmId).executeTakeFirstOrThrow();
    assert.equal(state, 'active');
    if (job.status === 'Succeeded') assert.deepEqual(content, wanted, `cut after ${cut}`);
    else {
      assert.deepEqual([job.error_code, job.error_message?.includes('as it was before')], ['ServiceRestarted', true]);
      assert.deepEqual(content, before, `cut after ${cut}`);
    }
    assert.deepEqual(await on.estate.parts.read.selectFrom('restore_staging').select('job_id').execute(), []);
    outcomes.push(job.status);
    await fillWith(on, 'new', 600);
  }
  // First those that are as before, then those that are as they should be after, and nothing between.
  assert.ok(outcomes.includes('Failed') && outcomes.includes('Succeeded'));
  assert.deepEqual(outcomes, [...outcomes].sort());
});

test('a backup that is cut off is made by the next start, and there is nothing of it but the finished one', async (t) => {
  const on = await openBackupEstate(t);
  await fillWith(on, 'k', 10);
  on.killAfter(0);
  const jobId = await on.begin('backup', 'cut');
  assert.equal((await on.settled(jobId)).status, 'InProgress');
  await on.restart();
  assert.equal((await on.settled(jobId)).status, 'Succeeded');
  assert.deepEqual(readdirSync(join(on.container, 'cut')), ['chunk-00000', 'manifest.json']);
  assert.deepEqual(readdirSync(on.settings.spool), []);
});

test('a job whose row came to be without the service hearing of it is gone on with, once it is clear that nobody does it', async (t) => {
  const on = await openBackupEstate(t);
  await fillWith(on, 'k', 10);
  const jobId = await on.note('backup', 'unheard');
  for (let look = 1; look < 10; look += 1) await on.look();
  assert.equal((await on.settled(jobId)).status, 'InProgress');
  await on.look();
  assert.equal((await on.settled(jobId)).status, 'Succeeded');
  assert.deepEqual(readdirSync(join(on.container, 'unheard')), ['chunk-00000', 'manifest.json']);
});

test('checks and restores of one key that were cut off have changed nothing, and say so', async (t) => {
  const on = await openBackupEstate(t);
  await fillWith(on, 'k', 3);
  assert.equal((await on.run('backup', 'b')).status, 'Succeeded');
  const before = await on.content();
  for (const [kind, more] of [
    ['prebackup', {}],
    ['prerestore', {}],
    ['restore-key', { keyName: 'k-1' }],
  ] as const) {
    on.killAfter(0);
    const jobId = await on.begin(kind, 'b', more);
    await on.settled(jobId);
    await on.restart();
    const job = await on.settled(jobId);
    assert.deepEqual([job.status, job.error_code], ['Failed', 'ServiceRestarted'], kind);
  }
  assert.deepEqual(await on.content(), before);
});

test('where none of the administrators of the backup exists, those of today stay, and only then', async (t) => {
  const stranger = person('99999999-0000-4000-8000-000000000001');
  for (const known of [[], [stranger.objectId]]) {
    const on = await openBackupEstate(t, { known });
    const { write } = on.estate.parts;
    const assign = (principalId: string) =>
      write((writer) => writer.updateTable('role_assignments').set({ principal_id: principalId }).where('hsm_id', '=', on.hsmId).execute());
    await assign(stranger.objectId);
    assert.equal((await on.run('backup', 'b')).status, 'Succeeded');
    await assign(administrator.objectId);
    assert.equal((await on.run('restore', 'b')).status, 'Succeeded');
    const held = (await on.content()).filter(({ table }) => table === 'role_assignments').map(({ row }) => row.principal_id);
    const expected = known.length === 0 ? [administrator.objectId, stranger.objectId] : [stranger.objectId];
    assert.deepEqual(held.sort(), expected.sort());
  }
});
