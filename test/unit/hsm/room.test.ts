// How one HSM receives a request: the api-version, what may be done where and how a refusal reads, the settings.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import type { Method } from '../../../src/core/route.ts';
import { DATA_ACTIONS } from '../../../src/hsm/access/actions.ts';
import { activeRows, earlyRows } from '../../../src/hsm/routes.ts';
import { administrator, type Estate, openEstate, person } from './estate.ts';

const ASSIGNMENTS = '/providers/Microsoft.Authorization/roleAssignments';
const DEFINITIONS = '/providers/Microsoft.Authorization/roleDefinitions';
const CRYPTO_USER = '21dbd100-6940-42c2-9190-5d6cb909625b';
const SETTING = 'AllowKeyManagementOperationsThroughARM';

// --- api-version ---

// biome-ignore format: a list
const KNOWN = [
  '7.0', '7.1', '7.2-preview', '7.2', '7.3-preview', '7.3', '7.4-preview.1', '7.4', '7.5-preview.1', '7.5', '7.6-preview.1', '7.6-preview.2', '7.6',
  '2025-06-01-preview', '2025-07-01', '2026-01-01-preview', '2026-03-01-preview', '2026-04-01', '2026-05-01-preview', '2026-07-01-preview',
];

test('every api-version that a client sends is served, in any case, and so is none', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  for (const version of [...KNOWN, '7.4-PREVIEW.1', '2026-01-01-Preview', null]) {
    assert.equal((await estate.ask('GET', '/settings', { version })).status, 200, String(version));
  }
});

test('an api-version that does not exist is refused, before the HSM is activated too', async (t) => {
  const estate = await openEstate(t);
  await estate.provision('contoso');
  for (const version of ['', '7', '8.0', '6.5', '7.99', '7.2-beta', '2016-10-01', '2099-01-01', '7.5 ', '7.5,7.6', 'latest']) {
    for (const target of ['/settings', '/securitydomain/download/pending']) {
      const got = await estate.ask('GET', target, { version });
      assert.deepEqual([got.status, got.code], [400, 'BadParameter'], version);
    }
  }
});

// --- what may be done where ---

// biome-ignore format: a table reads by its columns
const PLACES: readonly [Method, string, string][] = [
  ['GET',    '/keys',                                        'keys/read/action on /keys'],
  ['GET',    '/keys/Blue',                                   'keys/read/action on /keys/Blue'],
  ['GET',    '/keys/blue/versions',                          'keys/read/action on /keys/blue'],
  ['POST',   '/keys/blue/create',                            'keys/create on /keys/blue'],
  ['PUT',    '/keys/blue',                                   'keys/import/action on /keys/blue'],
  ['POST',   '/keys/blue/sign',                              'keys/sign/action on /keys/blue'],
  ['POST',   `/keys/blue/${'0'.repeat(32)}/wrapKey`,         'keys/wrap/action on /keys/blue'],
  ['DELETE', '/keys/blue',                                   'keys/delete on /keys/blue'],
  ['GET',    '/deletedkeys',                                 'keys/deletedKeys/read/action on /keys'],
  ['POST',   '/deletedkeys/blue/recover',                    'keys/deletedKeys/recover/action on /keys/blue'],
  ['POST',   '/keys/restore',                                'keys/restore/action on /keys'],
  ['POST',   '/rng',                                         'rng/action on /'],
  ['GET',    '/settings',                                    'settings/read/action on /'],
  ['PATCH',  `/settings/${SETTING}`,                         'settings/write/action on /'],
  ['POST',   '/securitydomain/download',                     'securitydomain/download/action on /'],
  ['GET',    ASSIGNMENTS,                                    'roleAssignments/read/action on /'],
  ['PUT',    `${ASSIGNMENTS}/${CRYPTO_USER}`,                'roleAssignments/write/action on /'],
  ['PUT',    `/keys${ASSIGNMENTS}/${CRYPTO_USER}`,           'roleAssignments/write/action on /keys'],
  ['DELETE', `/keys/blue${ASSIGNMENTS}/${CRYPTO_USER}`,      'roleAssignments/delete/action on /keys/blue'],
  ['GET',    `/keys/blue${DEFINITIONS}`,                     'roleDefinitions/read/action on /keys/blue'],
  ['PUT',    `${DEFINITIONS}/${CRYPTO_USER}`,                'roleDefinitions/write/action on /'],
];

test('a refusal names what was not allowed, and where', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  for (const [method, target, refusal] of PLACES) {
    const got = await estate.ask(method, target, { as: person(randomUUID()), body: {} });
    assert.deepEqual(got.body.error, {
      code: 'AccessDenied',
      message: `Not authorized to access Microsoft.KeyVault/managedHsm/${refusal}`,
      inner: undefined,
    });
    assert.equal(got.status, 403);
  }
});

