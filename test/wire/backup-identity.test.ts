// Backups with the HSM's managed identity instead of a token: who may give an HSM an identity, and what the storage sees.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { openStorage, type Storage, trustingIssuer } from '../azurite.ts';
import { type Got, GROUP, type House, type Json, openHouse } from '../house.ts';
import { activate, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'identified';
const storage = await openStorage();

suite('backups with a managed identity', { skip: 'missing' in storage ? storage.missing : false }, () => {
  if ('missing' in storage) return;
  const at: Storage = storage;
  let house: House;
  let container: string;
  let identity: Json;
  const callers = new Set<unknown>();

  before(async () => {
    house = await openHouse({ flags: ['--backup-private-host', at.host, '--backup-ca', at.caFile, '--backup-timeout', '5'] });
    container = await at.container('identity');
    await house.provision(HSM);
    await activate(house, HSM);
    await grant(house, HSM, CRYPTO_USER, house.connection.user.objectId);
    await house.hsm(HSM, 'POST', '/keys/k/create', { kty: 'EC-HSM' });
    identity = (
      await house.arm(
        'PUT',
        `/resourceGroups/${GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/backups?api-version=2023-01-31`,
        { location: 'norwayeast' },
      )
    ).json;
    const { authorityHost, tenantId } = house.connection;
    const { jwks_uri } = (await house.call('GET', `${authorityHost}${tenantId}/v2.0/.well-known/openid-configuration`)).json;
    const keys = (await house.call('GET', jwks_uri)).json;
    at.gate = trustingIssuer(keys, at.sas(container), (objectId) => callers.add(objectId));
  });
  after(async () => {
    await house?.close();
    await at.stop();
  });

  const place = `/resourceGroups/${GROUP}/providers/Microsoft.KeyVault/managedHSMs/${HSM}`;
  const parameters = () => ({ storageResourceUri: container, useManagedIdentity: true });

  async function ended(started: Got): Promise<Json> {
    assert.equal(started.status, 202, started.text);
    for (;;) {
      const got = await house.call('GET', started.headers['azure-asyncoperation'] ?? '', { token: await house.token('user', 'hsm') });
      if (got.json.status !== 'InProgress') return got.json;
      await new Promise((wake) => setTimeout(wake, 20));
    }
  }

  test('an HSM without an identity says so, and that a token will do', async () => {
    const failed = await ended(await house.hsm(HSM, 'POST', '/backup', parameters()));
    assert.deepEqual([failed.status, failed.error.code], ['Failed', 'ManagedIdentityNotFound']);
  });

  test('an identity is given to an HSM and shown; one that is not there, two, or the system one are refused', async () => {
    for (const [body, code] of [
      [{ type: 'UserAssigned', userAssignedIdentities: { [`${identity.id}x`]: {} } }, 'ResourceNotFound'],
      [{ type: 'UserAssigned', userAssignedIdentities: {} }, 'BadRequest'],
      [{ type: 'UserAssigned', userAssignedIdentities: { [identity.id]: {}, another: {} } }, 'BadRequest'],
      [{ type: 'SystemAssigned' }, 'NotSupported'],
    ] as const) {
      const refused = await house.arm('PATCH', place, { identity: body });
      assert.equal(refused.json.error?.code, code, refused.text);
    }
    const given = await house.arm('PATCH', place, { identity: { type: 'UserAssigned', userAssignedIdentities: { [identity.id]: {} } } });
    assert.deepEqual(given.json.identity, {
      type: 'UserAssigned',
      userAssignedIdentities: { [identity.id]: { principalId: identity.properties.principalId, clientId: identity.properties.clientId } },
    });
    // What a client sends back unchanged, or says nothing about, stays.
    assert.deepEqual((await house.arm('PATCH', place, { identity: given.json.identity })).json.identity, given.json.identity);
    assert.deepEqual((await house.arm('PATCH', place, { tags: { a: 'b' } })).json.identity, given.json.identity);
    assert.deepEqual((await house.arm('GET', place)).json.identity, given.json.identity);
  });

  test('a backup, a restore and a restore of one key go to the storage as that identity', async () => {
    const done = await ended(await house.hsm(HSM, 'POST', '/backup', parameters()));
    assert.equal(done.status, 'Succeeded', JSON.stringify(done));
    assert.deepEqual([...callers], [identity.properties.principalId]);
    const folder = done.azureStorageBlobContainerUri;
    const whole = await house.hsm(HSM, 'PUT', '/restore', { sasTokenParameters: parameters(), folderToRestore: folder });
    assert.equal((await ended(whole)).status, 'Succeeded');
    const one = await ended(await house.hsm(HSM, 'PUT', '/keys/k/restore', { sasTokenParameters: parameters(), folder }));
    assert.match(one.statusDetails, /could not overwrite: 1$/);
    const schedule = { ...parameters(), everyHours: 24, keep: 3 };
    assert.equal((await house.hsm(HSM, 'PUT', '/strongroom/backupschedule', schedule)).json.useManagedIdentity, true);
    for (let last: Json; last === undefined || last.folder === folder; ) {
      last = (await house.hsm(HSM, 'GET', '/strongroom/backupschedule')).json.lastBackup ?? undefined;
      await new Promise((wake) => setTimeout(wake, 50));
    }
  });

  test('whoever manages HSMs and may not assign identities cannot give one to an HSM', async () => {
    const { subscriptionId, servicePrincipal } = house.connection;
    const scope = `/subscriptions/${subscriptionId}`;
    const assignments = '/providers/Microsoft.Authorization/roleAssignments';
    const held = (await house.arm('GET', `${assignments}?api-version=2022-04-01`)).json.value;
    for (const { name, properties } of held)
      if (properties.principalId === servicePrincipal.objectId) await house.arm('DELETE', `${assignments}/${name}?api-version=2022-04-01`);
    const contributor = `${scope}/providers/Microsoft.Authorization/roleDefinitions/18500a29-7fe2-46b2-a342-b16a415e101d`;
    const role = { properties: { roleDefinitionId: contributor, principalId: servicePrincipal.objectId } };
    const made = await house.arm('PUT', `${assignments}/11111111-2222-4333-8444-555555555555?api-version=2022-04-01`, role);
    assert.equal(made.status, 201, made.text);
    const token = await house.token('application', 'management');
    const url = `${house.connection.resourceManager.replace(/\/$/, '')}${scope}${place}?api-version=2024-11-01`;
    const taken = await house.call('PATCH', url, { token, body: { identity: { type: 'None' } } });
    assert.deepEqual([taken.status, taken.json.identity], [200, undefined], taken.text);
    const refused = await house.call('PATCH', url, {
      token,
      body: { identity: { type: 'UserAssigned', userAssignedIdentities: { [identity.id]: {} } } },
    });
    assert.deepEqual([refused.status, refused.json.error.code], [403, 'AuthorizationFailed'], refused.text);
    assert.match(refused.json.error.message, /userAssignedIdentities\/assign\/action/);
  });
});
