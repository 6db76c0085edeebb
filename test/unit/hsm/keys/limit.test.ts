// How many keys an HSM may have: those that are deleted count until they are purged, and what was not committed does not.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KEYS_PER_HSM } from '../../../../src/hsm/keys/limit.ts';
import { keysIn } from '../../../../src/store/key-counts.ts';
import type { Writer } from '../../../../src/store/store.ts';
import { type KeyEstate, openKeyEstate, withBody } from './key-estate.ts';

const FULL = { line: '400 BadParameter', message: `The HSM has ${KEYS_PER_HSM} keys, which is the limit. Purge some first.` };

async function fill(writer: Writer, hsmId: string, prefix: string, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    const name = `${prefix}-${i}`;
    await writer.insertInto('keys').values({ hsm_id: hsmId, name, name_key: name, deleted_at: null, scheduled_purge_at: null }).execute();
  }
}

/** The number that is kept, and the one that is there. */
function counts({ estate }: KeyEstate, hsmId: string): Promise<readonly [number, number]> {
  return estate.parts.write(async (writer) => {
    const there = await writer.selectFrom('keys').select('name').where('hsm_id', '=', hsmId).execute();
    return [await keysIn(writer, hsmId), there.length] as const;
  });
}

test('a full HSM takes no other key, by whatever way, until one is purged', async (t) => {
  const keys = await openKeyEstate(t);
  const create = withBody({ kty: 'oct' });
  await keys.get('POST', '/keys/first/create', create);
  const backup = await keys.get('POST', '/keys/first/backup');
  await keys.estate.parts.write((writer) => fill(writer, keys.hsmId, 'many', KEYS_PER_HSM - 2));
  await keys.get('POST', '/keys/last/create', create);
  assert.deepEqual(await keys.refusal('POST', '/keys/other/create', create), FULL);
  await keys.get('POST', '/keys/first/create', create);

  await keys.get('DELETE', '/keys/first');
  assert.deepEqual(await keys.refusal('POST', '/keys/other/create', create), FULL);
  await keys.get('DELETE', '/deletedkeys/first');
  await keys.get('POST', '/keys/other/create', create);
  assert.deepEqual(await keys.refusal('POST', '/keys/restore', withBody(backup)), FULL);

  const elsewhere = await keys.add('fabrikam');
  await keys.get('POST', '/keys/other/create', { ...create, at: 'fabrikam' });
  assert.deepEqual(await counts(keys, elsewhere), [1, 1]);
  assert.deepEqual(await counts(keys, keys.hsmId), [KEYS_PER_HSM, KEYS_PER_HSM]);
});

test('the number that is kept is the number that is there, whatever was undone or went with its HSM', async (t) => {
  const keys = await openKeyEstate(t);
  const { write } = keys.estate.parts;
  await write((writer) => fill(writer, keys.hsmId, 'a', 3));
  assert.deepEqual(await counts(keys, keys.hsmId), [3, 3]);
  // Three at once: those that fail share their transaction with the one that does not.
  const failing = async (writer: Writer): Promise<void> => {
    await fill(writer, keys.hsmId, 'undone', 5);
    throw new Error('undone');
  };
  const ends = await Promise.allSettled([write(failing), write((writer) => fill(writer, keys.hsmId, 'b', 4)), write(failing)]);
  assert.deepEqual(
    ends.map(({ status }) => status),
    ['rejected', 'fulfilled', 'rejected'],
  );
  await assert.rejects(write(failing), /undone/);
  assert.deepEqual(await counts(keys, keys.hsmId), [7, 7]);
  await write((writer) => writer.deleteFrom('hsms').where('id', '=', keys.hsmId).execute());
  assert.deepEqual(await counts(keys, keys.hsmId), [0, 0]);
});
