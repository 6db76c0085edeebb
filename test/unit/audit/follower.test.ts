// A follower and its sink: everything in order from where it left off, again after a failure, and no longer than a moment when the service ends.

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { test } from 'node:test';
import { eventNumberIn } from '../../../src/audit/chain-reader.ts';
import { Follower, type Position } from '../../../src/audit/follower.ts';
import type { Ledger } from '../../../src/audit/ledger.ts';
import type { Sink } from '../../../src/audit/sinks/sink.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { type Bench, CHAIN, eventNumber, newBench } from './bench.ts';

const BEGINNING: Position = { segment: 1, position: 0, sequence: 0 };

interface Followed {
  readonly follower: Follower;
  /** Numbers of the events that the sink took. */
  readonly taken: number[];
  /** How far it came, as the store keeps it. */
  readonly kept: Position[];
}

function follow(bench: Bench, ledger: Ledger, start: Position, deliver: Sink['deliver'] = async () => undefined): Followed {
  const taken: number[] = [];
  const kept: Position[] = [];
  const sink: Sink = {
    kind: 'test',
    id: 'test',
    deliver: async (lines) => {
      await deliver(lines);
      taken.push(...lines.map(eventNumberIn).filter((number) => number !== undefined));
    },
    close: async () => undefined,
  };
  const keep = async (position: Position): Promise<void> => {
    kept.push(position);
  };
  const parts = {
    sink,
    folder: bench.folder,
    chain: CHAIN,
    end: () => ledger.end,
    start,
    keep,
    clock: systemClock,
    changed: () => undefined,
  };
  const follower = new Follower(parts);
  ledger.onAppend(() => follower.wake());
  follower.begin();
  return { follower, taken, kept };
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((wake) => setTimeout(wake, 5));
}

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

test('what is appended is delivered in order across segments, and goes on where it was left', async () => {
  const bench = await newBench();
  const { ledger } = await bench.open({ segmentBytes: 1500 });
  const first = follow(bench, ledger, BEGINNING);
  for (let i = 1; i <= 20; i += 1) await ledger.append([eventNumber(i)]);
  await until(() => first.taken.length === 20);
  await first.follower.close();
  for (let i = 21; i <= 40; i += 1) await ledger.append([eventNumber(i)]);
  const second = follow(bench, ledger, first.kept.at(-1) ?? BEGINNING);
  await until(() => second.taken.length === 20);
  assert.deepEqual([...first.taken, ...second.taken], numbers(1, 40));
  assert.equal(second.follower.state.behind, 0);
  await ledger.close();
  await second.follower.close();
  assert.ok((await bench.files()).length > 3);
  await bench.remove();
});

test('a sink that fails is given the same again, and meanwhile says how far behind it is', async () => {
  const bench = await newBench();
  const { ledger } = await bench.open();
  let failures = 2;
  const { follower, taken } = follow(bench, ledger, BEGINNING, async () => {
    failures -= 1;
    if (failures >= 0) throw new Error('not now');
  });
  await ledger.append([eventNumber(1), eventNumber(2), eventNumber(3)]);
  await until(() => follower.state.problem !== undefined);
  assert.deepEqual(follower.state, { kind: 'test', behind: 3, problem: 'not now', lost: 0 });
  await until(() => taken.length === 3);
  assert.deepEqual(follower.state, { kind: 'test', behind: 0, problem: undefined, lost: 0 });
  await ledger.close();
  await follower.close();
  await bench.remove();
});

test('what went before its turn is counted as lost, and the rest is delivered', async () => {
  const bench = await newBench();
  const { ledger } = await bench.open({ segmentBytes: 1 });
  // Each stands in a segment of its own, behind the one that was opened at the start.
  for (let i = 1; i <= 5; i += 1) await ledger.append([eventNumber(i)]);
  for (const file of (await bench.files()).slice(0, 4)) await rm(file);
  const { follower, taken } = follow(bench, ledger, BEGINNING);
  await until(() => taken.length === 2);
  assert.deepEqual([taken, follower.state.lost], [[4, 5], 3]);
  await ledger.close();
  await follower.close();
  await bench.remove();
});

test('a sink that never answers does not keep the service from ending, and has the same before it the next time', async () => {
  const bench = await newBench();
  const { ledger } = await bench.open();
  const { follower, kept } = follow(bench, ledger, BEGINNING, () => new Promise(() => undefined));
  await ledger.append([eventNumber(1)]);
  await ledger.close();
  await follower.close();
  assert.deepEqual(kept, [BEGINNING]);
  await bench.remove();
});
