// A node in a region: which HSMs can be made there, which it serves, and what it says to those who ask it for others.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type Got, GROUP, type House, openHouse } from '../house.ts';
import { activate, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'in-norway';
const PATH = `/resourceGroups/${GROUP}/providers/Microsoft.KeyVault/managedHSMs/${HSM}`;

suite('regions', () => {
  let house: House;
  before(async () => {
    house = await openHouse({ environment: { STRONGROOM_REGION: 'Norway East' } });
    await house.provision(HSM);
    await activate(house, HSM);
    await grant(house, HSM, CRYPTO_USER, house.connection.user.objectId);
    assert.equal((await house.hsm(HSM, 'POST', '/keys/k/create', { kty: 'EC-HSM' })).status, 200);
  });
  after(() => house.close());

  const extend = (...names: readonly string[]): Promise<Got> =>
    house.arm('PATCH', PATH, { properties: { regions: names.map((name) => ({ name })) } });
  const regions = async (): Promise<readonly unknown[]> => (await house.arm('GET', `${PATH}/regions`)).json.value;

  test('an HSM is made where a node is, and is served from there', async () => {
    const elsewhere = await house.arm('PUT', PATH.replace(HSM, 'in-britain'), {
      location: 'uksouth',
      sku: { family: 'B', name: 'Standard_B1' },
      properties: { initialAdminObjectIds: [house.connection.user.objectId] },
    });
    assert.deepEqual([elsewhere.status, elsewhere.json.error.code], [400, 'LocationNotAvailableForResourceType']);
    assert.match(elsewhere.json.error.message, /List of available regions for the resource type is 'Norway East'/);
    assert.equal((await house.hsm(HSM, 'GET', '/keys/k')).headers['x-ms-keyvault-region'], 'norwayeast');
  });

  test('a region that does not exist, or in which no node is, cannot be added, and nothing is changed', async () => {
    const unknown = await extend('testregion');
    assert.deepEqual([unknown.status, unknown.json.error.code], [400, '400']);
    assert.match(unknown.json.error.message, /^Invalid region name: testregion passed\. The valid list of region names: norwayeast\./);
    const empty = await extend('uksouth');
    assert.deepEqual([empty.status, empty.json.error.code], [400, '400']);
    assert.match(empty.json.error.message, /No node is there: start one with --region uksouth/);
    assert.deepEqual(await regions(), [{ name: 'norwayeast', provisioningState: 'Succeeded', isPrimary: true }]);
    // Its own location, said again, is no other region.
    const own = await extend('Norway East');
    assert.deepEqual([own.status, own.json.properties.regions], [200, []]);
  });

  test('a node of another region says where the HSM is served, until the HSM is extended to it, and again when it is withdrawn', async () => {
    await house.restart(async () => ({ STRONGROOM_REGION: 'uksouth' }));
    const misdirected = await house.hsm(HSM, 'GET', '/keys/k');
    assert.deepEqual([misdirected.status, misdirected.json.error.code], [421, 'MisdirectedRequest']);
    assert.match(misdirected.json.error.message, /is served in norwayeast, and this node is in uksouth/);
    assert.equal((await house.hsm(HSM, 'POST', '/keys/new/create', { kty: 'EC-HSM' })).status, 421);
    assert.equal((await house.hsm(HSM, 'GET', '/keys/k', undefined, null)).status, 401, 'a stranger learns nothing');

    const extended = await extend('UK South');
    assert.deepEqual(extended.json.properties.regions, [{ name: 'uksouth', provisioningState: 'Succeeded', isPrimary: false }]);
    assert.deepEqual(await regions(), [
      { name: 'norwayeast', provisioningState: 'Succeeded', isPrimary: true },
      { name: 'uksouth', provisioningState: 'Succeeded', isPrimary: false },
    ]);
    const served = await house.hsm(HSM, 'GET', '/keys/k');
    assert.deepEqual([served.status, served.headers['x-ms-keyvault-region']], [200, 'uksouth']);
    // A change of something else, by a client that sends back what it got, leaves the regions as they are.
    const shown = (await house.arm('GET', PATH)).json;
    assert.equal((await house.arm('PUT', PATH, { ...shown, tags: { owner: 'ops' } })).json.properties.regions.length, 1);
    assert.equal((await house.arm('PATCH', PATH, { tags: {} })).json.properties.regions.length, 1);

    assert.deepEqual((await extend()).json.properties.regions, []);
    assert.equal((await house.hsm(HSM, 'GET', '/keys/k')).status, 421);
  });

  test('a node without a region serves every HSM', async () => {
    await house.restart(async () => ({}));
    const served = await house.hsm(HSM, 'GET', '/keys/k');
    assert.deepEqual([served.status, served.headers['x-ms-keyvault-region']], [200, 'norwayeast']);
    const refused = await extend('uksouth');
    assert.match(refused.json.error.message, /The valid list of region names: none\. No node is there/);
  });
});
