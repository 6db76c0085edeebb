// The life of a key: changed, listed, deleted, brought back, purged, and gone by itself.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { OPEN_TO_ALL } from '../../../../src/core/network-rules.ts';
import { CRYPTO_USER, DAY, type KeyEstate, lastOf, openKeyEstate, withBody } from './key-estate.ts';

const ADDRESS = 'https://contoso.managedhsm.localhost:8443';

function make({ get }: KeyEstate, name: string, more: object = {}) {
  return get('POST', `/keys/${name}/create`, withBody({ kty: 'oct', ...more }));
}

// --- changes ---

test('what a change leaves out stays, tags are replaced as a whole, and the time of the change is kept', async (t) => {
  const keys = await openKeyEstate(t);
  const made = await make(keys, 'k', { tags: { a: '1', b: '2' }, attributes: { exp: 4_000_000_000 } });
  keys.estate.advance(5000);
  const changed = await keys.get('PATCH', '/keys/k', withBody({ tags: { c: '3' }, attributes: { enabled: false, nbf: null } }));
  assert.deepEqual(changed.tags, { c: '3' });
  assert.deepEqual([changed.attributes.enabled, changed.attributes.exp, changed.attributes.nbf], [false, 4_000_000_000, undefined]);
  assert.deepEqual([changed.key, changed.attributes.created], [made.key, made.attributes.created]);
  assert.ok(changed.attributes.updated >= made.attributes.updated + 5);
  assert.deepEqual(await keys.get('GET', '/keys/k'), changed);
});

test('a change of one version is none of another', async (t) => {
  const keys = await openKeyEstate(t);
  const old = await make(keys, 'k');
  const latest = await make(keys, 'k');
  await keys.get('PATCH', `/keys/k/${lastOf(old.key.kid)}`, withBody({ attributes: { enabled: false } }));
  assert.deepEqual(await keys.get('GET', '/keys/k'), latest);
  assert.equal((await keys.get('GET', `/keys/k/${lastOf(old.key.kid)}`)).attributes.enabled, false);
});

test('what cannot be changed is refused in words, and nothing is changed beside it', async (t) => {
  const keys = await openKeyEstate(t);
  const made = await make(keys, 'k');
  for (const [target, body, line, says] of [
    ['/keys/k', undefined, '400 Nocontentprovided', /No content provided/],
    [
      '/keys/k',
      { tags: { a: 'b' }, attributes: { exportable: true } },
      '400 BadParameter',
      /^Cannot modify the exportable state of a key$/,
    ],
    ['/keys/k', { tags: { a: 'b' }, release_policy: { data: 'e30' } }, '400 BadParameter', /^Non-exportable keys/],
    ['/keys/k', { tags: { a: 'b' }, key_ops: ['import'] }, '400 BadParameter', /'import'/],
    ['/keys/absent', { tags: {} }, '404 KeyNotFound', /\/keys\/absent$/],
    [`/keys/k/${'0'.repeat(32)}`, { tags: {} }, '404 KeyNotFound', /\/keys\/k$/],
  ] as const) {
    const refused = await keys.refusal('PATCH', target, withBody(body));
    assert.equal(refused.line, line);
    assert.match(refused.message, says);
  }
  assert.deepEqual(await keys.get('GET', '/keys/k'), made);
});

test('an empty list of operations changes none: a client that sends it means something else', async (t) => {
  const keys = await openKeyEstate(t);
  await make(keys, 'k', { key_ops: ['sign'] });
  const changed = await keys.get('PATCH', '/keys/k', withBody({ key_ops: [], tags: { a: 'b' } }));
  assert.deepEqual([changed.key.key_ops, changed.tags], [['sign'], { a: 'b' }]);
});

// --- lists ---

/** All items, page by page, and how many each page had. */
async function walk({ get }: KeyEstate, first: string): Promise<{ readonly kids: readonly string[]; readonly pages: readonly number[] }> {
  const kids: string[] = [];
  const pages: number[] = [];
  for (let next: string | undefined = first; next !== undefined; ) {
    const page: { value: { kid: string }[]; nextLink?: string } = await get('GET', next);
    assert.equal(page.nextLink?.includes('api-version') ?? false, false);
    kids.push(...page.value.map(({ kid }) => kid));
    pages.push(page.value.length);
    next = page.nextLink;
  }
  return { kids, pages };
}

