// Several nodes over one database, as real services: they answer at the same time, see what the others change, do what is due once, take over what one that
// died was in the middle of, and are drained, removed and listed by their operator.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { chainsIn } from '../../src/audit/verify.ts';
import { parseStoreAddress, shownStore } from '../../src/core/store-address.ts';
import { openForwarder } from '../cluster-yard.ts';
import { GROUP, type House, openHouse } from '../house.ts';
import { type Answer, type Caller, callerOf, connectionOf, type Node, type NodePlace, startNode } from '../nodes.ts';
import { noPostgres, type PostgresServer, postgresServer } from '../postgres.ts';
import { PROGRAM } from '../program.ts';
import { activate, CRYPTO_USER, grant } from '../wire/ready.ts';

const HSM = 'shared';
const WAITING = 'waiting';
const DIGEST = Buffer.alloc(32, 9).toString('base64url');

suite('several nodes over one database', { skip: noPostgres }, () => {
  let server: PostgresServer;
  let database: string;
  /** The first node, in this process; the others have it on other addresses of the loopback. */
  let house: House;
  let places: NodePlace;
  let caller: { readonly call: Caller; close(): void };
  let token: string;
  const nodes: Node[] = [];

  before(async () => {
    const place = await mkdtemp(join(tmpdir(), 'strongroom-nodes-'));
    server = await postgresServer();
    const store = await server.database();
    const address = parseStoreAddress(store);
    database = address.engine === 'postgres' ? address.database : '';
    const backups = join(place, 'backups');
    await mkdir(backups);
    house = await openHouse({ environment: { STRONGROOM_STORE: store, STRONGROOM_BACKUP_FOLDER: backups } });
    for (const name of [HSM, WAITING]) await house.provision(name);
    await activate(house, HSM);
    await grant(house, HSM, CRYPTO_USER, house.connection.user.objectId);
    token = await house.token('user', 'hsm');
    const port = Number(new URL(house.connection.resourceManager).port);
    places = { place, rootKey: join(house.dataFolder, 'root.key'), store, port };
    caller = callerOf(house.connection);
  });
  after(async () => {
    for (const { child } of nodes) if (child.exitCode === null) child.kill('SIGKILL');
    caller?.close();
    await house?.close();
    await rm(places.place, { recursive: true });
  });

  async function start(name: string, flags: readonly string[] = [], environment: NodeJS.ProcessEnv = {}): Promise<Node> {
    const backups = ['--backup-folder', join(places.place, 'backups')];
    const node = await startNode(places, name, `127.0.0.${nodes.length + 2}`, [...backups, ...flags], environment);
    nodes.push(node);
    return node;
  }

  async function ready(name: string): Promise<Node> {
    const node = await start(name);
    await node.becomes('ready');
    return node;
  }

  const at = ({ host }: Node, method: string, path: string, body?: unknown): Promise<Answer> =>
    caller.call(host, method, `https://${HSM}.${house.connection.managedHsmSuffix}${path}?api-version=7.5`, token, body);

  const command = (...words: string[]): Promise<string> =>
    new Promise((done) =>
      execFile(process.execPath, [PROGRAM, 'node', ...words, '--data', house.dataFolder], (_, stdout, stderr) => done(stdout + stderr)),
    );
  const sql = (text: string): Promise<readonly Record<string, unknown>[]> => server.admin(text, database);
  async function until<Value>(ask: () => Promise<Value>, holds: (value: Value) => boolean): Promise<void> {
    while (!holds(await ask())) await new Promise((wake) => setTimeout(wake, 50));
  }
  const inCharge = async (): Promise<string> => String((await sql('select holder from leases'))[0]?.holder).split('.')[0] ?? '';
  const runOf = async (name: string): Promise<string> =>
    `${name}.${(await sql(`select session from nodes where name = '${name}'`))[0]?.session}`;

  test('a second machine with the root key joins; what is changed on one is so on the other', async () => {
    await house.hsm(HSM, 'POST', '/keys/k/create', { kty: 'EC-HSM' });
    const second = await ready('node-2');
    // A token of the first, a key of the first, the same certificate authority.
    const signed = await at(second, 'POST', '/keys/k/sign', { alg: 'ES256', value: DIGEST });
    assert.equal(signed.status, 200, signed.text);
    const verified = await house.hsm(HSM, 'POST', '/keys/k/verify', { alg: 'ES256', digest: DIGEST, value: signed.json.value });
    assert.equal(verified.json.value, true);

    await house.hsm(HSM, 'PATCH', '/keys/k', { attributes: { enabled: false } });
    assert.equal(
      (await house.hsm(HSM, 'POST', '/keys/k/sign', { alg: 'ES256', value: DIGEST })).status,
      403,
      'at once where it was changed',
    );
    await until(
      () => at(second, 'POST', '/keys/k/sign', { alg: 'ES256', value: DIGEST }),
      ({ status }) => status === 403,
    );
    assert.equal((await at(second, 'PATCH', '/keys/k', { attributes: { enabled: true } })).status, 200);
    await until(
      () => house.hsm(HSM, 'POST', '/keys/k/sign', { alg: 'ES256', value: DIGEST }),
      ({ status }) => status === 200,
    );
    assert.deepEqual([...(await chainsIn(join(second.folder, 'audit'))).keys()], ['node-2']);
  });

  test('changes on both at the same time keep every rule', async () => {
    const [second] = nodes;
    assert.ok(second);
    const made = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        i % 2 === 0
          ? house.hsm(HSM, 'POST', '/keys/both/create', { kty: 'oct-HSM' })
          : at(second, 'POST', '/keys/both/create', { kty: 'oct-HSM' }),
      ),
    );
    assert.deepEqual(
      made.filter(({ status }) => status !== 200).map(({ text }) => text),
      [],
    );
    const versions = await at(second, 'GET', '/keys/both/versions');
    assert.equal(versions.json.value.length, 20);
    const deleted = await Promise.all([house.hsm(HSM, 'DELETE', '/keys/both'), at(second, 'DELETE', '/keys/both')]);
    assert.deepEqual(deleted.map(({ status }) => status).sort(), [200, 404]);
  });

  test('whoever guesses at one and then at the other has no more tries', async () => {
    const [second] = nodes;
    assert.ok(second);
    const guess = (host: string): Promise<Answer> =>
      caller.call(
        host,
        'POST',
        `${house.connection.authorityHost}${house.connection.tenantId}/oauth2/v2.0/token`,
        undefined,
        `${new URLSearchParams({
          grant_type: 'client_credentials',
          client_id: house.connection.servicePrincipal.clientId,
          client_secret: 'a guess',
          scope: `${house.connection.resourceManager}.default`,
        })}`,
      );
    const statuses: number[] = [];
    for (let i = 0; i < 14; i++) statuses.push((await guess(i % 2 === 0 ? '127.0.0.1' : second.host)).status);
    assert.deepEqual(statuses, [...Array(10).fill(401), ...Array(4).fill(429)]);
    assert.deepEqual(await sql(`select max(failures)::int as most from sign_in_failures`), [{ most: 10 }]);
    await sql('delete from sign_in_failures');
  });

  test('the operator lists them', async () => {
    const list = await command('list');
    assert.match(list, /^node +state +region/);
    assert.match(list, new RegExp(`^node-1 \\* +serving +- +strongroom-\\S+ +127\\.0\\.0\\.1:${places.port} `, 'm'));
    assert.match(list, new RegExp(`^node-2 +serving +- +strongroom-\\S+ +127\\.0\\.0\\.2:${places.port} `, 'm'));
  });

  test('a drained node says so, answers whoever asks, and leaves what is due to another', async () => {
    const [second] = nodes;
    assert.ok(second);
    assert.match(await command('drain', 'node-1'), /node-1 is out of service/);
    await until(inCharge, (name) => name === 'node-2');
    assert.match(await command('drain', 'node-2'), /node-2/);
    await second.becomes('drained');
    assert.equal((await at(second, 'GET', '/keys/k')).status, 200);
    assert.match(await command('list'), /^node-2 +drained/m);
    assert.match(await command('resume', 'node-2'), /node-2 is in service/);
    await second.becomes('ready');
    await until(inCharge, (name) => name === 'node-2');
    await command('resume', 'node-1');
    assert.match(await command('drain', 'nobody'), /there is no node 'nobody'/);
  });

  test('what another node is in the middle of is left alone while it lives, and taken over when it has died', async () => {
    const third = await ready('node-3');
    const run = await runOf('node-3');
    await sql(`update hsms set state = 'confirming', active_at = 99999999999999, holder = '${run}' where name = '${WAITING}'`);
    const done = await house.hsm(HSM, 'POST', '/backup', { storageResourceUri: pathToFileURL(join(places.place, 'backups')).href });
    assert.equal(done.status, 202, done.text);
    const job = async () => (await sql(`select * from backup_jobs where id = '${done.json.jobId}'`))[0] ?? {};
    await until(job, ({ status }) => status === 'Succeeded');
    const { folder } = await job();
    await sql(
      `update backup_jobs set status = 'InProgress', phase = 'working', ended_at = null, holder = '${run}' where id = '${done.json.jobId}'`,
    );

    // A start, and the one in charge, leave both alone.
    await ready('node-4');
    assert.deepEqual(await sql(`select state from hsms where name = '${WAITING}'`), [{ state: 'confirming' }]);
    assert.equal((await job()).status, 'InProgress');

    third.child.kill('SIGKILL');
    await until(job, ({ status }) => status === 'Succeeded');
    assert.notEqual((await job()).folder, folder, 'whoever comes back late writes elsewhere');
    assert.deepEqual(await sql(`select state, holder from hsms where name = '${WAITING}'`), [{ state: 'not-activated', holder: null }]);
    assert.match(await command('list'), /^node-3 +stopped/m);
  });

  test('rotation, purge, retention and scheduled backups are done once, also when the one in charge sleeps and wakes', async () => {
    const names = Array.from({ length: 12 }, (_, i) => `due-${i}`);
    for (const name of names) {
      await house.hsm(HSM, 'POST', `/keys/${name}/create`, { kty: 'EC-HSM' });
      const policy = { lifetimeActions: [{ trigger: { timeAfterCreate: 'P30D' }, action: { type: 'Rotate' } }] };
      assert.equal((await house.hsm(HSM, 'PUT', `/keys/${name}/rotationpolicy`, policy)).status, 200);
    }
    for (const key of ['gone', 'over']) {
      await house.hsm(HSM, 'POST', `/keys/${key}/create`, { kty: 'EC-HSM' });
      assert.equal((await house.hsm(HSM, 'DELETE', `/keys/${key}`)).status, 200);
    }
    await house.provision('gone-hsm');
    await house.arm('DELETE', `/resourceGroups/${GROUP}/providers/Microsoft.KeyVault/managedHSMs/gone-hsm`);
    const storageResourceUri = pathToFileURL(join(places.place, 'backups')).href;
    const schedule = await house.hsm(HSM, 'PUT', '/strongroom/backupschedule', { storageResourceUri, everyHours: 24, keep: 9 });
    assert.equal(schedule.status, 200, schedule.text);
    const backups = () => sql(`select status, count(*)::int as count from backup_jobs where scheduled = 1 group by status`);
    const made = (count: number) => until(backups, (rows) => isDeepStrictEqual(rows, [{ status: 'Succeeded', count }]));
    // The first is due when the schedule is set.
    await made(1);
    const [second] = nodes;
    assert.ok(second);
    assert.equal(await inCharge(), 'node-2');
    await sql(`update keys set scheduled_purge_at = 1 where name = 'gone'`);
    await until(
      () => sql(`select name from keys where name = 'gone'`),
      (rows) => rows.length === 0,
    );
    await sql('update rotation_policies set due_at = 1');
    // In the middle of it, wherever that is.
    const versions = () => sql(`select count(*)::int as count from key_versions where name_key like 'due-%'`);
    await until(versions, ([row]) => Number(row?.count) > names.length);
    second.child.kill('SIGSTOP');
    await until(versions, ([row]) => Number(row?.count) === 2 * names.length);
    await until(inCharge, (name) => name !== 'node-2');
    await sql(`update rotation_policies set due_at = 1; update backup_schedules set next_at = 1;
      update keys set scheduled_purge_at = 1 where name = 'over'; update managed_hsms set scheduled_purge_at = 1 where name = 'gone-hsm'`);
    await until(versions, ([row]) => Number(row?.count) === 3 * names.length);
    await made(2);
    await until(
      () => sql(`select name from keys where name = 'over' union select name from managed_hsms where name = 'gone-hsm'`),
      (rows) => rows.length === 0,
    );

    // In the records of all nodes together.
    const records = async (operation: string): Promise<Record<string, number>> => {
      const counts: Record<string, number> = {};
      for (const folder of [house.dataFolder, ...nodes.map((node) => node.folder)]) {
        for (const file of await readdir(join(folder, 'audit'))) {
          const text = file.endsWith('.jsonl') ? await readFile(join(folder, 'audit', file), 'utf8') : '';
          for (const [, what] of text.matchAll(new RegExp(`"operationName":"${operation}".*?["/](gone-hsm|keys/gone|keys/over)\\b`, 'g')))
            counts[`${what}`] = (counts[`${what}`] ?? 0) + 1;
        }
      }
      return counts;
    };
    const purged = { KeyPurgeIfDue: { 'keys/gone': 1, 'keys/over': 1 }, ManagedHsmPurgeIfDue: { 'gone-hsm': 1 } };
    for (const [operation, counts] of Object.entries(purged))
      await until(
        () => records(operation),
        (found) => isDeepStrictEqual(found, counts),
      );

    second.child.kill('SIGCONT');
    assert.equal(await second.ended(), 1, second.said());
    assert.match(second.said(), /'node-2' was taken for dead/);
    assert.deepEqual(
      await sql(`select distinct count(*)::int as versions from key_versions where name_key like 'due-%' group by name_key`),
      [{ versions: 3 }],
    );
    await made(2);
    for (const [operation, counts] of Object.entries(purged)) assert.deepEqual(await records(operation), counts);
  });

  test('a removed node ends, and its name is not had again', async () => {
    const fourth = nodes.find(({ name }) => name === 'node-4');
    assert.ok(fourth);
    assert.match(await command('remove', 'node-4'), /node-4 is shut out/);
    assert.equal(await fourth.ended(), 1, fourth.said());
    assert.match(fourth.said(), /'node-4' was removed from this store/);
    const again = await start('node-4');
    assert.equal(await again.ended(), 1, again.said());
    assert.match(again.said(), /'node-4' was removed from this store/);
    assert.match(await command('list'), /^node-4 +removed/m);
    const log = await readFile(join(house.dataFolder, 'audit', 'node-1.00000001.jsonl'), 'utf8');
    for (const operation of ['NodeDrain', 'NodeResume', 'NodeRemove'])
      assert.match(log, new RegExp(`"operationName":"${operation}".*"node":"node-`));
  });

  test('a node whose clock is wrong says so, does nothing that falls due, and decides by the time of the database', async () => {
    // Longer than a token lives, and a key that expires tomorrow.
    const shifted = `const now = Date.now; Date.now = () => now() + ${40 * 86_400_000}`;
    const wrong = await start('node-5', [], { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(shifted)}` });
    await wrong.becomes('ready');
    await until(wrong.page, (page) => /^ready\n.*clock: it is far from the database's/s.test(page));
    const tomorrow = Math.floor(Date.now() / 1000) + 86_400;
    const made = await at(wrong, 'POST', '/keys/until-tomorrow/create', { kty: 'EC-HSM', attributes: { exp: tomorrow } });
    assert.equal(made.status, 200, made.text);
    assert.ok(Math.abs(made.json.attributes.created - (tomorrow - 86_400)) < 3600, made.text);
    const used = await at(wrong, 'POST', '/keys/until-tomorrow/sign', { alg: 'ES256', value: DIGEST });
    assert.equal(used.status, 200, used.text);

    await command('drain', 'node-1');
    await until(inCharge, (name) => name === 'null');
    await until(
      async () => (await sql(`select started_at, heard_at from nodes where name = 'node-5'`))[0],
      (row) => Number(row?.heard_at) - Number(row?.started_at) > 3000,
    );
    assert.equal(await inCharge(), 'null', 'it had time to take it');
    await command('resume', 'node-1');
    await until(inCharge, (name) => name === 'node-1');
    wrong.child.kill('SIGTERM');
    assert.equal(await wrong.ended(), 0, wrong.said());
  });

  test('a node that does not hear of the database says so, and goes on by itself when it does', async () => {
    const forwarder = await openForwarder(server.port);
    const store = `postgres://owner:${server.password}@127.0.0.1:${forwarder.port}/${database}?sslmode=disable`;
    const node = await startNode({ ...places, store }, 'node-8', '127.0.1.8');
    nodes.push(node);
    await node.becomes('ready');
    for (const how of ['refuse', 'silence'] as const) {
      forwarder.cut(how);
      await node.becomes('cut off');
      forwarder.heal();
      await node.becomes('ready');
      await until(
        () => at(node, 'PATCH', '/keys/k', { tags: { how } }),
        ({ status }) => status === 200,
      );
    }
    await command('remove', 'node-8');
    assert.equal(await node.ended(), 1, node.said());
    forwarder.close();
  });

  test('two that begin at the same time with an empty database are one service', async () => {
    const empty = { ...places, store: await server.database(), place: join(places.place, 'empty') };
    const both = await Promise.all(['one', 'two'].map((name, i) => startNode(empty, name, `127.0.1.${i + 1}`)));
    nodes.push(...both);
    await Promise.all(both.map((node) => node.becomes('ready')));
    const [one, two] = await Promise.all(both.map(connectionOf));
    assert.ok(one && two);
    assert.deepEqual([two.tenantId, two.user, two.servicePrincipal], [one.tenantId, one.user, one.servicePrincipal]);
    for (const { child, ended, said } of both) {
      child.kill('SIGTERM');
      assert.equal(await ended(), 0, said());
    }
  });

  test('one without a name of its own is refused, and so is a new root key while others run', async () => {
    const namesake = await start('node-6', ['--node', 'node-1']);
    assert.equal(await namesake.ended(), 1, namesake.said());
    assert.match(namesake.said(), /a node 'node-1' is running on this database/);
    await ready('node-7');
    const rotated = await new Promise<string>((done) =>
      execFile(process.execPath, [PROGRAM, 'root-key', 'rotate', '--data', house.dataFolder], (_, stdout, stderr) => done(stdout + stderr)),
    );
    assert.match(rotated, /stop these first: node-7\. Afterwards they join again/);
    assert.doesNotMatch(nodes.map(({ said }) => said()).join(''), /postgres:\/\/[^ ]*:[^ ]*@/);
    assert.ok(!shownStore(parseStoreAddress(places.store)).includes(server.password));
  });
});
