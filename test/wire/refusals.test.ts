// Bad input, everywhere: each row is a request and the service's own error for it. After all of them the service still answers.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { GROUP, type House, type Json, openHouse } from '../house.ts';
import { jwk, makeNewPair, makePair } from '../unit/security-domain/ceremony.ts';
import { activate, CRYPTO_USER, grant } from './ready.ts';

const ACTIVE = 'refusals';
const WAITING = 'refusals-waiting';
const KV = `/resourceGroups/${GROUP}/providers/Microsoft.KeyVault/managedHSMs`;

interface Bad {
  readonly what: string;
  readonly status: number;
  readonly code: string;
  readonly says?: RegExp;
}

interface BadArm extends Bad {
  readonly ask: readonly [method: string, path: string, body?: Json];
}

const HSM = { location: 'norwayeast', sku: { family: 'B', name: 'Standard_B1' } };
const ADMIN = { initialAdminObjectIds: ['11111111-1111-4111-8111-111111111111'] };

// biome-ignore format: a table reads by its columns
const ARM: readonly BadArm[] = [
  { what: 'no api-version',              status: 400, code: 'MissingApiVersionParameter', ask: ['GET', '/resourceGroups?api-version='] },
  { what: 'an api-version that is none', status: 400, code: 'InvalidApiVersionParameter', ask: ['GET', '/resourceGroups?api-version=latest'] },
  { what: 'a group that is not there',   status: 404, code: 'ResourceGroupNotFound', ask: ['GET', '/resourceGroups/nowhere'] },
  { what: 'an HSM in such a group',      status: 404, code: 'ResourceGroupNotFound', ask: ['PUT', '/resourceGroups/nowhere/providers/Microsoft.KeyVault/managedHSMs/abc', { ...HSM, properties: ADMIN }] },
  { what: 'a bad group name',            status: 400, code: 'InvalidResourceName', ask: ['PUT', '/resourceGroups/ends.', { location: 'norwayeast' }] },
  { what: 'a group without a location',  status: 400, code: 'LocationRequired', ask: ['PUT', '/resourceGroups/g', {}] },
  { what: 'a group on mars',             status: 400, code: 'LocationNotAvailableForResourceGroup', ask: ['PUT', '/resourceGroups/g', { location: 'mars' }] },
  { what: 'a group somewhere else',      status: 409, code: 'InvalidResourceGroupLocation', ask: ['PUT', `/resourceGroups/${GROUP}`, { location: 'westus' }] },
  { what: 'an HSM that is not there',    status: 404, code: 'ResourceNotFound', ask: ['GET', `${KV}/nothing`] },
  { what: 'an HSM on mars',              status: 400, code: 'LocationNotAvailableForResourceType', ask: ['PUT', `${KV}/abc`, { ...HSM, location: 'mars', properties: ADMIN }] },
  { what: 'a name that is too short',    status: 400, code: 'InvalidResourceName', ask: ['PUT', `${KV}/ab`, { ...HSM, properties: ADMIN }] },
  { what: 'a name that is too long',     status: 400, code: 'InvalidResourceName', ask: ['PUT', `${KV}/a234567890123456789012345`, { ...HSM, properties: ADMIN }] },
  { what: 'a name with two hyphens',     status: 400, code: 'InvalidResourceName', ask: ['PUT', `${KV}/a--b`, { ...HSM, properties: ADMIN }] },
  { what: 'a name that starts with 1',   status: 400, code: 'InvalidResourceName', ask: ['PUT', `${KV}/1abc`, { ...HSM, properties: ADMIN }] },
  { what: 'no administrators',           status: 400, code: 'BadRequest', ask: ['PUT', `${KV}/abc`, { ...HSM, properties: {} }], says: /initialAdminObjectIds/ },
  { what: 'an administrator by name',    status: 400, code: 'BadRequest', ask: ['PUT', `${KV}/abc`, { ...HSM, properties: { initialAdminObjectIds: ['alice'] } }] },
  { what: 'six days of retention',       status: 400, code: 'BadRequest', ask: ['PUT', `${KV}/abc`, { ...HSM, properties: { ...ADMIN, softDeleteRetentionInDays: 6 } }], says: /7 to 90/ },
  { what: 'ninety-one days',             status: 400, code: 'BadRequest', ask: ['PUT', `${KV}/abc`, { ...HSM, properties: { ...ADMIN, softDeleteRetentionInDays: 91 } }] },
  { what: 'half a day',                  status: 400, code: 'BadRequest', ask: ['PUT', `${KV}/abc`, { ...HSM, properties: { ...ADMIN, softDeleteRetentionInDays: 7.5 } }] },
  { what: 'another tenant',              status: 400, code: 'BadRequest', ask: ['PUT', `${KV}/abc`, { ...HSM, properties: { ...ADMIN, tenantId: '22222222-2222-4222-8222-222222222222' } }], says: /tenant/ },
  { what: 'a sku of another family',     status: 400, code: 'BadRequest', ask: ['PUT', `${KV}/abc`, { ...HSM, sku: { family: 'A', name: 'premium' }, properties: ADMIN }] },
  { what: 'soft delete off',             status: 400, code: 'BadRequest', ask: ['PUT', `${KV}/abc`, { ...HSM, properties: { ...ADMIN, enableSoftDelete: false } }] },
  { what: 'rules that deny at once',     status: 400, code: 'NetworkRulesLockOut', ask: ['PUT', `${KV}/abc`, { ...HSM, properties: { ...ADMIN, networkAcls: { defaultAction: 'Deny' } } }] },
  { what: 'a bypass that is none',       status: 400, code: '400', ask: ['PUT', `${KV}/abc`, { ...HSM, properties: { ...ADMIN, networkAcls: { bypass: 'Everyone' } } }] },
  { what: 'another sku afterwards',      status: 400, code: 'BadRequest', ask: ['PATCH', `${KV}/${ACTIVE}`, { sku: { family: 'B', name: 'Custom_B6' } }] },
  { what: 'another location afterwards', status: 409, code: 'InvalidResourceLocation', ask: ['PUT', `${KV}/${ACTIVE}`, { ...HSM, location: 'westus', properties: ADMIN }] },
  { what: 'another retention afterwards', status: 400, code: 'BadRequest', ask: ['PATCH', `${KV}/${ACTIVE}`, { properties: { softDeleteRetentionInDays: 30 } }] },
  { what: 'a body of the wrong shape',   status: 400, code: 'InvalidRequestContent', ask: ['PUT', `${KV}/abc`, { ...HSM, properties: 'none' }] },
  { what: 'a deleted HSM never made',    status: 404, code: 'DeletedManagedHSMNotFound', ask: ['GET', '/providers/Microsoft.KeyVault/locations/norwayeast/deletedManagedHSMs/never'] },
  { what: 'purging one never made',      status: 404, code: 'DeletedManagedHSMNotFound', ask: ['POST', '/providers/Microsoft.KeyVault/locations/norwayeast/deletedManagedHSMs/never/purge'] },
  { what: 'recovering one never made',   status: 404, code: 'DeletedManagedHSMNotFound', ask: ['PUT', `${KV}/never`, { ...HSM, properties: { createMode: 'Recover' } }] },
  { what: 'a provider that is not here', status: 404, code: 'InvalidResourceNamespace', ask: ['GET', '/providers/Microsoft.Compute'] },
];