test('keys are listed once each, by name and without version, in pages of the size that was asked for', async (t) => {
  const keys = await openKeyEstate(t);
  for (let i = 0; i < 26; i += 1) await make(keys, `K${String(i).padStart(2, '0')}`);
  for (let i = 0; i < 3; i += 1) await make(keys, 'K07', { tags: { round: String(i) } });
  const names = Array.from({ length: 26 }, (_, i) => `${ADDRESS}/keys/K${String(i).padStart(2, '0')}`);
  for (const [query, pages] of [
    ['', [25, 1]],
    ['?maxresults=25', [25, 1]],
    ['?maxresults=13', [13, 13]],
    ['?maxresults=10', [10, 10, 6]],
  ] as const)
    assert.deepEqual(await walk(keys, `/keys${query}`), { kids: names, pages });
  const { value } = await keys.get('GET', '/keys');
  assert.deepEqual(value[7].tags, { round: '2' }, 'a key is listed as its latest version is');
  assert.deepEqual(Object.keys(value[0]).sort(), ['attributes', 'kid']);
});

test('the versions of a key are listed with theirs, in pages, and a key that is not there has none', async (t) => {
  const keys = await openKeyEstate(t);
  const kids: string[] = [];
  for (let i = 0; i < 5; i += 1) kids.push((await make(keys, 'k')).key.kid);
  assert.deepEqual(await walk(keys, '/keys/k/versions?maxresults=2'), { kids, pages: [2, 2, 1] });
  assert.deepEqual(await keys.get('GET', '/keys/absent/versions'), { value: [] });
});

test('a page grows no gap and repeats nothing when keys come and go while it is turned', async (t) => {
  const keys = await openKeyEstate(t);
  for (const name of ['a', 'b', 'c', 'd', 'e']) await make(keys, name);
  const first = await keys.get('GET', '/keys?maxresults=2');
  await keys.get('DELETE', '/keys/b');
  await make(keys, 'aa');
  const rest = await walk(keys, first.nextLink);
  assert.deepEqual(rest.kids.map(lastOf), ['c', 'd', 'e']);
});

test('a page size or a skip token that is none is refused', async (t) => {
  const keys = await openKeyEstate(t);
  await make(keys, 'k');
  for (const list of ['/keys', '/deletedkeys', '/keys/k/versions'])
    for (const query of [
      'maxresults=0',
      'maxresults=26',
      'maxresults=-1',
      'maxresults=ten',
      'maxresults=',
      '$skiptoken=!!',
      `$skiptoken=${'A'.repeat(400)}`,
    ])
      assert.equal((await keys.refusal('GET', `${list}?${query}`)).line, '400 BadParameter', `${list}?${query}`);
  const word = Buffer.from('k').toString('base64url');
  assert.equal((await keys.refusal('GET', `/keys/k/versions?$skiptoken=${word}`)).line, '400 BadParameter');
});

// --- the end ---

test('a deleted key does nothing, holds its name, and comes back with all its versions', async (t) => {
  const keys = await openKeyEstate(t);
  const { get, refusal, estate } = keys;
  const old = await make(keys, 'Gone', { tags: { a: 'b' } });
  const latest = await make(keys, 'Gone');
  const deleted = await get('DELETE', '/keys/gone');
  assert.deepEqual(deleted, await get('GET', '/deletedkeys/GONE'));
  assert.deepEqual(deleted.key, latest.key);
  assert.equal(deleted.recoveryId, `${ADDRESS}/deletedkeys/Gone`);
  assert.equal(deleted.scheduledPurgeDate, deleted.deletedDate + 7 * 86_400);
  const { value } = await get('GET', '/deletedkeys');
  assert.deepEqual(
    value.map((item: { kid: string; recoveryId: string }) => [item.kid, item.recoveryId]),
    [[`${ADDRESS}/keys/Gone`, deleted.recoveryId]],
  );
  assert.deepEqual(await get('GET', '/keys'), { value: [] });
  assert.deepEqual(await get('GET', '/keys/gone/versions'), { value: [] });

  const version = lastOf(old.key.kid);
  const body = { alg: 'HS256', value: 'AAAA' };
  for (const target of ['/keys/gone/sign', `/keys/gone/${version}/sign`])
    assert.equal((await refusal('POST', target, withBody(body))).line, '404 KeyNotFound');
  for (const method of ['GET', 'DELETE'] as const) assert.equal((await refusal(method, '/keys/gone')).line, '404 KeyNotFound');
  assert.equal((await refusal('PATCH', '/keys/gone', withBody({ tags: {} }))).line, '404 KeyNotFound');
  const key = { kty: 'oct', k: Buffer.alloc(32).toString('base64url') };
  for (const taken of [
    await refusal('POST', '/keys/GONE/create', withBody({ kty: 'oct' })),
    await refusal('PUT', '/keys/GONE', withBody({ key })),
  ]) {
    assert.equal(taken.line, '409 Conflict ObjectIsDeletedButRecoverable');
    assert.match(taken.message, /^Key Gone is currently in a deleted but recoverable state/);
  }

  estate.advance(6 * DAY);
  await estate.sweep();
  assert.deepEqual(await get('POST', '/deletedkeys/gone/recover'), latest);
  assert.deepEqual(await get('GET', `/keys/gone/${version}`), old);
  assert.equal((await refusal('GET', '/deletedkeys/gone')).message, `Key not found: ${ADDRESS}/deletedkeys/gone`);
  estate.advance(2 * DAY);
  await estate.sweep();
  assert.deepEqual(await get('GET', '/keys/gone'), latest, 'a recovered key has no end');
});

