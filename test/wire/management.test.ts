// The resource manager as clients walk through it: cloud metadata in its four versions, subscriptions, groups, resources, and an HSM from PUT to purge.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { GROUP, type House, openHouse } from '../house.ts';

const KV = `/resourceGroups/${GROUP}/providers/Microsoft.KeyVault/managedHSMs`;
const HSM = { location: 'West US', sku: { family: 'B', name: 'Standard_B1' } };

suite('the resource manager', () => {
  let house: House;
  let properties: Readonly<Record<string, unknown>>;
  before(async () => {
    house = await openHouse();
    await house.arm('PUT', `/resourceGroups/${GROUP}`, { location: 'norwayeast', tags: { team: 'payments' } });
    properties = { tenantId: house.connection.tenantId, initialAdminObjectIds: [house.connection.user.objectId] };
  });
  after(() => house?.close());

  async function raw(method: string, path: string, body?: unknown, headers: Readonly<Record<string, string>> = {}) {
    return house.call(method, `${house.connection.resourceManager}${path}`, {
      body,
      headers,
      token: await house.token('user', 'management'),
    });
  }

  test('cloud metadata has the shape of its age, and the addresses of this service', async () => {
    const { resourceManager, managedHsmSuffix, adfsAuthority } = house.connection;
    for (const version of ['1.0', '2015-01-01']) {
      const { json } = await house.call('GET', `${resourceManager}metadata/endpoints?api-version=${version}`);
      assert.equal(json.authentication.loginEndpoint, adfsAuthority);
      assert.equal(json.graphEndpoint, resourceManager);
    }
    const [cloud] = (await house.call('GET', `${resourceManager}metadata/endpoints?api-version=2019-05-01`)).json;
    const newest = (await house.call('GET', `${resourceManager}metadata/endpoints?api-version=2022-09-01`)).json;
    assert.deepEqual(cloud, newest);
    assert.equal(newest.suffixes.mhsmDns, managedHsmSuffix);
    assert.equal(newest.resourceManager, resourceManager);
    // Terraform does not start where one of these is empty.
    for (const suffix of ['keyVaultDns', 'storage']) assert.match(newest.suffixes[suffix], /^\w+\.localhost:\d+$/, suffix);
  });

  test('tenants, subscriptions, locations and providers', async () => {
    const { tenantId, subscriptionId } = house.connection;
    assert.equal((await raw('GET', 'tenants?api-version=2019-11-01')).json.value[0].tenantId, tenantId);
    const subscriptions = (await raw('GET', 'subscriptions?api-version=2019-11-01')).json;
    assert.deepEqual(
      [subscriptions.value[0].subscriptionId, subscriptions.value[0].tenantId, subscriptions.count.value],
      [subscriptionId, tenantId, 1],
    );
    assert.equal((await house.arm('GET', '')).json.state, 'Enabled');
    const locations: readonly { name: string; displayName: string }[] = (await house.arm('GET', '/locations')).json.value;
    assert.equal(locations.find(({ name }) => name === 'norwayeast')?.displayName, 'Norway East');
    assert.equal((await house.arm('POST', '/providers/microsoft.keyvault/register')).json.registrationState, 'Registered');
    const stranger = '22222222-2222-4222-8222-222222222222';
    assert.equal((await raw('GET', `subscriptions/${stranger}?api-version=2021-04-01`)).json.error.code, 'SubscriptionNotFound');
    assert.equal((await raw('GET', 'subscriptions/mine?api-version=2021-04-01')).json.error.code, 'InvalidSubscriptionId');
  });

  test('ids that a client gives its requests come back', async () => {
    const headers = {
      'x-ms-client-request-id': 'my-call',
      'x-ms-return-client-request-id': 'true',
      'x-ms-correlation-request-id': 'my-work',
    };
    const got = await raw('GET', 'subscriptions?api-version=2019-11-01', undefined, headers);
    assert.equal(got.headers['x-ms-client-request-id'], 'my-call');
    assert.equal(got.headers['x-ms-correlation-request-id'], 'my-work');
  });

  test('a group is made once, found in any case, filtered by its tags, and its tags are replaced', async () => {
    assert.equal(
      (await house.arm('PUT', `/resourcegroups/${GROUP.toUpperCase()}`, { location: 'Norway East', tags: { team: 'cards' } })).status,
      200,
    );
    const group = (await house.arm('GET', `/resourceGroups/${GROUP}`)).json;
    assert.deepEqual(
      [group.name, group.location, group.tags, group.properties.provisioningState],
      [GROUP, 'norwayeast', { team: 'cards' }, 'Succeeded'],
    );
    assert.equal(
      (await house.arm('GET', "/resourcegroups?$filter=tagName eq 'team' and tagValue eq 'cards'".replaceAll(' ', '%20'))).json.value
        .length,
      1,
    );
    assert.equal(
      (await house.arm('GET', "/resourcegroups?$filter=tagName eq 'team' and tagValue eq 'none'".replaceAll(' ', '%20'))).json.value.length,
      0,
    );
    assert.equal((await house.arm('HEAD', `/resourcegroups/${GROUP}`)).status, 204);
    assert.equal((await house.arm('HEAD', '/resourcegroups/nowhere')).status, 404);
  });

  test('an HSM is asked for, polled, shown, listed, changed, deleted and purged, as the service does it', async () => {
    const { resourceManager, subscriptionId, managedHsmSuffix } = house.connection;
    const address = `subscriptions/${subscriptionId}${KV}/First-Hsm?api-version=2024-11-01`;
    const asked = await raw('PUT', address, { ...HSM, tags: { a: 'b' }, properties: { ...properties, softDeleteRetentionInDays: 8 } });
    assert.deepEqual([asked.status, asked.text, asked.headers['retry-after']], [202, '', '1']);
    assert.ok(
      asked.headers.location?.startsWith(
        `${resourceManager}subscriptions/${subscriptionId}/providers/Microsoft.KeyVault/locations/westus/managedHsmOperationResults/`,
      ),
    );
    const made = (await house.call('GET', asked.headers.location ?? '', { token: await house.token('user', 'management') })).json;
    assert.equal(made.properties.hsmUri, `https://first-hsm.${managedHsmSuffix}/`);
    assert.deepEqual(
      [made.name, made.location, made.sku.name, made.tags, made.properties.softDeleteRetentionInDays],
      ['First-Hsm', 'westus', 'Standard_B1', { a: 'b' }, 8],
    );
    assert.equal(made.properties.securityDomainProperties.activationStatus, 'NotActivated');
    assert.deepEqual([made.systemData.createdBy, made.systemData.createdByType], [house.connection.user.userPrincipalName, 'User']);

    assert.deepEqual((await house.arm('GET', `${KV.toLowerCase()}/first-hsm`)).json, made);
    assert.deepEqual((await house.arm('GET', '/providers/Microsoft.KeyVault//managedHSMs')).json.value, [made]);
    const [resource] = (
      await house.arm(
        'GET',
        "/resources?$filter=resourceType eq 'Microsoft.KeyVault/managedHSMs'&$expand=createdTime".replaceAll(' ', '%20'),
      )
    ).json.value;
    assert.deepEqual([resource.name, resource.properties, typeof resource.createdTime], ['First-Hsm', undefined, 'string']);
    assert.deepEqual(
      (await house.arm('POST', '/providers/Microsoft.KeyVault/checkMhsmNameAvailability', { name: 'FIRST-HSM' })).json.reason,
      'AlreadyExists',
    );

    const changed = (await house.arm('PATCH', `${KV}/First-Hsm`, { tags: { c: 'd' }, properties: { enablePurgeProtection: false } })).json;
    assert.deepEqual([changed.tags, changed.properties.enablePurgeProtection], [{ c: 'd' }, false]);

    assert.equal((await house.arm('DELETE', `${KV}/First-Hsm`)).status, 200);
    assert.equal((await house.arm('DELETE', `${KV}/First-Hsm`)).status, 204);
    const [deleted] = (await house.arm('GET', '/providers/Microsoft.KeyVault/deletedManagedHSMs')).json.value;
    assert.deepEqual([deleted.type, deleted.properties.location], ['Microsoft.Keyvault/deletedManagedHSMs', 'westus']);
    const purged = await house.arm(
      'POST',
      '/providers/Microsoft.KeyVault/locations/West US/deletedManagedHSMs/First-Hsm/purge'.replaceAll(' ', '%20'),
    );
    assert.deepEqual([purged.status, purged.text], [200, '']);
    assert.deepEqual((await house.arm('GET', '/providers/Microsoft.KeyVault/deletedManagedHSMs')).json.value, []);
  });

  test('a list with $top has a next link that leads through all of it', async () => {
    for (const name of ['aaa', 'bbb', 'ccc']) await house.arm('PUT', `${KV}/${name}`, { ...HSM, properties });
    const first = (await house.arm('GET', `${KV}?$top=2`)).json;
    assert.deepEqual(
      first.value.map(({ name }: { name: string }) => name),
      ['aaa', 'bbb'],
    );
    const second = (await house.call('GET', first.nextLink, { token: await house.token('user', 'management') })).json;
    assert.deepEqual([second.value.map(({ name }: { name: string }) => name), second.nextLink], [['ccc'], undefined]);
  });

  test('lists of resources and of groups have pages too, whose filter goes along', async () => {
    const token = await house.token('user', 'management');
    const names = async (path: string): Promise<readonly (readonly string[])[]> => {
      const pages: string[][] = [];
      let got = await house.arm('GET', path);
      for (;;) {
        assert.equal(got.status, 200, got.text);
        pages.push(got.json.value.map(({ name }: { name: string }) => name));
        if (got.json.nextLink === undefined) return pages;
        got = await house.call('GET', got.json.nextLink, { token });
      }
    };
    const all = ['aaa', 'bbb', 'ccc'];
    for (const list of ['/resources', `/resourceGroups/${GROUP}/resources`]) {
      assert.deepEqual(await names(`${list}?$top=2`), [['aaa', 'bbb'], ['ccc']]);
      assert.deepEqual(await names(`${list}?$top=1&$filter=${encodeURIComponent("name ne 'bbb'")}`), [['aaa'], ['ccc']]);
      assert.deepEqual(await names(list), [all]);
    }
    await house.arm('PUT', '/resourceGroups/Zz-more', { location: 'norwayeast', tags: { page: 'yes' } });
    await house.arm('PUT', '/resourceGroups/zz-most', { location: 'norwayeast', tags: { page: 'yes' } });
    const tagged = encodeURIComponent("tagName eq 'page'");
    assert.deepEqual(await names(`/resourcegroups?$top=1&$filter=${tagged}`), [['Zz-more'], ['zz-most']]);
    assert.equal((await house.arm('GET', '/resources?$top=0')).status, 400);
  });

  test('resources are found by everything that a filter may say', async () => {
    for (const [name, tag] of [
      ['aaa', { team: 'cards' }],
      ['bbb', { Team: 'Loans and cards', site: "it's" }],
    ] as const)
      assert.equal((await house.arm('PATCH', `${KV}/${name}`, { tags: tag })).status, 200);
    // biome-ignore format: a table reads by its columns
    const cases: readonly (readonly [string, string])[] = [
      ["tagName eq 'team' and tagValue eq 'cards'",                      'aaa'],
      ["tagName eq 'TEAM'",                                              'aaa bbb'],
      ["tagName eq 'team' and tagValue eq 'Loans and cards'",            'bbb'],
      ["tagName eq 'site' and tagValue eq 'it''s'",                      'bbb'],
      ["startswith(tagName, 'si')",                                      'bbb'],
      ["substringof('B', name)",                                         'bbb'],
      ["substringof('a', name) or substringof('c', name)",               'aaa ccc'],
      [`substringof('${GROUP.slice(1, 3)}', resourceGroup) and name eq 'CCC'`, 'ccc'],
      ["resourceType ne 'Microsoft.KeyVault/managedHSMs'",               ''],
      ["resourceType ne 'Microsoft.Network/virtualNetworks'",            'aaa bbb ccc'],
      [`resourceGroup eq '${GROUP.toUpperCase()}' and location eq 'westus'`, 'aaa bbb ccc'],
    ];
    for (const [filter, found] of cases) {
      const got = await house.arm('GET', `/resources?$filter=${encodeURIComponent(filter)}`);
      assert.equal(got.json.value?.map(({ name }: { name: string }) => name).join(' '), found, `${filter}: ${got.text}`);
    }
    for (const filter of ["plan eq 'p'", "name eq 'a' and", "name eq 'a' name eq 'b'", "tagValue eq 'a'", "name gt 'a'", 'constructor']) {
      const got = await house.arm('GET', `/resources?$filter=${encodeURIComponent(filter)}`);
      assert.deepEqual([got.status, got.json.error?.code], [400, 'BadRequest'], filter);
    }
  });

  test('whether an HSM or an identity is there can be asked with HEAD', async () => {
    const identities = `/resourceGroups/${GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities`;
    await house.arm('PUT', `${identities}/there`, { location: 'norwayeast' });
    for (const [path, status] of [
      [`${KV}/AAA`, 204],
      [`${KV}/nowhere`, 404],
      [`${identities}/there`, 204],
      [`${identities}/nowhere`, 404],
    ] as const) {
      const got = await house.arm('HEAD', path);
      assert.deepEqual([got.status, got.text], [status, ''], path);
    }
  });

  test('the operations of a provider are those that are served', async () => {
    const names = async (namespace: string): Promise<readonly string[]> => {
      const { json } = await raw('GET', `providers/${namespace}/operations?api-version=2023-07-01`);
      for (const { display } of json.value) assert.ok(display.provider.startsWith('Microsoft ') && display.resource && display.operation);
      return json.value.map(({ name }: { name: string }) => name);
    };
    const vault = await names('Microsoft.KeyVault');
    assert.ok(vault.includes('Microsoft.KeyVault/managedHSMs/keys/write') && vault.includes('Microsoft.KeyVault/register/action'));
    assert.equal(new Set(vault).size, vault.length);
    const kinds = ['delete', 'read', 'write'].map((kind) => `Microsoft.ManagedIdentity/userAssignedIdentities/${kind}`);
    assert.deepEqual(await names('microsoft.managedidentity'), kinds);
  });

  test('a group that something else manages is refused by name', async () => {
    for (const [method, path] of [
      ['PUT', '/resourceGroups/managed'],
      ['PATCH', `/resourceGroups/${GROUP}`],
    ] as const) {
      const got = await house.arm(method, path, { location: 'norwayeast', managedBy: '/subscriptions/s/resourceGroups/g' });
      assert.deepEqual([got.status, got.json.error.code], [400, 'NotSupported']);
      assert.match(got.json.error.message, /managedBy/);
    }
    assert.equal((await house.arm('HEAD', '/resourceGroups/managed')).status, 404);
  });

  test('names are taken across the service, whoever asks at once', async () => {
    const asked = await Promise.all(Array.from({ length: 8 }, () => house.arm('PUT', `${KV}/one-of-eight`, { ...HSM, properties })));
    assert.ok(
      asked.every(({ status }) => status === 200),
      asked.map(({ text }) => text).join('\n'),
    );
    const all: readonly { name: string }[] = (await house.arm('GET', KV)).json.value;
    assert.equal(all.filter(({ name }) => name === 'one-of-eight').length, 1);
    await house.arm('PUT', '/resourceGroups/other', { location: 'norwayeast' });
    const elsewhere = await house.arm('PUT', '/resourceGroups/other/providers/Microsoft.KeyVault/managedHSMs/ONE-of-eight', {
      ...HSM,
      properties,
    });
    assert.deepEqual([elsewhere.status, elsewhere.json.error.code], [409, 'ConflictError']);
  });
});
