// Old segments go when their time is over, the chain says so first, and what is left verifies; whoever removes them by hand is found.

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { test } from 'node:test';
import { ownEventText } from '../../../src/audit/event.ts';
import { removeExpired } from '../../../src/audit/retention.ts';
import { advanceClock } from '../../../src/core/clock.ts';
import { type Bench, CHAIN, eventNumber, newBench } from './bench.ts';

const DAY = 86_400_000;

/** Three segments, two days apart, and a fourth that is open. */
async function aged(bench: Bench) {
  for (let i = 0; i < 3; i += 1) {
    const { ledger } = await bench.open();
    await ledger.append([eventNumber(i)]);
    await ledger.close();
    advanceClock(bench.clockOffset, 2 * DAY);
  }
  return bench.open();
}

function expire(bench: Bench, { append }: { append(events: readonly string[]): Promise<void> }, days: number): Promise<number> {
  const before = Date.now() + 6 * DAY - days * DAY;
  const say = (operation: string, properties: Readonly<Record<string, unknown>>): Promise<void> =>
    append([ownEventText('tenant', before, operation, properties)]);
  return removeExpired({ folder: bench.folder, chain: CHAIN, before, say });
}

test('what was closed before the time goes, and the rest of the chain verifies from where it begins', async () => {
  const bench = await newBench();
  const { ledger } = await aged(bench);
  assert.equal(await expire(bench, { append: (events) => ledger.append(events) }, 1), 2);
  assert.equal((await bench.files()).length, 2);
  await ledger.close();
  const verdict = await bench.verify();
  assert.deepEqual(verdict.problems, []);
  assert.match(verdict.notes.join(), /segments 1 to 2 went when their time was over, as the chain says/);
  await bench.remove();
});

test('nothing goes before its time, and never the segment that is open', async () => {
  const bench = await newBench();
  const { ledger } = await aged(bench);
  const append = (events: readonly string[]): Promise<void> => ledger.append(events);
  assert.equal(await expire(bench, { append }, 30), 0);
  assert.equal(await expire(bench, { append }, -30), 3);
  assert.equal((await bench.files()).length, 1);
  await ledger.close();
  assert.deepEqual((await bench.verify()).problems, []);
  await bench.remove();
});

test('segments that somebody else removed are missing, also when others went in their time', async () => {
  const bench = await newBench();
  const { ledger } = await aged(bench);
  assert.equal(await expire(bench, { append: (events) => ledger.append(events) }, 3), 1);
  await ledger.close();
  const [second = ''] = await bench.files();
  await rm(second);
  assert.match((await bench.verify()).problems[0]?.what ?? '', /lacks its segments 1 to 2/);
  await bench.remove();
});

test('a service that ends between saying so and doing so leaves a chain that verifies', async () => {
  const bench = await newBench();
  const { ledger } = await aged(bench);
  await ledger.append([ownEventText('tenant', 0, 'AuditSegmentsExpired', { through: 2 })]);
  await ledger.close();
  assert.deepEqual((await bench.verify()).problems, []);
  await bench.remove();
});
