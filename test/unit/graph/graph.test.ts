// What clients ask Microsoft Graph for, and what they get: the addresses and filters of az and Az PowerShell.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import * as v from 'valibot';
import type { Caller } from '../../../src/core/caller.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { Versions } from '../../../src/core/coherence.ts';
import { Failure } from '../../../src/core/failure.ts';
import { isReply } from '../../../src/core/reply.ts';
import { graphRoom } from '../../../src/graph/room.ts';
import { groupsOf } from '../../../src/identity/groups.ts';
import { openEmbeddedStore } from '../../../src/store/embedded.ts';

const TENANT = '11111111-2222-4333-8444-555555555555';
const ALICE = 'aaaaaaaa-0000-4000-8000-000000000001';
const BRIAN = 'aaaaaaaa-0000-4000-8000-000000000002';
const ROBOT = 'bbbbbbbb-0000-4000-8000-000000000001';
const ROBOT_APP = 'cccccccc-0000-4000-8000-000000000001';
const AUDITORS = 'dddddddd-0000-4000-8000-000000000001';

const alice: Caller = {
  kind: 'user',
  tenantId: TENANT,
  objectId: ALICE,
  clientId: 'x',
  userPrincipalName: 'Alice@contoso.localhost',
  groups: [],
};
const robot: Caller = { kind: 'application', tenantId: TENANT, objectId: ROBOT, clientId: ROBOT_APP, groups: [] };

test('a signed-in user reads their own entity, as the service writes it', async (t) => {
  const graph = await openDirectory(t);
  const answer = await graph('GET', '/v1.0/me');
  assert.deepEqual(answer.body, {
    '@odata.context': 'https://localhost:8443/v1.0/$metadata#users/$entity',
    businessPhones: [],
    displayName: 'Alice',
    givenName: null,
    jobTitle: null,
    mail: null,
    mobilePhone: null,
    officeLocation: null,
    preferredLanguage: null,
    surname: null,
    userPrincipalName: 'Alice@contoso.localhost',
    id: ALICE,
  });
  assert.equal(answer.headers['odata-version'], '4.0');
  assert.match(answer.contentType ?? '', /^application\/json;odata\.metadata=minimal/);
});

test('an application has no /me', async (t) => {
  const graph = await openDirectory(t);
  const answer = await graph('GET', '/v1.0/me', { caller: robot });
  assert.deepEqual(
    [answer.status, answer.code, answer.message],
    [400, 'BadRequest', '/me request is only valid with delegated authentication flow.'],
  );
});

test('a user is found by object id and by principal name, whatever the case', async (t) => {
  const graph = await openDirectory(t);
  for (const name of [ALICE, ALICE.toUpperCase(), 'alice@contoso.localhost', 'ALICE%40CONTOSO.LOCALHOST']) {
    assert.equal((await graph('GET', `/v1.0/users/${name}`)).body.id, ALICE, name);
  }
  assert.equal((await graph('GET', `/beta/users/${BRIAN}`)).body['@odata.context'], 'https://localhost:8443/beta/$metadata#users/$entity');
});

test('who is not there is a 404 that names what was asked', async (t) => {
  const graph = await openDirectory(t);
  for (const path of ['/users/nobody', `/users/${ROBOT}`, '/servicePrincipals/nobody', '/groups/nobody', '/directoryObjects/nobody']) {
    const answer = await graph('GET', `/v1.0${path}`);
    assert.deepEqual([answer.status, answer.code], [404, 'Request_ResourceNotFound'], path);
    assert.equal(
      answer.message,
      `Resource '${path.split('/')[2]}' does not exist or one of its queried reference-property objects are not present.`,
    );
  }
});

/** Each row: a collection, a filter that a client sends, and who matches. */
// biome-ignore format: a table reads by its columns
const FILTERS: readonly [collection: string, filter: string, ids: readonly string[]][] = [
  ['users',             "userPrincipalName eq 'alice@contoso.localhost'",                    [ALICE]],
  ['users',             "userprincipalname eq 'ALICE@contoso.localhost'",                    [ALICE]],
  ['users',             "userPrincipalName eq 'nobody@contoso.localhost'",                   []],
  ['users',             "mail eq 'alice@contoso.localhost'",                                 []],
  ['users',             'mail eq null',                                                      [ALICE, BRIAN]],
  ['users',             "startswith(displayName,'AL')",                                      [ALICE]],
  ['users',             "startsWith(DisplayName, 'a')",                                      [ALICE]],
  ['users',             "endswith(userPrincipalName,'.localhost')",                          [ALICE, BRIAN]],
  ['users',             "displayName eq 'Brian O''Hara'",                                    [BRIAN]],
  ['users',             "displayName eq 'Alice' or displayName eq 'Brian O''Hara'",          [ALICE, BRIAN]],
  ['users',             "displayName eq 'Alice' and startswith(userPrincipalName,'b')",      []],
  ['users',             "not (displayName eq 'Alice')",                                      [BRIAN]],
  ['users',             "displayName ne 'Alice'",                                            [BRIAN]],
  ['users',             `id in ('${ALICE}', '${ROBOT}')`,                                    [ALICE]],
  ['users',             `(userPrincipalName eq 'x' or mail eq 'x') or id eq '${BRIAN}'`,     [BRIAN]],
  ['users',             "displayName eq ' and or ('",                                        []],
  ['servicePrincipals', `servicePrincipalNames/any(c:c eq '${ROBOT_APP}')`,                  [ROBOT]],
  ['servicePrincipals', `servicePrincipalNames/any(x:x eq '${ROBOT}')`,                      []],
  ['servicePrincipals', `appId eq '${ROBOT_APP.toUpperCase()}'`,                             [ROBOT]],
  ['servicePrincipals', "startswith(displayName,'robot')",                                   [ROBOT]],
  ['servicePrincipals', 'accountEnabled eq true',                                            [ROBOT]],
  ['groups',            "displayName eq 'Auditors'",                                         [AUDITORS]],
];

