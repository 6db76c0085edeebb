// A change and its record are one transaction: neither is without the other, whatever fails and whenever; and the record comes into the chain once.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openChanges } from '../../../src/audit/changes.ts';
import { openEvents } from '../../../src/audit/event.ts';
import { Gate } from '../../../src/audit/gate.ts';
import { settleChanges } from '../../../src/audit/settle.ts';
import { AUDIT_UNAVAILABLE, auditUnavailable, type CallFacts } from '../../../src/core/audit.ts';
import { anonymous } from '../../../src/core/caller.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { Versions } from '../../../src/core/coherence.ts';
import { Failure } from '../../../src/core/failure.ts';
import { reply } from '../../../src/core/reply.ts';
import { openEmbeddedStore } from '../../../src/store/embedded.ts';
import type { Store, Writer } from '../../../src/store/store.ts';
import { CHAIN, newBench } from './bench.ts';

function facts(requestId: string): CallFacts {
  return {
    requestId,
    time: 0,
    room: 'management',
    operation: 'Microsoft.Test/things/write',
    action: 'Microsoft.Test/things/write',
    scope: '/',
    apiVersion: '1',
    host: 'localhost',
    origin: 'https://localhost',
    method: 'PUT',
    path: '/things/1',
    named: {},
    address: '127.0.0.1',
    client: undefined,
    correlationId: undefined,
    caller: anonymous,
  };
}

interface Opened {
  readonly store: Store;
  readonly folder: string;
  /** Events that the chain took. */
  readonly chain: string[];
  /** Whether the chain takes any. */
  ledger: { works: boolean };
}

async function opened(t: TestContext): Promise<Opened> {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-changes-'));
  const store = await openEmbeddedStore(folder, { versions: new Versions(Versions.allocate()), committed: () => undefined });
  t.after(async () => {
    await store.close();
    await rm(folder, { recursive: true });
  });
  return { store, folder, chain: [], ledger: { works: true } };
}

const events = openEvents({ tenantId: 'tenant', clock: systemClock, placeAt: () => undefined });

function changesOver({ store, chain, ledger }: Opened, own: Pick<Store, 'read' | 'write'> = store, told = events) {
  const append = async (lines: readonly string[]): Promise<void> => {
    if (!ledger.works && lines.length > 0) throw auditUnavailable();
    chain.push(...lines);
  };
  const writer = { head: { sequence: 0, hash: '', segment: 1 }, append, appendUnhurried: append };
  return openChanges({ store: own, chain: CHAIN, ledger: writer, gate: new Gate(Gate.allocate()), clock: systemClock, events: told });
}

const put = (key: string) => (writer: Writer) => writer.insertInto('meta').values({ key, value: 'v' }).execute();
const values = async ({ store }: Opened): Promise<string[]> =>
  (await store.read.selectFrom('meta').select('key').where('key', 'like', 't-%').execute()).map(({ key }) => key);
const waiting = async ({ store }: Opened): Promise<string[]> =>
  (await store.read.selectFrom('audit_changes').select('request_id').execute()).map((row) => row.request_id);
const shown = ({ chain }: Opened) =>
  chain.map((line) => JSON.parse(line)).map((event) => [event.properties.requestId, event.httpStatusCode, event.resultDescription]);

test('the record of a change is in the store with the change, in the chain with its answer, and then in the chain alone', async (t) => {
  const all = await opened(t);
  const changes = changesOver(all);
  const answer = await changes.recorded(facts('r-1'), async () => {
    await changes.write(put('t-1'));
    assert.deepEqual(await waiting(all), ['r-1']);
    return reply(201, { made: true });
  });
  assert.equal(answer.status, 201);
  assert.deepEqual(shown(all), [['r-1', 201, undefined]]);
  await changes.sweep();
  assert.deepEqual([await values(all), await waiting(all)], [['t-1'], []]);
});

test('a change that was made is answered as made, also when its event cannot be made now; the chain has it later', async (t) => {
  const all = await opened(t);
  let isAway = true;
  const told: typeof events = {
    ...events,
    of: async (...asked) => {
      if (isAway) throw new Failure(503, 'ServiceUnavailable', 'the store is away');
      return events.of(...asked);
    },
  };
  const changes = changesOver(all, all.store, told);
  const answer = await changes.recorded(facts('r-1'), () => changes.write(put('t-1')).then(() => reply(201, {})));
  assert.equal(answer.status, 201);
  assert.deepEqual([shown(all), await waiting(all)], [[], ['r-1']]);
  isAway = false;
  await changes.sweep();
  assert.deepEqual([shown(all), await waiting(all)], [[['r-1', 201, undefined]], []]);
});

