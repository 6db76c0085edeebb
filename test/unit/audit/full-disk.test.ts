// A disk without room: what is under way still gets its record, then the gate closes, and opens by itself when there is room again. A disk that refuses
// for another reason closes it too. Nothing that was acknowledged is lost, and nothing that was refused stays in the chain.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Ledger } from '../../../src/audit/ledger.ts';
import { AUDIT_UNAVAILABLE } from '../../../src/core/audit.ts';
import { Failure } from '../../../src/core/failure.ts';
import { noSmallDisk, smallDisk } from '../../small-disk.ts';
import { eventNumber, newBench } from './bench.ts';

const RESERVE = 64 << 10;

function isUnavailable(error: unknown): boolean {
  return error instanceof Failure && error.status === 503 && error.code === AUDIT_UNAVAILABLE;
}

/** Appends until the gate closes; how many were acknowledged. */
async function appendUntilClosed(ledger: Ledger, isOpen: () => boolean): Promise<number> {
  for (let count = 0; count < 10_000; count += 1) {
    if (!isOpen()) return count;
    await ledger.append([eventNumber(count)]);
  }
  throw new Error('the disk did not become full');
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((wake) => setTimeout(wake, 20));
}

test('a full disk closes the gate after the record that found it, and the chain goes on when there is room', {
  skip: noSmallDisk,
}, async () => {
  const disk = smallDisk(1024);
  try {
    const bench = await newBench(join(disk.folder, 'audit'));
    await mkdir(bench.folder);
    const { ledger } = await bench.open({ reserveBytes: RESERVE });
    await ledger.reserved;
    disk.fill(16 << 10);
    // Each of these was acknowledged: the one that met the full disk was written into the reserve.
    const acknowledged = await appendUntilClosed(ledger, () => bench.gate.isOpen);
    assert.match(ledger.problem ?? '', /no room/);
    assert.throws(() => bench.gate.prove(), isUnavailable);
    assert.throws(() => bench.gate.prove(), isUnavailable);
    await ledger.append([eventNumber(acknowledged)]);
    assert.equal(bench.logged.filter((line) => line.includes('cannot be written')).length, 1);

    disk.empty();
    await until(() => bench.gate.isOpen);
    bench.gate.prove();
    assert.equal(ledger.problem, undefined);
    const resumed: string[] = [];
    await ledger.close();
    const verdict = await bench.verify({ entry: ({ body }) => body.includes('AuditResumed') && resumed.push(body) });
    assert.deepEqual(verdict.problems, []);
    assert.equal(verdict.events, acknowledged + 2);
    assert.equal(JSON.parse(resumed[0] ?? '').properties.refused, 2);
  } finally {
    disk.remove();
  }
});

test('when the reserve is used up too, a record is refused and nothing of it is in the chain', { skip: noSmallDisk }, async () => {
  const disk = smallDisk(1024);
  try {
    const bench = await newBench(join(disk.folder, 'audit'));
    await mkdir(bench.folder);
    const { ledger } = await bench.open({ reserveBytes: RESERVE });
    await ledger.reserved;
    disk.fill(8 << 10);
    let acknowledged = 0;
    let refused: unknown;
    // Requests that had passed the gate before it closed, more of them than the reserve has room for.
    while (refused === undefined) {
      await ledger.append(Array.from({ length: 10 }, () => eventNumber(acknowledged))).then(
        () => (acknowledged += 10),
        (error: unknown) => (refused = error),
      );
    }
    assert.ok(isUnavailable(refused));
    const full = await bench.verify({ mayBeOpen: true, known: undefined });
    assert.deepEqual(full.problems, []);
    assert.deepEqual([full.events, full.notes.filter((note) => note.includes('never finished'))], [acknowledged, []]);
    disk.empty();
    await until(() => bench.gate.isOpen);
    await ledger.append([eventNumber(acknowledged)]);
    await ledger.close();
    const after = await bench.verify();
    assert.deepEqual(after.problems, []);
    assert.equal(after.events, acknowledged + 2);
  } finally {
    disk.remove();
  }
});

test('a start on a full disk does not open the gate before there is head-room', { skip: noSmallDisk }, async () => {
  const disk = smallDisk(1024);
  try {
    const bench = await newBench(join(disk.folder, 'audit'));
    await mkdir(bench.folder);
    disk.fill(RESERVE / 2);
    const { ledger } = await bench.open({ reserveBytes: RESERVE });
    await ledger.reserved;
    assert.equal(bench.gate.isOpen, false);
    disk.empty();
    await until(() => bench.gate.isOpen);
    await ledger.close();
    assert.deepEqual((await bench.verify()).problems, []);
  } finally {
    disk.remove();
  }
});