test('a role at one key opens that key alone', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  const ann = person(randomUUID());
  await assign(estate, '/keys/blue', ann.objectId);
  const create = (name: string) => estate.ask('POST', `/keys/${name}/create`, { as: ann, body: { kty: 'EC' } });
  assert.equal((await create('Blue')).status, 200);
  assert.equal((await create('blue2')).code, 'AccessDenied');
  assert.equal((await estate.ask('GET', '/keys/BLUE', { as: ann })).status, 200);
  for (const target of ['/keys', '/keys/red', '/keys/blue%2Fx', '/deletedkeys/blue']) {
    assert.equal((await estate.ask('GET', target, { as: ann })).code, 'AccessDenied', target);
  }
  assert.equal((await estate.ask('POST', '/rng', { as: ann, body: { count: 8 } })).code, 'AccessDenied');
});

test("a group's role is its members'", async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  const staff = randomUUID();
  await assign(estate, '', staff);
  assert.equal((await estate.ask('GET', '/keys', { as: person(randomUUID(), [randomUUID(), staff]) })).status, 200);
  assert.equal((await estate.ask('GET', '/keys', { as: person(randomUUID(), [randomUUID()]) })).code, 'AccessDenied');
});

test('administrators have no keys by that alone', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  assert.equal((await estate.ask('GET', '/keys')).code, 'AccessDenied');
  assert.equal((await estate.ask('POST', '/keys/blue/create', { body: { kty: 'EC' } })).code, 'AccessDenied');
});

test('every row asks for a data action that exists; only what tells people about themselves does without', () => {
  const known: readonly string[] = DATA_ACTIONS;
  const others = [...earlyRows, ...activeRows].filter(({ action }) => !known.includes(action));
  assert.deepEqual(
    others.map(({ method, path, action }) => [method, path, action]),
    [['GET', '/strongroom/access', 'signed in']],
  );
});

test('no address is served twice', () => {
  const addresses = [...earlyRows, ...activeRows].map(({ method, path }) => `${method} ${path.replace(/:\w+/g, ':').toLowerCase()}`);
  assert.deepEqual(
    addresses.filter((address, index) => addresses.indexOf(address) !== index),
    [],
  );
});

test('every success says in which region the HSM is', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  assert.deepEqual((await estate.ask('GET', '/settings')).headers, { 'x-ms-keyvault-region': 'norwayeast' });
});

test('a thread that only reads refuses to write', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  const row = estate.room.rows.find(({ method, path }) => method === 'PATCH' && path === '/settings/:name');
  const visit = {
    caller: administrator,
    host: 'contoso.managedhsm.localhost',
    origin: 'https://contoso.managedhsm.localhost:8443',
    address: '127.0.0.1',
    apiVersion: '7.5',
    requestId: '',
    path: { name: SETTING },
  };
  const admitted = await row?.admit(visit);
  await assert.rejects(async () => admitted?.run({ ...visit, query: {}, body: { value: 'true' } }), /only reads/);
  assert.equal((await estate.ask('GET', `/settings/${SETTING}`)).body.value, 'false');
});

// --- settings ---

test('there is one setting, and it is off until somebody turns it on', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  const off = { name: SETTING, type: 'boolean', value: 'false' };
  const on = { ...off, value: 'true' };
  assert.deepEqual((await estate.ask('GET', '/settings')).body, { settings: [off] });
  assert.deepEqual((await estate.ask('PATCH', `/settings/${SETTING}`, { body: { value: 'true' } })).body, on);
  assert.deepEqual((await estate.ask('GET', `/settings/${SETTING.toLowerCase()}`)).body, on);
  assert.deepEqual((await estate.ask('PATCH', `/settings/${SETTING}`, { body: { value: 'False' } })).body, off);
  assert.deepEqual((await estate.ask('GET', '/settings')).body, { settings: [off] });
});

test('a setting of one HSM is none of another', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  await estate.activated('fabrikam');
  await estate.ask('PATCH', `/settings/${SETTING}`, { body: { value: 'true' } });
  assert.equal((await estate.ask('GET', `/settings/${SETTING}`, { at: 'fabrikam' })).body.value, 'false');
});

test('a setting that is not there, or a value that is none, is refused', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  const unknown = 'Invalid setting name. Please check the spelling of the setting name to update.';
  const get = await estate.ask('GET', '/settings/nope');
  const patch = await estate.ask('PATCH', '/settings/nope', { body: { value: 'true' } });
  for (const got of [get, patch]) assert.deepEqual([got.status, got.code, got.body.error.message], [400, 'InvalidSetting', unknown]);
  const empty = await estate.ask('PATCH', `/settings/${SETTING}`);
  assert.deepEqual([empty.status, empty.code, empty.body.error.message], [400, 'Nocontentprovided', 'No content provided']);
  for (const value of ['yes', '', 1, {}, null, undefined]) {
    assert.equal((await estate.ask('PATCH', `/settings/${SETTING}`, { body: { value } })).code, 'BadParameter', String(value));
  }
  assert.equal(
    (await estate.ask('PATCH', `/settings/${SETTING}`, { body: { value: true } })).body.value,
    'true',
    'as some clients write it',
  );
});

async function assign(estate: Estate, scope: string, principalId: string): Promise<void> {
  const properties = { principalId, roleDefinitionId: CRYPTO_USER };
  const { status } = await estate.ask('PUT', `${scope}${ASSIGNMENTS}/${randomUUID()}`, { body: { properties } });
  assert.equal(status, 201);
}