test('records that the chain has leave the store with later changes, many at a time, and stay there when such a change fails', async (t) => {
  const all = await opened(t);
  const changes = changesOver(all);
  const change = (number: number, job: (writer: Writer) => Promise<unknown>): Promise<unknown> =>
    changes.recorded(facts(`r-${number}`), () => changes.write(job));
  for (let i = 0; i < 64; i += 1) await change(i, put(`t-${i}`));
  assert.equal((await waiting(all)).length, 64);
  const failing = change(64, async () => {
    throw new Failure(409, 'Conflict', 'no');
  });
  await assert.rejects(failing);
  assert.equal((await waiting(all)).length, 64);
  await Promise.all([change(65, put('t-65')), change(66, put('t-66'))]);
  assert.deepEqual(await waiting(all), ['r-65', 'r-66']);
});

test('a change whose record cannot be written is not made', async (t) => {
  const all = await opened(t);
  const { store } = all;
  const failing: Store['write'] = (job) =>
    store.write((writer) => {
      const insertInto: Writer['insertInto'] = (table) => {
        if (table === 'audit_changes') throw new Error('the disk is gone');
        return writer.insertInto(table);
      };
      return job({ ...writer, insertInto });
    });
  const changes = changesOver(all, { read: store.read, write: failing });
  await assert.rejects(
    changes.recorded(facts('r-1'), () => changes.write(put('t-1'))),
    /the disk is gone/,
  );
  assert.deepEqual(await values(all), []);
  assert.deepEqual(shown(all), [['r-1', 500, 'InternalServerError']]);
});

test('a call that fails before it changes anything is recorded with its reason, and one that fails after it with the change', async (t) => {
  const all = await opened(t);
  const changes = changesOver(all);
  const conflict = new Failure(409, 'Conflict', 'no', { inner: 'Taken' });
  const before = async (): Promise<never> => {
    throw conflict;
  };
  await assert.rejects(changes.recorded(facts('r-1'), before), conflict);
  const inside = (): Promise<unknown> =>
    changes.write(async (writer) => {
      await put('t-1')(writer);
      throw conflict;
    });
  await assert.rejects(changes.recorded(facts('r-2'), inside), conflict);
  const after = async (): Promise<never> => {
    await changes.write(put('t-2'));
    throw conflict;
  };
  await assert.rejects(changes.recorded(facts('r-3'), after), conflict);
  assert.deepEqual(await values(all), ['t-2']);
  assert.deepEqual(
    shown(all),
    ['r-1', 'r-2', 'r-3'].map((id) => [id, 409, 'Conflict/Taken']),
  );
});

test('when the chain fails after a change was committed the change is answered, and its record comes into the chain later', async (t) => {
  const all = await opened(t);
  const changes = changesOver(all);
  all.ledger.works = false;
  await changes.recorded(facts('r-1'), () => changes.write(put('t-1')));
  await changes.sweep();
  assert.deepEqual([await values(all), await waiting(all), all.chain], [['t-1'], ['r-1'], []]);
  all.ledger.works = true;
  await changes.sweep();
  assert.deepEqual([await waiting(all), shown(all)], [[], [['r-1', 200, undefined]]]);
});

test('a call that changed nothing and cannot be recorded is refused, whatever it would have answered', async (t) => {
  const all = await opened(t);
  const changes = changesOver(all);
  all.ledger.works = false;
  const refused = (error: unknown): boolean => error instanceof Failure && error.code === AUDIT_UNAVAILABLE;
  await assert.rejects(
    changes.recorded(facts('r-1'), async () => 'the answer'),
    refused,
  );
  await assert.rejects(
    changes.recorded(facts('r-2'), async () => Promise.reject(new Failure(404, 'KeyNotFound', 'no'))),
    refused,
  );
});

test('after a kill, records that had not come into the chain come into it, those that had do not come again', async (t) => {
  const all = await opened(t);
  const changes = changesOver(all);
  all.ledger.works = false;
  for (const id of ['r-1', 'r-2', 'r-3']) await changes.recorded(facts(id), () => changes.write(put(`t-${id}`)));
  assert.deepEqual(await waiting(all), ['r-1', 'r-2', 'r-3']);
  const bench = await newBench();
  const { ledger } = await bench.open();
  const outcome = { decision: 'allowed', status: 200, reason: undefined, duration: 1 } as const;
  await ledger.append([(await events.of(facts('r-2'), outcome)) ?? '']);
  const append = (lines: readonly string[]): Promise<void> => ledger.append(lines);
  const settled = await settleChanges({ read: all.store.read, folder: bench.folder, chain: CHAIN, events, append });
  assert.deepEqual(settled, ['r-1', 'r-2', 'r-3']);
  await ledger.close();
  const found: unknown[] = [];
  await bench.verify({
    entry: ({ kind, body }) => {
      const event = JSON.parse(body);
      if (kind === 'event') found.push([event.properties.requestId, event.httpStatusCode, event.resultType]);
    },
  });
  assert.deepEqual(found, [
    ['r-2', 200, 'Success'],
    ['r-1', 0, 'Success'],
    ['r-3', 0, 'Success'],
  ]);
  await bench.remove();
});
