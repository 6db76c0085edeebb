// Who may do what where: the decision by itself, then role definitions and role assignments as administrators handle them.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type DataAction, dataActionNamed } from '../../../src/hsm/access/actions.ts';
import { BUILT_IN_ROLES } from '../../../src/hsm/access/built-in-roles.ts';
import { accessOf, allowedBy, type Grant } from '../../../src/hsm/access/decide.ts';
import { readFilter } from '../../../src/hsm/access/shapes.ts';
import { type Answer, administrator, type Estate, openEstate, person } from './estate.ts';

const DEFINITIONS = '/providers/Microsoft.Authorization/roleDefinitions';
const ASSIGNMENTS = '/providers/Microsoft.Authorization/roleAssignments';
const ADMINISTRATOR = 'a290e904-7015-4bba-90c8-60543313cdb4';
const CRYPTO_OFFICER = '515eb02d-2335-4d2d-92f2-b1cbdf9c3778';
const CRYPTO_USER = '21dbd100-6940-42c2-9190-5d6cb909625b';
const AUDITOR = '2c18b078-7c48-4d3a-af88-5a3a1b3f82b3';

const recorded = fileURLToPath(new URL('../../../../shared/spec/openapi/data-plane/builtin-roles.json', import.meta.url));

// --- the decision ---

const grant = (scope: string, dataActions: readonly DataAction[], notDataActions: readonly DataAction[] = []): Grant => ({
  scope,
  actions: allowedBy(dataActions, notDataActions),
});

const signsEverywhere = grant('/', ['keys/sign/action', 'keys/read/action']);
const signsAllKeys = grant('/keys', ['keys/sign/action']);
const signsOneKey = grant('/keys/blue', ['keys/sign/action']);
const allButSign = grant('/', ['keys/sign/action', 'keys/read/action'], ['keys/sign/action']);
const readsEverywhere = grant('/', ['keys/read/action']);

// biome-ignore format: a table reads by its columns
const decisions: readonly [string, readonly Grant[], DataAction, string, boolean][] = [
  ['nobody may do anything',                                  [],                          'keys/sign/action', '/keys/blue',  false],
  ['a role at / reaches /',                                   [signsEverywhere],           'keys/sign/action', '/',           true],
  ['a role at / reaches /keys',                               [signsEverywhere],           'keys/sign/action', '/keys',       true],
  ['a role at / reaches every key',                           [signsEverywhere],           'keys/sign/action', '/keys/blue',  true],
  ['a role at /keys reaches every key',                       [signsAllKeys],              'keys/sign/action', '/keys/blue',  true],
  ['a role at /keys is one of the whole HSM',                 [signsAllKeys],              'keys/sign/action', '/',           true],
  ['a role at a key reaches that key',                        [signsOneKey],               'keys/sign/action', '/keys/blue',  true],
  ['a role at a key reaches it in any spelling',              [signsOneKey],               'keys/sign/action', '/keys/Blue',  true],
  ['a role at a key reaches no other key',                    [signsOneKey],               'keys/sign/action', '/keys/red',   false],
  ['a role at a key reaches no longer name',                  [signsOneKey],               'keys/sign/action', '/keys/blue2', false],
  ['a role at a key does not reach /keys',                    [signsOneKey],               'keys/sign/action', '/keys',       false],
  ['a role at a key does not reach /',                        [signsOneKey],               'keys/sign/action', '/',           false],
  ['an action that the role lacks is refused',                [signsEverywhere],           'keys/create',      '/keys/blue',  false],
  ['roles at one place add up',                               [readsEverywhere, signsAllKeys], 'keys/sign/action', '/keys/red', true],
  ['and leave each other as they were',                       [readsEverywhere, signsAllKeys], 'keys/read/action', '/keys/red', true],
  ['roles at two places add up',                              [readsEverywhere, signsOneKey], 'keys/sign/action', '/keys/blue', true],
  ['and reach no further than each of them',                  [readsEverywhere, signsOneKey], 'keys/sign/action', '/keys/red', false],
  ['notDataActions take away',                                [allButSign],                'keys/sign/action', '/keys/blue',  false],
  ['notDataActions take away nothing else',                   [allButSign],                'keys/read/action', '/keys/blue',  true],
  ['notDataActions of one role leave what another role gives', [allButSign, signsOneKey],  'keys/sign/action', '/keys/blue',  true],
  ['and only where the other role gives it',                  [allButSign, signsOneKey],   'keys/sign/action', '/keys/red',   false],
];

