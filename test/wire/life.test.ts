// What ends by itself, and what does not: retention, purge protection, recovery, roles at one key, and that every thread sees a change at once.

import assert from 'node:assert/strict';
import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { GROUP, type House, openHouse } from '../house.ts';
import { activate, CRYPTO_OFFICER, CRYPTO_USER, grant } from './ready.ts';

const DAY = 86_400_000;
const KV = `/resourceGroups/${GROUP}/providers/Microsoft.KeyVault/managedHSMs`;
const DELETED = '/providers/Microsoft.KeyVault/locations/norwayeast/deletedManagedHSMs';
const DIGEST = Buffer.alloc(32, 1).toString('base64url');

suite('the life of HSMs and keys', () => {
  let house: House;
  before(async () => {
    house = await openHouse({ workers: 2 });
  });
  after(() => house?.close());

  async function ready(name: string, properties: Readonly<Record<string, unknown>> = {}): Promise<void> {
    await house.provision(name, properties);
    await activate(house, name);
    for (const role of [CRYPTO_USER, CRYPTO_OFFICER]) await grant(house, name, role, house.connection.user.objectId);
  }

  test('the data folder is for its owner alone, and so is every file with a secret in the clear, and the socket', () => {
    const secret = ['root.key', 'ca-key.pem', 'connection.json', 'control.json', 'server-certificate.json', 'control.sock'];
    for (const name of ['', ...secret]) assert.equal(lstatSync(join(house.dataFolder, name)).mode & 0o077, 0, name);
  });

  async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    for (let tries = 0; tries < 100; tries += 1) {
      if (await isSo()) return;
      await new Promise((wake) => setTimeout(wake, 100));
    }
    assert.fail(`${what} did not come about`);
  }

  test('a deleted HSM answers nothing, keeps its name, comes back whole, and goes for good when its retention is over', async () => {
    await ready('mortal');
    await house.hsm('mortal', 'POST', '/keys/k/create', { kty: 'EC-HSM' });
    assert.equal((await house.arm('DELETE', `${KV}/mortal`)).status, 200);
    assert.equal((await house.hsm('mortal', 'GET', '/keys/k')).status, 404);
    const deleted = (await house.arm('GET', `${DELETED}/mortal`)).json.properties;
    assert.equal(Date.parse(deleted.scheduledPurgeDate) - Date.parse(deleted.deletionDate), 7 * DAY);
    const again = await house.arm('PUT', `${KV}/mortal`, {
      location: 'norwayeast',
      sku: { family: 'B', name: 'Standard_B1' },
      properties: { initialAdminObjectIds: [house.connection.user.objectId] },
    });
    assert.deepEqual([again.status, again.json.error.code], [409, 'ConflictError']);

    const recovered = await house.arm('PUT', `${KV}/mortal`, {
      location: 'norwayeast',
      sku: { family: 'B', name: 'Standard_B1' },
      properties: { createMode: 'Recover' },
    });
    assert.equal(recovered.json.properties.securityDomainProperties.activationStatus, 'Active');
    assert.equal((await house.hsm('mortal', 'POST', '/keys/k/sign', { alg: 'ES256', value: DIGEST })).status, 200);

    await house.arm('DELETE', `${KV}/mortal`);
    house.advance(6 * DAY);
    assert.equal((await house.arm('GET', `${DELETED}/mortal`)).status, 200);
    house.advance(DAY + 1000);
    await until('the purge', async () => (await house.arm('GET', `${DELETED}/mortal`)).status === 404);
    assert.deepEqual((await house.arm('POST', '/providers/Microsoft.KeyVault/checkMhsmNameAvailability', { name: 'mortal' })).json, {
      nameAvailable: true,
    });
  });

  test('purge protection refuses a purge by hand, of the HSM and of its keys, and cannot be taken back', async () => {
    await ready('guarded', { enablePurgeProtection: true });
    await house.hsm('guarded', 'POST', '/keys/k/create', { kty: 'EC-HSM' });
    const bundle = await house.hsm('guarded', 'DELETE', '/keys/k');
    assert.equal(bundle.json.attributes.recoveryLevel, 'CustomizedRecoverable');
    assert.equal((await house.hsm('guarded', 'DELETE', '/deletedkeys/k')).json.error.code, 'Forbidden');
    assert.equal((await house.arm('PATCH', `${KV}/guarded`, { properties: { enablePurgeProtection: false } })).status, 400);
    await house.arm('DELETE', `${KV}/guarded`);
    assert.deepEqual((await house.arm('POST', `${DELETED}/guarded/purge`)).json.error.code, 'MethodNotAllowed');
    house.advance(7 * DAY + 1000);
    await until('the purge', async () => (await house.arm('GET', `${DELETED}/guarded`)).status === 404);
  });

  test('deleting a group deletes its HSMs softly, and one can be recovered once the group is there again', async () => {
    await ready('grouped');
    assert.equal((await house.arm('DELETE', `/resourceGroups/${GROUP}`)).status, 200);
    assert.equal((await house.arm('GET', `${DELETED}/grouped`)).status, 200);
    const body = { location: 'norwayeast', sku: { family: 'B', name: 'Standard_B1' }, properties: { createMode: 'Recover' } };
    assert.equal((await house.arm('PUT', `${KV}/grouped`, body)).json.error.code, 'ResourceGroupNotFound');
    await house.arm('PUT', `/resourceGroups/${GROUP}`, { location: 'norwayeast' });
    assert.equal((await house.arm('PUT', `${KV}/grouped`, body)).status, 200);
    assert.equal((await house.arm('POST', `${DELETED}/grouped/purge`)).status, 404);
  });

  test('a deleted key can be recovered with all its versions until it is purged or its retention is over', async () => {
    await ready('keyed');
    for (let i = 0; i < 3; i += 1) await house.hsm('keyed', 'POST', '/keys/k/create', { kty: 'EC-HSM' });
    await house.hsm('keyed', 'DELETE', '/keys/k');
    assert.equal((await house.hsm('keyed', 'GET', '/keys/k')).status, 404);
    const taken = await house.hsm('keyed', 'POST', '/keys/k/create', { kty: 'EC-HSM' });
    assert.equal(taken.json.error.innererror.code, 'ObjectIsDeletedButRecoverable');
    assert.equal((await house.hsm('keyed', 'POST', '/deletedkeys/k/recover')).status, 200);
    assert.equal((await house.hsm('keyed', 'GET', '/keys/k/versions')).json.value.length, 3);
    await house.hsm('keyed', 'DELETE', '/keys/k');
    house.advance(7 * DAY + 1000);
    await until('the end of the key', async () => (await house.hsm('keyed', 'GET', '/deletedkeys/k')).status === 404);
    assert.equal((await house.hsm('keyed', 'POST', '/keys/k/create', { kty: 'EC-HSM' })).status, 200);
  });

  test('a key that is disabled, a role that is taken away and a key that is deleted are refused by every thread from the next request on', async () => {
    await ready('coherent');
    const application = await house.token('application', 'hsm');
    const objectId = house.connection.servicePrincipal.objectId;
    await house.hsm('coherent', 'POST', '/keys/k/create', { kty: 'EC-HSM' });
    await grant(house, 'coherent', CRYPTO_USER, objectId, '/keys/k');
    const signs = () =>
      Promise.all(
        Array.from({ length: 8 }, () => house.hsm('coherent', 'POST', '/keys/k/sign', { alg: 'ES256', value: DIGEST }, application)),
      );
    const statuses = async (): Promise<readonly number[]> => [...new Set((await signs()).map(({ status }) => status))];
    assert.deepEqual(await statuses(), [200]);
    assert.equal((await house.hsm('coherent', 'GET', '/keys', undefined, application)).status, 403);

    await house.hsm('coherent', 'PATCH', '/keys/k', { attributes: { enabled: false } });
    assert.deepEqual(await statuses(), [403]);
    await house.hsm('coherent', 'PATCH', '/keys/k', { attributes: { enabled: true } });
    assert.deepEqual(await statuses(), [200]);

    const [assignment] = (await house.hsm('coherent', 'GET', '/keys/k/providers/Microsoft.Authorization/roleAssignments')).json.value;
    await house.hsm('coherent', 'DELETE', `/keys/k/providers/Microsoft.Authorization/roleAssignments/${assignment.name}`);
    assert.deepEqual(await statuses(), [403]);
    await grant(house, 'coherent', CRYPTO_USER, objectId, '/keys/k');
    assert.deepEqual(await statuses(), [200]);

    await house.hsm('coherent', 'DELETE', '/keys/k');
    assert.deepEqual(await statuses(), [404]);
  });

  test('a key that gets the name of a purged one starts without its roles', async () => {
    await ready('reborn');
    const application = await house.token('application', 'hsm');
    await house.hsm('reborn', 'POST', '/keys/k/create', { kty: 'EC-HSM' });
    await grant(house, 'reborn', CRYPTO_USER, house.connection.servicePrincipal.objectId, '/keys/k');
    assert.equal((await house.hsm('reborn', 'GET', '/keys/k', undefined, application)).status, 200);
    await house.hsm('reborn', 'DELETE', '/keys/k');
    assert.equal((await house.hsm('reborn', 'DELETE', '/deletedkeys/k')).status, 204);
    await house.hsm('reborn', 'POST', '/keys/k/create', { kty: 'EC-HSM' });
    assert.equal((await house.hsm('reborn', 'GET', '/keys/k', undefined, application)).status, 403);
  });

  test('a list is walked through page by page, and the last page has no next link', async () => {
    await ready('listed');
    await Promise.all(Array.from({ length: 13 }, (_, i) => house.hsm('listed', 'POST', `/keys/k${i}/create`, { kty: 'EC-HSM' })));
    const names: string[] = [];
    let next: string | undefined = `https://listed.${house.connection.managedHsmSuffix}/keys?api-version=7.5&maxresults=5`;
    let pages = 0;
    while (next !== undefined) {
      const got: Awaited<ReturnType<House['call']>> = await house.call('GET', next, { token: await house.token('user', 'hsm') });
      names.push(...got.json.value.map(({ kid }: { kid: string }) => kid.split('/').at(-1)));
      next = got.json.nextLink;
      pages += 1;
    }
    assert.equal(pages, 3);
    assert.deepEqual(names, [...names].sort());
    assert.equal(new Set(names).size, 13);
  });

  test('after a restart everything is as it was, and an HSM that was being confirmed waits for its download again', async () => {
    await house.restart();
    assert.equal((await house.hsm('listed', 'GET', '/keys')).json.value.length, 13);
    assert.equal((await house.hsm('listed', 'POST', '/keys/k1/sign', { alg: 'ES256', value: DIGEST })).status, 200);
  });
});
