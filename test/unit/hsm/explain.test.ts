// What an HSM says about somebody's access: to themselves always, about others to those who decide about access or watch over it.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { BUILT_IN_ROLES } from '../../../src/hsm/access/built-in-roles.ts';
import { administrator, type Estate, openEstate, person } from './estate.ts';

const AUTH = '/providers/Microsoft.Authorization';
const roleNamed = (name: string): string => BUILT_IN_ROLES.find(({ roleName }) => roleName === `Managed HSM ${name}`)?.name ?? '';

async function assign(estate: Estate, role: string, principalId: string, scope = ''): Promise<void> {
  const properties = { principalId, roleDefinitionId: `/x/${role}` };
  const { status } = await estate.ask('PUT', `${scope}${AUTH}/roleAssignments/${randomUUID()}`, { body: { properties } });
  assert.equal(status, 201);
}

test('who was refused is told what was needed, what they hold, and the command that grants it', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('Contoso');
  const ann = person(randomUUID());
  await assign(estate, roleNamed('Crypto Auditor'), ann.objectId);
  const { status, body } = await estate.ask('GET', '/strongroom/access?action=keys/sign/action&scope=/keys/blue', { as: ann });
  assert.equal(status, 200);
  assert.deepEqual(
    [body.allowed, body.action, body.scope, body.principalId],
    [false, 'Microsoft.KeyVault/managedHsm/keys/sign/action', '/keys/blue', ann.objectId],
  );
  assert.deepEqual(body.roles, ['Managed HSM Crypto User']);
  assert.equal(
    body.grant,
    `New-AzKeyVaultRoleAssignment -HsmName "Contoso" -RoleDefinitionName "Managed HSM Crypto User" -ObjectId "${ann.objectId}" -Scope "/keys/blue"`,
  );
  const [held] = body.holds;
  assert.deepEqual(
    [held.roleName, held.scope, held.reaches, held.gives, held.takesAway],
    ['Managed HSM Crypto Auditor', '/', true, false, false],
  );
});

test('a role that does not reach, and one that takes away again, are shown as such', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  const staff = randomUUID();
  const ann = person(randomUUID(), [staff]);
  const allButSign = randomUUID();
  const actions = ['keys/sign/action', 'keys/read/action'].map((action) => `Microsoft.KeyVault/managedHsm/${action}`);
  const permissions = [{ dataActions: actions, notDataActions: actions.slice(0, 1) }];
  await estate.ask('PUT', `${AUTH}/roleDefinitions/${allButSign}`, { body: { properties: { roleName: 'all but sign', permissions } } });
  await assign(estate, allButSign, ann.objectId);
  await assign(estate, roleNamed('Crypto User'), staff, '/keys/red');
  const ask = async (scope: string) =>
    (await estate.ask('GET', `/strongroom/access?action=keys/sign/action&scope=${scope}`, { as: ann })).body;
  const blue = await ask('/keys/blue');
  assert.equal(blue.allowed, false);
  const seen = blue.holds.map(({ roleName, principalId, reaches, gives, takesAway }: Record<string, unknown>) => [
    roleName,
    principalId,
    reaches,
    gives,
    takesAway,
  ]);
  assert.deepEqual(seen.sort(), [
    ['Managed HSM Crypto User', staff, false, true, false],
    ['all but sign', ann.objectId, true, true, true],
  ]);
  assert.equal((await ask('/keys/Red')).allowed, true, "a group's role is its members'");
});

test('the role that is named is the one that can change least', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  // biome-ignore format: a table reads by its columns
  const cases: readonly [string, string][] = [
    ['keys/read/action',               'Crypto Auditor'],
    ['keys/create',                    'Crypto User'],
    ['keys/wrap/action',               'Crypto Service Encryption User'],
    ['keys/release/action',            'Crypto Service Release User'],
    ['keys/deletedKeys/delete',        'Crypto Officer'],
    ['roleAssignments/read/action',    'Crypto Auditor'],
    ['roleAssignments/write/action',   'Policy Administrator'],
    ['backup/start/action',            'Backup User'],
    ['restore/start/action',           'Restore User'],
    ['settings/write/action',          'Administrator'],
    ['securitydomain/download/action', 'Administrator'],
    ['ekm/read/action',                'EKM Administrator'],
    ['rng/action',                     'Crypto User'],
  ];
  for (const [action, role] of cases) {
    const { body } = await estate.ask('GET', `/strongroom/access?action=${action}`);
    assert.equal(body.roles[0], `Managed HSM ${role}`, action);
  }
});

test('about others only those are told who decide about access there, and auditors', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  const bob = randomUUID();
  await assign(estate, roleNamed('Crypto User'), bob);
  const ask = (as: ReturnType<typeof person>, scope = '/') =>
    estate.ask('GET', `/strongroom/access?principalId=${bob}&scope=${scope}`, { as });
  for (const [role, told] of [
    ['Administrator', true],
    ['Policy Administrator', true],
    ['Crypto Officer', true],
    ['Crypto Auditor', true],
    ['Crypto User', false],
    ['Backup User', false],
    ['EKM Administrator', false],
  ] as const) {
    const someone = person(randomUUID());
    await assign(estate, roleNamed(role), someone.objectId);
    const got = await ask(someone);
    assert.deepEqual([got.status, got.code], told ? [200, undefined] : [403, 'AccessDenied'], role);
    assert.equal(got.body.holds?.length, told ? 1 : undefined);
  }
  const atKey = person(randomUUID());
  await assign(estate, roleNamed('Crypto Officer'), atKey.objectId, '/keys/blue');
  assert.deepEqual(
    [(await ask(atKey)).status, (await ask(atKey, '/keys/red')).status, (await ask(atKey, '/keys/blue')).status],
    [403, 403, 200],
  );
});

test("another's groups count as the directory has them", async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  const [bob, staff] = [randomUUID(), randomUUID()];
  estate.groups.set(bob, [staff]);
  await assign(estate, roleNamed('Crypto User'), staff);
  const { body } = await estate.ask('GET', `/strongroom/access?principalId=${bob.toUpperCase()}&action=keys/sign/action`);
  assert.deepEqual([body.allowed, body.principalId, body.holds[0].principalId], [true, bob, staff]);
});

test('a question that makes no sense is refused in words', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  for (const query of ['principalId=bob', 'action=keys/fly', 'scope=/certificates', 'scope=/keys/a/b']) {
    assert.equal((await estate.ask('GET', `/strongroom/access?${query}`)).code, 'BadParameter', query);
  }
  assert.equal((await estate.ask('GET', '/strongroom/access', { as: { kind: 'anonymous' } })).code, 'AccessDenied');
  assert.equal((await estate.ask('GET', '/strongroom/access', { as: administrator })).status, 200);
});

test('a role that is taken away while a change waits for its turn stops the change', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  const ann = person(randomUUID());
  await assign(estate, roleNamed('Crypto User'), ann.objectId);
  const [assignment] = (await estate.ask('GET', `${AUTH}/roleAssignments?$filter=principalId eq '${ann.objectId}'`)).body.value;
  // Admitted while the role is there; by the time the key is made, it is gone.
  const [removed, made] = await Promise.all([
    estate.ask('DELETE', `${AUTH}/roleAssignments/${assignment.name}`),
    estate.ask('POST', '/keys/late/create', { as: ann, body: { kty: 'RSA-HSM', key_size: 2048 } }),
  ]);
  assert.equal(removed.status, 200);
  assert.equal(made.code, 'AccessDenied');
  await assign(estate, roleNamed('Crypto User'), administrator.objectId);
  assert.deepEqual((await estate.ask('GET', '/keys')).body.value, []);
});
