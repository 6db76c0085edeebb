// Which keys may be exported, and who settles it: exportable, release_policy and key_ops together, from creation through every change to rotation, backup
// and a row that somebody altered.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { type KeyEstate, openKeyEstate, withBody } from './key-estate.ts';

/** base64url of a policy that asks one claim of one authority. */
function data(equals: unknown, spaces?: number): string {
  const policy = { version: '1.0.0', anyOf: [{ authority: 'https://attest.example', allOf: [{ claim: 'color', equals }] }] };
  return Buffer.from(JSON.stringify(policy, undefined, spaces)).toString('base64url');
}

const CANONICAL = Buffer.from(
  '{"anyOf":[{"allOf":[{"claim":"color","equals":"red"}],"authority":"https://attest.example"}],"version":"1.0.0"}',
).toString('base64url');

const RED = { contentType: 'application/json; charset=utf-8', data: CANONICAL, immutable: false };
const SECURE = ['secureWrapKey', 'secureUnwrapKey'];

function exportable(more: object = {}) {
  return withBody({ kty: 'EC', attributes: { exportable: true }, release_policy: { data: data('red') }, ...more });
}

test('an exportable key shows its policy in the canonical form, wherever the whole key is shown', async (t) => {
  const { get } = await openKeyEstate(t);
  const made = await get('POST', '/keys/k/create', exportable({ release_policy: { data: data('red', 2) } }));
  assert.equal(made.attributes.exportable, true);
  assert.deepEqual(made.release_policy, RED);
  assert.deepEqual(await get('GET', '/keys/k'), made);
  assert.deepEqual((await get('DELETE', '/keys/k')).release_policy, RED);
  assert.deepEqual((await get('POST', '/deletedkeys/k/recover')).release_policy, RED);
  const [item] = (await get('GET', '/keys')).value;
  assert.deepEqual([item.attributes.exportable, item.release_policy], [true, undefined]);
});

test('api-versions 7.0 and 7.1 show a policy in their own language', async (t) => {
  const { get } = await openKeyEstate(t);
  await get('POST', '/keys/k/create', exportable());
  const older = {
    anyOf: [{ allOf: [{ claim: 'color', condition: 'equals', value: 'red' }], authority: 'https://attest.example' }],
    version: '0.2',
  };
  for (const version of ['7.0', '7.1']) assert.deepEqual((await get('GET', '/keys/k', { version })).release_policy, older);
  for (const version of ['7.2', '7.3-preview', null]) assert.deepEqual((await get('GET', '/keys/k', { version })).release_policy, RED);
});

test('an imported key may be exportable too', async (t) => {
  const { get, refusal } = await openKeyEstate(t);
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  const brought = await get(
    'PUT',
    '/keys/k',
    withBody({ key, attributes: { exportable: true }, release_policy: { data: data('red'), immutable: true } }),
  );
  assert.deepEqual([brought.attributes.exportable, brought.release_policy], [true, { ...RED, immutable: true }]);
  assert.match(
    (await refusal('PUT', '/keys/other', withBody({ key, attributes: { exportable: true } }))).message,
    /^Exportable keys must have release policy$/,
  );
});

// biome-ignore format: a table reads by its columns
const REFUSED: readonly (readonly [body: object, says: RegExp])[] = [
  [{ kty: 'EC', attributes: { exportable: true } },                                                     /^Exportable keys must have release policy$/],
  [{ kty: 'EC', release_policy: { data: data('red') } },                                                /^Non-exportable keys must not have release policy$/],
  [{ kty: 'EC', attributes: { exportable: false }, release_policy: { data: data('red') } },             /^Non-exportable keys must not have release policy$/],
  [{ kty: 'EC', attributes: { exportable: true }, release_policy: {} },                                 /^Property release_policy\.data is required\.$/],
  [{ kty: 'EC', attributes: { exportable: true }, release_policy: { data: `${data('red')}=` } },        /^Property release_policy\.data is not valid base64url\.$/],
  [{ kty: 'EC', attributes: { exportable: true }, release_policy: { data: data({}) } },                 /^Property release_policy is not valid: anyOf\[0\]\.allOf\[0\]\.equals/],
  [{ kty: 'EC', attributes: { exportable: true }, release_policy: { data: data('red'), contentType: 'text/plain' } }, /contentType is not valid/],
  [{ kty: 'EC', attributes: { exportable: true }, release_policy: { data: data('red'), immutable: 'true' } }, /release_policy\.immutable/],
  [{ kty: 'oct', key_ops: SECURE },                                                                     /must have release policy$/],
  [{ kty: 'oct', key_ops: SECURE, attributes: { exportable: true }, release_policy: { data: data('red') } }, /cannot be exportable$/],
  [{ kty: 'oct', key_ops: [...SECURE, 'unwrapKey'], release_policy: { data: data('red') } },            /cannot be combined with other operations/],
  [{ kty: 'EC', key_ops: SECURE, release_policy: { data: data('red') } },                               /are for RSA-HSM and oct-HSM keys/],
];