for (const [name, grants, action, scope, allowed] of decisions) {
  test(`the decision: ${name}`, () => {
    assert.equal(accessOf(grants).allows(action, scope), allowed);
  });
}

test('a data action is known in any case, with its prefix, and nothing else is', () => {
  assert.equal(dataActionNamed('microsoft.keyvault/MANAGEDHSM/keys/Sign/action'), 'keys/sign/action');
  for (const wrong of ['keys/sign/action', 'Microsoft.KeyVault/managedHsm/keys/*', '', 'Microsoft.KeyVault/managedHsm/']) {
    assert.equal(dataActionNamed(wrong), undefined, wrong);
  }
});

// --- filters ---

test('a filter says whose, which and how far, in any order', () => {
  const id = randomUUID();
  assert.deepEqual(readFilter(undefined), { above: false, below: false });
  assert.deepEqual(readFilter(' atScope() '), { above: true, below: false });
  assert.deepEqual(readFilter('atScopeAndBelow()'), { above: false, below: true });
  assert.deepEqual(readFilter('atScopeAndBelow'), { above: false, below: true });
  assert.deepEqual(readFilter(`principalId eq '${id.toUpperCase()}'`), { above: true, below: true, principalId: id });
  assert.deepEqual(readFilter(`principalid EQ {${id}} and atScope()`), { above: true, below: false, principalId: id });
  assert.deepEqual(readFilter(`atScope() and principalId eq ${id}`), { above: true, below: false, principalId: id });
  assert.deepEqual(readFilter("roleName eq 'Sign and O''Verify' and atScope()"), {
    above: true,
    below: false,
    roleName: "sign and o'verify",
  });
});

test('a filter that is not understood is refused, never ignored', () => {
  for (const wrong of ['type eq 1', 'atScope() and', 'atScope() or atScope()', "roleName eq 'open", 'principalId ne 1', 'and atScope()']) {
    assert.throws(() => readFilter(wrong), { code: 'BadParameter' }, wrong);
  }
});

// --- role definitions ---

test('the ten built-in roles are listed as the live service lists them', {
  skip: existsSync(recorded) ? false : 'the recording is not beside the checkout',
}, async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  const { body } = await estate.ask('GET', DEFINITIONS);
  assert.deepEqual(body, JSON.parse(readFileSync(recorded, 'utf8')));
});

test('a role definition is found by its id at every scope, and by its name', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  for (const scope of ['', '/keys', '/keys/any']) {
    const { body } = await estate.ask('GET', `${scope}${DEFINITIONS}/${CRYPTO_USER.toUpperCase()}`);
    assert.equal(body.properties.roleName, 'Managed HSM Crypto User', scope);
  }
  for (const scope of ['', '/keys', '/keys/any'])
    assert.equal((await estate.ask('GET', `${scope}${DEFINITIONS}?$filter=atScopeAndBelow()`)).body.value.length, 10, scope);
  const { body } = await estate.ask('GET', `${DEFINITIONS}?$filter=${encodeURIComponent("roleName eq 'managed hsm crypto user'")}`);
  assert.deepEqual(namesIn(body), [CRYPTO_USER]);
});

test('a role definition that nobody made is not found, whatever its name', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  for (const name of [randomUUID(), 'not-a-guid']) {
    for (const method of ['GET', 'DELETE'] as const) {
      const got = await estate.ask(method, `${DEFINITIONS}/${name}`);
      assert.deepEqual(
        [got.status, got.body.error.code, got.body.error.message],
        [404, 'RoleDefinitionNotFound', 'Requested role definition not found'],
      );
    }
  }
});

