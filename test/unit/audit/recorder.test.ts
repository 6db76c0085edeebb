// The recorder of a thread: which calls share a batch, and that no call waits for others that do not come.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Events } from '../../../src/audit/event.ts';
import { Gate } from '../../../src/audit/gate.ts';
import { openRecorder } from '../../../src/audit/recorder.ts';
import type { CallFacts, Outcome } from '../../../src/core/audit.ts';

const events: Events = { of: () => '{}', overdue: () => [] };

interface Desk {
  record(): Promise<void>;
  /** How many calls each batch had that was handed over. */
  readonly batches: number[];
  /** What ends the batch on its way. */
  arrive: (() => void) | undefined;
}

function openDesk(): Desk {
  const hand = (lines: readonly string[]): Promise<void> => {
    desk.batches.push(lines.length);
    return new Promise((done) => (desk.arrive = done));
  };
  const recorder = openRecorder({ events, gate: new Gate(Gate.allocate()), hand });
  const desk: Desk = { record: () => recorder.record({} as CallFacts, {} as Outcome), batches: [], arrive: undefined };
  return desk;
}

const turn = (): Promise<void> => new Promise((done) => setImmediate(done));

/** The batch that is on its way, or will be, arrives. */
async function arrival(desk: Desk): Promise<void> {
  while (desk.arrive === undefined) await turn();
  desk.arrive();
  desk.arrive = undefined;
}

/** A desk that has seen three calls at once. */
async function afterThree(): Promise<Desk> {
  const desk = openDesk();
  const alone = desk.record();
  await turn();
  const others = [desk.record(), desk.record()];
  await arrival(desk);
  await alone;
  others.push(desk.record());
  await arrival(desk);
  await Promise.all(others);
  assert.deepEqual(desk.batches, [1, 3]);
  desk.batches.length = 0;
  return desk;
}

test('a call alone goes at once; those that come meanwhile go together', async () => {
  await afterThree();
});

test('as many as came at once lately are waited for', async () => {
  const desk = await afterThree();
  const calls = [desk.record()];
  await turn();
  calls.push(desk.record());
  await turn();
  assert.deepEqual(desk.batches, []);
  calls.push(desk.record());
  await arrival(desk);
  await Promise.all(calls);
  assert.deepEqual(desk.batches, [3]);
});

test('calls that each take the thread longer than the wait are waited for all the same', async () => {
  const desk = await afterThree();
  const calls: Promise<void>[] = [];
  for (let i = 0; i < 3; i += 1) {
    await turn();
    const began = performance.now();
    while (performance.now() - began < 2);
    calls.push(desk.record());
  }
  await arrival(desk);
  assert.deepEqual(desk.batches, [3]);
  await Promise.all(calls);
});

test('a call that waits for others which do not come goes without them, and the next one does not wait', async () => {
  const desk = await afterThree();
  const first = desk.record();
  await arrival(desk);
  await first;
  const second = desk.record();
  await turn();
  await turn();
  assert.deepEqual(desk.batches, [1, 1]);
  await arrival(desk);
  await second;
});

test('whoever is in a batch that did not arrive hears it, and the next batch goes', async () => {
  const batches: number[] = [];
  const hand = async (lines: readonly string[]): Promise<void> => {
    batches.push(lines.length);
    if (batches.length === 1) throw new Error('the disk is full');
  };
  const recorder = openRecorder({ events, gate: new Gate(Gate.allocate()), hand });
  await assert.rejects(recorder.record({} as CallFacts, {} as Outcome), /the disk is full/);
  await recorder.record({} as CallFacts, {} as Outcome);
  assert.deepEqual(batches, [1, 1]);
});