test('a purged key is gone, and its name begins anew', async (t) => {
  const keys = await openKeyEstate(t);
  const old = await make(keys, 'k');
  assert.equal((await keys.refusal('DELETE', '/deletedkeys/k')).line, '404 KeyNotFound', 'a key is deleted before it is purged');
  await keys.get('DELETE', '/keys/k');
  const purged = await keys.estate.ask('DELETE', '/deletedkeys/k');
  assert.deepEqual([purged.status, purged.body], [204, undefined]);
  for (const [method, target] of [
    ['GET', '/deletedkeys/k'],
    ['POST', '/deletedkeys/k/recover'],
    ['DELETE', '/deletedkeys/k'],
  ] as const)
    assert.equal((await keys.refusal(method, target)).line, '404 KeyNotFound');
  await make(keys, 'k');
  assert.equal((await keys.get('GET', '/keys/k/versions')).value.length, 1);
  assert.equal((await keys.refusal('GET', `/keys/k/${lastOf(old.key.kid)}`)).line, '404 KeyNotFound');
});

test('with purge protection a key waits for its end, which comes all the same', async (t) => {
  const keys = await openKeyEstate(t);
  const { estate, hsmId, get, refusal } = keys;
  await estate.parts.write((writer) =>
    estate.port.update(writer, hsmId, { purgeProtection: true, otherRegions: [], network: OPEN_TO_ALL }),
  );
  assert.equal((await make(keys, 'k')).attributes.recoveryLevel, 'CustomizedRecoverable');
  await get('DELETE', '/keys/k');
  assert.equal((await refusal('DELETE', '/deletedkeys/k')).line, '403 Forbidden PurgeProtectionEnabled');
  await get('GET', '/deletedkeys/k');
  estate.advance(7 * DAY + 1000);
  await estate.sweep();
  assert.equal((await refusal('GET', '/deletedkeys/k')).line, '404 KeyNotFound');
});

test('the end of a key takes its versions, its policy and its roles, and nothing of another', async (t) => {
  const keys = await openKeyEstate(t);
  const { estate, hsmId, get } = keys;
  await keys.add('other');
  for (const at of ['contoso', 'other']) await get('POST', '/keys/k/create', withBody({ kty: 'oct' }, { at }));
  await make(keys, 'kk');
  await get('PUT', '/keys/k/rotationpolicy', withBody({ attributes: { expiryTime: 'P90D' } }));
  for (const name of ['k', 'kk']) {
    const properties = { roleDefinitionId: CRYPTO_USER, principalId: randomUUID() };
    await get('PUT', `/keys/${name}/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}`, withBody({ properties }));
  }
  await get('DELETE', '/keys/k');
  estate.advance(7 * DAY + 1000);
  await estate.sweep();
  const { read } = estate.parts;
  for (const table of ['keys', 'key_versions'] as const) {
    const rows = await read.selectFrom(table).select('name_key').where('hsm_id', '=', hsmId).execute();
    assert.deepEqual(
      rows.map(({ name_key }) => name_key),
      ['kk'],
      table,
    );
  }
  assert.deepEqual(await read.selectFrom('rotation_policies').select('name_key').execute(), []);
  const roles = await read.selectFrom('role_assignments').select('scope_key').where('scope_key', 'like', '/keys/%').execute();
  assert.deepEqual(
    roles.map(({ scope_key }) => scope_key),
    ['/keys/kk'],
  );
  await get('GET', '/keys/k', { at: 'other' });
});