// biome-ignore format: a table reads by its columns
const KEYS: readonly BadArm[] = [
  { what: 'an api-version that is none', status: 400, code: 'BadParameter', ask: ['GET', '/keys?api-version=9.9'] },
  { what: 'a key that is not there',     status: 404, code: 'KeyNotFound', ask: ['GET', '/keys/nothing'] },
  { what: 'a version that is no version', status: 400, code: 'Invalidkeyidentifier', ask: ['GET', '/keys/k/latest'] },
  { what: 'a name with an underscore',   status: 400, code: 'BadParameter', ask: ['POST', '/keys/a_b/create', { kty: 'EC-HSM' }] },
  { what: 'a name of 128 characters',    status: 400, code: 'BadParameter', ask: ['POST', `/keys/${'a'.repeat(128)}/create`, { kty: 'EC-HSM' }] },
  { what: 'no body',                     status: 400, code: 'Nocontentprovided', ask: ['POST', '/keys/k/create'] },
  { what: 'no type',                     status: 400, code: 'BadParameter', ask: ['POST', '/keys/k/create', {}], says: /kty/ },
  { what: 'a type that is none',         status: 400, code: 'BadParameter', ask: ['POST', '/keys/k/create', { kty: 'DSA' }] },
  { what: 'RSA of 1024 bits',            status: 400, code: 'BadParameter', ask: ['POST', '/keys/k/create', { kty: 'RSA-HSM', key_size: 1024 }], says: /Invalid key size: '1024'/ },
  { what: 'an exponent of 5',            status: 400, code: 'BadParameter', ask: ['POST', '/keys/k/create', { kty: 'RSA-HSM', public_exponent: 5 }] },
  { what: 'a curve that is none',        status: 400, code: 'BadParameter', ask: ['POST', '/keys/k/create', { kty: 'EC-HSM', crv: 'P-224' }] },
  { what: 'an operation that is none',   status: 400, code: 'BadParameter', ask: ['POST', '/keys/k/create', { kty: 'EC-HSM', key_ops: ['fly'] }] },
  { what: 'import with others',          status: 400, code: 'BadParameter', ask: ['POST', '/keys/k/create', { kty: 'RSA-HSM', key_ops: ['import', 'sign'] }] },
  { what: 'sixteen tags',                status: 400, code: 'BadParameter', ask: ['POST', '/keys/k/create', { kty: 'EC-HSM', tags: Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`t${i}`, 'v'])) }] },
  { what: 'exportable without a policy', status: 400, code: 'BadParameter', ask: ['POST', '/keys/k/create', { kty: 'EC-HSM', attributes: { exportable: true } }], says: /Exportable keys must have release policy/ },
  { what: 'an import of nothing',        status: 400, code: 'BadParameter', ask: ['PUT', '/keys/k', { key: { kty: 'RSA' } }] },
  { what: 'an import of a public key',   status: 400, code: 'BadParameter', ask: ['PUT', '/keys/k', { key: { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' } }] },
  { what: 'a page of 26',                status: 400, code: 'BadParameter', ask: ['GET', '/keys?maxresults=26'] },
  { what: 'a skip token made up',        status: 400, code: 'BadParameter', ask: ['GET', '/keys?$skiptoken=!!'] },
  { what: '129 random bytes',            status: 400, code: 'BadParameter', ask: ['POST', '/rng', { count: 129 }] },
  { what: 'a role that is none',         status: 404, code: 'RoleDefinitionNotFound', ask: ['PUT', '/providers/Microsoft.Authorization/roleAssignments/11111111-1111-4111-8111-111111111111', { properties: { roleDefinitionId: '22222222-2222-4222-8222-222222222222', principalId: '33333333-3333-4333-8333-333333333333' } }] },
  { what: 'what the caller may not do',  status: 403, code: 'AccessDenied', ask: ['DELETE', '/deletedkeys/k'], says: /keys\/deletedKeys\/delete on \/keys\/k/ },
  { what: 'an address that is none',     status: 404, code: 'NotFound', ask: ['GET', '/secrets/s'] },
];

suite('bad input gets the service’s own error', () => {
  let house: House;
  before(async () => {
    house = await openHouse();
    await house.provision(ACTIVE);
    await activate(house, ACTIVE);
    await grant(house, ACTIVE, CRYPTO_USER, house.connection.user.objectId);
    await house.provision(WAITING);
  });
  after(() => house?.close());

  for (const { what, status, code, says, ask } of ARM) {
    test(`resource manager: ${what}`, async () => {
      const got = await house.arm(...ask);
      assert.deepEqual([got.status, got.json.error?.code], [status, code], got.text);
      if (says !== undefined) assert.match(got.json.error.message, says);
    });
  }

  for (const { what, status, code, says, ask } of KEYS) {
    test(`HSM: ${what}`, async () => {
      const got = await house.hsm(ACTIVE, ...ask);
      assert.deepEqual([got.status, got.json.error?.code], [status, code], got.text);
      assert.match(got.json.error.message, /\(Activity ID: [0-9a-f-]{36}\)$/);
      if (says !== undefined) assert.match(got.json.error.message, says);
    });
  }

  test('security domain: certificates and quorums that cannot be, each named, and the HSM stays as it was', async () => {
    const pairs = ['a', 'b', 'c'].map((name) => makePair(name));
    const [one, two, three] = pairs.map(jwk);
    const weak = jwk(makeNewPair('weak', ['rsa:1024']));
    const curve = jwk(makeNewPair('curve', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']));
    const bodies: readonly Json[] = [
      { certificates: [one, two], required: 2 },
      { certificates: Array.from({ length: 11 }, () => one), required: 2 },
      { certificates: [one, two, three], required: 1 },
      { certificates: [one, two, three], required: 4 },
      { certificates: [one, two, three], required: 'two' },
      { certificates: [one, two, two], required: 2 },
      { certificates: [one, two, weak], required: 2 },
      { certificates: [one, two, curve], required: 2 },
      { certificates: [one, two, { x5c: ['bm90IGEgY2VydGlmaWNhdGU='] }], required: 2 },
      { required: 2 },
    ];
    for (const body of bodies) {
      const got = await house.hsm(WAITING, 'POST', '/securitydomain/download', body);
      assert.deepEqual([got.status, got.json.error?.code], [400, 'BadParameter'], got.text);
    }
    assert.equal((await house.hsm(WAITING, 'GET', '/securitydomain/download/pending')).status, 404);
    assert.equal((await house.hsm(WAITING, 'GET', '/keys')).json.error.innererror.code, 'HsmNotActivated');
  });

  test('tokens: none, made up, unsigned, for somebody else, too old', async () => {
    const management = await house.token('user', 'management');
    const own = await house.token('user', 'hsm');
    const [, claims = ''] = own.split('.');
    const unsigned = `${Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')}.${claims}.`;
    for (const token of [null, 'made-up', unsigned, `${own}x`, management]) {
      const got = await house.hsm(ACTIVE, 'GET', '/keys', undefined, token);
      assert.equal(got.status, 401, String(token));
      assert.match(
        got.headers['www-authenticate'] ?? '',
        /^Bearer authorization="https:\/\/localhost:\d+\/[0-9a-f-]{36}", resource="https:\/\/managedhsm\.localhost:\d+"$/,
      );
    }
    house.advance(2 * 3_600_000);
    assert.equal((await house.hsm(ACTIVE, 'GET', '/keys', undefined, own)).status, 401);
    assert.equal((await house.hsm(ACTIVE, 'GET', '/keys')).status, 200);
  });

  test('whoever owns the subscription has no rights in an HSM', async () => {
    const application = await house.token('application', 'hsm');
    assert.equal((await house.hsm(ACTIVE, 'GET', '/keys', undefined, application)).json.error.code, 'AccessDenied');
    assert.equal((await house.hsm(WAITING, 'POST', '/securitydomain/download', {}, application)).json.error.code, 'AccessDenied');
  });

  test('a host that belongs to nobody here is an HSM that is not there', async () => {
    const got = await house.hsm('nobody', 'GET', '/keys');
    assert.deepEqual([got.status, got.json.error?.code], [404, 'NotFound']);
  });
});
