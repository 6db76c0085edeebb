// kill -9 in the middle of a backup and of a restore: the next start sends the rest of the backup and nothing twice; the HSM is as it was or as it should be.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, suite, test } from 'node:test';
import { databaseFile } from '../../src/store/embedded.ts';
import { openStorage, type Storage } from '../azurite.ts';
import { type Plain, signIn } from '../clients/plain.ts';
import { activatedFor } from '../clients/ready.ts';
import { type Running, startAgain } from '../crash.ts';
import type { Json } from '../house.ts';

const HSM = 'killed';
/** Settings of four kilobytes: enough for three chunks. */
const FILLERS = 2600;
const ROUNDS = 3;

const storage = await openStorage();

suite('backups of a service that is killed', { skip: 'missing' in storage ? storage.missing : false }, () => {
  if ('missing' in storage) return;
  const at: Storage = storage;
  let folder: string;
  let container: string;
  let running: Running;
  let client: Plain;
  const flags = ['--backup-private-host', at.host, '--backup-ca', at.caFile];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-killed-'));
    container = await at.container('killed');
    running = await startAgain(folder, flags);
    client = await activatedFor(running.connection, HSM);
    await client.hsm(HSM, 'POST', '/keys/before/create', { kty: 'EC-HSM' });
    await running.kill();
    mark('first');
    await start();
  });
  after(async () => {
    await running?.kill();
    await rm(folder, { recursive: true, force: true });
    await at.stop();
  });

  async function start(): Promise<void> {
    running = await startAgain(folder, flags);
    client = await signIn(running.connection);
  }

  /** Fills the HSM while no service runs; whichever of two fillings is there, it must be whole. */
  function mark(value: string): void {
    const database = new DatabaseSync(databaseFile(folder));
    const { id } = database.prepare('select id from hsms').get() as { id: string };
    database.exec('begin; delete from hsm_settings;');
    const insert = database.prepare('insert into hsm_settings (hsm_id, name, value) values (?, ?, ?)');
    for (let i = 0; i < FILLERS; i += 1) insert.run(id, `filler-${i}`, `${value} ${'x'.repeat(4096)}`);
    database.exec('commit');
    database.close();
  }

  /** Which filling is there, and whether all of it is. */
  function marks(): { readonly values: string[]; readonly count: number; readonly states: string[] } {
    const database = new DatabaseSync(databaseFile(folder), { readOnly: true });
    const rows = database.prepare("select distinct substr(value, 1, instr(value, ' ') - 1) as mark from hsm_settings").all();
    const { count } = database.prepare('select count(*) as count from hsm_settings').get() as { count: number };
    const states = database.prepare('select state from hsms').all();
    database.close();
    return { values: rows.map(({ mark: value }) => String(value)), count, states: states.map(({ state }) => String(state)) };
  }

  /** Jobs that still have what grants access to the storage. */
  function sealedTokens(): number {
    const database = new DatabaseSync(databaseFile(folder), { readOnly: true });
    const { count } = database.prepare('select count(*) as count from backup_jobs where sealed_token is not null').get() as {
      count: number;
    };
    database.close();
    return count;
  }

  /** Files of the data folder that have this in the clear. */
  function holding(text: string): readonly string[] {
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name));
    return files.filter((file) => statSync(file).isFile() && readFileSync(file).includes(text));
  }

  const parameters = () => ({ storageResourceUri: container, token: at.sas(container) });

  async function ended(family: string, id: string): Promise<Json> {
    for (;;) {
      const { json } = await client.hsm(HSM, 'GET', `/${family}/${id}/pending`);
      if (json.status !== 'InProgress') return json;
      await new Promise((wake) => setTimeout(wake, 20));
    }
  }

  async function begun(method: string, path: string, body: unknown): Promise<string> {
    const { json } = await client.hsm(HSM, method, path, body);
    assert.equal(json.status, 'InProgress', JSON.stringify(json));
    return String(json.jobId);
  }

  test('a backup whose service is killed goes on where it was: what the storage has is not sent again', async () => {
    const second = Promise.withResolvers<void>();
    at.gate = (request) => {
      if (request.method !== 'PUT' || !(request.url ?? '').includes('chunk-00001')) return undefined;
      second.resolve();
      return 'handled';
    };
    const id = await begun('POST', '/backup', parameters());
    await second.promise;
    await running.kill();
    at.gate = undefined;
    const signature = new URLSearchParams(at.sas(container)).get('sig') ?? assert.fail('the token has no signature');
    assert.equal(sealedTokens(), 1);
    for (const spelt of [signature, encodeURIComponent(signature)]) assert.deepEqual(holding(spelt), []);
    const before = at.seen().filter((line) => line.startsWith('PUT') && line.includes('chunk-00000'));
    assert.equal(before.length, 1);
    await start();
    const job = await ended('backup', id);
    assert.equal(job.status, 'Succeeded', JSON.stringify(job));
    assert.equal(sealedTokens(), 0);
    const sent = at.seen().filter((line) => line.startsWith('PUT'));
    assert.deepEqual(
      sent.filter((line) => line.includes('chunk-00000')),
      [],
    );
    assert.equal(sent.filter((line) => line.includes('chunk-00001')).length, 1);
    const check = { sasTokenParameters: parameters(), folderToRestore: job.azureStorageBlobContainerUri };
    const checked = await ended('restore', await begun('PUT', '/prerestore', check));
    assert.equal(checked.status, 'Succeeded', JSON.stringify(checked));
  });

  test('a restore whose service is killed while it fetches leaves the HSM as it was, and the job says so', async () => {
    const done = await ended('backup', await begun('POST', '/backup', parameters()));
    const reached = Promise.withResolvers<void>();
    at.gate = (request) => {
      if (request.method !== 'GET' || !(request.url ?? '').includes('chunk-00002')) return undefined;
      reached.resolve();
      return 'handled';
    };
    const restore = { sasTokenParameters: parameters(), folderToRestore: done.azureStorageBlobContainerUri };
    const id = await begun('PUT', '/restore', restore);
    await reached.promise;
    await running.kill();
    at.gate = undefined;
    assert.deepEqual(marks().states, ['restoring']);
    await start();
    const job = await ended('restore', id);
    assert.deepEqual([job.status, job.error.code], ['Failed', 'ServiceRestarted']);
    assert.match(job.error.message, /as it was before/);
    assert.equal((await client.hsm(HSM, 'GET', '/keys/before')).status, 200);
    assert.deepEqual(marks(), { values: ['first'], count: FILLERS, states: ['active'] });
  });

  test(`a restore that is killed at any moment leaves one state or the other, ${ROUNDS} times`, async () => {
    const done = await ended('backup', await begun('POST', '/backup', parameters()));
    for (let round = 0; round < ROUNDS; round += 1) {
      await running.kill();
      mark('second');
      await start();
      const last = Promise.withResolvers<void>();
      at.gate = (request) => {
        if (request.method === 'GET' && (request.url ?? '').includes('chunk-00002')) last.resolve();
        return undefined;
      };
      const restore = { sasTokenParameters: parameters(), folderToRestore: done.azureStorageBlobContainerUri };
      const id = await begun('PUT', '/restore', restore);
      await last.promise;
      // Somewhere in the staging of the last chunk, or in the replacing that follows.
      await new Promise((wake) => setTimeout(wake, round * 120));
      await running.kill();
      at.gate = undefined;
      await start();
      const job = await ended('restore', id);
      const expected = job.status === 'Succeeded' ? 'first' : 'second';
      assert.deepEqual(marks(), { values: [expected], count: FILLERS, states: ['active'] }, JSON.stringify(job));
      if (job.status !== 'Succeeded') assert.match(job.error.message, /as it was before/);
      assert.equal((await client.hsm(HSM, 'GET', '/keys/before')).status, 200);
    }
  });
});