test('what does not go together is refused in words, and makes no key', async (t) => {
  const { get, refusal } = await openKeyEstate(t);
  for (const [body, says] of REFUSED) {
    const { line, message } = await refusal('POST', '/keys/k/create', withBody(body));
    assert.equal(line, '400 BadParameter');
    assert.match(message, says);
  }
  assert.deepEqual(await get('GET', '/keys'), { value: [] });
});

test('a policy can be changed until it is immutable, and exportable never', async (t) => {
  const { get, refusal } = await openKeyEstate(t);
  const { key } = await get('POST', '/keys/k/create', exportable());
  const patch = (body: object) => ['PATCH', '/keys/k', withBody(body)] as const;
  assert.match((await refusal(...patch({ attributes: { exportable: false } }))).message, /^Cannot modify the exportable state of a key$/);
  const blue = await get(...patch({ release_policy: { data: data('blue') } }));
  assert.notEqual(blue.release_policy.data, CANONICAL);
  await get(...patch({ attributes: { exportable: true }, release_policy: { data: data('red') } }));
  const fixed = await get(...patch({ release_policy: { immutable: true } }));
  assert.deepEqual(fixed.release_policy, { ...RED, immutable: true });

  for (const release_policy of [{ data: data('blue') }, { immutable: false }, { data: data('blue'), immutable: true }]) {
    const { line, message } = await refusal(...patch({ release_policy }));
    assert.deepEqual([line, message], ['400 BadParameter', 'AKV.SKR.1020: Immutable Key Release Policy cannot be modified.']);
  }
  // What it said already, and what is not the policy, is no change of it.
  await get(...patch({ release_policy: { data: data('red', 1) }, tags: { a: 'b' } }));
  assert.deepEqual((await get('GET', new URL(key.kid).pathname)).release_policy, fixed.release_policy);
  // A new version is another key, and says for itself whether it may leave.
  assert.equal((await get('POST', '/keys/k/create', withBody({ kty: 'EC' }))).attributes.exportable, false);
});

test('a key is for secure wrapping from the start or never', async (t) => {
  const { get, refusal } = await openKeyEstate(t);
  const secure = await get('POST', '/keys/s/create', withBody({ kty: 'oct', key_ops: SECURE, release_policy: { data: data('red') } }));
  assert.deepEqual([secure.attributes.exportable, secure.release_policy], [false, RED]);
  await get('POST', '/keys/o/create', withBody({ kty: 'oct' }));
  for (const [target, body] of [
    ['/keys/s', { key_ops: ['unwrapKey'] }],
    ['/keys/s', { key_ops: [...SECURE, 'unwrapKey'] }],
    ['/keys/o', { key_ops: SECURE, release_policy: { data: data('red') } }],
  ] as const) {
    assert.equal((await refusal('PATCH', target, withBody(body))).line, '400 BadParameter');
  }
  assert.deepEqual((await get('PATCH', '/keys/s', withBody({ key_ops: [] }))).key.key_ops, SECURE);
  assert.deepEqual((await get('PATCH', '/keys/s', withBody({ key_ops: ['secureWrapKey'] }))).key.key_ops, ['secureWrapKey']);
});

test('the policy goes into the next version by rotation, and into a backup and out of it', async (t) => {
  const { get } = await openKeyEstate(t);
  await get('POST', '/keys/k/create', exportable({ release_policy: { data: data('red'), immutable: true } }));
  await get('PUT', '/keys/k/rotationpolicy', withBody({ attributes: { expiryTime: 'P90D' } }));
  const next = await get('POST', '/keys/k/rotate');
  assert.deepEqual([next.attributes.exportable, next.release_policy], [true, { ...RED, immutable: true }]);
  const { value } = await get('POST', '/keys/k/backup');
  await get('DELETE', '/keys/k');
  await get('DELETE', '/deletedkeys/k');
  assert.deepEqual(await get('POST', '/keys/restore', withBody({ value })), next);
  await sign(get);
});

async function sign(get: KeyEstate['get']): Promise<void> {
  await get('POST', '/keys/k/sign', withBody({ alg: 'ES256', value: Buffer.alloc(32).toString('base64url') }));
}

// biome-ignore format: a table reads by its columns
const ALTERED: readonly (readonly [what: string, columns: object])[] = [
  ['made exportable',                { exportable: 1, release_policy_json: JSON.stringify(RED) }],
  ['given another policy',           { release_policy_json: JSON.stringify({ ...RED, data: data('blue') }) }],
  ['made mutable again',             { release_policy_json: JSON.stringify({ ...RED, immutable: false }) }],
  ['made one that was generated',    { origin: 'generated' }],
];

for (const [what, columns] of ALTERED) {
  test(`a key whose row was ${what} behind the service's back does not open`, async (t) => {
    const { estate, get } = await openKeyEstate(t);
    const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
    const leaves = what !== 'made exportable';
    await get(
      'PUT',
      '/keys/k',
      withBody({ key, ...(leaves ? { attributes: { exportable: true }, release_policy: { data: data('red'), immutable: true } } : {}) }),
    );
    await estate.parts.write(async (writer) => {
      await writer.updateTable('key_versions').set(columns).execute();
    });
    await assert.rejects(sign(get), /sealed key does not open/);
  });
}
