// The directory over the wire: people, groups and programs are made, changed and removed; who may; and that every thread knows at once.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import { type House, openHouse } from '../house.ts';
import { jwk, makePair } from '../unit/security-domain/ceremony.ts';
import {
  graph,
  makeGroup,
  makeProgram,
  makeUser,
  PASSWORD,
  type Program,
  reference,
  signInProgram,
  signInUser,
  tokenOf,
  userName,
} from './people.ts';
import { activate, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'directory';
const HOUR = 3_600_000;
const GLOBAL_ADMINISTRATOR = '62e90394-69f5-4237-9190-012177145e10';

suite('directory', () => {
  let house: House;

  before(async () => {
    house = await openHouse({ workers: 2 });
    await house.provision(HSM);
    await activate(house, HSM);
  });
  after(() => house.close());

  /** What many connections at once are answered, so that each thread is asked. */
  async function statuses(token: string): Promise<readonly number[]> {
    const all = await Promise.all(Array.from({ length: 12 }, () => house.hsm(HSM, 'GET', '/keys', undefined, token)));
    return [...new Set(all.map(({ status }) => status))];
  }

  test('a user who was made signs in, reads the directory, and may not change it', async () => {
    const id = await makeUser(house, 'reader');
    const token = await tokenOf(signInUser(house, 'reader', 'graph'));
    const me = await graph(house, 'GET', '/me', undefined, token);
    assert.deepEqual([me.json.id, me.json.userPrincipalName], [id, userName(house, 'reader')]);
    const refused = await graph(house, 'POST', '/groups', { displayName: 'mine', mailNickname: 'mine' }, token);
    assert.deepEqual([refused.status, refused.json.error.code], [403, 'Authorization_RequestDenied']);
    for (const [method, path] of [
      ['PATCH', `/users/${id}`],
      ['DELETE', `/users/${id}`],
      ['POST', `/directoryRoles/${GLOBAL_ADMINISTRATOR}/members/$ref`],
    ] as const) {
      const got = await graph(house, method, path, method === 'DELETE' ? undefined : {}, token);
      assert.equal(got.status, 403, `${method} ${path}: ${got.text}`);
    }
  });

  test('owning the subscription does not open the directory; its one role does, and can be taken away again', async () => {
    const id = await makeUser(house, 'deputy');
    const token = await tokenOf(signInUser(house, 'deputy', 'graph'));
    const group = { displayName: 'by the deputy', mailNickname: 'deputy' };
    assert.equal((await graph(house, 'POST', '/groups', group, token)).status, 403);
    const role = `/directoryRoles/${GLOBAL_ADMINISTRATOR}/members`;
    assert.equal((await graph(house, 'POST', `${role}/$ref`, reference(house, id))).status, 204);
    assert.equal((await graph(house, 'POST', '/groups', group, token)).status, 201);
    assert.equal((await graph(house, 'DELETE', `${role}/${id}/$ref`)).status, 204);
    assert.equal((await graph(house, 'POST', '/groups', group, token)).status, 403);
    const inner = await makeGroup(house, 'would-be administrators', [id]);
    const byGroup = await graph(house, 'POST', `${role}/$ref`, reference(house, inner));
    assert.equal(byGroup.status, 400, 'nobody gets the role by the way of a group');
  });

  test('the last administrator of the directory stays', async () => {
    const { user, servicePrincipal } = house.connection;
    const role = `/directoryRoles/${GLOBAL_ADMINISTRATOR}/members`;
    assert.equal((await graph(house, 'DELETE', `${role}/${servicePrincipal.objectId}/$ref`)).status, 204);
    for (const [method, path, body] of [
      ['DELETE', `${role}/${user.objectId}/$ref`, undefined],
      ['DELETE', `/users/${user.objectId}`, undefined],
      ['PATCH', `/users/${user.objectId}`, { accountEnabled: false }],
    ] as const) {
      const got = await graph(house, method, path, body);
      assert.deepEqual(
        [got.status, got.json.error?.message],
        [400, 'This is the last Global Administrator who can sign in. Make somebody else one first.'],
      );
    }
    assert.equal((await graph(house, 'POST', `${role}/$ref`, reference(house, servicePrincipal.objectId))).status, 204);
  });

  test('a role that a group has is its members, also through another group, from the next request on and no longer than they are in it', async () => {
    const alice = await makeUser(house, 'alice');
    const inner = await makeGroup(house, 'inner');
    const outer = await makeGroup(house, 'outer', [inner]);
    await grant(house, HSM, CRYPTO_USER, outer, '/keys');
    const token = await tokenOf(signInUser(house, 'alice', 'hsm'));
    assert.deepEqual(await statuses(token), [403]);

    assert.equal((await graph(house, 'POST', `/groups/${inner}/members/$ref`, reference(house, alice))).status, 204);
    assert.deepEqual(await statuses(token), [200]);
    assert.deepEqual((await graph(house, 'POST', `/users/${alice}/getMemberGroups`, { securityEnabledOnly: true })).json.value, [
      inner,
      outer,
    ]);
    assert.deepEqual((await graph(house, 'POST', `/directoryObjects/${alice}/checkMemberGroups`, { groupIds: [outer, HSM] })).json.value, [
      outer,
    ]);

    assert.equal((await graph(house, 'DELETE', `/groups/${inner}/members/${alice}/$ref`)).status, 204);
    assert.deepEqual(await statuses(token), [403]);
    await graph(house, 'POST', `/groups/${inner}/members/$ref`, reference(house, alice));
    assert.deepEqual(await statuses(token), [200]);
    assert.equal((await graph(house, 'DELETE', `/groups/${outer}/members/${inner}/$ref`)).status, 204);
    assert.deepEqual(await statuses(token), [403]);
    await graph(house, 'POST', `/groups/${outer}/members/$ref`, reference(house, inner));
    assert.deepEqual(await statuses(token), [200]);
    assert.equal((await graph(house, 'DELETE', `/groups/${inner}`)).status, 204);
    assert.deepEqual(await statuses(token), [403]);
  });

  test('members are listed directly and with those of inner groups, and a group never comes to be in itself', async () => {
    const bob = await makeUser(house, 'bob');
    const groups: string[] = [await makeGroup(house, 'layer 1', [bob])];
    for (const layer of [2, 3, 4, 5]) groups.push(await makeGroup(house, `layer ${layer}`, [groups.at(-1) ?? '']));
    const [bottom = '', second = '', , , top = ''] = groups;
    const ids = async (path: string): Promise<readonly string[]> =>
      (await graph(house, 'GET', path)).json.value.map(({ id }: { id: string }) => id);
    assert.deepEqual(await ids(`/groups/${second}/members`), [bottom]);
    assert.deepEqual(await ids(`/groups/${second}/transitiveMembers`), [bottom, bob]);
    assert.deepEqual(await ids(`/users/${bob}/memberOf`), [bottom]);
    assert.deepEqual(await ids(`/users/${bob}/transitiveMemberOf`), groups);

    const again = await graph(house, 'POST', `/groups/${bottom}/members/$ref`, reference(house, bob));
    assert.match(again.json.error.message, /already exist for the following modified properties: 'members'/);
    for (const id of [bottom, second, top]) {
      const circle = await graph(house, 'POST', `/groups/${bottom}/members/$ref`, reference(house, id));
      assert.match(circle.json.error.message, /cannot be a member of itself/);
    }
    const sixth = await makeGroup(house, 'layer 6');
    const tooDeep = await graph(house, 'POST', `/groups/${sixth}/members/$ref`, reference(house, top));
    assert.match(tooDeep.json.error.message, /nested 5 deep at most/);
    const [unknown] = [
      await graph(house, 'POST', `/groups/${bottom}/members/$ref`, reference(house, '00000000-0000-4000-8000-000000000000')),
    ];
    assert.deepEqual([unknown.status, unknown.json.error.code], [404, 'Request_ResourceNotFound']);
  });

  test('an owner of a group changes its members, and nothing else', async () => {
    const carol = await makeUser(house, 'carol');
    const token = await tokenOf(signInUser(house, 'carol', 'graph'));
    const [hers, other] = [await makeGroup(house, 'hers'), await makeGroup(house, 'not hers')];
    assert.equal((await graph(house, 'POST', `/groups/${hers}/owners/$ref`, reference(house, carol))).status, 204);
    assert.equal((await graph(house, 'POST', `/groups/${hers}/members/$ref`, reference(house, carol), token)).status, 204);
    assert.equal((await graph(house, 'POST', `/groups/${other}/members/$ref`, reference(house, carol), token)).status, 403);
    assert.equal((await graph(house, 'DELETE', `/groups/${hers}`, undefined, token)).status, 403);
    assert.equal((await graph(house, 'GET', '/me/ownedObjects', undefined, token)).json.value[0].displayName, 'hers');
    assert.equal((await graph(house, 'DELETE', `/groups/${hers}/owners/${carol}/$ref`, undefined, token)).status, 204);
    assert.equal((await graph(house, 'POST', `/groups/${hers}/members/$ref`, reference(house, carol), token)).status, 403);
  });

  test('a program signs in with a secret that is shown once, until the secret ends or is removed', async () => {
    const program = await makeProgram(house, 'robot');
    await grant(house, HSM, CRYPTO_USER, program.objectId);
    const first = await tokenOf(signInProgram(house, program, 'hsm'));
    assert.deepEqual(await statuses(first), [200]);

    const end = new Date(Date.now() + 400 * 24 * HOUR).toISOString();
    const added = await graph(house, 'POST', `/servicePrincipals/${program.objectId}/addPassword`, {
      passwordCredential: { endDateTime: end },
    });
    const second: Program = { ...program, secret: added.json.secretText };
    const shown = await graph(house, 'GET', `/applications/${program.id}`);
    const [{ secretText, keyId }] = shown.json.passwordCredentials;
    assert.deepEqual([secretText, keyId], [null, program.keyId]);

    assert.equal((await graph(house, 'POST', `/applications/${program.id}/removePassword`, { keyId: program.keyId })).status, 204);
    const refused = await signInProgram(house, program, 'hsm');
    assert.deepEqual([refused.status, refused.json.error_codes], [401, [7000215]]);
    assert.deepEqual(await statuses(first), [401], 'what was got with it ends with it');
    assert.deepEqual(await statuses(await tokenOf(signInProgram(house, second, 'hsm'))), [200]);
    const unknown = await graph(house, 'POST', `/applications/${program.id}/removePassword`, { keyId: program.keyId });
    assert.equal(unknown.status, 400);
  });

  test('a program that is disabled or deleted is refused by the next request on every thread', async () => {
    const program = await makeProgram(house, 'short-lived');
    await grant(house, HSM, CRYPTO_USER, program.objectId);
    const token = await tokenOf(signInProgram(house, program, 'hsm'));
    assert.deepEqual(await statuses(token), [200]);
    assert.equal((await graph(house, 'PATCH', `/servicePrincipals/${program.objectId}`, { accountEnabled: false })).status, 204);
    assert.deepEqual(await statuses(token), [401]);
    assert.deepEqual((await signInProgram(house, program, 'hsm')).json.error_codes, [7000112]);
    assert.equal((await graph(house, 'PATCH', `/servicePrincipals/${program.objectId}`, { accountEnabled: true })).status, 204);
    assert.deepEqual(await statuses(token), [401], 'an old token does not come to life again');
    assert.deepEqual(await statuses(await tokenOf(signInProgram(house, program, 'hsm'))), [200]);
    assert.equal((await graph(house, 'DELETE', `/applications/${program.id}`)).status, 204);
    assert.equal((await graph(house, 'GET', `/servicePrincipals/${program.objectId}`)).status, 404);
    assert.deepEqual((await signInProgram(house, program, 'hsm')).json.error_codes, [700016]);
  });

  test('a certificate comes in with its key, is kept by its id, and is gone when it is left out', async () => {
    const { id } = await makeProgram(house, 'certified');
    const [der = ''] = jwk(makePair('robot')).x5c;
    const thumbprint = new X509Certificate(Buffer.from(der, 'base64')).fingerprint.replaceAll(':', '');
    const path = `/applications/${id}`;
    assert.equal(
      (await graph(house, 'PATCH', path, { keyCredentials: [{ type: 'AsymmetricX509Cert', usage: 'Verify', key: der }] })).status,
      204,
    );
    const [shown] = (await graph(house, 'GET', path)).json.keyCredentials;
    assert.deepEqual([shown.customKeyIdentifier, shown.key, shown.type], [thumbprint, null, 'AsymmetricX509Cert']);
    assert.equal((await graph(house, 'PATCH', path, { keyCredentials: [shown, { key: der, displayName: 'again' }] })).status, 204);
    const both = (await graph(house, 'GET', path)).json.keyCredentials;
    assert.deepEqual([both.length, both[0].keyId, both[1].displayName], [2, shown.keyId, 'again']);
    assert.equal((await graph(house, 'PATCH', path, { keyCredentials: [] })).status, 204);
    assert.deepEqual((await graph(house, 'GET', path)).json.keyCredentials, []);
    const nonsense = await graph(house, 'PATCH', path, { keyCredentials: [{ key: Buffer.from('no certificate').toString('base64') }] });
    assert.equal(nonsense.status, 400);
  });

  test('what cannot be is refused in words, and leaves nothing behind', async () => {
    const user = { displayName: 'x', userPrincipalName: userName(house, 'x'), passwordProfile: { password: PASSWORD } };
    await makeUser(house, 'taken');
    const refusals: readonly (readonly [path: string, body: object, says: RegExp])[] = [
      ['/users', { ...user, userPrincipalName: userName(house, 'TAKEN') }, /same value for property userPrincipalName/],
      ['/users', { ...user, userPrincipalName: 'no address' }, /userPrincipalName property is invalid/],
      ['/users', { ...user, passwordProfile: { password: 'short1A' } }, /complexity requirements/],
      ['/users', { ...user, passwordProfile: { password: 'onlylowercase' } }, /complexity requirements/],
      ['/users', { ...user, passwordProfile: { password: PASSWORD, forceChangePasswordNextSignIn: true } }, /can only be false/],
      ['/users', { ...user, userType: 'Guest' }, /can only be 'Member'/],
      ['/users', { ...user, shoeSize: 43 }, /'shoeSize' is not supported/],
      ['/users', { ...user, displayName: '' }, /'displayName'/],
      ['/users', { ...user, displayName: 'a\nb' }, /'displayName'/],
      ['/users', { ...user, displayName: 'a'.repeat(257) }, /'displayName'/],
      ['/groups', { displayName: 'x', mailEnabled: true }, /can only be false/],
      ['/groups', { displayName: 'x', groupTypes: ['Unified'] }, /Only security groups/],
      ['/applications', { displayName: 'x', passwordCredentials: [{}] }, /addPassword/],
      ['/applications', { displayName: 'x', web: { homePageUrl: 'x'.repeat(40_000) } }, /characters at most/],
      ['/servicePrincipals', { appId: '00000000-0000-4000-8000-000000000000' }, /does not reference a valid application object/],
    ];
    for (const [path, body, says] of refusals) {
      const got = await graph(house, 'POST', path, body);
      assert.equal(got.status, 400, JSON.stringify(body));
      assert.match(got.json.error.message, says);
    }
    assert.equal((await graph(house, 'GET', `/users?$filter=displayName eq 'x'`)).json.value.length, 0);
  });

  test('a change of a group adds members, as many as it names and all or none', async () => {
    const [first, second] = [await makeUser(house, 'bound-1'), await makeUser(house, 'bound-2')];
    const id = await makeGroup(house, 'bound');
    const bound = (...ids: string[]) => ({ 'members@odata.bind': ids.map((member) => reference(house, member)['@odata.id']) });
    assert.equal((await graph(house, 'PATCH', `/groups/${id}`, bound(first))).status, 204);
    assert.equal((await graph(house, 'PATCH', `/groups/${id}`, bound(second, first))).status, 400);
    const { json } = await graph(house, 'GET', `/groups/${id}/members`);
    assert.deepEqual(
      json.value.map((member: { id: string }) => member.id),
      [first],
    );
  });

  test('an application shows what nobody has set as empty, and an address that Graph does not have is refused in its words', async () => {
    const made = await graph(house, 'POST', '/applications', { displayName: 'bare' });
    assert.equal(made.status, 201, made.text);
    const { appRoles, requiredResourceAccess, deletedDateTime, spa, web } = made.json;
    assert.deepEqual([appRoles, requiredResourceAccess, deletedDateTime, spa, web.redirectUris], [[], [], null, { redirectUris: [] }, []]);
    for (const [method, path, segment] of [
      ['POST', `/groups/${made.json.id}/addKey`, 'addKey'],
      ['POST', '/$batch', '$batch'],
      ['GET', '/servicePrincipals/x/appRoleAssignments', 'appRoleAssignments'],
    ] as const) {
      const { status, json } = await graph(house, method, path, method === 'POST' ? {} : undefined);
      assert.deepEqual([status, json.error.code], [400, 'BadRequest'], path);
      assert.equal(json.error.message, `Resource not found for the segment '${segment}'.`);
      assert.ok(json.error.innerError['request-id']);
    }
  });

  test('properties are selected, ordered and expanded as they are asked for', async () => {
    const [zoe, yan] = [await makeUser(house, 'sorted-zoe'), await makeUser(house, 'sorted-yan')];
    const group = await makeGroup(house, 'sorted', [zoe, yan]);
    const found = await graph(
      house,
      'GET',
      "/users?$filter=startswith(displayName,'sorted')&$orderby=displayName&$select=id,accountEnabled",
    );
    assert.deepEqual(found.json.value, [
      { id: yan, accountEnabled: true },
      { id: zoe, accountEnabled: true },
    ]);
    const last = await graph(house, 'GET', "/users?$filter=startswith(displayName,'sorted')&$orderby=displayName desc&$top=1&$count=true");
    assert.deepEqual([last.json.value[0].id, last.json['@odata.count']], [zoe, 2]);
    assert.equal(
      (await house.call('GET', last.json['@odata.nextLink'], { token: await house.token('user', 'graph') })).json.value[0].id,
      yan,
    );
    const expanded = await graph(house, 'GET', `/groups/${group}?$select=displayName&$expand=members($select=id)`);
    assert.deepEqual(expanded.json.members.map(({ id }: { id: string }) => id).sort(), [zoe, yan].sort());
    assert.deepEqual(
      Object.keys(expanded.json).filter((name) => !name.startsWith('@')),
      ['displayName', 'members'],
    );
    for (const query of ['$expand=manager', '$orderby=displayName; drop'])
      assert.equal((await graph(house, 'GET', `/users?${query}`)).status, 400);
  });

  test("the first user's new password is not written to connection.json, and the old one is", async () => {
    const { user } = house.connection;
    assert.equal((await graph(house, 'PATCH', `/users/${user.objectId}`, { passwordProfile: { password: PASSWORD } })).status, 204);
    assert.equal((await signInUser(house, 'owner', 'graph', user.password)).status, 400);
    await house.restart();
    const token = await tokenOf(signInUser(house, 'owner', 'graph'));
    assert.deepEqual([house.connection.user.password, house.connection.servicePrincipal.clientSecret === ''], ['', false]);
    assert.equal((await graph(house, 'GET', '/me', undefined, token)).json.id, user.objectId);
  });
});
