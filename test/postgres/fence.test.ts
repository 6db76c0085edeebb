// A node that is stopped in the middle of what is due, at a chosen point, is taken over by another one and wakes: what was due is done once, there is nothing of
// it by halves, and what somebody did meanwhile stays. Real services over a real server.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { parseStoreAddress } from '../../src/core/store-address.ts';
import { GROUP, type House, openHouse } from '../house.ts';
import { type Node, type NodePlace, startNode } from '../nodes.ts';
import { type Point, type Points, pointsOf } from '../points.ts';
import { noPostgres, type PostgresServer, postgresServer } from '../postgres.ts';
import { PROGRAM } from '../program.ts';
import { activate, CRYPTO_OFFICER, CRYPTO_USER, grant } from '../wire/ready.ts';

const HSM = 'fenced';
const DIGEST = Buffer.alloc(32, 9).toString('base64url');
const HSMS = `/resourceGroups/${GROUP}/providers/Microsoft.KeyVault/managedHSMs`;

/** The lock at which the server itself holds a statement of a node until the test lets go. */
const HELD = 4711;
/** A row named like this is held when it is deleted or written down, in the middle of the transaction or in its commit. */
const TRIGGERS = `
  create function held() returns trigger language plpgsql as
    $$ begin perform pg_advisory_xact_lock_shared(${HELD}); return coalesce(old, new); end $$;
  create trigger held_middle before delete on keys for each row when (old.name_key = 'held-middle') execute function held();
  create trigger held_middle before delete on managed_hsms for each row when (old.name_key = 'held-middle') execute function held();
  create constraint trigger held_commit after delete on keys deferrable initially deferred
    for each row when (old.name_key = 'held-commit') execute function held();
  create constraint trigger held_commit after delete on managed_hsms deferrable initially deferred
    for each row when (old.name_key = 'held-commit') execute function held();
  create constraint trigger held_commit after insert on backup_jobs deferrable initially deferred
    for each row when (new.scheduled = 1) execute function held();`;

interface Fenced extends Node {
  readonly points: Points;
}

