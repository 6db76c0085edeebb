// A second node that waits: it takes over when the first ends, is killed or stands still, is the same service to every client, and leaves one in charge.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { chainsIn } from '../../src/audit/verify.ts';
import { parseStoreAddress, shownStore } from '../../src/core/store-address.ts';
import { type House, openHouse } from '../house.ts';
import { freePort, noPostgres, postgresServer } from '../postgres.ts';
import { activate, CRYPTO_USER, grant } from '../wire/ready.ts';

const HSM = 'standing-by';
const DIGEST = Buffer.alloc(32, 9).toString('base64url');
const CLI = resolve(import.meta.dirname, '../../src/cli.ts');

interface Node {
  readonly child: ChildProcess;
  readonly folder: string;
  readonly said: () => string;
  /** The first line of its readiness page. */
  state(): Promise<string>;
  becomes(state: string): Promise<void>;
  /** Resolves with its exit status. */
  ended(): Promise<number | null>;
}

suite('a node that stands by', { skip: noPostgres }, () => {
  let house: House;
  let address: string;
  let place: string;
  let signature: string;
  const nodes: Node[] = [];

  before(async () => {
    place = await mkdtemp(join(tmpdir(), 'strongroom-nodes-'));
    address = await (await postgresServer()).database();
    house = await openHouse({ environment: { STRONGROOM_STORE: address } });
    await house.provision(HSM);
    await activate(house, HSM);
    await grant(house, HSM, CRYPTO_USER, house.connection.user.objectId);
    await house.hsm(HSM, 'POST', '/keys/k/create', { kty: 'EC-HSM' });
    signature = (await house.hsm(HSM, 'POST', '/keys/k/sign', { alg: 'ES256', value: DIGEST })).json.value;
  });
  after(async () => {
    for (const { child } of nodes) if (child.exitCode === null) child.kill('SIGKILL');
    await house?.close();
    await rm(place, { recursive: true });
  });

  /** Another machine's data folder: of the first it has the root key alone. */
  async function startNode(name: string, flags: readonly string[] = ['--standby', 'on'], host = '127.0.0.1'): Promise<Node> {
    const folder = join(place, name);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await copyFile(join(house.dataFolder, 'root.key'), join(folder, 'root.key'));
    const management = await freePort();
    const port = new URL(house.connection.resourceManager).port;
    const words = ['start', '--data', folder, '--port', port, '--management-port', String(management), '--host', host];
    const child = spawn(process.execPath, [CLI, ...words, '--workers', '1', '--log-level', 'error', '--node', name, ...flags], {
      env: { ...process.env, STRONGROOM_STORE: address },
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (piece: string) => (said += piece));
    const state = async (): Promise<string> => {
      const page = await fetch(`http://127.0.0.1:${management}/readyz`).catch(() => undefined);
      return (await page?.text())?.split('\n')[0] ?? 'silent';
    };
    const node: Node = {
      child,
      folder,
      said: () => said,
      state,
      becomes: async (wanted) => {
        while ((await state()) !== wanted) {
          assert.equal(child.exitCode, null, said);
          await new Promise((wake) => setTimeout(wake, 50));
        }
      },
      ended: async () => {
        if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
        return child.exitCode;
      },
    };
    nodes.push(node);
    return node;
  }

  async function listed(folder: string): Promise<string> {
    const child = spawn(process.execPath, [CLI, 'node', 'list', '--data', folder]);
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (piece: string) => (said += piece));
    await once(child, 'close');
    return said;
  }

  async function isTheSameService(): Promise<void> {
    const verified = await house.hsm(HSM, 'POST', '/keys/k/verify', { alg: 'ES256', digest: DIGEST, value: signature });
    assert.equal(verified.json.value, true, verified.text);
  }

  test('it waits, takes over when the first node ends, and clients find the service that they know', async () => {
    const second = await startNode('node-2');
    await second.becomes('standby');
    await isTheSameService();
    const port = new URL(house.connection.resourceManager).port;
    assert.match(
      await listed(house.dataFolder),
      new RegExp(`^node +state .*\nnode-1 \\* +serving +- +strongroom-\\S+ +127\\.0\\.0\\.1:${port} `),
    );
    const token = await house.token('user', 'hsm');
    await house.restart(async () => {
      await second.becomes('ready');
      assert.equal((await house.hsm(HSM, 'GET', '/keys/k', undefined, token)).status, 200, 'a token of the first node');
      // The same address, certificate authority, accounts and keys; a token is asked for at the second node.
      await isTheSameService();
      assert.equal((await house.hsm(HSM, 'POST', '/keys/second/create', { kty: 'EC-HSM' })).status, 200);
      assert.deepEqual([...(await chainsIn(join(second.folder, 'audit'))).keys()], ['node-2']);
      // Killed, it leaves the database to whoever comes.
      second.child.kill('SIGKILL');
      await second.ended();
      return { STRONGROOM_STORE: address };
    });
    assert.equal((await house.hsm(HSM, 'GET', '/keys/second')).status, 200);
    await isTheSameService();
  });

  test('one that stands still loses the database to the next, and ends when it finds out', async () => {
    await house.restart(async () => {
      const still = await startNode('node-3', []);
      await still.becomes('ready');
      const next = await startNode('node-4', ['--standby', 'on'], '127.0.0.2');
      await next.becomes('standby');
      still.child.kill('SIGSTOP');
      await next.becomes('ready');
      still.child.kill('SIGCONT');
      assert.equal(await still.ended(), 1, still.said());
      assert.match(still.said(), /another service is running on this database/);
      assert.equal(await next.state(), 'ready');
      next.child.kill('SIGTERM');
      assert.equal(await next.ended(), 0, next.said());
      return { STRONGROOM_STORE: address };
    });
    await isTheSameService();
  });

  test('one that waits ends when it is told to, and one without a name of its own is refused', async () => {
    const waiting = await startNode('node-5');
    await waiting.becomes('standby');
    waiting.child.kill('SIGTERM');
    assert.equal(await waiting.ended(), 0, waiting.said());
    await house.restart(async () => {
      // The last word counts.
      const namesake = await startNode('node-6', ['--node', 'node-1']);
      assert.equal(await namesake.ended(), 1, namesake.said());
      assert.match(namesake.said(), /an audit chain of 'node-1', which is not in this data folder/);
      return { STRONGROOM_STORE: address };
    });
    assert.doesNotMatch(nodes.map(({ said }) => said()).join(''), /postgres:\/\/[^ ]*:[^ ]*@/);
    assert.ok(!shownStore(parseStoreAddress(address)).includes((await postgresServer()).password));
  });
});