test('a custom role is made, used, changed for all who hold it, and deleted when nobody holds it', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  const role = randomUUID();
  const holder = person(randomUUID());
  const made = await putRole(estate, role, customRole('Readers', ['keys/read/action']));
  assert.equal(made.status, 201);
  assert.deepEqual(made.body, {
    id: `Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/${role}`,
    name: role,
    properties: {
      assignableScopes: ['/'],
      description: 'd',
      permissions: [{ actions: [], dataActions: ['Microsoft.KeyVault/managedHsm/keys/read/action'], notActions: [], notDataActions: [] }],
      roleName: 'Readers',
      type: 'CustomRole',
    },
    type: 'Microsoft.Authorization/roleDefinitions',
  });
  const assignment = await assign(estate, '', role, holder.objectId);
  assert.equal((await estate.ask('GET', '/keys', { as: holder })).status, 200);

  assert.equal((await putRole(estate, role, customRole('Readers', ['keys/read/action'], ['keys/read/action']))).status, 201);
  assert.equal((await estate.ask('GET', '/keys', { as: holder })).code, 'AccessDenied');
  assert.equal((await putRole(estate, role, customRole('Readers', ['settings/read/action']))).status, 201);
  assert.equal((await estate.ask('GET', '/settings', { as: holder })).status, 200);

  const inUse = await estate.ask('DELETE', `${DEFINITIONS}/${role}`);
  assert.deepEqual([inUse.status, inUse.code], [409, 'Conflict']);
  assert.equal((await estate.ask('DELETE', `${ASSIGNMENTS}/${assignment}`)).status, 200);
  const deleted = await estate.ask('DELETE', `${DEFINITIONS}/${role}`);
  assert.deepEqual([deleted.status, deleted.body.name], [200, role]);
  assert.equal((await estate.ask('GET', `${DEFINITIONS}/${role}`)).code, 'RoleDefinitionNotFound');
});

test('a role definition that makes no sense is refused in words', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  const good = customRole('Good', ['keys/read/action']);
  // biome-ignore format: a table reads by its columns
  const refusals: readonly [string, string, unknown, number, string][] = [
    ['a built-in one changed', CRYPTO_USER,    good,                                                          403, 'Forbidden'],
    ['a name that is no GUID', 'readers',      good,                                                          400, 'BadParameter'],
    ['an unknown action',      randomUUID(),   customRole('X', ['keys/fly/action']),                          400, 'BadParameter'],
    ['no role name',           randomUUID(),   { ...good, roleName: undefined },                              400, 'BadParameter'],
    ['an empty role name',     randomUUID(),   { ...good, roleName: ' ' },                                    400, 'BadParameter'],
    ["a built-in role's name", randomUUID(),   { ...good, roleName: 'managed hsm crypto user' },              409, 'Conflict'],
    ['no permissions',         randomUUID(),   { ...good, permissions: [] },                                  400, 'BadParameter'],
    ['two permissions',        randomUUID(),   { ...good, permissions: [{}, {}] },                            400, 'BadParameter'],
    ["the manager's actions",  randomUUID(),   { ...good, permissions: [{ actions: ['*'] }] },                400, 'BadParameter'],
    ['a scope of one key',     randomUUID(),   { ...good, assignableScopes: ['/keys/blue'] },                 400, 'BadParameter'],
  ];
  for (const [name, id, properties, status, code] of refusals) {
    const got = await putRole(estate, id, properties);
    assert.deepEqual([got.status, got.code], [status, code], name);
  }
  assert.equal((await estate.ask('PUT', `${DEFINITIONS}/${randomUUID()}`)).code, 'Nocontentprovided');
  assert.equal((await estate.ask('DELETE', `${DEFINITIONS}/${CRYPTO_USER}`)).code, 'Forbidden');
  assert.equal((await estate.ask('GET', DEFINITIONS)).body.value.length, BUILT_IN_ROLES.length);
});

test('an HSM has fifty custom roles at most', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  const names = Array.from({ length: 50 }, () => randomUUID());
  const made = await Promise.all(names.map((name, i) => putRole(estate, name, customRole(`Role ${i}`, ['keys/read/action']))));
  assert.deepEqual([...new Set(made.map(({ status }) => status))], [201]);
  assert.equal((await putRole(estate, randomUUID(), customRole('One more', []))).code, 'BadParameter');
  assert.equal((await putRole(estate, names[0] ?? '', customRole('Role 0 again', []))).status, 201, 'changing one is no new one');
});

