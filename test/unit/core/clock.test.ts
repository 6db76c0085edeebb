// The clock of a service that follows another one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { advanceClock, followClock, newClockOffset, realClock, sharedClock, steady } from '../../../src/core/clock.ts';

const near = (a: number, b: number): boolean => Math.abs(a - b) < 60_000;
const LONG_AGO = Date.UTC(2001, 0, 1);

test('a service that follows no other clock goes by that of its machine, and a test may be ahead of it', () => {
  const offset = newClockOffset();
  assert.ok(near(sharedClock(offset).now(), Date.now()));
  advanceClock(offset, 3_600_000);
  assert.ok(near(sharedClock(offset).now(), Date.now() + 3_600_000));
  assert.ok(near(realClock(offset).now(), Date.now()), 'certificates are for clients of today');
});

test('one that follows another goes by that, however the clock of its own machine is set', (t) => {
  const offset = newClockOffset();
  followClock(offset, LONG_AGO, [steady(), steady()]);
  assert.ok(near(realClock(offset).now(), LONG_AGO));
  t.mock.method(Date, 'now', () => 0);
  assert.ok(near(realClock(offset).now(), LONG_AGO));
  advanceClock(offset, 3_600_000);
  assert.ok(near(sharedClock(offset).now(), LONG_AGO + 3_600_000));
});

test('an answer that took long does not move the time, and one that shows that it is another does', () => {
  const offset = newClockOffset();
  const clock = realClock(offset);
  const at = steady();
  const began = (): number => clock.now() + at - steady();
  const is = (time: number): boolean => Math.abs(began() - time) < 20;
  followClock(offset, LONG_AGO, [at, at]);
  // Ten seconds on the way: what was known before may be so.
  followClock(offset, LONG_AGO + 9000, [at, at + 10_000]);
  assert.ok(is(LONG_AGO), String(began()));
  followClock(offset, LONG_AGO + 86_400_000, [at, at]);
  assert.ok(is(LONG_AGO + 86_400_000), 'a primary whose clock is another is followed');
});
