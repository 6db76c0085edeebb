// A disk that fails in the middle of one certain step, by the file that is being written then: the first start, a later one, a migration, a snapshot, a backup.
// Each says what is wrong, leaves nothing that stands in the way, and is done when the disk is well.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, suite, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { openRootKeyFile } from '../../src/crypto/root-key.ts';
import { RootKeys } from '../../src/crypto/root-keys.ts';
import { acceptDatabase } from '../../src/operator/anchor.ts';
import { databaseFile } from '../../src/store/embedded.ts';
import { MIGRATIONS, migrate, SCHEMA } from '../../src/store/migrate.ts';
import { openWriter } from '../../src/store/sqlite.ts';
import type { Plain } from '../clients/plain.ts';
import { activatedFor, must } from '../clients/ready.ts';
import { provenWhole, type Running, startAgain } from '../crash.ts';
import { type FAULTS, faultyDisk } from '../disk-faults.ts';
import { PROGRAM } from '../program.ts';

const FLAGS = ['--workers', '1', '--host', '127.0.0.1'];
const faulty = await faultyDisk();

type How = keyof typeof FAULTS;
const SAID: Readonly<Record<Exclude<How, 'none' | 'short writes'>, RegExp>> = {
  'syncs fail': /the disk fails/,
  'writes fail': /the disk fails/,
  'torn writes on a full disk': /there is no room on the disk|the disk is full|the disk fails/,
  'read-only': /the file system is read-only|the disk fails/,
};

