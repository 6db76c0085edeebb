// From where an HSM may be called: the rules as clients set them, and what they do to those who call. The test plays a proxy, so that it can come from anywhere.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type Got, GROUP, type House, type Json, openHouse } from '../house.ts';
import { activate } from './ready.ts';

const HSM = 'walled';
const FRESH = 'fresh';
const KV = `/resourceGroups/${GROUP}/providers/Microsoft.KeyVault/managedHSMs`;
const OPEN = { bypass: 'AzureServices', defaultAction: 'Allow', ipRules: [], virtualNetworkRules: [] };

suite('network rules', () => {
  let house: House;
  let token: string;
  before(async () => {
    house = await openHouse({ workers: 2, flags: ['--trusted-proxy', '127.0.0.1'] });
    for (const name of [HSM, FRESH]) await house.provision(name);
    await activate(house, HSM);
    token = await house.token('user', 'hsm');
  });
  after(() => house?.close());

  function from(address: string, path = '/settings', bearer: string | null = token, name = HSM): Promise<Got> {
    const url = `https://${name}.${house.connection.managedHsmSuffix}${path}?api-version=7.5`;
    return house.call('GET', url, { token: bearer, headers: { 'x-forwarded-for': address } });
  }

  function patch(properties: Json, name = HSM, query = ''): Promise<Got> {
    return house.arm('PATCH', `${KV}/${name}${query}`, { properties });
  }

  async function set(properties: Json): Promise<void> {
    const got = await patch(properties);
    assert.equal(got.status, 200, got.text);
  }

  test('a new HSM may be called from everywhere', async () => {
    const { properties } = (await house.arm('GET', `${KV}/${HSM}`)).json;
    assert.deepEqual([properties.networkAcls, properties.publicNetworkAccess], [OPEN, 'Enabled']);
    assert.equal((await from('203.0.113.7')).status, 200);
  });

  test('an address is let in by its range, be it IPv4, IPv6 or private, and the rules are given back as they were set', async () => {
    const networkAcls = {
      bypass: 'None',
      defaultAction: 'Deny',
      ipRules: ['203.0.113.0/24', '10.0.0.0/8', '192.168.1.5', 'fd00:1::/32', '127.0.0.1/32'].map((value) => ({ value })),
      virtualNetworkRules: [],
    };
    await set({ networkAcls });
    assert.deepEqual((await house.arm('GET', `${KV}/${HSM}`)).json.properties.networkAcls, networkAcls);
    for (const inside of [
      '203.0.113.7',
      '10.200.1.1',
      '192.168.1.5',
      'fd00:1:2::3',
      'FD00:1::0',
      '::ffff:10.1.1.1',
      '::ffff:a01:101',
      '127.0.0.1',
    ])
      assert.equal((await from(inside)).status, 200, inside);
    for (const outside of ['203.0.114.7', '11.0.0.1', '192.168.1.6', 'fd00:2::3', '::1', '::ffff:11.0.0.1', 'unknown', 'fd00:1'])
      assert.equal((await from(outside)).status, 403, outside);
  });

  test('who is outside is refused in words, with or without a token, whatever is asked for', async () => {
    for (const [path, bearer] of [
      ['/settings', token],
      ['/settings', null],
      ['/settings', 'no.good.token'],
      ['/nowhere', token],
      ['/securitydomain/upload', null],
      ['/keys/k', null],
    ] as const) {
      const got = await from('198.51.100.1', path, bearer);
      assert.deepEqual([got.status, got.json.error.code, got.json.error.innererror.code], [403, 'Forbidden', 'ForbiddenByFirewall'], path);
      assert.match(got.json.error.message, /^Client address \(198\.51\.100\.1\) is not authorized and caller is not a trusted service\./);
      assert.equal(got.headers['www-authenticate'], undefined);
    }
    assert.equal((await from('203.0.113.7', '/settings', null)).status, 401, 'inside, the challenge comes as ever');
  });

  test('a change is felt by the next request on every thread, on connections that are open already', async () => {
    for (let round = 0; round < 5; round += 1) {
      await set({ networkAcls: { ...OPEN, defaultAction: 'Deny', ipRules: [] } });
      const shut = await Promise.all(Array.from({ length: 16 }, () => from('203.0.113.7')));
      assert.deepEqual([...new Set(shut.map(({ status }) => status))], [403]);
      await set({ networkAcls: OPEN });
      const open = await Promise.all(Array.from({ length: 16 }, () => from('203.0.113.7')));
      assert.deepEqual([...new Set(open.map(({ status }) => status))], [200]);
    }
  });

  test('without public access nobody is let in, whatever the ranges say; the resource manager goes on', async () => {
    await set({ publicNetworkAccess: 'Disabled', networkAcls: { defaultAction: 'Allow', ipRules: [{ value: '203.0.113.7' }] } });
    assert.equal((await from('203.0.113.7')).status, 403);
    assert.equal((await house.arm('GET', `${KV}/${HSM}`)).json.properties.publicNetworkAccess, 'Disabled');
    await set({ publicNetworkAccess: 'Enabled' });
    assert.equal((await from('203.0.113.7')).status, 200);
  });

  test("one HSM's rules are no other HSM's", async () => {
    await set({ networkAcls: { defaultAction: 'Deny', ipRules: [] } });
    assert.equal((await from('203.0.113.7')).status, 403);
    assert.equal((await from('203.0.113.7', '/securitydomain/upload', null, FRESH)).status, 401);
    await set({ networkAcls: OPEN });
  });

  test('what a change leaves out stays, through restarts and soft deletion too', async () => {
    await set({ networkAcls: { defaultAction: 'Deny', ipRules: [{ value: '203.0.113.7' }] } });
    await set({ enablePurgeProtection: false });
    await house.restart();
    token = await house.token('user', 'hsm');
    assert.deepEqual([(await from('203.0.113.7')).status, (await from('203.0.113.8')).status], [200, 403]);
    assert.equal((await house.arm('DELETE', `${KV}/${HSM}`)).status, 200);
    const recovered = await house.arm('PUT', `${KV}/${HSM}`, { location: 'norwayeast', properties: { createMode: 'recover' } });
    assert.equal(recovered.status, 200, recovered.text);
    assert.deepEqual([(await from('203.0.113.7')).status, (await from('203.0.113.8')).status], [200, 403]);
    await set({ networkAcls: OPEN });
  });

  test('rules that mean nothing, or that could not be kept, are refused in words', async () => {
    const rules = (...values: readonly unknown[]) => ({ networkAcls: { ipRules: values.map((value) => ({ value })) } });
    // biome-ignore format: a table reads by its columns
    const cases: readonly [Json, string, RegExp][] = [
      [rules('10.0.0.0/33'),                                        'BadRequest',            /10\.0\.0\.0\/33/],
      [rules('anywhere'),                                           'BadRequest',            /not an IPv4 or IPv6 address/],
      [rules('10.0.0.1/8'),                                         'BadRequest',            /write 10\.0\.0\.0\/8/],
      [rules(...Array.from({ length: 11 }, (_, i) => `10.0.0.${i}`)), 'BadRequest',          /more than 10 entries/],
      [rules(7),                                                    'InvalidRequestContent', /ipRules/],
      [{ networkAcls: { bypass: 'Everyone' } },                     '400',                   /ByPass property is invalid/],
      [{ networkAcls: { defaultAction: 'Maybe' } },                 '400',                   /DefaultAction property is invalid/],
      [{ publicNetworkAccess: 'Sometimes' },                        '400',                   /PublicNetworkAccess property is invalid/],
      [{ publicNetworkAccess: 'SecuredByPerimeter' },               'NotSupported',          /perimeters/],
      [{ networkAcls: { virtualNetworkRules: [{ id: '/x' }] } },    'NotSupported',          /virtual networks/],
      [{ networkAcls: { serviceTags: [{ tag: 'Storage' }] } },      'NotSupported',          /service tags/],
    ];
    for (const [properties, code, words] of cases) {
      const got = await patch(properties);
      assert.deepEqual([got.status, got.json.error?.code], [400, code], JSON.stringify(properties));
      assert.match(got.json.error.message, words);
    }
    assert.deepEqual((await house.arm('GET', `${KV}/${HSM}`)).json.properties.networkAcls, OPEN);
  });

  test('an administrator does not lock an HSM out before it is activated without being told', async () => {
    for (const properties of [
      { networkAcls: { defaultAction: 'Deny' } },
      { networkAcls: { defaultAction: 'Deny', ipRules: [{ value: '203.0.113.7' }] } },
      { publicNetworkAccess: 'Disabled' },
    ]) {
      const got = await patch(properties, FRESH);
      assert.deepEqual([got.status, got.json.error.code], [400, 'NetworkRulesLockOut']);
      assert.match(got.json.error.message, /\(127\.0\.0\.1\).*Activate it first.*acknowledge=locked-out/);
    }
    const { tenantId, user } = house.connection;
    const body = {
      location: 'norwayeast',
      sku: { family: 'B', name: 'Standard_B1' },
      properties: { tenantId, initialAdminObjectIds: [user.objectId], networkAcls: { defaultAction: 'Deny' } },
    };
    assert.equal((await house.arm('PUT', `${KV}/stillborn`, body)).json.error.code, 'NetworkRulesLockOut');
    assert.equal((await house.arm('GET', `${KV}/stillborn`)).status, 404, 'nothing was made');

    const own = { networkAcls: { defaultAction: 'Deny', ipRules: [{ value: '127.0.0.0/8' }] } };
    assert.equal((await patch(own, FRESH)).status, 200, 'who is inside may shut out the rest');
    const meant = { networkAcls: { defaultAction: 'Deny', ipRules: [{ value: '203.0.113.7' }] } };
    assert.equal((await patch(meant, FRESH, '?acknowledge=locked-out')).status, 200, 'who says that it is meant is believed');
    assert.deepEqual(
      [(await from('127.0.0.1', '/keys', null, FRESH)).status, (await from('203.0.113.7', '/keys', null, FRESH)).status],
      [403, 401],
    );
    assert.equal(
      (await house.arm('PATCH', `${KV}/${FRESH}`, { tags: { a: 'b' } })).status,
      200,
      'and is not asked again for another change',
    );
    assert.equal((await patch({ networkAcls: OPEN }, FRESH)).status, 200, 'the way back is open');
    assert.equal((await patch({ networkAcls: { defaultAction: 'Deny' } }, HSM)).status, 200, 'an active HSM may be closed');
  });
});
