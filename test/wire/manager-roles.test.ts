// The roles of the resource manager, over the wire: every role against every address, at every scope; then how roles are given and taken away, and by whom.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import { armRows } from '../../src/management/routes.ts';
import { type Got, type House, type Json, openHouse } from '../house.ts';

const AUTH = 'providers/Microsoft.Authorization';
const KV = 'providers/Microsoft.KeyVault';
const STRANGER = '55555555-5555-4555-8555-555555555555';
const ASSIGNMENT = '66666666-6666-4666-8666-666666666666';
const HSM = { location: 'norwayeast', sku: { family: 'B', name: 'Standard_B1' } };

/** As Azure's documentation of its built-in roles has them. */
const ROLES: readonly {
  readonly name: string;
  readonly id: string;
  readonly actions: readonly string[];
  readonly notActions: readonly string[];
}[] = [
  { name: 'Owner', id: '8e3af657-a8ff-443c-a75c-2fe8c4bcb635', actions: ['*'], notActions: [] },
  {
    name: 'Contributor',
    id: 'b24988ac-6180-42a0-ab88-20f7382dd24c',
    actions: ['*'],
    notActions: ['Microsoft.Authorization/*/Delete', 'Microsoft.Authorization/*/Write'],
  },
  { name: 'Reader', id: 'acdd72a7-3385-48ef-bd42-f606fba81ae7', actions: ['*/read'], notActions: [] },
  {
    name: 'Managed HSM contributor',
    id: '18500a29-7fe2-46b2-a342-b16a415e101d',
    actions: [
      'Microsoft.KeyVault/managedHSMs/*',
      'Microsoft.KeyVault/deletedManagedHsms/read',
      'Microsoft.KeyVault/locations/deletedManagedHsms/read',
      'Microsoft.KeyVault/locations/deletedManagedHsms/purge/action',
      'Microsoft.KeyVault/locations/managedHsmOperationResults/read',
    ],
    notActions: [],
  },
];
const OWNER = ROLES[0]?.id ?? '';
const READER = ROLES[2]?.id ?? '';
const HSM_CONTRIBUTOR = ROLES[3]?.id ?? '';

/** A pattern has one star at most. */
function fits(pattern: string, action: string): boolean {
  const [start = '', end] = pattern.toLowerCase().split('*');
  const wanted = action.toLowerCase();
  return end === undefined
    ? wanted === start
    : wanted.length >= start.length + end.length && wanted.startsWith(start) && wanted.endsWith(end);
}

type Row = (typeof armRows)[number];

/** Bodies with which a call would do something, if it were let through. */
// biome-ignore format: a table reads by its columns
const DOES: readonly (readonly [method: string, end: RegExp, body: Json])[] = [
  ['PUT',   /\/resourcegroups\/:group$/,         { location: 'norwayeast', tags: { changed: 'yes' } }],
  ['PATCH', /\/(:group|:hsm)$/,                  { tags: { changed: 'yes' } }],
  ['PUT',   /\/managedHSMs\/:hsm$/,              { ...HSM, tags: { changed: 'yes' } }],
  ['PUT',   /\/roleAssignments\/:id$/,           { properties: { roleDefinitionId: OWNER, principalId: STRANGER } }],
  ['PUT',   /\/privateEndpointConnections\/:connection$/, { properties: { privateEndpoint: { id: '/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/privateEndpoints/e' } } }],
  ['PUT',   /\/keys\/:key$/,                    { properties: { kty: 'EC' } }],
  ['POST',  /\/(register|purge)$/,               undefined],
  ['POST',  /\/checkMhsmNameAvailability$/,      { name: 'free' }],
];

