// Guessing is slow, from one place or from many, and slows nobody else: no name and no place can be locked out by somebody elsewhere.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newThrottle, type Throttle } from '../../../src/identity/throttle.ts';

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
