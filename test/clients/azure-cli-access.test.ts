// The genuine azure-cli decides who may do what: roles of an HSM and of the resource manager, settings, network rules, private endpoint connections, and a
// key through the resource manager.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'node:test';
import { az, azFails, azPlain, type Stage, story, useRecipe } from './azure-cli-stage.ts';
import { activatedFor, must } from './ready.ts';

const HSM = 'az-access';
const GROUP = 'group';
const ROLES = ['a290e904-7015-4bba-90c8-60543313cdb4', '21dbd100-6940-42c2-9190-5d6cb909625b'];

// biome-ignore lint/suspicious/noExplicitAny: what az prints is judged member by member where it is used.
type Printed = any;

suite('azure-cli and access', () => {
  const chapter = story(HSM);

  chapter('the recipe signs the user in, and the HSM is there', async (on) => {
    await useRecipe(on);
    const { connection } = on.service;
    const client = await activatedFor(connection, HSM);
    for (const role of ROLES) {
      const properties = { principalId: connection.user.objectId, roleDefinitionId: role };
      await must(client.hsm(HSM, 'PUT', `/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}`, { properties }));
    }
    assert.equal((await az(on, 'keyvault', 'show', '--hsm-name', HSM)).name, HSM);
  });

  chapter(
    'a role of the HSM is made from a file, changed, assigned at one key, listed and removed',
    async (on) => {
      const role = { roleName: 'Signer', description: 'signs', dataActions: ['Microsoft.KeyVault/managedHsm/keys/sign/action'] };
      writeFileSync(join(on.service.folder, 'role.json'), JSON.stringify(role));
      const made = await az(on, 'keyvault', 'role', 'definition', 'create', '--hsm-name', HSM, '--role-definition', '@role.json');
      assert.deepEqual([made.roleName, made.roleType], ['Signer', 'CustomRole']);
      const changed = {
        ...made,
        permissions: undefined,
        dataActions: [...role.dataActions, 'Microsoft.KeyVault/managedHsm/keys/read/action'],
      };
      writeFileSync(join(on.service.folder, 'role.json'), JSON.stringify(changed));
      const updated = await az(on, 'keyvault', 'role', 'definition', 'update', '--hsm-name', HSM, '--role-definition', '@role.json');
      assert.deepEqual([updated.name, updated.permissions[0].dataActions.length], [made.name, 2]);
      const custom = await az(on, 'keyvault', 'role', 'definition', 'list', '--hsm-name', HSM, '--custom-role-only');
      assert.deepEqual(
        custom.map(({ roleName }: Printed) => roleName),
        ['Signer'],
      );

      const who = [
        '--assignee-object-id',
        on.service.connection.servicePrincipal.objectId,
        '--assignee-principal-type',
        'ServicePrincipal',
      ];
      const place = ['--hsm-name', HSM, '--role', 'Signer', '--scope', '/keys/signing'];
      const assigned = await az(on, 'keyvault', 'role', 'assignment', 'create', ...place, ...who);
      assert.deepEqual([assigned.scope, assigned.roleName], ['/keys/signing', 'Signer']);
      const listed = await az(on, 'keyvault', 'role', 'assignment', 'list', '--hsm-name', HSM, '--scope', '/keys/signing');
      assert.deepEqual(
        listed.map(({ name }: Printed) => name),
        [assigned.name],
      );
      assert.match(
        await azFails(on, 'keyvault', 'role', 'definition', 'delete', '--hsm-name', HSM, '--role-id', made.id),
        /assigned to somebody/,
      );
      await azPlain(
        on,
        'keyvault',
        'role',
        'assignment',
        'delete',
        ...place,
        '--assignee-object-id',
        on.service.connection.servicePrincipal.objectId,
      );
      await azPlain(on, 'keyvault', 'role', 'definition', 'delete', '--hsm-name', HSM, '--role-id', made.id);
    },
    'data plane',
  );

  chapter(
    'the setting is turned on, and a key is made through the resource manager',
    async (on) => {
      const key = `${hsmId(on)}/keys/through-arm`;
      const put = [
        'rest',
        '--method',
        'put',
        '--url',
        `${key}?api-version=2023-07-01`,
        '--body',
        '{"properties":{"kty":"EC","curveName":"P-256"}}',
      ];
      assert.match(await azFails(on, ...put), /AllowKeyManagementOperationsThroughARM is false/);
      const name = 'AllowKeyManagementOperationsThroughARM';
      const set = await az(on, 'keyvault', 'setting', 'update', '--hsm-name', HSM, '--name', name, '--value', 'true', '--type', 'boolean');
      assert.deepEqual([set.name, set.value], [name, 'true']);
      assert.equal((await az(on, 'keyvault', 'setting', 'show', '--hsm-name', HSM, '--name', name)).value, 'true');
      assert.equal((await az(on, ...put)).properties.kty, 'EC-HSM');
    },
    'data plane',
  );

  chapter('network rules are added, listed and removed, and shut out who is not in them', async (on) => {
    await azPlain(on, 'keyvault', 'network-rule', 'add', '--hsm-name', HSM, '--ip-address', '127.0.0.0/8', '10.0.0.0/8', '::1/128');
    const rules = await az(on, 'keyvault', 'network-rule', 'list', '--hsm-name', HSM);
    assert.deepEqual(
      rules.ipRules.map(({ value }: Printed) => value),
      ['127.0.0.0/8', '10.0.0.0/8', '::1/128'],
    );
    await azPlain(on, 'keyvault', 'network-rule', 'remove', '--hsm-name', HSM, '--ip-address', '10.0.0.0/8');
    const denied = await az(on, 'keyvault', 'update-hsm', '--hsm-name', HSM, '--default-action', 'Deny', '--bypass', 'None');
    assert.deepEqual(
      [denied.properties.networkAcls.defaultAction, denied.properties.networkAcls.bypass, denied.properties.networkAcls.ipRules.length],
      ['Deny', 'None', 2],
    );
    for (const address of ['127.0.0.0/8', '::1/128'])
      await azPlain(on, 'keyvault', 'network-rule', 'remove', '--hsm-name', HSM, '--ip-address', address);
    assert.match(
      await azFails(on, 'keyvault', 'key', 'list', '--hsm-name', HSM),
      /Client address \(\S+\) is not authorized and caller is not a trusted service/,
    );
    await azPlain(on, 'keyvault', 'update-hsm', '--hsm-name', HSM, '--default-action', 'Allow');
  });

  chapter('a private endpoint connection is approved, rejected and deleted', async (on) => {
    const endpoint = `/subscriptions/${on.service.connection.subscriptionId}/resourceGroups/net/providers/Microsoft.Network/privateEndpoints/door`;
    const body = JSON.stringify({ properties: { privateEndpoint: { id: endpoint } } });
    await azPlain(
      on,
      'rest',
      '--method',
      'put',
      '--url',
      `${hsmId(on)}/privateEndpointConnections/door?api-version=2023-07-01`,
      '--body',
      body,
    );
    const place = ['--hsm-name', HSM, '--resource-group', GROUP, '--name', 'door'];
    const approved = await az(on, 'keyvault', 'private-endpoint-connection', 'approve', ...place, '--description', 'known');
    assert.deepEqual(stateOf(approved), ['Approved', 'known']);
    assert.equal(stateOf(await az(on, 'keyvault', 'private-endpoint-connection', 'reject', ...place))[0], 'Rejected');
    assert.equal((await az(on, 'keyvault', 'private-endpoint-connection', 'list', '--hsm-name', HSM, '--resource-group', GROUP)).length, 1);
    await azPlain(on, 'keyvault', 'private-endpoint-connection', 'delete', ...place);
    const resources = await az(on, 'keyvault', 'private-link-resource', 'list', '--hsm-name', HSM, '--resource-group', GROUP);
    assert.equal(resources[0].groupId ?? resources[0].properties.groupId, 'managedhsm');
  });

  chapter('roles of the resource manager are created, listed and deleted, and count', async (on) => {
    const { servicePrincipal, subscriptionId } = on.service.connection;
    const scope = `/subscriptions/${subscriptionId}/resourceGroups/${GROUP}`;
    const made = await az(
      on,
      'role',
      'assignment',
      'create',
      '--assignee',
      servicePrincipal.clientId,
      '--role',
      'Managed HSM contributor',
      '--scope',
      scope,
    );
    assert.deepEqual([made.principalId, made.scope], [servicePrincipal.objectId, scope]);
    const listed = await az(on, 'role', 'assignment', 'list', '--assignee', servicePrincipal.clientId, '--all');
    assert.deepEqual(listed.map(({ roleDefinitionName }: Printed) => roleDefinitionName).sort(), ['Managed HSM contributor', 'Owner']);
    assert.equal(listed[0].principalName, servicePrincipal.clientId);
    await azPlain(
      on,
      'role',
      'assignment',
      'delete',
      '--assignee',
      servicePrincipal.clientId,
      '--role',
      'Managed HSM contributor',
      '--scope',
      scope,
    );
    const definitions = await az(on, 'role', 'definition', 'list', '--name', 'Reader');
    assert.deepEqual(definitions[0].permissions[0].actions, ['*/read']);
    assert.match(
      await azFails(
        on,
        'role',
        'assignment',
        'create',
        '--assignee-object-id',
        randomUUID(),
        '--assignee-principal-type',
        'User',
        '--role',
        'King',
        '--scope',
        scope,
      ),
      /Role 'King' doesn't exist/,
    );
    const group = [
      '--assignee',
      on.service.connection.user.userPrincipalName,
      '--role',
      'Owner',
      '--scope',
      `/subscriptions/${subscriptionId}`,
    ];
    await azPlain(
      on,
      'role',
      'assignment',
      'delete',
      '--assignee',
      servicePrincipal.clientId,
      '--role',
      'Owner',
      '--scope',
      `/subscriptions/${subscriptionId}`,
    );
    assert.match(await azFails(on, 'role', 'assignment', 'delete', ...group), /last RBAC admin assignment/);
  });
});

function hsmId({ service }: Stage): string {
  return `/subscriptions/${service.connection.subscriptionId}/resourceGroups/${GROUP}/providers/Microsoft.KeyVault/managedHSMs/${HSM}`;
}

function stateOf(connection: Printed): readonly [string, string] {
  const state = connection.privateLinkServiceConnectionState ?? connection.properties.privateLinkServiceConnectionState;
  return [state.status, state.description];
}