suite('a disk that fails', { skip: 'missing' in faulty ? faulty.missing : false }, () => {
  if ('missing' in faulty) return;
  const disk = faulty;
  before(() => mkdirSync(disk.folder));
  after(() => disk.remove());

  /** What a command says under the disk, where files with this in their path fail so. */
  async function told(
    words: readonly string[],
    how: How,
    name: string,
  ): Promise<{ readonly status: number | null; readonly said: string }> {
    await disk.fail(how);
    const env = { ...process.env, ...disk.environment, STRONGROOM_FAULTY_NAME: name };
    // One that does start goes on until its time is over.
    const { status, stderr } = spawnSync(process.execPath, [PROGRAM, ...words], { encoding: 'utf8', env, timeout: 60_000 });
    await disk.fail('none');
    return { status, said: stderr };
  }

  async function refusedToStart(data: string, faults: readonly (readonly [name: string, how: keyof typeof SAID])[]): Promise<void> {
    for (const [name, how] of faults) {
      const { status, said } = await told(['start', '--port', '0', '--data', data, '--log-level', 'fatal', ...FLAGS], how, name);
      assert.deepEqual(
        [status, SAID[how].test(said), /cannot be used|cannot write/.test(said)],
        [1, true, true],
        `${name}, ${how}: ${said}`,
      );
      assert.doesNotMatch(said, /\n +at /);
    }
  }

  test('while a service is made: each file in its turn, and then it starts', async () => {
    const data = join(disk.folder, 'new');
    await refusedToStart(data, [
      ['ca-key.pem', 'writes fail'],
      ['ca.pem', 'torn writes on a full disk'],
      ['ca-bundle', 'read-only'],
      ['root.key', 'torn writes on a full disk'],
      ['control.json', 'syncs fail'],
      ['strongroom.db', 'torn writes on a full disk'],
      ['strongroom.anchor', 'writes fail'],
      ['/audit/', 'torn writes on a full disk'],
      ['connection.json', 'syncs fail'],
    ]);
    await (await startAgain(data, FLAGS)).kill();
    provenWhole(data);
  });

  test('while connection.json is written anew: the start is refused, and no half of it is there', async () => {
    const data = join(disk.folder, 'again');
    await (await startAgain(data, FLAGS)).kill();
    await refusedToStart(data, [
      ['connection.json', 'torn writes on a full disk'],
      ['connection.json', 'read-only'],
    ]);
    assert.deepEqual(
      readdirSync(data).filter((name) => name.startsWith('connection.json.')),
      [],
    );
    await (await startAgain(data, FLAGS)).kill();
  });

  test('while an older database is migrated: it is the old one, whole, and the next start goes on', async () => {
    const data = join(disk.folder, 'old');
    mkdirSync(data, { mode: 0o700 });
    const key = await openRootKeyFile(join(data, 'root.key'), { mayCreate: true });
    const old = openWriter(databaseFile(data));
    await migrate(old, undefined, MIGRATIONS.slice(0, 2));
    old.exec("INSERT INTO meta (key, value) VALUES ('t-old', 'kept')");
    old.close();
    assert.equal(key.kind, 'open');
    if (key.kind === 'open') await acceptDatabase(data, RootKeys.of(key.key));
    for (const fault of [
      ['schema-2', 'torn writes on a full disk'],
      ['schema-2', 'syncs fail'],
      ['strongroom.db', 'syncs fail'],
      ['strongroom.db', 'torn writes on a full disk'],
    ] as const) {
      await refusedToStart(data, [fault]);
      provenWhole(data);
    }
    await (await startAgain(data, FLAGS)).kill();
    const database = new DatabaseSync(databaseFile(data), { readOnly: true });
    assert.equal(database.prepare('PRAGMA user_version').get()?.user_version, SCHEMA);
    assert.equal(database.prepare("SELECT value FROM meta WHERE key = 't-old'").get()?.value, 'kept');
    database.close();
  });

  test('while a snapshot is taken: nothing of one is left, and the next one is whole', async () => {
    const data = join(disk.folder, 'again');
    const target = join(disk.folder, 'snapshot');
    for (const [name, how] of [
      ['strongroom.db', 'torn writes on a full disk'],
      ['strongroom.db', 'syncs fail'],
      ['manifest.json', 'writes fail'],
    ] as const) {
      const { status, said } = await told(['snapshot', target, '--data', data], how, `/snapshot/${name}`);
      assert.deepEqual([status, SAID[how].test(said) || /cannot write/.test(said), existsSync(target)], [1, true, false], said);
    }
    assert.equal((await told(['snapshot', target, '--data', data], 'short writes', '/snapshot/')).status, 0);
    assert.equal((await told(['snapshot', 'verify', target, '--root-key', join(data, 'root.key')], 'none', '')).status, 0);
  });

  suite('while backups go there', () => {
    const HSM = 'bad-backups';
    const data = join(disk.folder, 'backed-up');
    const container = join(disk.folder, 'container');
    let running: Running;
    let client: Plain;

    before(async () => {
      mkdirSync(container);
      const environment = { ...disk.environment, STRONGROOM_FAULTY_NAME: '/container/' };
      Object.assign(process.env, environment);
      running = await startAgain(data, [...FLAGS, '--backup-folder', container]);
      for (const name of Object.keys(environment)) delete process.env[name];
      client = await activatedFor(running.connection, HSM);
      await must(client.hsm(HSM, 'POST', '/keys/k/create', { kty: 'EC-HSM' }));
    });
    after(() => running?.kill());

    const place = { storageResourceUri: pathToFileURL(container).href };

    async function ended(of: 'backup' | 'restore', jobId: unknown): Promise<Record<string, unknown>> {
      for (;;) {
        const { json } = await must(client.hsm(HSM, 'GET', `/${of}/${String(jobId)}/pending`));
        if (json.status !== 'InProgress') return json;
        await new Promise((wake) => setTimeout(wake, 20));
      }
    }

    async function backUp(): Promise<Record<string, unknown>> {
      return ended('backup', (await must(client.hsm(HSM, 'POST', '/backup', place))).json.jobId);
    }

    const manifests = (): number =>
      readdirSync(container, { recursive: true }).filter((name) => String(name).endsWith('manifest.json')).length;

    test('the job fails and says why, what is left is no backup, the service goes on, and the next one can be restored', async () => {
      for (const how of ['syncs fail', 'writes fail', 'torn writes on a full disk', 'read-only'] as const) {
        await disk.fail(how);
        const job = await backUp();
        await disk.fail('none');
        assert.equal(job.status, 'Failed', `${how}: ${JSON.stringify(job)}`);
        assert.match(
          String(Object(job.error).code),
          /^(InsufficientStorage|BackupNotWritten|AuthorizationFailure)$/,
          `${how}: ${JSON.stringify(job)}`,
        );
        assert.equal(manifests(), 0, how);
      }
      await disk.fail('short writes');
      const good = await backUp();
      await disk.fail('none');
      assert.equal(good.status, 'Succeeded', JSON.stringify(good));
      const body = { sasTokenParameters: place, folderToRestore: good.azureStorageBlobContainerUri };
      const looked = await must(client.hsm(HSM, 'PUT', '/prerestore', body));
      assert.equal((await ended('restore', looked.json.jobId)).status, 'Succeeded');
    });
  });
});
