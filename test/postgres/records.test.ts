// The records of all nodes in one answer: those that nodes keep in the store, in order and in pages that any node continues, and by name those that are elsewhere.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { type House, type Json, openHouse } from '../house.ts';
import { type Answer, type Caller, callerOf, type Node, startNode } from '../nodes.ts';
import { noPostgres, postgresServer } from '../postgres.ts';
import { activate, CRYPTO_USER, grant } from '../wire/ready.ts';

const HSM = 'recorded';
const SINK = ['--audit-sink', 'database'];

suite('the records of several nodes', { skip: noPostgres }, () => {
  let place: string;
  let house: House;
  let second: Node;
  let third: Node;
  let caller: { readonly call: Caller; close(): void };
  let token: string;

  before(async () => {
    place = await mkdtemp(join(tmpdir(), 'strongroom-records-'));
    const store = await (await postgresServer()).database();
    house = await openHouse({ environment: { STRONGROOM_STORE: store }, flags: SINK });
    await house.provision(HSM);
    await activate(house, HSM);
    await grant(house, HSM, CRYPTO_USER, house.connection.user.objectId);
    token = await house.token('user', 'hsm');
    caller = callerOf(house.connection);
    const nodes = {
      place,
      rootKey: join(house.dataFolder, 'root.key'),
      store,
      port: Number(new URL(house.connection.resourceManager).port),
    };
    second = await startNode(nodes, 'node-2', '127.0.0.2', SINK);
    third = await startNode(nodes, 'node-3', '127.0.0.3');
    for (const node of [second, third]) await node.becomes('ready');
  });
  after(async () => {
    for (const node of [second, third]) node?.child.kill('SIGKILL');
    caller?.close();
    await house?.close();
    await rm(place, { recursive: true });
  });

  const at = (host: string, method: string, path: string, body?: unknown): Promise<Answer> =>
    caller.call(host, method, `https://${HSM}.${house.connection.managedHsmSuffix}${path}`, token, body);

  /** Page by page, each from the next of these nodes. */
  async function all(filters: string, hosts: readonly string[]): Promise<{ readonly records: readonly Json[]; readonly missing: Json }> {
    const records: Json[] = [];
    let missing: Json;
    for (let next: string | undefined = `/strongroom/audit?nodes=all&${filters}`, i = 0; next !== undefined; i++) {
      const got: Answer = await at(hosts[i % hosts.length] ?? '', 'GET', next);
      assert.equal(got.status, 200, got.text);
      records.push(...got.json.value);
      missing = got.json.missing;
      next = got.json.nextLink?.replace(/^https:\/\/[^/]+/, '');
    }
    return { records, missing };
  }

  async function until<Value>(ask: () => Promise<Value>, holds: (value: Value) => boolean): Promise<Value> {
    for (;;) {
      const value = await ask();
      if (holds(value)) return value;
      await new Promise((wake) => setTimeout(wake, 50));
    }
  }

  test('each record says its node, they come in order, and pages of different nodes are one answer', async () => {
    for (let i = 0; i < 12; i++) await at(i % 2 === 0 ? '127.0.0.1' : second.host, 'GET', `/keys/k-${i}`);
    await at(third.host, 'GET', '/keys/elsewhere');
    const { records, missing } = await until(
      () => all('operation=KeyGet&top=3', ['127.0.0.1', second.host, third.host]),
      ({ records, missing }) => records.length === 12 && missing.length === 1 && missing[0].node === 'node-3',
    );
    assert.deepEqual(
      records.map(({ node, event }) => [node, event.properties.key]),
      Array.from({ length: 12 }, (_, i) => [i % 2 === 0 ? 'node-1' : 'node-2', `k-${i}`]),
    );
    const [gap, ...others] = missing;
    assert.deepEqual([gap.node, gap.from, others], ['node-3', 1, []]);
    assert.match(gap.reason, /in its own data folder alone\. Start it with --audit-sink database/);
    // Those it has itself, it gives as before.
    const own = await at(third.host, 'GET', '/strongroom/audit?operation=KeyGet');
    assert.deepEqual(
      own.json.value.map(({ node, event }: Json) => [node, event.properties.key]),
      [['node-3', 'elsewhere']],
    );
    const refused = await at(third.host, 'GET', '/strongroom/audit?nodes=all&cursor=node-1.x');
    assert.equal(refused.status, 400);
  });

  test('what comes later is asked for where the last page ended; the records of a node that died are still there', async () => {
    const last = await until(
      () => at('127.0.0.1', 'GET', '/strongroom/audit?nodes=all&top=500'),
      ({ json }) => json.nextLink === undefined,
    );
    await at(second.host, 'GET', '/keys/last-words');
    await until(
      () => all('key=last-words', ['127.0.0.1']),
      ({ records }) => records.length === 1,
    );
    second.child.kill('SIGKILL');
    await second.ended();
    const since = await at('127.0.0.1', 'GET', last.json.followLink.replace(/^https:\/\/[^/]+/, ''));
    const seen = new Set(last.json.value.map(({ node, sequence }: Json) => `${node}.${sequence}`));
    assert.ok(since.json.value.every(({ node, sequence }: Json) => !seen.has(`${node}.${sequence}`)));
    assert.ok(since.json.value.some(({ node, event }: Json) => node === 'node-2' && event.properties.key === 'last-words'));
  });
});