suite("the resource manager's roles", () => {
  let house: House;
  let token: string;
  let subscription: string;
  let principal: string;
  before(async () => {
    house = await openHouse({ workers: 2 });
    subscription = `/subscriptions/${house.connection.subscriptionId}`;
    principal = house.connection.servicePrincipal.objectId;
    await ready();
    await put('gone');
    assert.equal((await house.arm('DELETE', `/resourceGroups/group/${KV}/managedHSMs/gone`)).status, 200);
    const assignments: Json = (await house.arm('GET', `/${AUTH}/roleAssignments`)).json.value;
    const own = assignments.find(({ properties }: Json) => properties.principalId === principal);
    assert.equal((await house.arm('DELETE', `/${AUTH}/roleAssignments/${own.name}`)).status, 200);
    token = await house.token('application', 'management');
  });
  after(() => house?.close());

  async function put(name: string, group = 'group'): Promise<void> {
    const { tenantId, user } = house.connection;
    const properties = { tenantId, initialAdminObjectIds: [user.objectId], softDeleteRetentionInDays: 7 };
    const got = await house.arm('PUT', `/resourceGroups/${group}/${KV}/managedHSMs/${name}`, { ...HSM, properties });
    assert.equal(got.status, 200, got.text);
  }

  /** What the calls that are let through find, and may take away: two groups with an HSM each. */
  async function ready(): Promise<void> {
    for (const [group, name] of [
      ['group', 'there'],
      ['spare', 'spare-hsm'],
    ] as const) {
      await house.arm('PUT', `/resourceGroups/${group}`, { location: 'norwayeast' });
      const place = `/resourceGroups/${group}/${KV}/managedHSMs/${name}`;
      if ((await house.arm('GET', place)).status === 200) continue;
      const recovered = await house.arm('PUT', place, { location: 'norwayeast', properties: { createMode: 'recover' } });
      if (recovered.status !== 200) await put(name, group);
    }
  }

  async function everything(): Promise<string> {
    const looks = ['/resourcegroups', `/${KV}/managedHSMs`, `/${KV}/deletedManagedHSMs`, `/${AUTH}/roleAssignments`];
    return JSON.stringify(await Promise.all(looks.map(async (path) => (await house.arm('GET', path)).json)));
  }

  function as(bearer: string, method: string, path: string, body?: Json): Promise<Got> {
    const url = new URL(path, house.connection.resourceManager);
    url.searchParams.set('api-version', '2022-04-01');
    return house.call(method, url.href, { body, token: bearer });
  }

  function addressOf({ path }: Row, group: string, hsm: string): string {
    const named: Readonly<Record<string, string>> = {
      subscription: house.connection.subscriptionId,
      group,
      hsm,
      location: 'norwayeast',
      namespace: 'Microsoft.KeyVault',
    };
    const deleted = path.includes('/deletedManagedHSMs/') ? path.replace(':hsm', group === 'group' ? 'gone' : 'absent') : path;
    return deleted.replace(/:(\w+)/g, (_, name: string) => named[name] ?? ASSIGNMENT);
  }

  function scopeOf({ path }: Row, group: string, hsm: string): string {
    if (!path.includes('/:group')) return subscription;
    const place = `${subscription}/resourceGroups/${group}`;
    return path.includes('managedHSMs/:hsm') ? `${place}/${KV}/managedHSMs/${hsm}` : place;
  }

  async function isRefused(row: Row, group: string, hsm: string, body: Json): Promise<boolean> {
    const got = await as(token, row.method, addressOf(row, group, hsm), body);
    assert.notEqual(got.status, 401);
    assert.ok(got.status < 500, `${row.method} ${row.path}: ${got.text}`);
    if (got.status !== 403) return false;
    if (row.method === 'HEAD') return true;
    // The HSM itself says no: it has not been activated. The role was enough.
    if (got.json.error.innererror?.code === 'HsmNotActivated') return false;
    assert.equal(got.json.error.code, 'AuthorizationFailed');
    const { clientId } = house.connection.servicePrincipal;
    assert.equal(
      got.json.error.message,
      `The client '${clientId}' with object id '${principal}' does not have authorization to perform action '${row.action}' over scope '${scopeOf(row, group, hsm)}' or the scope is invalid. If access was recently granted, please refresh your credentials.`,
    );
    return true;
  }

  const rows = armRows.filter(({ action, path }) => action !== 'anonymous' && action !== 'signed in' && path.includes(':subscription'));

  /** None of these gets through, though each would do something; and none leaves anything behind. */
  async function allShut(shut: readonly Row[], who: string): Promise<void> {
    const before = await everything();
    const refused = await Promise.all(shut.map((row) => isRefused(row, 'group', 'there', bodyOf(row))));
    assert.deepEqual(named(shut.filter((_, i) => !refused[i])), [], `${who} got through`);
    assert.equal(await everything(), before, `a call of ${who} that was refused has left something behind`);
  }

  /** All of these get through. What is taken away takes the role at it along, so that comes last, from the inside out; then it is made again. */
  async function allOpen(open: readonly Row[], who: string): Promise<void> {
    const knock = (row: Row): Promise<boolean> => isRefused(row, 'spare', 'spare-hsm', takesBody(row.method) ? 'nothing=1' : undefined);
    const takesAway = ({ method, path }: Row): boolean => method === 'DELETE' && /:(group|hsm)$/.test(path);
    const last = open.filter(takesAway).toSorted((one, other) => other.path.length - one.path.length);
    const first = open.filter((row) => !takesAway(row));
    const refused = await Promise.all(first.map(knock));
    assert.deepEqual(named(first.filter((_, i) => refused[i])), [], `${who} was refused`);
    for (const row of last) assert.equal(await knock(row), false, `${who} was refused ${named([row])}`);
    await ready();
  }

  async function assigned(role: string, scope: string, then: () => Promise<void>): Promise<void> {
    const place = `${scope}/${AUTH}/roleAssignments/${randomUUID()}`;
    const owner = await house.token('user', 'management');
    const made = await as(owner, 'PUT', place, { properties: { roleDefinitionId: role, principalId: principal } });
    assert.equal(made.status, 201, made.text);
    try {
      await then();
    } finally {
      assert.ok([200, 204].includes((await as(owner, 'DELETE', place)).status));
    }
  }

  test('whoever has no role is refused everywhere, and sees no subscription', async () => {
    await allShut(rows, 'nobody');
    assert.deepEqual((await as(token, 'GET', '/subscriptions')).json.value, []);
    assert.equal((await as(token, 'GET', '/tenants')).json.value.length, 1);
  });

  for (const { name, id, actions, notActions } of ROLES) {
    const has = (patterns: readonly string[], action: string): boolean => patterns.some((pattern) => fits(pattern, action));
    const within = (scope: string, outer: string): boolean => `${scope}/`.toLowerCase().startsWith(`${outer}/`.toLowerCase());

    /** Given twice: at what the calls that are refused are about, and at what those may take away that are let through. */
    async function everywhere(scopeAt: (group: string, hsm: string) => string): Promise<void> {
      const gives = (row: Row, granted: string, group: string, hsm: string): boolean => {
        const scope = scopeOf(row, group, hsm);
        const reaches = within(scope, granted) || (row.guard.reach === 'below' && within(granted, scope));
        return reaches && has(actions, row.action) && !has(notActions, row.action);
      };
      const [there, spare] = [scopeAt('group', 'there'), scopeAt('spare', 'spare-hsm')];
      await assigned(id, there, () =>
        allShut(
          rows.filter((row) => !gives(row, there, 'group', 'there')),
          name,
        ),
      );
      await assigned(id, spare, async () => {
        await allShut(
          rows.filter((row) => !gives(row, spare, 'group', 'there')),
          name,
        );
        await allOpen(
          rows.filter((row) => gives(row, spare, 'spare', 'spare-hsm')),
          name,
        );
      });
    }

    test(`${name} of the subscription may do what the role says`, () => everywhere(() => subscription));
    test(`${name} of a group may do it in that group`, () => everywhere((group) => `${subscription}/resourceGroups/${group}`));
    test(`${name} of one HSM may do it with that HSM`, () =>
      everywhere((group, hsm) => `${subscription}/resourceGroups/${group}/${KV}/managedHSMs/${hsm}`));
  }

  test("a role counts from the next request on every thread, and a group's is its members'", async () => {
    for (let round = 0; round < 5; round += 1) {
      await assigned(READER, subscription, async () => {
        const seen = await Promise.all(Array.from({ length: 12 }, () => as(token, 'GET', `${subscription}/resourcegroups`)));
        assert.deepEqual([...new Set(seen.map(({ status }) => status))], [200]);
      });
      const gone = await Promise.all(Array.from({ length: 12 }, () => as(token, 'GET', `${subscription}/resourcegroups`)));
      assert.deepEqual([...new Set(gone.map(({ status }) => status))], [403]);
    }
  });

  test('lists show what the caller may see, and nothing else', () =>
    assigned(HSM_CONTRIBUTOR, `${subscription}/resourceGroups/group`, async () => {
      const names = async (path: string): Promise<readonly string[]> =>
        (await as(token, 'GET', subscription + path)).json.value.map(({ name }: Json) => name);
      assert.deepEqual(await names(`/${KV}/managedHSMs`), ['there']);
      assert.deepEqual(await names('/resources'), ['there']);
      const paged = await as(token, 'GET', `${subscription}/${KV}/managedHSMs?$top=1`);
      assert.deepEqual([paged.json.value.length, paged.json.nextLink], [1, undefined]);
      assert.equal((await as(token, 'GET', '/subscriptions')).json.value.length, 1);
    }));

  test('the result of an operation is shown to those who may act where it was started', async () => {
    const owner = await house.token('user', 'management');
    const { tenantId, user } = house.connection;
    const properties = { tenantId, initialAdminObjectIds: [user.objectId] };
    const place = `${subscription}/resourceGroups/group/${KV}/managedHSMs/theirs`;
    const started = await as(owner, 'PUT', place, { ...HSM, properties });
    const result = started.headers.location ?? '';
    const look = () => house.call('GET', result, { token });
    assert.equal((await look()).status, 403);
    await assigned(HSM_CONTRIBUTOR, `${subscription}/resourceGroups/spare`, async () => assert.equal((await look()).status, 404));
    await assigned(HSM_CONTRIBUTOR, `${subscription}/resourceGroups/group`, async () => assert.equal((await look()).json.name, 'theirs'));
  });

  test('role assignments are made, shown at every scope, filtered, asked for again and removed', async () => {
    const owner = await house.token('user', 'management');
    const id = randomUUID();
    const group = `${subscription}/resourceGroups/group`;
    const place = `${subscription}/resourcegroups/GROUP/${AUTH}/roleAssignments/${id}`;
    const properties = {
      roleDefinitionId: `${subscription}/${AUTH}/roleDefinitions/${READER}`,
      principalId: STRANGER,
      principalType: 'User',
      description: 'looks',
    };
    const made = await as(owner, 'PUT', place, { properties });
    assert.equal(made.status, 201, made.text);
    assert.deepEqual(
      [made.json.id, made.json.name, made.json.properties.scope, made.json.properties.createdBy],
      [`${group}/${AUTH}/roleAssignments/${id}`, id, group, house.connection.user.objectId],
    );
    assert.deepEqual((await as(owner, 'GET', place)).json, made.json);
    assert.equal((await as(owner, 'PUT', place, { properties: { ...properties, description: 'still' } })).status, 200);

    const list = async (scope: string, filter = ''): Promise<readonly string[]> => {
      const got = await as(
        owner,
        'GET',
        `${scope}/${AUTH}/roleAssignments${filter === '' ? '' : `?$filter=${encodeURIComponent(filter)}`}`,
      );
      return got.json.value.map(({ name }: Json) => name);
    };
    const hsm = `${group}/${KV}/managedHSMs/there`;
    assert.ok((await list(subscription)).includes(id), 'what is below');
    assert.ok((await list(hsm)).includes(id), 'what is above');
    assert.ok(!(await list(`${subscription}/resourceGroups/spare`)).includes(id));
    assert.ok(!(await list(subscription, 'atScope()')).includes(id));
    assert.ok((await list(hsm, 'atScope()')).includes(id));
    assert.deepEqual(await list(subscription, `principalId eq '${STRANGER}'`), [id]);
    assert.deepEqual(await list(subscription, `atScope() and assignedTo('${STRANGER.toUpperCase()}')`), []);
    assert.deepEqual(await list(group, `atScope() and assignedTo('${STRANGER}')`), [id]);
    assert.equal((await as(owner, 'GET', `${subscription}/${AUTH}/roleAssignments/${id}`)).json.error.code, 'RoleAssignmentNotFound');
    assert.equal((await as(owner, 'DELETE', `${subscription}/${AUTH}/roleAssignments/${id}`)).status, 204);
    assert.equal((await as(owner, 'DELETE', place)).json.name, id);
    assert.equal((await as(owner, 'DELETE', place)).status, 204);
  });

  test('an assignment says of what kind its principal is, and when it changed last', async () => {
    const owner = await house.token('user', 'management');
    const { user } = house.connection;
    const place = `${subscription}/resourceGroups/group/${AUTH}/roleAssignments/${randomUUID()}`;
    const put = async (principalId: string, more: Json = {}): Promise<Json> => {
      const got = await as(owner, 'PUT', place, { properties: { roleDefinitionId: READER, principalId, ...more } });
      assert.ok([200, 201].includes(got.status), got.text);
      return got.json.properties;
    };
    for (const [principalId, more, kind] of [
      [user.objectId, {}, 'User'],
      [principal, {}, 'ServicePrincipal'],
      [randomUUID(), {}, 'User'],
      [randomUUID(), { principalType: 'foreigngroup' }, 'ForeignGroup'],
    ] as const) {
      assert.equal((await put(principalId, more)).principalType, kind);
      assert.equal((await as(owner, 'GET', place)).json.properties.principalType, kind);
      assert.equal((await as(owner, 'DELETE', place)).json.properties.principalType, kind);
    }
    const first: Json = (await house.arm('GET', `/${AUTH}/roleAssignments?$filter=principalId eq '${user.objectId}'`)).json.value[0]
      .properties;
    assert.deepEqual([first.principalType, first.createdBy, first.updatedBy], ['User', '', '']);

    const made = await put(STRANGER, { description: 'one' });
    assert.equal(made.updatedOn, made.createdOn);
    house.advance(60_000);
    assert.equal((await put(STRANGER, { description: 'one' })).updatedOn, made.createdOn, 'nothing has changed');
    const changed = await put(STRANGER, { description: 'two' });
    assert.deepEqual([changed.createdOn, changed.updatedBy], [made.createdOn, user.objectId]);
    assert.ok(changed.updatedOn > made.updatedOn);
    assert.deepEqual((await as(owner, 'GET', place)).json.properties, changed);
    assert.equal((await as(owner, 'DELETE', place)).status, 200);
  });

  test('there are no deny assignments, and custom roles are refused in words', async () => {
    const owner = await house.token('user', 'management');
    for (const scope of [subscription, `${subscription}/resourceGroups/group`]) {
      assert.deepEqual((await as(owner, 'GET', `${scope}/${AUTH}/denyAssignments?$filter=atScope()`)).json, { value: [] });
      const got = await as(owner, 'PUT', `${scope}/${AUTH}/roleDefinitions/${randomUUID()}`, { properties: { roleName: 'mine' } });
      assert.deepEqual([got.status, got.json.error.code], [400, 'NotSupported']);
      assert.match(got.json.error.message, /Custom roles/);
    }
  });

  test('a role assignment that makes no sense is refused in the words of the service', async () => {
    const owner = await house.token('user', 'management');
    const good = { roleDefinitionId: READER, principalId: STRANGER };
    const made = `${subscription}/${AUTH}/roleAssignments/${randomUUID()}`;
    assert.equal((await as(owner, 'PUT', made, { properties: good })).status, 201);
    const fresh = (): string => `${subscription}/${AUTH}/roleAssignments/${randomUUID()}`;
    const group = `${subscription}/resourceGroups/group/${AUTH}/roleAssignments/${made.split('/').at(-1)}`;
    // biome-ignore format: a table reads by its columns
    const cases: readonly [string, Json, number, string][] = [
      [fresh(),                                            good,                                         409, 'RoleAssignmentExists'],
      [made,                                               { ...good, principalId: randomUUID() },       400, 'RoleAssignmentUpdateNotPermitted'],
      [group,                                              good,                                         400, 'RoleAssignmentUpdateNotPermitted'],
      [fresh(),                                            { ...good, roleDefinitionId: randomUUID() },  400, 'RoleDefinitionDoesNotExist'],
      [fresh(),                                            { ...good, principalId: 'ann' },              400, 'InvalidPrincipalId'],
      [`${subscription}/${AUTH}/roleAssignments/mine`,     good,                                         400, 'InvalidRoleAssignmentId'],
      [fresh(),                                            { ...good, condition: '@Resource[x] y' },     400, 'NotSupported'],
      [fresh(),                                            { ...good, principalType: 'Banana' },         400, 'InvalidRequestContent'],
      [fresh(),                                            { principalId: STRANGER },                    400, 'InvalidRequestContent'],
      [fresh().replace('/providers', '/resourceGroups/no/providers'), good,                              404, 'ResourceGroupNotFound'],
      [fresh().replace('/providers', `/resourceGroups/group/${KV}/managedHSMs/no/providers`), good,      404, 'ResourceNotFound'],
    ];
    for (const [place, properties, status, code] of cases) {
      const got = await as(owner, 'PUT', place, { properties });
      assert.deepEqual([got.status, got.json.error?.code], [status, code], place);
    }
    assert.equal((await as(owner, 'DELETE', made)).status, 200);
    assert.equal(
      (await as(owner, 'GET', `${subscription}/${AUTH}/roleAssignments?$filter=principalId ne 'x'`)).json.error.code,
      'BadRequest',
    );
  });

  test('the last owner of the subscription stays, also when two are removed at once', async () => {
    const owner = await house.token('user', 'management');
    const all: Json = (await house.arm('GET', `/${AUTH}/roleAssignments`)).json.value;
    const [own] = all.filter(({ properties }: Json) => properties.roleDefinitionId.endsWith(OWNER));
    const refused = await as(owner, 'DELETE', own.id);
    assert.deepEqual([refused.status, refused.json.error.code], [409, 'Conflict']);
    assert.match(refused.json.error.message, /last RBAC admin assignment/);
    await assigned(OWNER, `${subscription}/resourceGroups/group`, async () =>
      assert.equal((await as(owner, 'DELETE', own.id)).status, 409, 'an owner of a group is none of the subscription'),
    );
    const second = `${subscription}/${AUTH}/roleAssignments/${randomUUID()}`;
    assert.equal((await as(owner, 'PUT', second, { properties: { roleDefinitionId: OWNER, principalId: principal } })).status, 201);
    const gone = await Promise.all([as(token, 'DELETE', own.id), as(owner, 'DELETE', second)]);
    const statuses = gone.map(({ status }) => status).sort();
    assert.ok(statuses[0] === 200 && (statuses[1] === 403 || statuses[1] === 409), String(statuses));
    // Whoever is left puts it back as it was.
    const left = gone[0]?.status === 200 ? token : owner;
    if (left === token)
      assert.equal(
        (await as(token, 'PUT', own.id, { properties: { roleDefinitionId: OWNER, principalId: house.connection.user.objectId } })).status,
        201,
      );
    assert.ok([200, 204].includes((await as(owner, 'DELETE', second)).status));
  });

  test('a role at a group or an HSM goes with it, and whatever gets its name later does not have it', async () => {
    const group = `${subscription}/resourceGroups/again`;
    await house.arm('PUT', '/resourceGroups/again', { location: 'norwayeast' });
    await assigned(READER, group, async () => {
      assert.equal((await as(token, 'GET', group)).status, 200);
      await house.arm('DELETE', '/resourceGroups/again');
      await house.arm('PUT', '/resourceGroups/again', { location: 'norwayeast' });
      assert.equal((await as(token, 'GET', group)).status, 403);
    });
    await put('again', 'again');
    const hsm = `${group}/${KV}/managedHSMs/again`;
    await assigned(READER, hsm, async () => {
      assert.equal((await as(token, 'GET', hsm)).status, 200);
      await house.arm('DELETE', `/resourceGroups/again/${KV}/managedHSMs/again`);
      await house.arm('PUT', `/resourceGroups/again/${KV}/managedHSMs/again`, {
        location: 'norwayeast',
        properties: { createMode: 'recover' },
      });
      assert.equal((await as(token, 'GET', hsm)).status, 403);
    });
  });

  test('definitions are listed, found by name and id, and permissions are those of the place', async () => {
    const owner = await house.token('user', 'management');
    const names = async (path: string): Promise<readonly string[]> =>
      (await as(owner, 'GET', path)).json.value.map(({ properties }: Json) => properties.roleName);
    const place = `${subscription}/resourceGroups/group/${AUTH}/roleDefinitions`;
    assert.deepEqual(await names(place), ['Owner', 'Contributor', 'Reader', 'Managed HSM contributor']);
    assert.deepEqual(await names(`${place}?$filter=roleName eq 'managed hsm contributor'`), ['Managed HSM contributor']);
    assert.deepEqual(await names(`${place}?$filter=type eq 'CustomRole'`), []);
    assert.deepEqual(await names(`/${AUTH}/roleDefinitions?$filter=atScopeAndBelow() and roleName eq 'Reader'`), ['Reader']);
    const one = (await as(owner, 'GET', `${place}/${READER.toUpperCase()}`)).json;
    assert.deepEqual([one.id, one.properties.permissions[0].actions], [`${subscription}/${AUTH}/roleDefinitions/${READER}`, ['*/read']]);
    assert.equal((await as(owner, 'GET', `${place}/${STRANGER}`)).json.error.code, 'RoleDefinitionDoesNotExist');
    await assigned(READER, `${subscription}/resourceGroups/group`, async () => {
      const permissions = (group: string) => as(token, 'GET', `${subscription}/resourceGroups/${group}/${AUTH}/permissions`);
      assert.deepEqual((await permissions('group')).json.value, [
        { actions: ['*/read'], notActions: [], dataActions: [], notDataActions: [] },
      ]);
      assert.equal((await permissions('spare')).status, 403);
    });
  });
});

function bodyOf({ method, path }: Row): Json {
  return DOES.find(([verb, end]) => verb === method && end.test(path))?.[2] ?? (takesBody(method) ? {} : undefined);
}

function takesBody(method: string): boolean {
  return method === 'PUT' || method === 'PATCH' || method === 'POST';
}

function named(some: readonly Row[]): readonly string[] {
  return some.map(({ method, path }) => `${method} ${path}`);
}