test('roles are written at the whole HSM alone: who may write roles at one key gains nothing elsewhere', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  const atKey = person(randomUUID());
  await assign(estate, '/keys/blue', CRYPTO_OFFICER, atKey.objectId);
  const written = estate.room.rows.filter(({ path, mode }) => mode === 'write' && path.includes('roleDefinitions')).map(({ path }) => path);
  assert.deepEqual([...new Set(written)], [`${DEFINITIONS}/:id`, `/keys${DEFINITIONS}/:id`]);
  for (const scope of ['', '/keys']) {
    const got = await estate.ask('PUT', `${scope}${DEFINITIONS}/${randomUUID()}`, {
      as: atKey,
      body: { properties: customRole('Mine', ['keys/create']) },
    });
    assert.equal(got.code, 'AccessDenied', scope);
  }
});

// --- role assignments ---

test('a role is assigned, shown, and taken away again', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  const principalId = randomUUID();
  const name = randomUUID();
  const properties = { principalId: principalId.toUpperCase(), roleDefinitionId: `/${definitionId(AUDITOR)}` };
  const expected = {
    id: `${ASSIGNMENTS}/${name}`,
    name,
    properties: { principalId, roleDefinitionId: definitionId(AUDITOR), scope: '/' },
    type: 'Microsoft.Authorization/roleAssignments',
  };
  const put = await estate.ask('PUT', `${ASSIGNMENTS}/${name.toUpperCase()}`, { body: { properties } });
  assert.deepEqual([put.status, put.body], [201, expected]);
  assert.deepEqual((await estate.ask('GET', `${ASSIGNMENTS}/${name}`)).body, expected);
  const deleted = await estate.ask('DELETE', `${ASSIGNMENTS}/${name}`);
  assert.deepEqual([deleted.status, deleted.body], [200, expected]);
  for (const method of ['GET', 'DELETE'] as const) {
    const got = await estate.ask(method, `${ASSIGNMENTS}/${name}`);
    assert.deepEqual(
      [got.status, got.body.error.code, got.body.error.message],
      [404, 'RoleAssignmentNotFound', 'Requested role assignment not found'],
    );
  }
});

test('an assignment at a key belongs to the key, and its id does not say so', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  const principalId = randomUUID();
  const name = randomUUID();
  const body = { properties: { principalId, roleDefinitionId: definitionId(ADMINISTRATOR) } };
  const put = await estate.ask('PUT', `/keys/Blue${ASSIGNMENTS}/${name}`, { body });
  assert.deepEqual([put.status, put.body.id, put.body.properties.scope], [201, `${ASSIGNMENTS}/${name}`, '/keys/Blue']);
  for (const elsewhere of ['', '/keys', '/keys/red']) {
    assert.equal((await estate.ask('GET', `${elsewhere}${ASSIGNMENTS}/${name}`)).code, 'RoleAssignmentNotFound', elsewhere);
    assert.equal((await estate.ask('DELETE', `${elsewhere}${ASSIGNMENTS}/${name}`)).code, 'RoleAssignmentNotFound', elsewhere);
  }
  assert.equal((await estate.ask('DELETE', `/keys/blue${ASSIGNMENTS}/${name}`)).status, 200);
});

test('lists show what is at the scope; a filter adds what reaches it, or takes away the rest', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso', [administrator.objectId]);
  const ann = randomUUID();
  const bob = randomUUID();
  const annAtRoot = await assign(estate, '', AUDITOR, ann);
  const bobAtKeys = await assign(estate, '/keys', CRYPTO_USER, bob);
  const annAtBlue = await assign(estate, '/keys/blue', CRYPTO_USER, ann);
  const list = async (scope: string, filter?: string): Promise<string[]> => {
    const query = filter === undefined ? '' : `?$filter=${encodeURIComponent(filter)}`;
    return namesIn((await estate.ask('GET', `${scope}${ASSIGNMENTS}${query}`)).body).sort();
  };
  const [first] = namesIn(
    (await estate.ask('GET', `${ASSIGNMENTS}?$filter=${encodeURIComponent(`principalId eq ${administrator.objectId}`)}`)).body,
  );
  const whole = [first ?? '', annAtRoot, bobAtKeys].sort();
  assert.deepEqual(await list(''), whole);
  assert.deepEqual(await list('/keys'), whole);
  assert.deepEqual(await list('/keys/BLUE'), [annAtBlue]);
  assert.deepEqual(await list('/keys/red'), []);
  assert.deepEqual(await list('/keys/blue', 'atScope()'), [...whole, annAtBlue].sort());
  assert.deepEqual(await list('/keys/blue', `atScope() and principalId eq '${ann}'`), [annAtRoot, annAtBlue].sort());
  assert.deepEqual(await list('', `principalId eq '${bob}'`), [bobAtKeys]);
  // A principal is sought at, above and below the scope.
  assert.deepEqual(await list('', `principalId eq '${ann}'`), [annAtRoot, annAtBlue].sort());
  assert.deepEqual(await list('/keys/blue', `principalId eq '${ann}'`), [annAtRoot, annAtBlue].sort());
  assert.deepEqual(await list('/keys/red', `principalId eq '${ann}'`), [annAtRoot]);
  assert.deepEqual(await list('', `atScope() and principalId eq '${ann}'`), [annAtRoot]);
  assert.deepEqual(await list('', 'atScopeAndBelow()'), [...whole, annAtBlue].sort());
  assert.deepEqual(await list('', "roleName eq 'Managed HSM Crypto User'"), [bobAtKeys]);
  assert.equal((await estate.ask('GET', `${ASSIGNMENTS}?$filter=assignedTo()`)).code, 'BadParameter');
});