test('the filters that clients send find whom they mean', async (t) => {
  const graph = await openDirectory(t);
  for (const [collection, filter, ids] of FILTERS) {
    const answer = await graph('GET', `/v1.0/${collection}?$filter=${encodeURIComponent(filter)}`);
    assert.deepEqual(idsOf(answer.body), ids, filter);
    assert.equal(answer.body['@odata.context'], `https://localhost:8443/v1.0/$metadata#${collection}`);
  }
});

test('a filter that is not understood is refused, never ignored', async (t) => {
  const graph = await openDirectory(t);
  const wrong = [
    '',
    ' ',
    'displayName',
    'displayName eq',
    'displayName eq Alice',
    "displayName eq 'Alice",
    "displayName eq 'Alice' and",
    "displayName eq 'Alice' displayName eq 'Alice'",
    "displayName gt 'A'",
    "shoeSize eq '43'",
    "contains(displayName,'A')",
    "startswith(displayName 'A')",
    "servicePrincipalNames/any(c:d eq 'x')",
    "(displayName eq 'Alice'",
    "displayName eq 'Alice'; drop table principals",
    `${'('.repeat(50)}displayName eq 'Alice'${')'.repeat(50)}`,
    `${'not '.repeat(5000)}displayName eq 'Alice'`,
  ];
  for (const filter of wrong) {
    const answer = await graph('GET', `/v1.0/users?$filter=${encodeURIComponent(filter)}`);
    assert.deepEqual([answer.status, answer.code], [400, 'Request_UnsupportedQuery'], filter);
  }
});

test('a collection comes in pages that lead to one another', async (t) => {
  const graph = await openDirectory(t);
  const first = await graph('GET', '/v1.0/users?$top=1&$count=true&$select=id');
  assert.deepEqual([idsOf(first.body), first.body['@odata.count']], [[ALICE], 2]);
  const next = new URL(v.parse(v.string(), first.body['@odata.nextLink']));
  const second = await graph('GET', next.pathname + next.search);
  assert.deepEqual([idsOf(second.body), second.body['@odata.nextLink']], [[BRIAN], undefined]);
  for (const top of ['0', '1000', 'x', '-1', '1.5']) assert.equal((await graph('GET', `/v1.0/users?$top=${top}`)).status, 400, top);
});

test('a search finds text inside a name', async (t) => {
  const graph = await openDirectory(t);
  const found = await graph('GET', `/v1.0/users?$search=${encodeURIComponent('"displayName:hara"')}`);
  assert.deepEqual(idsOf(found.body), [BRIAN]);
  assert.equal((await graph('GET', '/v1.0/users?$search=hara')).code, 'Request_UnsupportedQuery');
});

test('a service principal is found by object id and by its application id as a key', async (t) => {
  const graph = await openDirectory(t);
  const byId = (await graph('GET', `/v1.0/servicePrincipals/${ROBOT}`)).body;
  assert.deepEqual([byId.appId, byId.displayName, byId.servicePrincipalNames], [ROBOT_APP, 'robot', [ROBOT_APP]]);
  assert.deepEqual((await graph('GET', `/v1.0/servicePrincipals(appId='${ROBOT_APP}')`)).body, byId);
  assert.equal((await graph('GET', "/v1.0/servicePrincipals(appId='nobody')")).status, 404);
  const unknown = await graph('GET', '/v1.0/devices');
  assert.deepEqual([unknown.status, unknown.message], [400, "Resource not found for the segment 'devices'."]);
});

test('many ids are looked up at once, each with its type, and unknown ones are left out', async (t) => {
  const graph = await openDirectory(t);
  const ids = [ROBOT, 'nobody', ALICE.toUpperCase(), AUDITORS];
  const types = ['user', 'group', 'servicePrincipal', 'directoryObjectPartnerReference'];
  const all = await graph('POST', '/v1.0/directoryObjects/getByIds', { body: { ids, types } });
  assert.deepEqual(idsOf(all.body), [ROBOT, ALICE, AUDITORS]);
  const value = v.parse(v.array(v.object({ '@odata.type': v.string() })), all.body.value);
  assert.deepEqual(
    value.map((entity) => entity['@odata.type']),
    ['#microsoft.graph.servicePrincipal', '#microsoft.graph.user', '#microsoft.graph.group'],
  );
  assert.deepEqual(idsOf((await graph('POST', '/v1.0/directoryObjects/getByIds', { body: { ids, types: ['user'] } })).body), [ALICE]);
  assert.deepEqual(idsOf((await graph('POST', '/v1.0/directoryObjects/getByIds', { body: { ids: [] } })).body), []);
  for (const body of [undefined, {}, { ids: 'x' }, { ids: [1] }]) {
    await assert.rejects(graph('POST', '/v1.0/directoryObjects/getByIds', { body }), v.ValiError);
  }
});

