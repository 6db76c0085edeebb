// examples/cluster as it stands: three nodes behind HAProxy on this machine. The genuine azure-cli and the SDK for JavaScript work through it while each node is
// drained, stopped and started again, and a plain client while nodes are killed.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { suite } from 'node:test';
import { readConnectionFile } from '../../src/connection-file.ts';
import { callerOf } from '../nodes.ts';
import { freePort, noPostgres, postgresServer } from '../postgres.ts';
import { PROGRAM } from '../program.ts';
import { haproxy } from '../tools.ts';
import { CRYPTO_OFFICER, CRYPTO_USER } from '../wire/ready.ts';
import { az, azPlain, storyOf, useRecipe } from './azure-cli-stage.ts';
import { javascriptRecipe, STORY_HSM, type Tell, tellWholeStory } from './javascript-recipe.ts';
import { activatedFor, must } from './ready.ts';
import { CLOSED, OPEN, openHsms, toldToTheEnd } from './sdk.ts';
import { run, type Service } from './service.ts';

const HSM = 'behind-haproxy';
const DIGEST = Buffer.alloc(32, 5);
const NODES = [1, 2, 3];
const found = await haproxy();
const without = noPostgres !== false ? noPostgres : 'missing' in found ? found.missing : false;

suite('a load balancer before three nodes', { skip: without }, () => {
  let store: string;
  let port: number;
  let place: string;
  let isOver = false;
  let javascript: Tell;
  const chapter = storyOf(start, HSM, STORY_HSM, OPEN, CLOSED);

  async function start(): Promise<Service> {
    store = await (await postgresServer()).database();
    port = await freePort();
    const folder = await mkdtemp(join(tmpdir(), 'strongroom-cluster-'));
    place = join(folder, 'cluster');
    const script = resolve(import.meta.dirname, '../../examples/cluster/start.sh');
    const environment = { ...process.env, STRONGROOM_STORE: store, STRONGROOM_WORKERS: '1', PATH: `${process.env.PATH}:/usr/sbin` };
    const child = spawn('sh', [script, place, String(port)], { cwd: folder, env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
    child.on('exit', () => {
      isOver = true;
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (piece: string) => (said += piece));
    let note = '';
    for await (const line of createInterface({ input: child.stdout })) {
      if (line.startsWith('ready ')) note = line.slice('ready '.length);
      if (note !== '') break;
    }
    if (note === '') throw new Error(said);
    const dataFolder = join(place, 'node-1');
    return {
      connection: await readConnectionFile(dataFolder),
      dataFolder,
      folder,
      command: (...args) => run([process.execPath, PROGRAM, ...args], folder, { ...process.env, STRONGROOM_DATA: dataFolder }),
      stop: async () => {
        if (child.exitCode === null && child.kill('SIGTERM')) await once(child, 'exit');
        await rm(folder, { recursive: true });
      },
    };
  }

  const folderOf = (node: number): string => join(place, `node-${node}`);
  const pidOf = (node: number): number => JSON.parse(readFileSync(join(folderOf(node), 'connection.json'), 'utf8')).pid;

  async function becomes(node: number, wanted: string): Promise<void> {
    for (;;) {
      assert.ok(!isOver, 'the cluster has ended');
      const page = await fetch(`http://127.0.0.1:${port + node}/readyz`).catch(() => undefined);
      if ((await page?.text())?.startsWith(wanted) === true) return;
      await new Promise((wake) => setTimeout(wake, 50));
    }
  }

  /** How often the balancer has said this of the node. */
  function balancerSaid(node: number, word: string): number {
    return readFileSync(join(place, 'haproxy.log'), 'utf8')
      .split(`] `)
      .filter((line) => line.includes(`nodes/node-${node} is ${word}`)).length;
  }

  /** Told by another node, as its operator would. */
  async function tell(verb: 'drain' | 'resume', node: number): Promise<void> {
    const by = folderOf(node === 1 ? 2 : 1);
    const ended = await run([process.execPath, PROGRAM, 'node', verb, `node-${node}`, '--data', by], place, process.env);
    assert.equal(ended.status, 0, ended.stderr);
  }

  async function endOf(pid: number): Promise<void> {
    const lives = (): boolean => {
      try {
        return process.kill(pid, 0);
      } catch {
        return false;
      }
    };
    while (lives()) await new Promise((wake) => setTimeout(wake, 50));
  }

  /** As for an upgrade: one node after the other, each when the balancer sends nobody there any more. */
  async function restartAll(): Promise<void> {
    for (const node of NODES) {
      const [downs, ups] = [balancerSaid(node, 'DOWN'), balancerSaid(node, 'UP')];
      await tell('drain', node);
      while (balancerSaid(node, 'DOWN') === downs && !isOver) await new Promise((wake) => setTimeout(wake, 50));
      const pid = pidOf(node);
      process.kill(pid, 'SIGTERM');
      await endOf(pid);
      await becomes(node, 'drained');
      await tell('resume', node);
      while (balancerSaid(node, 'UP') === ups && !isOver) await new Promise((wake) => setTimeout(wake, 50));
    }
  }

  /** Again and again until it is told to stop; resolves to how many rounds there were. */
  async function during<Result>(work: () => Promise<Result>): Promise<number> {
    let working = true;
    const worked = work().finally(() => {
      working = false;
    });
    // Told below, when the nodes are as they were.
    worked.catch(() => undefined);
    let rounds = 0;
    while (working) {
      await restartAll();
      rounds += 1;
    }
    await worked;
    return rounds;
  }

  chapter('az and the SDK for JavaScript live through whole HSMs, by the recipes of one node', async (on) => {
    await useRecipe(on);
    const client = await activatedFor(on.service.connection, HSM);
    for (const role of [CRYPTO_USER, CRYPTO_OFFICER]) {
      const roleDefinitionId = `Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/${role}`;
      const properties = { principalId: on.service.connection.user.objectId, roleDefinitionId };
      await must(client.hsm(HSM, 'PUT', `/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}`, { properties }));
    }
    assert.equal((await az(on, 'keyvault', 'show', '--hsm-name', HSM)).name, HSM);
    javascript = await javascriptRecipe(on.service, on.names.prefix);
    await tellWholeStory(javascript);
    await openHsms(on.service);
  });

  chapter('az goes on while every node is drained, stopped and started again, one after the other', async (on) => {
    const rounds = await during(async () => {
      const key = ['--hsm-name', HSM, '--name', 'through'];
      await az(on, 'keyvault', 'key', 'create', ...key, '--kty', 'EC-HSM', '--curve', 'P-256');
      const signing = [...key, '--algorithm', 'ES256', '--digest', DIGEST.toString('base64')];
      const { signature } = await az(on, 'keyvault', 'key', 'sign', ...signing);
      assert.equal((await az(on, 'keyvault', 'key', 'verify', ...signing, '--signature', signature)).isValid, true);
      await az(on, 'keyvault', 'key', 'delete', ...key);
      const deleted = await az(on, 'keyvault', 'key', 'list-deleted', '--hsm-name', HSM);
      assert.deepEqual(
        deleted.map(({ name }: { name: string }) => name),
        ['through'],
      );
      await azPlain(on, 'group', 'create', '--name', 'another', '--location', 'norwayeast');
      await azPlain(on, 'group', 'delete', '--name', 'another', '--yes');
    });
    assert.ok(rounds > 0);
  });

  chapter('so does the SDK for JavaScript', async () => {
    assert.ok((await during(async () => toldToTheEnd(await javascript('javascript-keys-story.ts', OPEN, CLOSED)))) > 0);
  });

  chapter('when nodes are killed, a client sees broken connections, asks again, and is answered', async ({ service: { connection } }) => {
    const caller = callerOf(connection, 10_000);
    const client = await activatedKeys();
    const broken: string[] = [];
    let signatures = 0;
    let killing = true;
    const work = Array.from({ length: 4 }, async () => {
      while (killing) {
        const answer = await client.sign().catch((error: Error) => {
          broken.push('code' in error ? String(error.code) : error.message);
          return undefined;
        });
        if (answer === undefined) continue;
        assert.equal(answer.status, 200, answer.text);
        signatures += 1;
      }
    });
    for (const node of [3, 1, 2]) {
      const pid = pidOf(node);
      process.kill(pid, 'SIGKILL');
      await endOf(pid);
      while (pidOf(node) === pid && !isOver) await new Promise((wake) => setTimeout(wake, 50));
      await becomes(node, 'ready');
    }
    killing = false;
    await Promise.all(work);
    caller.close();
    assert.ok(signatures > 100, `${signatures}`);
    assert.deepEqual(
      [...new Set(broken)].filter((code) => !['ECONNRESET', 'EPIPE', 'socket hang up'].includes(code)),
      [],
    );

    async function activatedKeys() {
      const { authorityHost, tenantId, managedHsmResource, servicePrincipal, managedHsmSuffix } = connection;
      const form = new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: servicePrincipal.clientId,
        client_secret: servicePrincipal.clientSecret,
        scope: `${managedHsmResource}/.default`,
      });
      const got = await caller.call('127.0.0.1', 'POST', `${authorityHost}${tenantId}/oauth2/v2.0/token`, undefined, form.toString());
      const token: string = got.json.access_token;
      const at = (path: string): string => `https://${HSM}.${managedHsmSuffix}${path}?api-version=7.5`;
      const made = await caller.call('127.0.0.1', 'POST', at('/keys/busy/create'), token, { kty: 'EC-HSM' });
      assert.equal(made.status, 200, made.text);
      const body = { alg: 'ES256', value: DIGEST.toString('base64url') };
      return { sign: () => caller.call('127.0.0.1', 'POST', at('/keys/busy/sign'), token, body) };
    }
  });

  chapter('the nodes know clients by their own addresses', async ({ service }) => {
    const { connection } = service;
    const ca = readFileSync(connection.caFile);
    const status = await new Promise((done, failed) => {
      const asked = request({
        host: '127.0.0.1',
        port,
        localAddress: '127.0.0.77',
        servername: 'localhost',
        ca,
        agent: false,
        path: '/subscriptions/x?api-version=1',
      });
      asked.on('error', failed).on('response', (response) => done(response.statusCode));
      asked.setHeader('host', 'localhost');
      asked.end();
    });
    assert.equal(status, 401);
    const recorded = async (): Promise<boolean> => {
      const shown = await service.command('audit', 'show', ...NODES.map(folderOf));
      return shown.stdout.includes(' from 127.0.0.77');
    };
    while (!(await recorded())) await new Promise((wake) => setTimeout(wake, 100));
  });

  chapter('the audit chains of all nodes hold each other', async ({ service }) => {
    const verified = await service.command('audit', 'verify', ...NODES.map(folderOf), '--open');
    assert.equal(verified.status, 0, verified.stdout);
    assert.match(verified.stdout, /node-1: intact.*node-2: intact.*node-3: intact/s);
    assert.match(verified.stdout, /note: node-\d saw it as it is up to record \d+/);
  });
});
