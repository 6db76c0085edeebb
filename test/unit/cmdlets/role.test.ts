// Roles on one HSM: found by name or id, given to people by any of their names, and taken away one at a time.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getRoleAssignment, getRoleDefinition, newRoleAssignment, removeRoleAssignment } from '../../../src/shell/cmdlets/role.ts';
import { render } from '../../../src/shell/format.ts';
import '../../../src/shell/views.ts';
import { cryptoUserId, roleAssignment, roleDefinitions, user } from './replies.ts';
import { runCmdlet } from './run-cmdlet.ts';
import { alice, arm, type Exchange, hsmOrigin, ScriptedHost } from './scripted-host.ts';

const authorization = 'providers/Microsoft.Authorization';
const version = '?api-version=2025-07-01';
const roles: Exchange = { request: `GET ${hsmOrigin}/${authorization}/roleDefinitions${version}`, reply: roleDefinitions };
const list: Exchange = { request: `GET ${hsmOrigin}/${authorization}/roleAssignments${version}`, reply: { value: [roleAssignment] } };
const found: Exchange = {
  request: `GET ${arm}/v1.0/users?$filter=userPrincipalName eq 'alice@contoso.localhost'`,
  reply: { value: [user] },
};
const names: Exchange = {
  request: `POST ${arm}/v1.0/directoryObjects/getByIds`,
  body: { ids: [alice], types: ['user', 'group', 'servicePrincipal'] },
  reply: { value: [{ '@odata.type': '#microsoft.graph.user', ...user }] },
};

function made(scope: string, guid = '00000000-0000-4000-8000-000000000003'): Exchange {
  const at = scope === '/' ? '' : scope;
  return {
    request: `PUT ${hsmOrigin}${at}/${authorization}/roleAssignments/${guid}${version}`,
    body: { properties: { roleDefinitionId: cryptoUserId, principalId: alice } },
    status: 201,
    reply: { ...roleAssignment, properties: { ...roleAssignment.properties, scope } },
  };
}

test('a user gets a role by sign-in name and role name', async () => {
  const host = new ScriptedHost([found, roles, made('/'), names]);
  const given = { HsmName: 'contoso', RoleDefinitionName: 'managed hsm crypto user', SignInName: 'alice@contoso.localhost' };
  const { values, changes } = await runCmdlet(newRoleAssignment, host, given);
  assert.match(render(values, undefined), /Managed HSM Crypto User Alice +User +\//);
  assert.deepEqual(changes, [["Assign role 'Managed HSM Crypto User' to principal 'alice@contoso.localhost' at scope '/'.", 'contoso']]);
  host.assertDone();
});

test('a role may be named short, and be given at one key', async () => {
  const host = new ScriptedHost([
    roles,
    made('/keys/signing', '00000000-0000-4000-8000-000000000002'),
    { ...names, status: 403, reply: {} },
  ]);
  const given = { HsmName: 'contoso', RoleDefinitionName: 'Crypto User', ObjectId: alice, Scope: 'keys/signing/' };
  const { items } = await runCmdlet(newRoleAssignment, host, given);
  assert.deepEqual([items[0]?.Scope, items[0]?.DisplayName, items[0]?.ObjectType], ['/keys/signing', '', 'Unknown']);
  host.assertDone();
});

test('a service principal gets a role by its application id, and the role by its GUID', async () => {
  const application: Exchange = {
    request: `GET ${arm}/v1.0/servicePrincipals?$filter=appId eq 'app-1'`,
    reply: { value: [{ id: alice }] },
  };
  const host = new ScriptedHost([application, roles, made('/keys'), names]);
  const given = { HsmName: 'contoso', RoleDefinitionId: '21dbd100-6940-42c2-9190-5d6cb909625b', ApplicationId: 'app-1', Scope: '/keys' };
  await runCmdlet(newRoleAssignment, host, given);
  host.assertDone();
});

test('an unknown role, user or scope is named', async () => {
  const given = { HsmName: 'contoso', RoleDefinitionName: 'Crypto Usr', ObjectId: alice };
  await assert.rejects(runCmdlet(newRoleAssignment, new ScriptedHost([roles]), given), {
    message: "this HSM has no role 'Crypto Usr'",
    hints: ['its roles are: Managed HSM Crypto User, Managed HSM Backup User'],
  });
  await assert.rejects(
    runCmdlet(newRoleAssignment, new ScriptedHost([{ ...found, reply: { value: [] } }]), {
      ...given,
      SignInName: 'alice@contoso.localhost',
    }),
    {
      message: "there is no user 'alice@contoso.localhost' in this directory",
    },
  );
  await assert.rejects(runCmdlet(newRoleAssignment, new ScriptedHost(), { ...given, Scope: '/secrets' }), {
    message: "'/secrets' is not a scope",
  });
});

test('a name that would lead a token to another host is refused', async () => {
  for (const HsmName of ['evil.example/', 'a#', 'contoso.', '-a', '']) {
    const host = new ScriptedHost();
    await assert.rejects(runCmdlet(getRoleDefinition, host, { HsmName }), { message: /cannot be the name of a managed HSM/ });
    assert.deepEqual(host.requests, []);
  }
});

test('roles are shown with the number of their permissions', async () => {
  const { values } = await runCmdlet(getRoleDefinition, new ScriptedHost([roles]), { HsmName: 'contoso' });
  assert.match(render(values, undefined), /Managed HSM Crypto User +1 permission\(s\)/);
});

test('assignments are filtered by principal and role', async () => {
  const other = { ...roleAssignment, name: 'other', properties: { ...roleAssignment.properties, principalId: 'bob' } };
  const host = new ScriptedHost([roles, { ...list, reply: { value: [roleAssignment, other] } }, names]);
  const { items } = await runCmdlet(getRoleAssignment, host, {
    HsmName: 'contoso',
    ObjectId: alice.toUpperCase(),
    RoleDefinitionName: 'Crypto User',
  });
  assert.deepEqual(
    items.map((item) => item.RoleAssignmentName),
    [roleAssignment.name],
  );
});

test('an assignment is taken away by role and principal, and shown with -PassThru', async () => {
  const removed: Exchange = {
    request: `DELETE ${hsmOrigin}/${authorization}/roleAssignments/${roleAssignment.name}${version}`,
    reply: roleAssignment,
  };
  const given = { HsmName: 'contoso', RoleDefinitionName: 'Crypto User', SignInName: 'alice@contoso.localhost', PassThru: true };
  const host = new ScriptedHost([roles, found, list, removed]);
  const { items } = await runCmdlet(removeRoleAssignment, host, given);
  assert.equal(items[0]?.RoleDefinitionName, 'Managed HSM Crypto User');
  host.assertDone();
});

test('taking away needs a role and a principal, lest every assignment goes', async () => {
  const host = new ScriptedHost([roles, list]);
  await assert.rejects(runCmdlet(removeRoleAssignment, host, { HsmName: 'contoso', RoleDefinitionName: 'Crypto User' }), {
    message: /a principal and a role are needed/,
  });
});