test('a user who was put into no group is a member of none', async (t) => {
  const graph = await openDirectory(t);
  const body = { securityEnabledOnly: false };
  assert.deepEqual((await graph('POST', `/v1.0/users/${ALICE}/getMemberObjects`, { body })).body.value, []);
});

test('nobody reads the directory without a token of this tenant', async (t) => {
  const graph = await openDirectory(t);
  for (const caller of [{ kind: 'anonymous' } as const, { ...alice, tenantId: 'another' }]) {
    assert.deepEqual((await graph('GET', '/v1.0/users', { caller })).code, 'Authorization_RequestDenied');
  }
});

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly headers: Readonly<Record<string, string>>;
  readonly contentType: string | undefined;
  readonly code?: string;
  readonly message?: string;
}

type Graph = (method: string, target: string, request?: { caller?: Caller; body?: unknown }) => Promise<Answer>;

/** Reading needs neither secrets nor sessions. */
const unused = {
  hashSecret: () => Promise.reject(new Error('not here')),
  newSecret: () => '',
  newHeader: () => ({ header: '', verifier: '' }),
  trusts: () => false,
  endSessions: () => Promise.reject(new Error('not here')),
  forgetFirstSecret: () => Promise.reject(new Error('not here')),
};

/** A directory of two users, a service principal and a group, and a way to ask it as the door does. */
async function openDirectory(t: TestContext): Promise<Graph> {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-graph-'));
  const versions = new Versions(Versions.allocate());
  const store = await openEmbeddedStore(folder, { versions, committed: () => undefined });
  t.after(async () => {
    await store.close();
    await rm(folder, { recursive: true });
  });
  await store.write(async (writer) => {
    const rows = [
      { id: ALICE, kind: 'user', display_name: 'Alice', upn: 'Alice@contoso.localhost', app_id: null },
      { id: BRIAN, kind: 'user', display_name: "Brian O'Hara", upn: 'brian@contoso.localhost', app_id: null },
      { id: ROBOT, kind: 'servicePrincipal', display_name: 'robot', upn: null, app_id: ROBOT_APP },
      { id: AUDITORS, kind: 'group', display_name: 'Auditors', upn: null, app_id: null },
    ] as const;
    for (const row of rows) {
      const upnKey = row.upn?.toLowerCase() ?? null;
      await writer
        .insertInto('principals')
        .values({ ...row, upn_key: upnKey, enabled: 1, created_at: 0, details_json: '{}', session: 0, valid_from: 0, resource_id: null })
        .execute();
    }
  });
  const room = graphRoom({
    read: store.read,
    write: undefined,
    clock: systemClock,
    versions,
    tenantId: TENANT,
    directory: { ...unused, groupsOf: (id) => groupsOf(store.read, id) },
  });
  return async (method, target, { caller = alice, body } = {}) => {
    const { pathname, searchParams } = new URL(target, 'https://localhost:8443');
    const asked = pathname.split('/').map(decodeURIComponent);
    const fitting = room.rows.filter((row) => {
      const pattern = row.path.split('/');
      return (
        row.method === method && pattern.length === asked.length && pattern.every((part, i) => part.startsWith(':') || part === asked[i])
      );
    });
    const [row] = fitting.sort((a, b) => a.path.split(':').length - b.path.split(':').length);
    assert.ok(row, `no row for ${method} ${pathname}`);
    const names = row.path.split('/').flatMap((part, i) => (part.startsWith(':') ? [[part.slice(1), asked[i]]] : []));
    const path: Record<string, string> = Object.fromEntries(names);
    const origin = 'https://localhost:8443';
    const visit = { caller, host: 'localhost', origin, address: '::1', apiVersion: undefined, requestId: 'x', path };
    try {
      const admitted = await row.admit(visit);
      const query = v.parse(row.shapes.query, Object.fromEntries(searchParams));
      const call = { ...visit, path: v.parse(row.shapes.path, path), query, body: v.parse(row.shapes.body, body) };
      const answer = await admitted.run(call);
      assert.ok(isReply(answer));
      const { status, headers, contentType } = answer;
      return { status, headers, contentType, body: v.parse(v.record(v.string(), v.unknown()), answer.body) };
    } catch (cause) {
      if (!(cause instanceof Failure)) throw cause;
      const { status, code, message, headers } = cause;
      return { status, body: {}, headers, contentType: undefined, code, message };
    }
  };
}

function idsOf(body: Record<string, unknown>): string[] {
  return v.parse(v.array(v.object({ id: v.string() })), body.value).map(({ id }) => id);
}
