// Guessing is slow, from one place or from many, and slows nobody else: no name and no place can be locked out by somebody elsewhere.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Versions } from '../../../src/core/coherence.ts';
import { Failure } from '../../../src/core/failure.ts';
import { openSharedFailures, type SharedFailures } from '../../../src/identity/shared-failures.ts';
import { newThrottle, type Throttle } from '../../../src/identity/throttle.ts';
import { openEmbeddedStore } from '../../../src/store/embedded.ts';
import type { Store } from '../../../src/store/store.ts';

interface Bench {
  readonly throttle: Throttle;
  advance(milliseconds: number): void;
}

function bench(): Bench {
  let now = 0;
  const throttle = newThrottle({ now: () => now });
  return {
    throttle,
    advance(milliseconds) {
      now += milliseconds;
    },
  };
}

const fail = (): Promise<never> => Promise.reject(new Error('wrong'));
const succeed = (): Promise<string> => Promise.resolve('right');

/** How many of so many wrong attempts were looked at; the others were refused unseen. */
async function looked(throttle: Throttle, count: number, name: (i: number) => string, address: (i: number) => string): Promise<number> {
  let seen = 0;
  for (let i = 0; i < count; i++) {
    const refusal: unknown = await throttle(name(i), address(i), fail).catch((error: unknown) => error);
    if (refusal instanceof Error && refusal.message === 'wrong') seen += 1;
    else assert.match(String(refusal), /AADSTS50053/);
  }
  return seen;
}

test('one name from one place is tried ten times a minute, however it is spelt', async () => {
  const { throttle, advance } = bench();
  const spelt = (i: number): string => (i % 2 === 0 ? 'alice' : 'ALICE');
  assert.equal(await looked(throttle, 30, spelt, () => '192.0.2.1'), 10);
  assert.equal(await throttle('bob', '192.0.2.1', succeed), 'right');
  assert.equal(await throttle('alice', '192.0.2.2', succeed), 'right');
  advance(60_000);
  assert.equal(await throttle('alice', '192.0.2.1', succeed), 'right');
});

test('attempts that come at once gain nothing', async () => {
  const { throttle } = bench();
  const all = await Promise.allSettled(Array.from({ length: 40 }, () => throttle('alice', '192.0.2.1', fail)));
  assert.equal(all.filter((one) => one.status === 'rejected' && one.reason.message === 'wrong').length, 10);
  const many = bench().throttle;
  assert.deepEqual(new Set(await Promise.all(Array.from({ length: 60 }, () => many('alice', '192.0.2.1', succeed)))), new Set(['right']));
});

test('many names from one place are tried sixty times a minute', async () => {
  const { throttle } = bench();
  assert.equal(
    await looked(
      throttle,
      200,
      (i) => `name ${i}`,
      () => '192.0.2.1',
    ),
    60,
  );
  assert.equal(await throttle('alice', '192.0.2.2', succeed), 'right');
});

test('the addresses of one IPv6 network are one place, and those of one site are slowed together', async () => {
  const { throttle } = bench();
  assert.equal(
    await looked(
      throttle,
      40,
      () => 'alice',
      (i) => `2001:db8:1:1::${i.toString(16)}`,
    ),
    10,
  );
  assert.equal(await throttle('alice', '2001:db8:1:2::1', succeed), 'right');
  const site = bench().throttle;
  assert.equal(
    await looked(
      site,
      400,
      (i) => `name ${i}`,
      (i) => `2001:db8:1:${(i % 100).toString(16)}::1`,
    ),
    240,
  );
  assert.equal(await site('alice', '2001:db8:2::1', succeed), 'right');
  const dressed = bench().throttle;
  assert.equal(
    await looked(
      dressed,
      40,
      () => 'alice',
      (i) => (i % 2 === 0 ? '192.0.2.1' : '::ffff:192.0.2.1'),
    ),
    10,
  );
});

test('a name that is guessed at from everywhere is not locked out, neither from a new place nor from a known one', async () => {
  const { throttle } = bench();
  await throttle('owner', '203.0.113.5', succeed);
  assert.equal(
    await looked(
      throttle,
      500,
      () => 'Owner',
      (i) => `198.51.${100 + Math.floor(i / 100)}.${i % 100}`,
    ),
    500,
  );
  assert.equal(
    await looked(
      throttle,
      200,
      () => 'owner',
      (i) => `198.51.100.${i % 20}`,
    ),
    0,
    'each place has one try a minute now',
  );
  assert.equal(await throttle('owner', '192.0.2.77', succeed), 'right', 'a place that was never seen');
  assert.equal(
    await looked(
      throttle,
      9,
      () => 'owner',
      () => '203.0.113.5',
    ),
    9,
    'where the owner has been, typing wrong is as before',
  );
  assert.equal(await throttle('owner', '203.0.113.5', succeed), 'right');
});

test('an assertion whose issuer answers slowly keeps nobody waiting', async () => {
  const { throttle } = bench();
  const held = Promise.withResolvers<void>();
  const slow = Array.from({ length: 10 }, (_, i) => throttle('program', `192.0.2.${i}`, () => held.promise, 'signed'));
  assert.equal(await throttle('alice', '192.0.2.1', succeed), 'right');
  held.resolve();
  await Promise.all(slow);
  assert.equal(
    await looked(
      throttle,
      20,
      () => 'program',
      () => '192.0.2.1',
    ),
    10,
  );
});