test('an assignment that makes no sense is refused in words', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  const principalId = randomUUID();
  const name = await assign(estate, '', AUDITOR, principalId);
  const good = { principalId, roleDefinitionId: definitionId(CRYPTO_USER) };
  // biome-ignore format: a table reads by its columns
  const refusals: readonly [string, string, unknown, number, string][] = [
    ['the same role again',            `${ASSIGNMENTS}/${randomUUID()}`,             { ...good, roleDefinitionId: definitionId(AUDITOR) }, 409, 'RoleAssignmentExists'],
    ['the same name again',            `${ASSIGNMENTS}/${name}`,                     good,                                                 409, 'RoleAssignmentExists'],
    ['the same name at a key',         `/keys/blue${ASSIGNMENTS}/${name}`,           good,                                                 409, 'RoleAssignmentExists'],
    ['a role that is not there',       `${ASSIGNMENTS}/${randomUUID()}`,             { ...good, roleDefinitionId: randomUUID() },          404, 'RoleDefinitionNotFound'],
    ['a role by its name',             `${ASSIGNMENTS}/${randomUUID()}`,             { ...good, roleDefinitionId: 'Crypto User' },         404, 'RoleDefinitionNotFound'],
    ['a principal by its name',        `${ASSIGNMENTS}/${randomUUID()}`,             { ...good, principalId: 'ann@contoso' },              400, 'BadParameter'],
    ['no principal',                   `${ASSIGNMENTS}/${randomUUID()}`,             { roleDefinitionId: AUDITOR },                        400, 'BadParameter'],
    ['a name that is no GUID',         `${ASSIGNMENTS}/ann`,                         good,                                                 400, 'BadParameter'],
    ['a key that can have no such name', `/keys/a%2Fb${ASSIGNMENTS}/${randomUUID()}`, good,                                               400, 'BadParameter'],
  ];
  for (const [words, target, properties, status, code] of refusals) {
    const got = await estate.ask('PUT', target, { body: { properties } });
    assert.deepEqual([got.status, got.code], [status, code], words);
  }
  assert.equal((await estate.ask('PUT', `${ASSIGNMENTS}/${randomUUID()}`)).code, 'Nocontentprovided');
  assert.equal((await estate.ask('GET', ASSIGNMENTS)).body.value.length, 2);
});

test('fifty roles are assigned at the HSM and ten at each key, and no more', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  const put = (scope: string): Promise<Answer> => putAssignment(estate, scope, AUDITOR, randomUUID());
  // The administrator has the first of the fifty; `/` and `/keys` count together.
  const atHsm = await Promise.all(Array.from({ length: 49 }, (_, i) => put(i % 2 === 0 ? '' : '/keys')));
  const atKey = await Promise.all(Array.from({ length: 10 }, () => put('/keys/blue')));
  assert.deepEqual([...new Set([...atHsm, ...atKey].map(({ status }) => status))], [201]);
  for (const scope of ['', '/keys', '/keys/Blue']) assert.equal((await put(scope)).code, 'BadParameter', scope);
  assert.equal((await put('/keys/red')).status, 201);
});

