// What the resource manager has of an HSM besides itself: its keys, where the HSM's setting allows it, and the connections of private endpoints.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type Got, GROUP, type House, type Json, openHouse } from '../house.ts';
import { activate, CRYPTO_OFFICER, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'managed';
const ASLEEP = 'asleep';
const KV = `/resourceGroups/${GROUP}/providers/Microsoft.KeyVault/managedHSMs`;
const KEYS = `${KV}/${HSM}/keys`;
const SETTING = '/settings/AllowKeyManagementOperationsThroughARM';

suite('keys through the resource manager', () => {
  let house: House;
  before(async () => {
    house = await openHouse({ workers: 2, flags: ['--trusted-proxy', '127.0.0.1'] });
    for (const name of [HSM, ASLEEP]) await house.provision(name);
    await activate(house, HSM);
  });
  after(() => house?.close());

  const put = (name: string, properties: Json, tags?: Json): Promise<Got> =>
    house.arm('PUT', `${KEYS}/${name}`, { properties, ...(tags === undefined ? {} : { tags }) });
  const allow = async (value: boolean): Promise<void> => {
    assert.equal((await house.hsm(HSM, 'PATCH', SETTING, { value: String(value) })).status, 200);
  };

  test('until an administrator of the HSM turns it on, nobody does anything with its keys, not even the owner', async () => {
    for (const ask of [
      () => put('k', { kty: 'EC' }),
      () => house.arm('GET', KEYS),
      () => house.arm('GET', `${KEYS}/k`),
      () => house.arm('GET', `${KEYS}/k/versions`),
    ]) {
      const got = await ask();
      assert.deepEqual([got.status, got.json.error.code], [403, 'Forbidden']);
      assert.match(got.json.error.message, /AllowKeyManagementOperationsThroughARM is false/);
    }
  });

  test('an HSM that is not activated has no keys to manage', async () => {
    const got = await house.arm('GET', `${KV}/${ASLEEP}/keys`);
    assert.deepEqual([got.status, got.json.error.innererror.code], [403, 'HsmNotActivated']);
  });

  test('a key is made, with everything that was said of it', async () => {
    await allow(true);
    const made = await put(
      'rsa',
      {
        kty: 'RSA',
        keySize: 2048,
        keyOps: ['sign', 'verify'],
        attributes: { enabled: true, exp: 4_000_000_000 },
        rotationPolicy: {
          attributes: { expiryTime: 'P90D' },
          lifetimeActions: [{ trigger: { timeAfterCreate: 'P60D' }, action: { type: 'rotate' } }],
        },
      },
      { team: 'payments' },
    );
    assert.equal(made.status, 200, made.text);
    const { id, name, type, tags, properties } = made.json;
    assert.deepEqual([name, type, tags], ['rsa', 'Microsoft.KeyVault/managedHSMs/keys', { team: 'payments' }]);
    assert.ok(id.endsWith(`${KV}/${HSM}/keys/rsa`));
    assert.deepEqual(
      [properties.kty, properties.keySize, properties.keyOps, properties.attributes.exp],
      ['RSA-HSM', 2048, ['sign', 'verify'], 4_000_000_000],
    );
    assert.deepEqual(properties.rotationPolicy, {
      attributes: { expiryTime: 'P90D' },
      lifetimeActions: [{ action: { type: 'rotate' }, trigger: { timeAfterCreate: 'P60D' } }],
    });
    assert.equal(properties.keyUri, `https://${HSM}.${house.connection.managedHsmSuffix}/keys/rsa`);
    assert.match(properties.keyUriWithVersion, /\/keys\/rsa\/[0-9a-f]{32}$/);

    for (const role of [CRYPTO_USER, CRYPTO_OFFICER]) await grant(house, HSM, role, house.connection.user.objectId);
    const seen = await house.hsm(HSM, 'GET', '/keys/rsa');
    assert.deepEqual([seen.json.key.kid, seen.json.tags], [properties.keyUriWithVersion, { team: 'payments' }]);
  });

  test('a key that is there is answered as it is, whatever is asked for', async () => {
    const before = (await house.arm('GET', `${KEYS}/rsa`)).json;
    const again = await put('RSA', { kty: 'EC', curveName: 'P-384' }, { other: 'tag' });
    assert.deepEqual([again.status, again.json], [200, before]);
    assert.equal((await house.arm('GET', `${KEYS}/rsa/versions`)).json.value.length, 1);
  });

  test('of many who make one key at once, all get the same one', async () => {
    const made = await Promise.all(Array.from({ length: 6 }, () => put('once', { kty: 'EC', curveName: 'P-256' })));
    assert.deepEqual([...new Set(made.map(({ status }) => status))], [200]);
    assert.equal(new Set(made.map(({ json }) => json.properties.keyUriWithVersion)).size, 1);
    assert.equal((await house.arm('GET', `${KEYS}/once/versions`)).json.value.length, 1);
  });

  test('keys and versions are listed in pages, and found one by one', async () => {
    for (let i = 0; i < 25; i += 1) assert.equal((await put(`many-${i}`, { kty: 'oct', keySize: 128 })).status, 200);
    const first = (await house.arm('GET', KEYS)).json;
    assert.equal(first.value.length, 25);
    const second = (await house.call('GET', first.nextLink, { token: await house.token('user', 'management') })).json;
    const names = [...first.value, ...second.value].map(({ name }: Json) => name);
    assert.deepEqual([new Set(names).size, names.length, second.nextLink], [27, 27, undefined]);
    assert.equal((await house.hsm(HSM, 'POST', '/keys/once/create', { kty: 'EC' })).status, 200);
    const versions = (await house.arm('GET', `${KEYS}/once/versions`)).json.value;
    assert.deepEqual([versions.length, versions[0].type], [2, 'Microsoft.KeyVault/managedHSMs/keys/versions']);
    const one = (await house.arm('GET', `${KEYS}/once/versions/${versions[0].name}`)).json;
    assert.deepEqual(
      [one.name, one.properties.keyUriWithVersion, one.properties.curveName],
      [versions[0].name, versions[0].properties.keyUriWithVersion, 'P-256'],
    );
    assert.notEqual((await house.arm('GET', `${KEYS}/once`)).json.properties.keyUriWithVersion, one.properties.keyUriWithVersion);
  });

  test('what is not there, and what cannot be, is refused in words', async () => {
    // biome-ignore format: a table reads by its columns
    const cases: readonly [() => Promise<Got>, number, string][] = [
      [() => house.arm('GET', `${KEYS}/none`),                        404, 'KeyNotFound'],
      [() => house.arm('GET', `${KEYS}/none/versions`),               404, 'KeyNotFound'],
      [() => house.arm('GET', `${KEYS}/once/versions/latest`),        400, 'Invalidkeyidentifier'],
      [() => put('a_b', { kty: 'EC' }),                               400, 'BadParameter'],
      [() => put('new', { kty: 'DSA' }),                              400, 'BadParameter'],
      [() => put('new', { kty: 'RSA', keySize: 1024 }),               400, 'BadParameter'],
      [() => put('new', { kty: 'EC', keyOps: ['fly'] }),              400, 'BadParameter'],
      [() => put('new', { kty: 'EC', rotationPolicy: { attributes: { expiryTime: 'P1D' } } }), 400, 'BadParameter'],
      [() => put('new', {}),                                          400, 'InvalidRequestContent'],
    ];
    for (const [ask, status, code] of cases) {
      const got = await ask();
      assert.deepEqual([got.status, got.json.error?.code], [status, code], got.text);
    }
    assert.equal((await house.arm('GET', `${KEYS}/new`)).status, 404, 'a key whose policy is refused is not made either');
    await house.hsm(HSM, 'DELETE', '/keys/many-0');
    const deleted = await put('many-0', { kty: 'EC' });
    assert.deepEqual([deleted.status, deleted.json.error.code], [409, 'Conflict']);
  });

  test('the setting is asked for by the very next request, on every thread', async () => {
    for (let round = 0; round < 3; round += 1) {
      await allow(false);
      const shut = await Promise.all(Array.from({ length: 8 }, () => house.arm('GET', `${KEYS}/rsa`)));
      assert.deepEqual([...new Set(shut.map(({ status }) => status))], [403]);
      await allow(true);
      const open = await Promise.all(Array.from({ length: 8 }, () => house.arm('GET', `${KEYS}/rsa`)));
      assert.deepEqual([...new Set(open.map(({ status }) => status))], [200]);
    }
  });

  test('the resource manager is a trusted service, unless the HSM trusts none', async () => {
    const from = async (address: string): Promise<Got> =>
      house.call(
        'GET',
        `${house.connection.resourceManager}subscriptions/${house.connection.subscriptionId}${KEYS}/rsa?api-version=2023-07-01`,
        {
          token: await house.token('user', 'management'),
          headers: { 'x-forwarded-for': address },
        },
      );
    const acls = { defaultAction: 'Deny', ipRules: [{ value: '127.0.0.1' }] };
    await house.arm('PATCH', `${KV}/${HSM}`, { properties: { networkAcls: { ...acls, bypass: 'AzureServices' } } });
    assert.equal((await from('203.0.113.7')).status, 200);
    await house.arm('PATCH', `${KV}/${HSM}`, { properties: { networkAcls: { ...acls, bypass: 'None' } } });
    const refused = await from('203.0.113.7');
    assert.deepEqual([refused.status, refused.json.error.innererror.code], [403, 'ForbiddenByFirewall']);
    assert.match(refused.json.error.message, /^Client address \(203\.0\.113\.7\)/);
    assert.equal((await from('127.0.0.1')).status, 200);
  });

  test('private endpoint connections are asked for, approved, rejected, shown with the HSM, and removed', async () => {
    const place = `${KV}/${HSM}/privateEndpointConnections`;
    const endpoint = `/subscriptions/${house.connection.subscriptionId}/resourceGroups/net/providers/Microsoft.Network/privateEndpoints/door`;
    assert.deepEqual((await house.arm('GET', place)).json, { value: [] });
    assert.equal(
      (await house.arm('PUT', `${place}/one`, { properties: { privateLinkServiceConnectionState: { status: 'Approved' } } })).status,
      404,
    );
    const asked = await house.arm('PUT', `${place}/one`, { properties: { privateEndpoint: { id: endpoint } } });
    assert.deepEqual([asked.status, asked.json.properties.privateLinkServiceConnectionState.status], [200, 'Pending']);
    const approved = await house.arm('PUT', `${place}/ONE`, {
      properties: { privateLinkServiceConnectionState: { status: 'approved', description: 'known' } },
    });
    assert.deepEqual(approved.json.properties, {
      privateEndpoint: { id: endpoint },
      privateLinkServiceConnectionState: { status: 'Approved', description: 'known', actionsRequired: 'None' },
      provisioningState: 'Succeeded',
    });
    assert.notEqual(approved.json.etag, asked.json.etag);
    assert.deepEqual((await house.arm('GET', `${place}/one`)).json, approved.json);
    const rejected = await house.arm('PUT', `${place}/one`, { properties: { privateLinkServiceConnectionState: { status: 'Rejected' } } });
    assert.equal(rejected.json.properties.privateLinkServiceConnectionState.status, 'Rejected');
    await house.arm('PATCH', `${KV}/${HSM}`, { tags: { a: 'b' } });
    const [shown] = (await house.arm('GET', `${KV}/${HSM}`)).json.properties.privateEndpointConnections;
    assert.deepEqual([shown.id, shown.properties], [rejected.json.id, rejected.json.properties]);
    const wrong = await house.arm('PUT', `${place}/one`, { properties: { privateLinkServiceConnectionState: { status: 'Perhaps' } } });
    assert.deepEqual([wrong.status, wrong.json.error.code], [400, '400']);
    assert.equal(
      (await house.arm('PUT', `${place}/two`, { properties: { privateEndpoint: { id: 'somewhere' } } })).json.error.code,
      'BadRequest',
    );
    assert.equal((await house.arm('DELETE', `${place}/one`)).json.properties.provisioningState, 'Disconnected');
    assert.equal((await house.arm('DELETE', `${place}/one`)).status, 204);
    assert.equal((await house.arm('GET', `${place}/one`)).json.error.code, 'ResourceNotFound');
    assert.equal((await house.arm('GET', `${KV}/${HSM}/privateLinkResources`)).json.value[0].properties.groupId, 'managedhsm');
  });
});