test('a flood from one place is bounded and keeps nobody else waiting', async () => {
  const { throttle } = bench();
  const order: string[] = [];
  const held = Promise.withResolvers<void>();
  const flood = Array.from({ length: 500 }, (_, i) =>
    throttle(`name ${i}`, '192.0.2.1', async () => {
      await held.promise;
      order.push('flood');
    }).catch((error: unknown) => error),
  );
  const other = throttle('alice', '192.0.2.2', async () => order.push('alice'));
  await other;
  assert.deepEqual(order, ['alice'], 'she did not wait for the flood');
  held.resolve();
  const results = await Promise.all(flood);
  assert.equal(results.filter((result) => result instanceof Error).length, 500 - 65);
});

interface Nodes {
  readonly store: Store;
  /** One for each node. */
  readonly throttles: readonly Throttle[];
  /** How often the store was asked. */
  asked(): number;
  /** Whether the store takes changes. */
  takes: boolean;
  advance(milliseconds: number): void;
}

async function nodesOf(t: TestContext, count: number): Promise<Nodes> {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-throttle-'));
  const versions = new Versions(Versions.allocate());
  const store = await openEmbeddedStore(folder, { versions, committed: () => undefined });
  t.after(async () => {
    await store.close();
    await rm(folder, { recursive: true });
  });
  let now = 1_000_000;
  let asked = 0;
  const clock = { now: () => now };
  const { selectFrom } = store.read;
  const read = {
    getExecutor: store.read.getExecutor.bind(store.read),
    selectFrom: new Proxy(selectFrom, {
      apply(target, _self, words) {
        asked += 1;
        return Reflect.apply(target, store.read, words);
      },
    }),
  };
  const write: Store['write'] = (job) => (nodes.takes ? store.write(job) : Promise.reject(new Error('away')));
  const shared = (): SharedFailures => openSharedFailures({ read, write, clock, versions });
  const nodes: Nodes = {
    store,
    throttles: Array.from({ length: count }, () => newThrottle(clock, shared())),
    asked: () => asked,
    takes: true,
    advance(milliseconds) {
      now += milliseconds;
    },
  };
  return nodes;
}

/** As `looked`, at one node after the other. */
async function lookedAtAll(throttles: readonly Throttle[], count: number, name: string, address: string): Promise<number> {
  const spread: Throttle = (...words) => {
    const [throttle] = turns.splice(0, 1);
    assert.ok(throttle);
    turns.push(throttle);
    return throttle(...words);
  };
  const turns = [...throttles];
  return looked(
    spread,
    count,
    () => name,
    () => address,
  );
}

test('nodes count wrong attempts together, and their rows go when their minute is over', async (t) => {
  const { store, throttles, advance } = await nodesOf(t, 3);
  assert.equal(await lookedAtAll(throttles, 18, 'alice', '192.0.2.1'), 10);
  assert.equal(await throttles[1]?.('bob', '192.0.2.1', succeed), 'right');
  advance(60_000);
  assert.equal(await lookedAtAll(throttles, 2, 'carol', '192.0.2.9'), 2);
  const rows = await store.read.selectFrom('sign_in_failures').selectAll().execute();
  assert.equal(rows.length, 3, 'the name, the place and both');
  assert.doesNotMatch(JSON.stringify(rows), /carol|192/);
});

test('attempts at all nodes at once gain one try for each node more', async (t) => {
  const { throttles } = await nodesOf(t, 3);
  const all = await Promise.allSettled(Array.from({ length: 45 }, (_, i) => throttles[i % 3]?.('alice', '192.0.2.1', fail)));
  const seen = all.filter((one) => one.status === 'rejected' && one.reason.message === 'wrong').length;
  assert.ok(seen >= 10 && seen <= 12, `${seen} were looked at`);
});

test('signing in asks the store nothing while nobody fails, and what was not wrong is not counted', async (t) => {
  const { throttles, asked, store } = await nodesOf(t, 1);
  const [throttle] = throttles;
  assert.ok(throttle);
  await throttle('alice', '192.0.2.1', succeed);
  const before = asked();
  for (let i = 0; i < 20; i++) await throttle('alice', '192.0.2.1', succeed);
  const away = (): Promise<never> => Promise.reject(new Failure(503, 'ServiceUnavailable', 'away'));
  for (let i = 0; i < 20; i++) await assert.rejects(throttle('alice', '192.0.2.1', away), /away/);
  assert.equal(asked(), before);
  // A signature is not guessed, and costs a stranger nothing to get wrong.
  await assert.rejects(throttle('program', '192.0.2.1', fail, 'signed'), /wrong/);
  assert.deepEqual(await store.read.selectFrom('sign_in_failures').selectAll().execute(), []);
});

test('a flood of failures from everywhere makes few commits, and a store that takes none leaves what each node counts', async (t) => {
  const nodes = await nodesOf(t, 2);
  const { throttles, store } = nodes;
  const [throttle] = throttles;
  assert.ok(throttle);
  let commits = 0;
  const flood = newThrottle(
    { now: () => 1_000_000 },
    openSharedFailures({
      read: store.read,
      write: (job) => {
        commits += 1;
        return store.write(job);
      },
      clock: { now: () => 1_000_000 },
      versions: new Versions(Versions.allocate()),
    }),
  );
  await Promise.allSettled(Array.from({ length: 300 }, (_, i) => flood(`name ${i}`, `10.0.${i >> 8}.${i & 255}`, fail)));
  assert.ok(commits <= 12, `${commits} commits for 300 failures`);
  nodes.takes = false;
  assert.equal(await lookedAtAll(throttles, 44, 'alice', '192.0.2.1'), 20, 'ten at each');
});