test('the last administrator cannot be removed, not even for one who administers a single key', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  const [own] = namesIn((await estate.ask('GET', ASSIGNMENTS)).body);
  await assign(estate, '/keys/blue', ADMINISTRATOR, randomUUID());
  await assign(estate, '', CRYPTO_OFFICER, randomUUID());
  const refused = await estate.ask('DELETE', `${ASSIGNMENTS}/${own}`);
  assert.deepEqual([refused.status, refused.code], [409, 'Conflict']);
  assert.match(refused.body.error.message, /last Managed HSM Administrator/);

  const next = person(randomUUID());
  await assign(estate, '/keys', ADMINISTRATOR, next.objectId);
  assert.equal((await estate.ask('DELETE', `${ASSIGNMENTS}/${own}`)).status, 200);
  assert.equal((await estate.ask('GET', ASSIGNMENTS)).code, 'AccessDenied');
  assert.equal((await estate.ask('GET', ASSIGNMENTS, { as: next })).status, 200);
});

test('of two administrators who are removed at once, one stays', async (t) => {
  const estate = await openEstate(t);
  const officer = person(randomUUID());
  await estate.activated('contoso', [administrator.objectId, randomUUID()]);
  const names = namesIn((await estate.ask('GET', ASSIGNMENTS)).body);
  await assign(estate, '', CRYPTO_OFFICER, officer.objectId);
  const answers = await Promise.all(names.map((name) => estate.ask('DELETE', `${ASSIGNMENTS}/${name}`, { as: officer })));
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 409]);
});

test('of two administrators who remove each other at once, one stays', async (t) => {
  const estate = await openEstate(t);
  const other = person(randomUUID());
  await estate.activated('contoso', [administrator.objectId, other.objectId]);
  const all: readonly { name: string; properties: { principalId: string } }[] = (await estate.ask('GET', ASSIGNMENTS)).body.value;
  const nameOf = (id: string) => all.find(({ properties }) => properties.principalId === id)?.name;
  const answers = await Promise.all([
    estate.ask('DELETE', `${ASSIGNMENTS}/${nameOf(other.objectId)}`),
    estate.ask('DELETE', `${ASSIGNMENTS}/${nameOf(administrator.objectId)}`, { as: other }),
  ]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 403], 'the second is no administrator any more when its turn comes');
});

test('a role counts from the next request on, and ends with the next request', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  const ann = person(randomUUID());
  const list = () => estate.ask('GET', '/keys', { as: ann });
  assert.equal((await list()).code, 'AccessDenied');
  const name = await assign(estate, '', AUDITOR, ann.objectId);
  assert.equal((await list()).status, 200);
  await estate.ask('DELETE', `${ASSIGNMENTS}/${name}`);
  assert.equal((await list()).code, 'AccessDenied');
});

test('a role in one HSM is none in another', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  await estate.activated('fabrikam', [randomUUID()]);
  assert.equal((await estate.ask('GET', '/settings', { at: 'contoso' })).status, 200);
  assert.equal((await estate.ask('GET', '/settings', { at: 'fabrikam' })).code, 'AccessDenied');
});

function definitionId(role: string): string {
  return `Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/${role}`;
}

function customRole(roleName: string, dataActions: readonly string[], notDataActions: readonly string[] = []) {
  const prefixed = (actions: readonly string[]) => actions.map((action) => `Microsoft.KeyVault/managedHsm/${action}`);
  const permissions = [{ actions: [], notActions: [], dataActions: prefixed(dataActions), notDataActions: prefixed(notDataActions) }];
  return { roleName, description: 'd', type: 'CustomRole', permissions, assignableScopes: ['/'] };
}

function putRole(estate: Estate, name: string, properties: unknown): Promise<Answer> {
  return estate.ask('PUT', `${DEFINITIONS}/${name}`, { body: { properties } });
}

function putAssignment(estate: Estate, scope: string, role: string, principalId: string, name: string = randomUUID()): Promise<Answer> {
  const properties = { principalId, roleDefinitionId: definitionId(role) };
  return estate.ask('PUT', `${scope}${ASSIGNMENTS}/${name}`, { body: { properties } });
}

/** Returns the assignment's name. */
async function assign(estate: Estate, scope: string, role: string, principalId: string): Promise<string> {
  const { status, body } = await putAssignment(estate, scope, role, principalId);
  assert.equal(status, 201);
  return body.name;
}

function namesIn(list: { value: { name: string }[] }): string[] {
  return list.value.map(({ name }) => name);
}
