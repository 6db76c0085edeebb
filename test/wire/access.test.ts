// Who may do what, asked over the wire: each operation needs its own data action and nothing less, whatever else is going on at the same time.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type House, type Json, openHouse } from '../house.ts';
import { activate, CRYPTO_OFFICER, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'access';
const ROLE = '99999999-9999-4999-8999-999999999999';
const GUID = '88888888-8888-4888-8888-888888888888';
const PREFIX = 'Microsoft.KeyVault/managedHsm/';
const ROLES = '/providers/Microsoft.Authorization/roleDefinitions';
const ASSIGNMENTS = '/providers/Microsoft.Authorization/roleAssignments';
const VALUE = Buffer.alloc(32, 3).toString('base64url');

/** One request for each operation, with the data action that the service's documentation names for it. */
// biome-ignore format: a table reads by its columns
const OPERATIONS: readonly (readonly [action: string, method: string, path: string, body?: Json])[] = [
  ['keys/create',                     'POST',   '/keys/new/create', { kty: 'none' }],
  ['keys/import/action',              'PUT',    '/keys/new', { key: { kty: 'none' } }],
  ['keys/read/action',                'GET',    '/keys'],
  ['keys/read/action',                'GET',    '/keys/k'],
  ['keys/read/action',                'GET',    '/keys/k/versions'],
  ['keys/write/action',               'PATCH',  '/keys/k', { attributes: { exportable: true } }],
  ['keys/delete',                     'DELETE', '/keys/absent'],
  ['keys/deletedKeys/read/action',    'GET',    '/deletedkeys'],
  ['keys/deletedKeys/read/action',    'GET',    '/deletedkeys/absent'],
  ['keys/deletedKeys/recover/action', 'POST',   '/deletedkeys/absent/recover'],
  ['keys/deletedKeys/delete',         'DELETE', '/deletedkeys/absent'],
  ['keys/backup/action',              'POST',   '/keys/k/backup'],
  ['keys/restore/action',             'POST',   '/keys/restore', { value: 'AAAA' }],
  ['keys/encrypt/action',             'POST',   '/keys/k/encrypt', { alg: 'RSA-OAEP-256', value: VALUE }],
  ['keys/decrypt/action',             'POST',   '/keys/k/decrypt', { alg: 'RSA-OAEP-256', value: VALUE }],
  ['keys/wrap/action',                'POST',   '/keys/k/wrapkey', { alg: 'RSA-OAEP-256', value: VALUE }],
  ['keys/unwrap/action',              'POST',   '/keys/k/unwrapkey', { alg: 'RSA-OAEP-256', value: VALUE }],
  ['keys/sign/action',                'POST',   '/keys/k/sign', { alg: 'RS256', value: VALUE }],
  ['keys/verify/action',              'POST',   '/keys/k/verify', { alg: 'RS256', digest: VALUE, value: VALUE }],
  ['keys/release/action',             'POST',   '/keys/k/release', { target: 'x' }],
  ['keys/rotate/action',              'POST',   '/keys/k/rotate'],
  ['rng/action',                      'POST',   '/rng', { count: 1 }],
  ['roleDefinitions/read/action',     'GET',    ROLES],
  ['roleDefinitions/write/action',    'PUT',    `${ROLES}/${GUID}`, { properties: {} }],
  ['roleDefinitions/delete/action',   'DELETE', `${ROLES}/${GUID}`],
  ['roleAssignments/read/action',     'GET',    ASSIGNMENTS],
  ['roleAssignments/write/action',    'PUT',    `${ASSIGNMENTS}/${GUID}`, { properties: {} }],
  ['roleAssignments/delete/action',   'DELETE', `${ASSIGNMENTS}/${GUID}`],
  ['settings/read/action',            'GET',    '/settings'],
  ['settings/write/action',           'PATCH',  '/settings/none', { value: 'true' }],
  ['securitydomain/download/action',  'POST',   '/securitydomain/download', { certificates: [] }],
  ['securitydomain/download/read',    'GET',    '/securitydomain/download/pending'],
  ['securitydomain/upload/read',      'GET',    '/securitydomain/upload/pending'],
  ['securitydomain/transferkey/read', 'GET',    '/securitydomain/upload'],
  ['securitydomain/upload/action',    'POST',   '/securitydomain/upload', { value: 'x' }],
  ['backup/start/action',             'POST',   '/backup', {}],
  ['restore/start/action',            'PUT',    '/restore', {}],
];

suite('access', () => {
  let house: House;
  let application: string;
  before(async () => {
    house = await openHouse({ workers: 2 });
    await house.provision(HSM);
    await activate(house, HSM);
    for (const role of [CRYPTO_USER, CRYPTO_OFFICER]) await grant(house, HSM, role, house.connection.user.objectId);
    await house.hsm(HSM, 'POST', '/keys/k/create', { kty: 'RSA-HSM' });
    application = await house.token('application', 'hsm');
    await allow([]);
    await grant(house, HSM, ROLE, house.connection.servicePrincipal.objectId);
  });
  after(() => house?.close());

  async function allow(dataActions: readonly string[], notDataActions: readonly string[] = []): Promise<void> {
    const prefixed = (actions: readonly string[]): string[] => actions.map((action) => PREFIX + action);
    const permissions = [{ actions: [], notActions: [], dataActions: prefixed(dataActions), notDataActions: prefixed(notDataActions) }];
    const got = await house.hsm(HSM, 'PUT', `${ROLES}/${ROLE}`, {
      properties: { roleName: 'one thing', permissions, assignableScopes: ['/'] },
    });
    assert.equal(got.status, 201, got.text);
  }

  function refused(token: string): Promise<readonly string[]> {
    return Promise.all(
      OPERATIONS.map(async ([action, method, path, body]) => {
        const got = await house.hsm(HSM, method, path, body, token);
        const isRefused = got.status === 403 && got.json.error.code === 'AccessDenied';
        if (isRefused) assert.ok(got.json.error.message.includes(`${PREFIX}${action} on `), got.json.error.message);
        return isRefused ? `${method} ${path}` : '';
      }),
    );
  }

  test('a role with one data action opens the operations of that action and no other', async () => {
    for (const allowed of new Set(OPERATIONS.map(([action]) => action))) {
      await allow([allowed]);
      const expected = OPERATIONS.map(([action, method, path]) => (action === allowed ? '' : `${method} ${path}`));
      assert.deepEqual(await refused(application), expected, allowed);
    }
  });

  test('what a role gives with one hand it takes with the other', async () => {
    await allow(['keys/read/action', 'keys/sign/action'], ['keys/sign/action']);
    assert.equal((await house.hsm(HSM, 'GET', '/keys/k', undefined, application)).status, 200);
    assert.equal((await house.hsm(HSM, 'POST', '/keys/k/sign', { alg: 'RS256', value: VALUE }, application)).status, 403);
  });

  test('good and bad tokens that arrive together are told apart, every time', async () => {
    await allow(['keys/read/action']);
    const good = [application, await house.token('user', 'hsm')];
    const bad = good.flatMap((token) => [
      `${token.slice(0, -8)}AAAAAAAA`,
      token.replace(/^[^.]+/, Buffer.from('{"alg":"none"}').toString('base64url')),
      token.slice(0, 40),
    ]);
    const asked = Array.from({ length: 200 }, (_, i) => (i % 2 === 0 ? good[i % good.length] : bad[i % bad.length]) ?? '');
    const statuses = await Promise.all(asked.map(async (token) => (await house.hsm(HSM, 'GET', '/keys/k', undefined, token)).status));
    assert.deepEqual(
      statuses,
      asked.map((token) => (good.includes(token) ? 200 : 401)),
    );
  });

  test('no version of a deleted key can be used, by any of its addresses', async () => {
    const made: string[] = [];
    for (let i = 0; i < 2; i += 1)
      made.push((await house.hsm(HSM, 'POST', '/keys/gone/create', { kty: 'RSA-HSM' })).json.key.kid.split('/').at(-1));
    const uses = () =>
      Promise.all(
        ['', ...made.map((version) => `/${version}`)].flatMap((version) => [
          house.hsm(HSM, 'POST', `/keys/gone${version}/sign`, { alg: 'RS256', value: VALUE }),
          house.hsm(HSM, 'POST', `/keys/gone${version}/unwrapkey`, { alg: 'RSA-OAEP', value: VALUE }),
        ]),
      );
    assert.deepEqual([...new Set((await uses()).map(({ status }) => status))].sort(), [200, 400]);
    await house.hsm(HSM, 'DELETE', '/keys/gone');
    assert.deepEqual([...new Set((await uses()).map(({ status }) => status))], [404]);
    await house.hsm(HSM, 'DELETE', '/deletedkeys/gone');
    assert.deepEqual([...new Set((await uses()).map(({ status }) => status))], [404]);
  });

  test('health and metrics tell nothing about HSMs, keys or principals', async () => {
    const { management, user } = house.connection;
    assert.equal(await (await fetch(`${management}readyz`)).text(), 'ready\n');
    const metrics = await (await fetch(`${management}metrics`)).text();
    assert.match(metrics, /strongroom_requests_total\{[^}]*route="\/keys\/:name\/sign"/);
    for (const secret of [HSM, '/keys/k', user.objectId, user.userPrincipalName, house.connection.tenantId])
      assert.ok(!metrics.includes(secret), secret);
    assert.equal((await fetch(`${management}keys`)).status, 404);
  });
});
