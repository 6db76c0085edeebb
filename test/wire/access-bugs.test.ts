// Mistakes that others have shipped, about who may do what: each is tried here, over the wire, on several threads.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { after, before, suite, test } from 'node:test';
import { type Got, type House, type Json, openHouse } from '../house.ts';
import { makeGroup, makeUser, signInUser, tokenOf, userName } from './people.ts';
import { activate, CRYPTO_OFFICER, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'bugs';
const ADMINISTRATOR = 'a290e904-7015-4bba-90c8-60543313cdb4';
const AUTH = '/providers/Microsoft.Authorization';
const ASSIGNMENTS = `${AUTH}/roleAssignments`;
const VALUE = Buffer.alloc(32, 3).toString('base64url');
const OCT = { kty: 'oct-HSM', key_size: 256 };

suite('mistakes about access that others made', () => {
  let house: House;
  let ann: { readonly id: string; readonly token: string };
  before(async () => {
    house = await openHouse({ workers: 2 });
    await house.provision(HSM);
    await activate(house, HSM);
    for (const role of [CRYPTO_USER, CRYPTO_OFFICER]) await grant(house, HSM, role, house.connection.user.objectId);
    for (const name of ['hers', 'theirs']) assert.equal((await house.hsm(HSM, 'POST', `/keys/${name}/create`, OCT)).status, 200);
    const id = await makeUser(house, 'ann');
    ann = { id, token: await tokenOf(signInUser(house, 'ann', 'hsm')) };
  });
  after(() => house?.close());

  const as = (method: string, path: string, body?: Json): Promise<Got> => house.hsm(HSM, method, path, body, ann.token);
  const kidOf = async (name: string): Promise<string> => (await house.hsm(HSM, 'GET', `/keys/${name}`)).json.key.kid;

  /** Ann has the role while `then` runs. */
  async function having(role: string, scope: string, then: () => Promise<void>): Promise<void> {
    const place = `${scope === '/' ? '' : scope}${ASSIGNMENTS}/${randomUUID()}`;
    const properties = { roleDefinitionId: role, principalId: ann.id };
    assert.equal((await house.hsm(HSM, 'PUT', place, { properties })).status, 201);
    await then();
    assert.equal((await house.hsm(HSM, 'DELETE', place)).status, 200);
  }

  test("a role at one's own key lets nobody import, create, restore or rotate over another's", () =>
    having(CRYPTO_USER, '/keys/hers', async () => {
      const before = await kidOf('theirs');
      const blob = (await as('POST', '/keys/hers/backup')).json.value;
      assert.equal(typeof blob, 'string');
      const tries = await Promise.all([
        as('PUT', '/keys/theirs', { key: { kty: 'oct-HSM', k: VALUE } }),
        as('POST', '/keys/theirs/create', OCT),
        as('POST', '/keys/theirs/rotate'),
        as('PATCH', '/keys/theirs', { attributes: { enabled: false } }),
        as('POST', '/keys/restore', { value: blob }),
      ]);
      assert.deepEqual([...new Set(tries.map(({ status, json }) => `${status} ${json.error?.code}`))], ['403 AccessDenied']);
      assert.equal(await kidOf('theirs'), before);
    }));

  test('an import over a key adds a version and replaces none; a restore over a key is a conflict', () =>
    having(CRYPTO_USER, '/keys', async () => {
      const before = await kidOf('hers');
      const version = before.split('/').at(-1);
      const sealed = (await as('POST', '/keys/hers/encrypt', { alg: 'A256CBCPAD', value: VALUE, iv: VALUE.slice(0, 22) })).json;
      assert.equal((await as('PUT', '/keys/hers', { key: { kty: 'oct-HSM', k: VALUE } })).status, 200);
      assert.notEqual(await kidOf('hers'), before);
      const opened = await as('POST', `/keys/hers/${version}/decrypt`, { alg: 'A256CBCPAD', value: sealed.value, iv: VALUE.slice(0, 22) });
      assert.equal(opened.json.value, VALUE);
      const blob = (await as('POST', '/keys/theirs/backup')).json.value;
      assert.equal((await as('POST', '/keys/restore', { value: blob })).status, 409);
    }));

  test('no spelling of an address leads from one key to another', () =>
    having(CRYPTO_USER, '/keys/hers', async () => {
      const body = { alg: 'A256KW', value: VALUE };
      for (const path of [
        '/keys/theirs/wrapkey',
        '/KEYS/Theirs/WrapKey',
        '//keys//theirs//wrapkey',
        '/keys/hers/../theirs/wrapkey',
        '/keys/hers%2f..%2ftheirs/wrapkey',
        '/keys/hers%2Ftheirs/wrapkey',
        '/keys/%74heirs/wrapkey',
        '/keys/theirs%00hers/wrapkey',
        '/keys/theirs//wrapkey',
        '/keys/hers;/../theirs/wrapkey',
      ]) {
        const { status } = await as('POST', path, body);
        assert.ok(status === 403 || status === 404 || status === 400, `${path} ${status}`);
      }
      assert.equal((await as('POST', '/Keys/HERS//wrapkey/', body)).status, 200);
    }));

  test('the verb that a request says it stands for is the one that is decided about', async () => {
    const knock = (verb: string, path: string): Promise<Got> =>
      house.call('POST', `https://${HSM}.${house.connection.managedHsmSuffix}${path}?api-version=7.5`, {
        token: ann.token,
        headers: { 'x-http-method': verb },
        body: {},
      });
    const reader = randomUUID();
    const permissions = [
      {
        dataActions: ['keys/read/action', 'keys/sign/action', 'roleAssignments/read/action'].map(
          (action) => `Microsoft.KeyVault/managedHsm/${action}`,
        ),
      },
    ];
    assert.equal(
      (await house.hsm(HSM, 'PUT', `${AUTH}/roleDefinitions/${reader}`, { properties: { roleName: 'reader', permissions } })).status,
      201,
    );
    const [assignment]: Json = (await house.hsm(HSM, 'GET', ASSIGNMENTS)).json.value;
    await having(reader, '/', async () => {
      for (const [verb, path] of [
        ['DELETE', '/keys/hers'],
        ['PUT', '/keys/hers'],
        ['PATCH', '/keys/hers'],
        ['DELETE', `${ASSIGNMENTS}/${assignment.name}`],
        ['PATCH', '/settings/AllowKeyManagementOperationsThroughARM'],
      ] as const)
        assert.deepEqual([(await knock(verb, path)).json.error?.code, `${verb} ${path}`], ['AccessDenied', `${verb} ${path}`]);
      assert.equal((await as('GET', '/keys/hers')).status, 200);
    });
  });

  test('whoever may give roles at one key gives them there and nowhere else, and gains nothing but that key', () =>
    having(CRYPTO_OFFICER, '/keys/hers', async () => {
      const put = (scope: string, role: string): Promise<Got> =>
        as('PUT', `${scope}${ASSIGNMENTS}/${randomUUID()}`, { properties: { roleDefinitionId: role, principalId: ann.id } });
      for (const scope of ['', '/keys', '/keys/theirs'])
        assert.equal((await put(scope, CRYPTO_USER)).json.error.code, 'AccessDenied', scope);
      const own = await put('/keys/hers', ADMINISTRATOR);
      assert.equal(own.status, 201);
      for (const [method, path] of [
        ['GET', '/settings'],
        ['GET', '/securitydomain/upload'],
        ['POST', '/securitydomain/download'],
        ['GET', ASSIGNMENTS],
        ['GET', `/keys${ASSIGNMENTS}`],
        ['PUT', `${AUTH}/roleDefinitions/${randomUUID()}`],
        ['POST', '/backup'],
      ] as const)
        assert.deepEqual([(await as(method, path, method === 'GET' ? undefined : {})).json.error?.code, path], ['AccessDenied', path]);

      // A role at / by its name, through the address of the key.
      const all: Json = (await house.hsm(HSM, 'GET', ASSIGNMENTS)).json.value;
      const top = all.find(({ properties }: Json) => properties.roleDefinitionId.endsWith(ADMINISTRATOR));
      assert.equal((await as('GET', `/keys/hers${ASSIGNMENTS}/${top.name}`)).json.error.code, 'RoleAssignmentNotFound');
      assert.equal((await as('DELETE', `/keys/hers${ASSIGNMENTS}/${top.name}`)).json.error.code, 'RoleAssignmentNotFound');
      assert.equal(
        (await as('PUT', `/keys/hers${ASSIGNMENTS}/${top.name}`, { properties: { roleDefinitionId: CRYPTO_USER, principalId: ann.id } }))
          .json.error.code,
        'RoleAssignmentExists',
      );
      assert.equal((await house.hsm(HSM, 'GET', `${ASSIGNMENTS}/${top.name}`)).json.properties.principalId, house.connection.user.objectId);
      assert.equal((await as('DELETE', `/keys/hers${ASSIGNMENTS}/${own.json.name}`)).status, 200);
    }));

  test('a role that is taken away is gone for the very next request on every thread, however often it was used before', async () => {
    const use = (): Promise<Got> => as('POST', '/keys/theirs/wrapkey', { alg: 'A256KW', value: VALUE });
    const many = async (): Promise<readonly number[]> => [
      ...new Set((await Promise.all(Array.from({ length: 16 }, use))).map(({ status }) => status)),
    ];
    for (let round = 0; round < 8; round += 1) {
      await having(CRYPTO_USER, '/keys/theirs', async () => assert.deepEqual(await many(), [200]));
      assert.deepEqual(await many(), [403]);
    }
  });

  test('limits hold when everybody comes at once', async () => {
    const made = await Promise.all(
      Array.from({ length: 16 }, () => {
        const properties = { roleDefinitionId: CRYPTO_USER, principalId: randomUUID() };
        return house.hsm(HSM, 'PUT', `/keys/crowded${ASSIGNMENTS}/${randomUUID()}`, { properties });
      }),
    );
    assert.equal(made.filter(({ status }) => status === 201).length, 10);
    assert.equal((await house.hsm(HSM, 'GET', `/keys/crowded${ASSIGNMENTS}`)).json.value.length, 10);
    const twins = await Promise.all(
      Array.from({ length: 8 }, () => {
        const properties = { roleDefinitionId: CRYPTO_USER, principalId: ann.id };
        return house.hsm(HSM, 'PUT', `/keys/twins${ASSIGNMENTS}/${randomUUID()}`, { properties });
      }),
    );
    assert.deepEqual(twins.map(({ status }) => status).sort(), [201, ...Array.from({ length: 7 }, () => 409)]);
  });

  test('a group that manages lets its members manage, and no longer than they are in it', async () => {
    const { resourceManager, subscriptionId } = house.connection;
    const token = await tokenOf(signInUser(house, 'ann', 'management'));
    const look = (): Promise<Got> =>
      house.call('GET', `${resourceManager}subscriptions/${subscriptionId}/resourcegroups?api-version=2021-04-01`, { token });
    const managers = await makeGroup(house, 'managers', [ann.id]);
    assert.equal((await look()).status, 403);
    const readers = 'acdd72a7-3385-48ef-bd42-f606fba81ae7';
    assert.equal(
      (
        await house.arm('PUT', `${ASSIGNMENTS}/${randomUUID()}`, {
          properties: { roleDefinitionId: readers, principalId: managers, principalType: 'Group' },
        })
      ).status,
      201,
    );
    assert.equal((await look()).status, 200);
    const filter = (text: string) => house.arm('GET', `${ASSIGNMENTS}?$filter=${encodeURIComponent(text)}`);
    assert.equal((await filter(`assignedTo('${ann.id}')`)).json.value[0].properties.principalId, managers);
    assert.deepEqual((await filter(`principalId eq '${ann.id}'`)).json.value, []);
    const graph = await house.token('user', 'graph');
    assert.equal(
      (await house.call('DELETE', `${house.connection.graph}v1.0/groups/${managers}/members/${ann.id}/$ref`, { token: graph })).status,
      204,
    );
    assert.equal((await look()).status, 403);
  });

  test('whoever manages an HSM does not come to administer it', async () => {
    const place = `/resourceGroups/group/providers/Microsoft.KeyVault/managedHSMs/${HSM}`;
    const { tenantId, user } = house.connection;
    const properties = { tenantId, initialAdminObjectIds: [ann.id] };
    assert.equal((await house.arm('PATCH', place, { properties })).status, 200);
    assert.equal(
      (await house.arm('PUT', place, { location: 'norwayeast', sku: { family: 'B', name: 'Standard_B1' }, properties })).status,
      200,
    );
    assert.equal((await house.arm('DELETE', place)).status, 200);
    assert.equal(
      (await house.arm('PUT', place, { location: 'norwayeast', properties: { ...properties, createMode: 'recover' } })).status,
      200,
    );
    assert.equal((await as('GET', '/settings')).json.error.code, 'AccessDenied');
    assert.deepEqual((await house.arm('GET', place)).json.properties.initialAdminObjectIds, [user.objectId]);
  });

  test('about another the HSM tells what the directory says of their groups', async () => {
    const group = await makeGroup(house, 'signers', [ann.id]);
    await grant(house, HSM, CRYPTO_USER, group);
    const { json } = await house.hsm(HSM, 'GET', `/strongroom/access?principalId=${ann.id}&action=keys/sign/action`);
    const helps = json.holds.filter(({ reaches, gives }: Json) => reaches && gives);
    assert.deepEqual([json.allowed, helps.map(({ principalId }: Json) => principalId)], [true, [group]]);
    assert.equal((await as('GET', `/strongroom/access?principalId=${house.connection.user.objectId}`)).status, 403);
    assert.deepEqual((await as('GET', '/strongroom/access?action=keys/sign/action')).json.allowed, true);
    const graph = await house.token('user', 'graph');
    assert.equal((await house.call('DELETE', `${house.connection.graph}v1.0/groups/${group}`, { token: graph })).status, 204);
  });

  test('what no caller has to sign in for names no HSM, key or principal', async () => {
    const { resourceManager, authorityHost, tenantId, user, servicePrincipal, subscriptionId, management } = house.connection;
    const secrets = [
      HSM,
      'theirs',
      user.objectId,
      user.userPrincipalName,
      servicePrincipal.clientId,
      servicePrincipal.objectId,
      subscriptionId,
      userName(house, 'ann'),
      ann.id,
    ];
    const hsm = `https://${HSM}.${house.connection.managedHsmSuffix}`;
    const open = [
      `${resourceManager}metadata/endpoints?api-version=2022-09-01`,
      `${authorityHost}${tenantId}/v2.0/.well-known/openid-configuration`,
      `${authorityHost}${tenantId}/discovery/v2.0/keys`,
      `${resourceManager}subscriptions/${subscriptionId}?api-version=2022-09-01`,
      `${resourceManager}tenants?api-version=2022-09-01`,
      `${house.connection.graph}v1.0/users`,
      `${hsm}/keys/theirs?api-version=7.5`,
      `${hsm}/strongroom/access`,
      `${hsm}/server-info`,
    ];
    for (const url of open) {
      const { text, headers } = await house.call('GET', url);
      for (const secret of secrets) assert.ok(!`${text}${JSON.stringify(headers)}`.includes(secret), `${url} tells ${secret}`);
    }
    for (const path of [
      'healthz',
      'readyz',
      'metrics',
      '',
      'server-info',
      'keys',
      'hsms',
      `hsms/${HSM}`,
      'principals',
      'debug',
      'strongroom/access',
      '..%2fconnection.json',
      'connection.json',
    ])
      for (const method of ['GET', 'POST', 'OPTIONS', 'TRACE']) {
        const said = await plainly(method, `${management}${path}`);
        for (const secret of [...secrets, tenantId]) assert.ok(!said.includes(secret), `${method} ${path} tells ${secret}`);
      }
  });

  test('nothing that is asked of roles is our fault', async () => {
    const hostile: readonly Json[] = [
      null,
      [],
      'text',
      7,
      { properties: null },
      { properties: { roleName: { toString: 1 }, permissions: 'all' } },
      { properties: { permissions: [{ dataActions: [null] }] } },
      JSON.parse('{"__proto__":{"properties":1},"constructor":{"prototype":{}}}'),
    ];
    const name = randomUUID();
    for (const body of hostile)
      for (const path of [`${AUTH}/roleDefinitions/${name}`, `${ASSIGNMENTS}/${name}`]) {
        const got = await house.hsm(HSM, 'PUT', path, typeof body === 'string' ? `a=${body}` : body);
        assert.ok(got.status >= 400 && got.status < 500, `${JSON.stringify(body)} ${got.status}`);
        const there = await house.arm('PUT', path, typeof body === 'string' ? `a=${body}` : body);
        assert.ok(there.status >= 400 && there.status < 500, `${JSON.stringify(body)} ${there.status}`);
      }
    const long = `roleName eq '${"''".repeat(3000)}x`;
    for (const filter of [
      long,
      `${'atScope() and '.repeat(500)}`,
      `principalId eq '${'0'.repeat(6000)}'`,
      '\u0000',
      "roleName eq 'a' or 1 eq 1",
    ])
      for (const path of [`${AUTH}/roleDefinitions`, ASSIGNMENTS]) {
        const got = await house.hsm(HSM, 'GET', `${path}?$filter=${encodeURIComponent(filter)}`);
        assert.ok(got.status < 500, got.text);
        const there = await house.arm('GET', `${path}?$filter=${encodeURIComponent(filter)}`);
        assert.ok(there.status < 500, there.text);
      }
    assert.equal((await house.hsm(HSM, 'GET', `${AUTH}/roleDefinitions`)).status, 200);
  });
});

/** Everything that the answer says, headers too. */
function plainly(method: string, url: string): Promise<string> {
  return new Promise((done, failed) => {
    const asked = request(url, { method }, (response) => {
      let text = JSON.stringify(response.headers);
      response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      response.on('end', () => done(text));
    });
    asked.on('error', failed).end();
  });
}
