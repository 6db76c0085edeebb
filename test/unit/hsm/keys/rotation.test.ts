// Rotation on the schedule's side: whose turn it is, and that nobody's keys keep another's from theirs. Over the wire: test/wire/rotation.test.ts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDuration, shifted } from '../../../../src/hsm/keys/duration.ts';
import { DAY, type KeyEstate, openKeyEstate, withBody } from './key-estate.ts';

const EVERY_28_DAYS = { lifetimeActions: [{ trigger: { timeAfterCreate: 'P28D' }, action: { type: 'Rotate' } }] };

async function rotated({ get }: KeyEstate, at: string, name: string): Promise<void> {
  await get('POST', `/keys/${name}/create`, withBody({ kty: 'oct' }, { at }));
  await get('PUT', `/keys/${name}/rotationpolicy`, withBody(EVERY_28_DAYS, { at }));
}

async function versions({ get }: KeyEstate, at: string, name: string): Promise<number> {
  return (await get('GET', `/keys/${name}/versions`, { at })).value.length;
}

test('the due keys of a deleted HSM wait for its recovery, and keep no other HSM from its own', async (t) => {
  const keys = await openKeyEstate(t);
  const { estate, hsmId } = keys;
  await keys.add('other');
  // More than one round takes, and due before the one that must not wait.
  for (let i = 0; i < 25; i += 1) await rotated(keys, 'contoso', `k${i}`);
  estate.advance(1000);
  await rotated(keys, 'other', 'mine');
  await estate.parts.write((writer) => estate.port.softDelete(writer, hsmId));
  estate.advance(29 * DAY);
  await estate.sweep();
  assert.equal(await versions(keys, 'other', 'mine'), 2);
  await estate.parts.write((writer) => estate.port.recover(writer, hsmId));
  assert.equal(await versions(keys, 'contoso', 'k0'), 1);
  await estate.sweep();
  await estate.sweep();
  for (let i = 0; i < 25; i += 1) assert.equal(await versions(keys, 'contoso', `k${i}`), 2, `k${i}`);
});

test('what is due is rotated once, and again when it is due again', async (t) => {
  const keys = await openKeyEstate(t);
  await rotated(keys, 'contoso', 'k');
  for (const [days, expected] of [
    [27, 1],
    [1, 2],
    [0, 2],
    [27, 2],
    [1, 3],
  ] as const) {
    keys.estate.advance(days * DAY + 1000);
    await Promise.all([keys.estate.sweep(), keys.estate.sweep()]);
    assert.equal(await versions(keys, 'contoso', 'k'), expected);
  }
});

test('a key that cannot be rotated is not tried again, and the others are rotated', async (t) => {
  const keys = await openKeyEstate(t);
  // 64 bytes can be imported and not made.
  await keys.get('PUT', '/keys/long', withBody({ key: { kty: 'oct', k: Buffer.alloc(64, 3).toString('base64url') } }));
  await keys.get('PUT', '/keys/long/rotationpolicy', withBody(EVERY_28_DAYS));
  await rotated(keys, 'contoso', 'k');
  keys.estate.advance(29 * DAY);
  await keys.estate.sweep();
  assert.deepEqual([await versions(keys, 'contoso', 'long'), await versions(keys, 'contoso', 'k')], [1, 2]);
  const due = await keys.estate.parts.read.selectFrom('rotation_policies').select(['name_key', 'due_at']).orderBy('name_key').execute();
  assert.deepEqual(
    due.map(({ name_key, due_at }) => [name_key, due_at === null]),
    [
      ['k', false],
      ['long', true],
    ],
  );
  assert.equal((await keys.refusal('POST', '/keys/long/rotate')).line, '400 BadParameter');
});

// biome-ignore format: a table reads by its columns
const SHIFTS: readonly (readonly [from: string, duration: string, sign: 1 | -1, to: string])[] = [
  ['2026-01-31T12:00:00Z', 'P1M',    1,  '2026-02-28T12:00:00Z'],
  ['2028-01-31T12:00:00Z', 'P1M',    1,  '2028-02-29T12:00:00Z'],
  ['2028-02-29T00:00:00Z', 'P1Y',    1,  '2029-02-28T00:00:00Z'],
  ['2026-12-15T00:00:00Z', 'P2M',    1,  '2027-02-15T00:00:00Z'],
  ['2026-03-31T00:00:00Z', 'P1M',   -1,  '2026-02-28T00:00:00Z'],
  ['2026-01-01T23:59:59Z', 'P90D',   1,  '2026-04-01T23:59:59Z'],
  ['2026-01-01T00:00:00Z', 'P1Y2M3D', 1, '2027-03-04T00:00:00Z'],
];

for (const [from, text, sign, to] of SHIFTS) {
  test(`${from} ${sign === 1 ? 'and' : 'less'} ${text} is ${to}`, () => {
    const duration = parseDuration(text);
    assert.ok(duration);
    assert.equal(shifted(Date.parse(from) / 1000, duration, sign), Date.parse(to) / 1000);
  });
}

test('what is no duration of years, months and days is none', () => {
  for (const text of ['', 'P', '90', 'P90', 'PT5M', 'P1W', 'P-1D', 'P1.5D', ' P1D', 'P1D ', 'P1D1M', 'P1234567D'])
    assert.equal(parseDuration(text), undefined, text);
});
