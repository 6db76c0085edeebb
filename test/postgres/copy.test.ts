// A whole service moves from its data folder to a PostgreSQL server and back, with everything it holds, also when it is cut off on the way.

import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, suite, test } from 'node:test';
import { parseStoreAddress, shownStore } from '../../src/core/store-address.ts';
import { type House, openHouse } from '../house.ts';
import { noPostgres, postgresServer } from '../postgres.ts';
import { PROGRAM } from '../program.ts';
import { activate, CRYPTO_USER, grant } from '../wire/ready.ts';

const HSM = 'moving';
const DIGEST = Buffer.alloc(32, 7).toString('base64url');

suite('a store is carried elsewhere', { skip: noPostgres }, () => {
  let house: House;
  let address: string;
  /** The address as an argument may have it. */
  let shown: string;
  let environment: NodeJS.ProcessEnv;
  let signature: string;
  let storeEnvironment: NodeJS.ProcessEnv = process.env;

  before(async () => {
    const server = await postgresServer();
    address = await server.database();
    shown = shownStore(parseStoreAddress(address));
    environment = { ...process.env, PGPASSWORD: server.password };
    house = await openHouse();
    await house.provision(HSM);
    await activate(house, HSM);
    await grant(house, HSM, CRYPTO_USER, house.connection.user.objectId);
    for (const kty of ['EC-HSM', 'RSA-HSM', 'oct-HSM']) await house.hsm(HSM, 'POST', `/keys/${kty}/create`, { kty, tags: { of: 'ключ' } });
    // More than a page of rows.
    for (let i = 0; i < 300; i += 25) {
      await Promise.all(Array.from({ length: 25 }, (_, j) => house.hsm(HSM, 'POST', `/keys/many-${i + j}/create`, { kty: 'oct-HSM' })));
    }
    signature = (await house.hsm(HSM, 'POST', '/keys/EC-HSM/sign', { alg: 'ES256', value: DIGEST })).json.value;
  });
  after(() => house?.close());

  function command(...words: string[]): ChildProcess & { readonly output: () => string } {
    const child = spawn(process.execPath, [PROGRAM, 'store', ...words, '--data', house.dataFolder], { env: environment });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (piece: string) => (output += piece));
    return Object.assign(child, { output: () => output });
  }

  async function ended(child: ReturnType<typeof command>, status: number): Promise<string> {
    if (child.exitCode === null) await once(child, 'close');
    assert.equal(child.exitCode, status, child.output());
    return child.output();
  }

  async function holds(): Promise<void> {
    const verified = await house.hsm(HSM, 'POST', '/keys/EC-HSM/verify', { alg: 'ES256', digest: DIGEST, value: signature });
    assert.equal(verified.json.value, true, verified.text);
    const got = await house.hsm(HSM, 'GET', '/keys/RSA-HSM');
    assert.equal(got.json.tags.of, 'ключ');
    const made = await house.hsm(HSM, 'POST', '/keys/made-there/create', { kty: 'EC-HSM' });
    assert.equal(made.status, 200, made.text);
    const { caFile } = house.connection;
    const verdict = execFileSync(process.execPath, [PROGRAM, 'audit', 'verify', '--data', resolve(caFile, '..')], {
      env: storeEnvironment,
      encoding: 'utf8',
    });
    assert.match(verdict, /node-1/);
  }

  test('a running service is not copied', async () => {
    assert.match(await ended(command('copy', 'data-folder', shown), 1), /another service is running/);
  });

  test('killed on the way, neither store starts a service; the copy goes on, and the service is the same on the server', async () => {
    await house.restart(async () => {
      const cut = command('copy', 'data-folder', shown);
      for await (const line of createInterface({ input: cut.stdout ?? assert.fail() })) if (line.startsWith('keys ')) cut.kill('SIGKILL');
      if (cut.signalCode === null) await once(cut, 'exit');
      assert.equal(cut.signalCode, 'SIGKILL');
      assert.match(await startRefused({}), /was copied to another one, or is being copied/);
      assert.match(await startRefused({ STRONGROOM_STORE: address }), /a copy that was not finished/);

      const said = await ended(command('copy', 'data-folder', shown), 0);
      assert.match(said, /going on with a copy that was cut off/);
      assert.match(said, /^keys +303 rows/m);
      assert.match(said, /\d+ rows, the same in both/);
      assert.doesNotMatch(said, new RegExp(environment.PGPASSWORD ?? assert.fail()));
      assert.match(await startRefused({}), /was copied to another one/);
      storeEnvironment = { ...process.env, STRONGROOM_STORE: address };
      return { STRONGROOM_STORE: address };
    });
    await holds();
  });

  test('and back again, with what was made there', async () => {
    const snapshot = ['snapshot', join(house.dataFolder, '../snapshot'), '--data', house.dataFolder];
    for (const store of [{ STRONGROOM_STORE: address }, {}]) {
      const asked = spawnSync(process.execPath, [PROGRAM, ...snapshot], { env: { ...process.env, ...store }, encoding: 'utf8' });
      assert.match(asked.stderr, /a snapshot is of a data folder with its database in it|has its store in postgres:/);
    }
    await house.restart(async () => {
      assert.match(await ended(command('copy', shown, 'data-folder'), 1), /has a service already; nothing was changed/);
      for (const file of ['strongroom.db', 'strongroom.anchor']) await rm(join(house.dataFolder, file));
      // Without a database it would be a new and empty service.
      assert.match(await startRefused({}), /has its store in postgres:.*name it with --store/);
      assert.match(await ended(command('copy', shown, 'data-folder'), 0), /^keys +304 rows/m);
      assert.match(await startRefused({ STRONGROOM_STORE: address }), /was copied to another one/);
      storeEnvironment = process.env;
      return {};
    });
    assert.equal((await house.hsm(HSM, 'GET', '/keys/made-there')).status, 200);
    await holds();
  });

  test('a store that was left behind is taken back into use by name', async () => {
    await house.restart(async () => {
      assert.match(await ended(command('reopen', shown), 0), /in use again/);
      return { STRONGROOM_STORE: address };
    });
    assert.equal((await house.hsm(HSM, 'GET', '/keys/made-there')).status, 200, 'it is as it was left');
  });

  async function startRefused(store: NodeJS.ProcessEnv): Promise<string> {
    const words = ['start', '--data', house.dataFolder, '--port', '0', '--host', '127.0.0.1', '--workers', '1', '--log-level', 'error'];
    const child = spawn(process.execPath, [PROGRAM, ...words], { env: { ...process.env, ...store } });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (piece: string) => (said += piece));
    const [status] = await once(child, 'close');
    assert.equal(status, 1, said);
    return said;
  }
});
