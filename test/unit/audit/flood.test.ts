// Refusals of callers whom nobody knows: so many of them have a record, and one record counts the rest. Whoever is known always has one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EACH_MINUTE, openFlood } from '../../../src/audit/flood.ts';
import { anonymous, type Caller } from '../../../src/core/caller.ts';

const known: Caller = { kind: 'application', tenantId: 't', objectId: 'o', clientId: 'c', groups: [] };
const refused = (address: string, time = 0) => ({ caller: anonymous, address, time });

test('each address has its own measure, and a minute later one record says how many were left out', () => {
  const flood = openFlood();
  for (let i = 0; i < EACH_MINUTE; i += 1) assert.ok(flood.admits(refused('10.0.0.1'), { status: 401 }));
  for (let i = 0; i < 5; i += 1) assert.ok(!flood.admits(refused('10.0.0.1'), { status: 401 }));
  assert.ok(flood.admits(refused('10.0.0.2'), { status: 401 }));
  assert.deepEqual(flood.take(30_000), []);
  assert.deepEqual(flood.take(60_000), [{ address: '10.0.0.1', refusals: 5, since: '1970-01-01T00:00:00.000Z' }]);
  assert.deepEqual(flood.take(60_000), []);
  assert.ok(flood.admits(refused('10.0.0.1', 60_001), { status: 401 }));
});

test('whoever is known, and whoever is let in, is recorded each time', () => {
  const flood = openFlood();
  for (let i = 0; i < 2 * EACH_MINUTE; i += 1) {
    assert.ok(flood.admits({ ...refused('10.0.0.1'), caller: known }, { status: 403 }));
    assert.ok(flood.admits(refused('10.0.0.1'), { status: 200 }));
  }
});

test('the addresses of one IPv6 network share a measure, and too many networks share one as well', () => {
  const flood = openFlood();
  for (let i = 0; i < EACH_MINUTE; i += 1) flood.admits(refused(`2001:db8:0:1::${i}`), { status: 401 });
  assert.ok(!flood.admits(refused('2001:db8:0:1::ffff'), { status: 401 }));
  assert.ok(flood.admits(refused('2001:db8:0:2::1'), { status: 401 }));
  let admitted = 0;
  for (let i = 0; i < 20_000; i += 1)
    if (flood.admits(refused(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`), { status: 401 })) admitted += 1;
  assert.ok(admitted < 6000, String(admitted));
});
