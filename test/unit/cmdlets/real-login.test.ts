// The session against the real login and Graph, without a network: what the shell sends is what these rooms take.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getServicePrincipal, getUser } from '../../../src/shell/cmdlets/directory.ts';
import { deviceGrant } from '../../../src/shell/oauth.ts';
import { principalsById } from '../../../src/shell/principals.ts';
import { openSession } from '../../../src/shell/session.ts';
import { SecureString } from '../../../src/shell/value.ts';
import { houseHost } from './house-host.ts';
import { runCmdlet } from './run-cmdlet.ts';
import { connectionJson } from './scripted-host.ts';

const arm = connectionJson.resourceManager;
const hsm = connectionJson.managedHsmResource;

test('the tokens of the user are taken by the resource manager and by an HSM, each by its own', async (t) => {
  const { tenancy, host } = await houseHost(t);
  const session = openSession(host, { data: '/data' });
  for (const [resource, audience] of [
    [arm, 'management'],
    [hsm, 'hsm'],
  ] as const) {
    const check = await tenancy.verify(await session.token(resource), audience);
    assert.ok(check.valid);
    assert.equal(check.caller.objectId, tenancy.tenant.user.objectId);
  }
});

test('a session goes on in the next invocation with its refresh token alone, for every resource', async (t) => {
  const { tenancy, host } = await houseHost(t);
  const { user, tenantId } = tenancy.tenant;

  const account = { kind: 'User', name: user.userPrincipalName, tenant: tenantId, password: new SecureString(user.password) } as const;
  await openSession(host, { data: '/data' }).signIn(account, arm);
  const connection = JSON.parse(String(host.files.get('/data/connection.json')));
  host.files.set('/data/connection.json', JSON.stringify({ ...connection, user: undefined }));
  for (const resource of [hsm, arm, hsm]) {
    const next = openSession(host, { data: '/data' });
    assert.ok((await tenancy.verify(await next.token(resource), resource === hsm ? 'hsm' : 'management')).valid);
  }
});

test('the service principal of the connection signs in with its secret', async (t) => {
  const { tenancy, host } = await houseHost(t);
  const session = openSession(host, { data: '/data' });
  const { servicePrincipal } = await session.connection();
  assert.ok(servicePrincipal !== undefined);
  const { clientId: name, clientSecret: secret } = servicePrincipal;
  await session.signIn({ kind: 'ServicePrincipal', name, tenant: tenancy.tenant.tenantId, secret }, arm);
  const check = await tenancy.verify(await openSession(host, { data: '/data' }).token(hsm), 'hsm');
  assert.ok(check.valid);
  assert.equal(check.caller.objectId, tenancy.tenant.servicePrincipal.objectId);
});

test('a device code that was not entered yet is waited for until it is too old', async (t) => {
  const { tenancy, host } = await houseHost(t);
  const session = openSession(host, { data: '/data' });
  const shown: string[] = [];
  const place = { host, connection: await session.connection(), tenant: tenancy.tenant.tenantId };
  let naps = 0;
  host.sleep = async (milliseconds) => {
    naps += 1;
    tenancy.clock.advance(naps === 3 ? 3_600_000 : milliseconds);
  };
  await assert.rejects(
    deviceGrant(place, arm, (message) => shown.push(message)),
    /\(expired_token\) AADSTS70020/,
  );
  assert.match(shown[0] ?? '', /devicelogin/);
  assert.equal(naps, 3);
});

test('people and programs are found in the directory, and ids get their names', async (t) => {
  const { tenancy, host } = await houseHost(t);
  const { user, servicePrincipal } = tenancy.tenant;
  const session = openSession(host, { data: '/data' });
  const idOf = async (given: Record<string, unknown>, parameterSet = '') =>
    (await runCmdlet(getUser, host, given, { session, parameterSet })).items[0]?.Id;
  assert.equal(await idOf({ UserPrincipalName: user.userPrincipalName }), user.objectId);
  assert.equal(await idOf({ ObjectId: user.objectId }), user.objectId);
  assert.equal(await idOf({ SignedIn: true }, 'SignedInUser'), user.objectId);
  assert.equal(await idOf({ StartsWith: 'nobody' }), undefined);
  const { items } = await runCmdlet(getServicePrincipal, host, { ApplicationId: servicePrincipal.clientId }, { session });
  assert.equal(items[0]?.Id, servicePrincipal.objectId);
  const context = { host, session, signal: new AbortController().signal, verbose() {}, debug() {}, progress() {} };
  const names = await principalsById(context, [user.objectId, servicePrincipal.objectId]);
  assert.deepEqual([names.get(user.objectId)?.kind, names.get(servicePrincipal.objectId)?.kind], ['User', 'ServicePrincipal']);
});