suite('a node that was stopped in the middle of what is due', { skip: noPostgres }, () => {
  let server: PostgresServer;
  let database: string;
  /** Where things are asked for; drained, so that what is due is never its own. */
  let house: House;
  let places: NodePlace;
  let backups: string;
  /** The test's own session, which has the lock. */
  let owner: pg.Client;
  /** The one in charge comes first. */
  let pair: readonly [Fenced, Fenced];
  const nodes: Fenced[] = [];

  before(async () => {
    const place = await mkdtemp(join(tmpdir(), 'strongroom-fence-'));
    server = await postgresServer();
    const store = await server.database();
    const address = parseStoreAddress(store);
    database = address.engine === 'postgres' ? address.database : '';
    backups = join(place, 'backups');
    await mkdir(backups);
    house = await openHouse({ environment: { STRONGROOM_STORE: store, STRONGROOM_BACKUP_FOLDER: backups } });
    await house.provision(HSM);
    await activate(house, HSM);
    for (const role of [CRYPTO_USER, CRYPTO_OFFICER]) await grant(house, HSM, role, house.connection.user.objectId);
    const port = Number(new URL(house.connection.resourceManager).port);
    places = { place, rootKey: join(house.dataFolder, 'root.key'), store, port };
    await sql(TRIGGERS);
    owner = new pg.Client({ host: server.folder, port: server.port, user: 'owner', password: server.password, database });
    await owner.connect();
    await command('drain', 'node-1');
    const first = await started('one');
    await until(inCharge, (name) => name === 'one');
    pair = [first, await started('two')];
  });
  after(async () => {
    for (const { child } of nodes) if (child.exitCode === null) child.kill('SIGKILL');
    await owner?.end();
    await house?.close();
    await rm(places.place, { recursive: true });
  });

  async function started(name: string): Promise<Fenced> {
    const points = pointsOf(places.place, name, backups);
    const host = name === 'one' ? '127.0.0.2' : '127.0.0.3';
    const node = { ...(await startNode(places, name, host, ['--backup-folder', backups], points.environment)), points };
    nodes.push(node);
    await node.becomes('ready');
    return node;
  }

  const command = (...words: string[]): Promise<string> =>
    new Promise((done) =>
      execFile(process.execPath, [PROGRAM, 'node', ...words, '--data', house.dataFolder], (_, stdout, stderr) => done(stdout + stderr)),
    );
  const sql = (text: string): Promise<readonly Record<string, unknown>[]> => server.admin(text, database);
  async function until<Value>(ask: () => Promise<Value> | Value, holds: (value: Value) => boolean): Promise<Value> {
    for (;;) {
      const value = await ask();
      if (holds(value)) return value;
      await new Promise((wake) => setTimeout(wake, 30));
    }
  }
  const inCharge = async (): Promise<string> => String((await sql('select holder from leases'))[0]?.holder).split('.')[0] ?? '';

  const stopped = ({ child }: Node): Promise<unknown> =>
    until(
      () => readFileSync(`/proc/${child.pid}/stat`, 'utf8').replace(/^.*\) /, ''),
      (state) => state.startsWith('T'),
    );

  /** Makes something due, and stops the node in charge when the server holds its statement; then the server goes on with that. */
  async function stopAtLock(makeDue: string): Promise<void> {
    await owner.query(`select pg_advisory_lock(${HELD})`);
    await sql(makeDue);
    await until(
      () => sql(`select pid from pg_locks where locktype = 'advisory' and objid = ${HELD} and not granted`),
      (rows) => rows.length > 0,
    );
    pair[0].child.kill('SIGSTOP');
    await stopped(pair[0]);
    await owner.query(`select pg_advisory_unlock(${HELD})`);
  }

  const takenOver = (): Promise<unknown> => until(inCharge, (name) => name === pair[1].name);

  /** The node that was stopped goes on, ends with the reason, and is started again, out of charge: the next test stops the other one. */
  async function wakeAndEnd(): Promise<void> {
    const [sleeper, taker] = pair;
    sleeper.child.kill('SIGCONT');
    assert.equal(await sleeper.ended(), 1, sleeper.said());
    assert.match(sleeper.said(), new RegExp(`'${sleeper.name}' was taken for dead`));
    // What it committed and could not record comes into its chain now.
    pair = [taker, await started(sleeper.name)];
  }

  /** Of all nodes together. */
  async function records(operation: string, of: string): Promise<number> {
    let count = 0;
    for (const folder of new Set([house.dataFolder, ...nodes.map((node) => node.folder)]))
      for (const file of await readdir(join(folder, 'audit'))) {
        if (!file.endsWith('.jsonl')) continue;
        const lines = (await readFile(join(folder, 'audit', file), 'utf8')).split('\n');
        count += lines.filter((line) => line.includes(`"operationName":"${operation}"`) && new RegExp(`["/]${of}["/]`).test(line)).length;
      }
    return count;
  }
  /** Nothing waits to be recorded. */
  const settled = (): Promise<unknown> =>
    until(
      () => sql('select request_id from audit_changes'),
      (rows) => rows.length === 0,
    );

  const key = (method: string, path: string, body?: unknown) => house.hsm(HSM, method, path, body);
  const isUsable = async (name: string): Promise<void> => {
    const signed = await key('POST', `/keys/${name}/sign`, { alg: 'ES256', value: DIGEST });
    assert.equal(signed.status, 200, signed.text);
  };
  async function deletedKey(name: string): Promise<void> {
    assert.equal((await key('POST', `/keys/${name}/create`, { kty: 'EC-HSM' })).status, 200);
    assert.equal((await key('DELETE', `/keys/${name}`)).status, 200);
  }
  async function deletedHsm(name: string): Promise<void> {
    await house.provision(name);
    assert.equal((await house.arm('DELETE', `${HSMS}/${name}`)).status, 200);
  }
  const hsmStatus = async (name: string): Promise<number> => (await house.arm('GET', `${HSMS}/${name}`)).status;

  test('a purge of keys that is stopped in its transaction is made by another node, without the key that was recovered meanwhile', async () => {
    for (const name of ['gone', 'held-middle']) await deletedKey(name);
    await stopAtLock(`update keys set scheduled_purge_at = 1 where name_key in ('gone', 'held-middle')`);
    const recovered = await key('POST', '/deletedkeys/held-middle/recover');
    assert.equal(recovered.status, 200, recovered.text);
    await takenOver();
    await until(
      () => key('GET', '/deletedkeys/gone'),
      ({ status }) => status === 404,
    );
    const made = await key('POST', '/keys/gone/create', { kty: 'EC-HSM' });
    assert.equal(made.status, 200, made.text);
    await wakeAndEnd();
    assert.equal((await key('GET', '/keys/gone')).json.key.kid, made.json.key.kid);
    for (const name of ['gone', 'held-middle']) await isUsable(name);
    await settled();
    assert.deepEqual([await records('KeyPurgeIfDue', 'gone'), await records('KeyPurgeIfDue', 'held-middle')], [1, 0]);
  });

  test('a purge of a key that is stopped in its commit is made and recorded once, and the key of that name that came after stays', async () => {
    await deletedKey('held-commit');
    await stopAtLock(`update keys set scheduled_purge_at = 1 where name_key = 'held-commit'`);
    await until(
      () => key('GET', '/deletedkeys/held-commit'),
      ({ status }) => status === 404,
    );
    const made = await key('POST', '/keys/held-commit/create', { kty: 'EC-HSM' });
    assert.equal(made.status, 200, made.text);
    await takenOver();
    await wakeAndEnd();
    assert.equal((await key('GET', '/keys/held-commit')).json.key.kid, made.json.key.kid);
    await isUsable('held-commit');
    await settled();
    assert.equal(await records('KeyPurgeIfDue', 'held-commit'), 1);
  });

  test('a purge of an HSM that is stopped in its transaction does nothing to the HSM when it was recovered meanwhile', async () => {
    await deletedHsm('held-middle');
    await stopAtLock(`update managed_hsms set scheduled_purge_at = 1 where name_key = 'held-middle'`);
    await house.provision('held-middle', { createMode: 'recover' });
    await takenOver();
    await wakeAndEnd();
    assert.equal(await hsmStatus('held-middle'), 200);
    await settled();
    assert.equal(await records('ManagedHsmPurgeIfDue', 'held-middle'), 0);
  });

  test('a purge of an HSM that is stopped in its commit is made and recorded once, and the HSM of that name that came after stays', async () => {
    await deletedHsm('held-commit');
    await stopAtLock(`update managed_hsms set scheduled_purge_at = 1 where name_key = 'held-commit'`);
    await until(
      () => sql(`select id from managed_hsms where name_key = 'held-commit'`),
      (rows) => rows.length === 0,
    );
    await house.provision('held-commit');
    await takenOver();
    await wakeAndEnd();
    assert.equal(await hsmStatus('held-commit'), 200);
    await settled();
    assert.equal(await records('ManagedHsmPurgeIfDue', 'held-commit'), 1);
  });

  const scheduled = () => sql(`select id, status, folder, holder from backup_jobs where scheduled = 1 order by started_at, id`);
  const isWhole = (folder: unknown): boolean => existsSync(join(backups, String(folder), 'manifest.json'));
  const made = (count: number) => until(scheduled, (jobs) => jobs.length === count && jobs.every(({ status }) => status === 'Succeeded'));
  const DUE = 'update backup_schedules set next_at = 1';

  /** Each backup that there should be is there, can be restored, and is recorded once; and nothing else is there. */
  async function areAllThere(count: number): Promise<void> {
    const jobs = await made(count);
    assert.deepEqual((await readdir(backups)).sort(), jobs.map(({ folder }) => String(folder)).sort());
    for (const { folder } of jobs) {
      const begun = await key('PUT', '/prerestore', {
        sasTokenParameters: { storageResourceUri: pathToFileURL(backups).href },
        folderToRestore: folder,
      });
      assert.equal(begun.status, 202, begun.text);
      const checked = await until(
        () => key('GET', `/restore/${begun.json.jobId}/pending`),
        ({ json }) => json.status !== 'InProgress',
      );
      assert.equal(checked.json.status, 'Succeeded', checked.text);
    }
    await settled();
    assert.deepEqual([await records('BackupCreateIfDue', HSM), await records('BackupCompleted', HSM)], [count, count]);
  }

  test('a backup is begun when its schedule is set', async () => {
    const schedule = { storageResourceUri: pathToFileURL(backups).href, everyHours: 24, keep: 99 };
    assert.equal((await key('PUT', '/strongroom/backupschedule', schedule)).status, 200);
    await areAllThere(1);
  });

  const points: readonly (readonly [string, Pick<Point, 'when' | 'file'>])[] = [
    ['before anything of it is there', { when: 'before', file: 'chunk-00000' }],
    ['before its last file is there', { when: 'before', file: 'manifest.json' }],
    ['when all of it is there and nobody was told', { when: 'after', file: 'manifest.json' }],
  ];
  for (const [index, [where, point]] of points.entries())
    test(`a backup that is stopped ${where} is made by another node, once`, async () => {
      pair[0].points.set({ ...point, how: 'stop' });
      await sql(DUE);
      await stopped(pair[0]);
      const [job] = (await scheduled()).slice(-1);
      assert.equal(isWhole(job?.folder), point.when === 'after');
      await takenOver();
      const jobs = await made(2 + index);
      assert.notEqual(jobs.at(-1)?.folder, job?.folder);
      // Its operator may have cleared it away.
      if (index === 1) await rm(join(backups, String(job?.folder)), { recursive: true });
      await wakeAndEnd();
      await areAllThere(2 + index);
    });

  test('a backup whose node is stopped when it was just written down, and wakes while another makes it, is left to that one', async () => {
    const count = 3 + points.length - 1;
    pair[1].points.set({ when: 'before', file: 'manifest.json', how: 'wait' });
    await stopAtLock(DUE);
    await until(scheduled, (jobs) => jobs.length === count);
    await takenOver();
    await until(
      async () => (await scheduled()).at(-1),
      (job) => existsSync(join(backups, String(job?.folder), 'chunk-00000')),
    );
    await wakeAndEnd();
    await pair[0].points.clear();
    await areAllThere(count);
  });
});
