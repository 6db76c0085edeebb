// Finding the service and signing in: which account, which tokens, what is kept between two invocations.

import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { jwtVerify } from 'jose';
import { connectAccount, disconnectAccount, getAccessToken, getContext } from '../../../src/shell/cmdlets/account.ts';
import { getUser } from '../../../src/shell/cmdlets/directory.ts';
import { ShellError } from '../../../src/shell/errors.ts';
import { openSession } from '../../../src/shell/session.ts';
import { SecureString } from '../../../src/shell/value.ts';
import { makePair } from '../security-domain/ceremony.ts';
import { runCmdlet } from './run-cmdlet.ts';
import { arm, connectionJson, type Exchange, ScriptedHost, subscription, tenant } from './scripted-host.ts';

const tokenUrl = `POST ${arm}/${tenant}/oauth2/v2.0/token`;
const subscriptions: Exchange = {
  request: `GET ${arm}/subscriptions?api-version=2021-01-01`,
  reply: { value: [{ subscriptionId: subscription, tenantId: tenant, displayName: 'Local', state: 'Enabled' }] },
};
const me: Exchange = { request: `GET ${arm}/v1.0/me`, reply: { id: 'x', userPrincipalName: 'alice@contoso.localhost' } };
const granted = { access_token: `token for ${arm}/`, expires_in: 3600, refresh_token: 'refresh-1' };
const publicClient = '1950a258-227b-4e31-a9cf-717495945fc2';
const userScope = `${arm}//.default offline_access openid profile`;
const passwordForm = {
  grant_type: 'password',
  client_id: publicClient,
  username: 'alice@contoso.localhost',
  password: 'user password',
  scope: userScope,
};

test('the user of the connection is signed in without being asked', async () => {
  const host = new ScriptedHost([{ request: tokenUrl, form: passwordForm, reply: granted }, me]);
  const { items } = await runCmdlet(getUser, host, { SignedIn: true }, { parameterSet: 'SignedInUser' });
  assert.equal(items[0]?.UserPrincipalName, 'alice@contoso.localhost');
  assert.equal(host.files.has('/data/session.json'), false);
  host.assertDone();
});

test('Connect-AzAccount keeps the refresh token for the next invocation, in a file of its own, and never the password', async () => {
  const first = new ScriptedHost([{ request: tokenUrl, form: passwordForm, reply: granted }, subscriptions]);
  const { items } = await runCmdlet(connectAccount, first);
  assert.deepEqual(
    { ...items[0] },
    {
      Account: 'alice@contoso.localhost',
      SubscriptionName: 'Local',
      TenantId: tenant,
      Environment: 'Strongroom',
      AccountType: 'User',
      SubscriptionId: subscription,
    },
  );
  assert.equal(first.modes.get('/data/session.json'), 0o600);
  const kept = String(first.files.get('/data/session.json'));
  assert.match(kept, /refresh-1/);
  assert.doesNotMatch(kept, /password/);

  const refreshForm = { grant_type: 'refresh_token', client_id: publicClient, refresh_token: 'refresh-1', scope: userScope };
  const second = new ScriptedHost([{ request: tokenUrl, form: refreshForm, reply: { ...granted, refresh_token: 'refresh-2' } }, me]);
  second.files.set('/data/session.json', kept);
  await runCmdlet(getUser, second, { SignedIn: true }, { parameterSet: 'SignedInUser' });
  assert.match(String(second.files.get('/data/session.json')), /refresh-2/);
  second.assertDone();
});

test('a refresh token that ran out does not matter while the password is at hand', async () => {
  const host = new ScriptedHost([
    {
      request: tokenUrl,
      status: 400,
      form: { grant_type: 'refresh_token', client_id: publicClient, refresh_token: 'old', scope: userScope },
      reply: { error: 'invalid_grant', error_description: 'AADSTS700082: too old. Trace ID: x' },
    },
    { request: tokenUrl, form: passwordForm, reply: granted },
    me,
  ]);
  host.files.set(
    '/data/session.json',
    JSON.stringify({
      version: 1,
      tenantId: tenant,
      account: { kind: 'User', name: 'alice@contoso.localhost', tenant, refreshToken: 'old' },
    }),
  );
  await runCmdlet(getUser, host, { SignedIn: true }, { parameterSet: 'SignedInUser' });
  host.assertDone();
});

test('a session that another tenant left behind is not used', async () => {
  const host = new ScriptedHost([{ request: tokenUrl, form: passwordForm, reply: granted }, me]);
  host.files.set(
    '/data/session.json',
    JSON.stringify({ version: 1, tenantId: 'another', account: { kind: 'User', name: 'bob', tenant: 'another' } }),
  );
  await runCmdlet(getUser, host, { SignedIn: true }, { parameterSet: 'SignedInUser' });
  host.assertDone();
});

test("Connect-AzAccount -ServicePrincipal signs in as the connection's own, and does not copy its secret", async () => {
  const form = { grant_type: 'client_credentials', client_id: 'client-1', client_secret: 'client secret', scope: `${arm}//.default` };
  const host = new ScriptedHost([{ request: tokenUrl, form, reply: { ...granted, refresh_token: undefined } }, subscriptions]);
  const { items } = await runCmdlet(connectAccount, host, { ServicePrincipal: true });
  assert.equal(items[0]?.Account, 'client-1');
  assert.doesNotMatch(String(host.files.get('/data/session.json')), /client secret/);
  host.assertDone();
});

test('a certificate signs in with an assertion for this token endpoint, now and in the next invocation', async () => {
  const pair = makePair('service principal');
  const certificate = new X509Certificate(pair.der);
  const host = new ScriptedHost([subscriptions]);
  host.files.set('/here/sp.pem', `${certificate.toString()}${pair.pem}`);
  await runCmdlet(connectAccount, host, { ApplicationId: 'app-1', CertificatePath: 'sp.pem' });
  const form = new URLSearchParams(String(host.requests[0]?.body));
  assert.equal(form.get('grant_type'), 'client_credentials');
  assert.equal(form.get('client_assertion_type'), 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer');
  const { payload, protectedHeader } = await jwtVerify(form.get('client_assertion') ?? '', certificate.publicKey, {
    audience: tokenUrl.replace('POST ', ''),
    issuer: 'app-1',
    subject: 'app-1',
    currentDate: new Date(host.now()),
  });
  assert.equal(protectedHeader['x5t#S256'], createHash('sha256').update(pair.der).digest('base64url'));
  assert.equal((payload.exp ?? 0) - (payload.iat ?? 0), 600);
  assert.match(String(host.files.get('/data/session.json')), /"certificatePath": "\/here\/sp.pem"/);

  host.files.set('/here/sp.pem', certificate.toString());
  await assert.rejects(runCmdlet(connectAccount, host, { CertificatePath: 'sp.pem' }), /has no private key beside its certificate/);
});

test('a wrong password gives the reason of the login service, and the old session stays', async () => {
  const host = new ScriptedHost([
    {
      request: tokenUrl,
      form: { ...passwordForm, username: 'bob', password: 'typed' },
      status: 400,
      reply: { error: 'invalid_grant', error_description: 'AADSTS50126: Error validating credentials. Trace ID: 1 Correlation ID: 2' },
    },
  ]);
  host.secrets.push('typed');
  await assert.rejects(runCmdlet(connectAccount, host, { Credential: 'bob' }), {
    message: '(invalid_grant) AADSTS50126: Error validating credentials.',
    category: 'authentication',
  });
  assert.equal(host.files.has('/data/session.json'), false);
});

test('a credential object needs no question', async () => {
  const form = { ...passwordForm, username: 'bob', password: 'from a variable' };
  const host = new ScriptedHost([{ request: tokenUrl, form, reply: granted }, subscriptions]);
  const { items } = await runCmdlet(connectAccount, host, {
    Credential: { UserName: 'bob', Password: new SecureString('from a variable') },
  });
  assert.equal(items[0]?.Account, 'bob');
});

test('where the connection names no user, a device code is shown and waited for', async () => {
  const claims = btoa(JSON.stringify({ upn: 'bob@contoso.localhost' }));
  const pollForm = { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', client_id: publicClient, device_code: 'device' };
  const host = new ScriptedHost([
    {
      request: `POST ${arm}/${tenant}/oauth2/v2.0/devicecode`,
      form: { client_id: publicClient, scope: userScope },
      reply: { device_code: 'device', interval: 1, message: 'open the page and enter ABC' },
    },
    { request: tokenUrl, form: pollForm, status: 400, reply: { error: 'authorization_pending' } },
    { request: tokenUrl, form: pollForm, status: 400, reply: { error: 'slow_down' } },
    { request: tokenUrl, form: pollForm, reply: { ...granted, access_token: `head.${claims}.tail` } },
  ]);
  host.files.set('/data/connection.json', JSON.stringify({ ...connectionJson, user: undefined }));
  const session = openSession(host, { data: '/data' });
  await runCmdlet(connectAccount, host, {}, { session }).catch((error) => assert.match(String(error), /the next request/));
  assert.deepEqual(host.slept, [1000, 1000, 6000]);
  assert.equal((await session.account())?.name, 'bob@contoso.localhost');
});

test('after Disconnect-AzAccount nothing works until Connect-AzAccount', async () => {
  const host = new ScriptedHost();
  await runCmdlet(disconnectAccount, host);
  await assert.rejects(runCmdlet(getUser, host, {}), { message: 'nobody is signed in', hints: ['sign in with: Connect-AzAccount'] });
  const { values, warnings } = await runCmdlet(getContext, host);
  assert.deepEqual(values, []);
  assert.equal(warnings.length, 1);
});

test('a token that the service no longer takes is replaced once', async () => {
  const refused: Exchange = { ...me, status: 401, reply: { error: { code: 'ExpiredAuthenticationToken', message: 'too old' } } };
  const host = new ScriptedHost([refused, me]);
  await runCmdlet(getUser, host, { SignedIn: true }, { parameterSet: 'SignedInUser' });
  host.assertDone();
  const twice = new ScriptedHost([refused, refused]);
  await assert.rejects(runCmdlet(getUser, twice, { SignedIn: true }, { parameterSet: 'SignedInUser' }), {
    message: '(ExpiredAuthenticationToken) too old',
    category: 'authentication',
  });
});

test('an access token is a secure string unless its text is asked for', async () => {
  const hidden = await runCmdlet(getAccessToken, new ScriptedHost(), { ResourceTypeName: 'ManagedHsm' });
  assert.ok(hidden.items[0]?.Token instanceof SecureString);
  const plain = await runCmdlet(getAccessToken, new ScriptedHost(), { ResourceTypeName: 'ManagedHsm', AsPlainText: true });
  assert.equal(plain.items[0]?.Token, `token for ${connectionJson.managedHsmResource}`);
});

test('a data folder without a connection says how to start a service on it', async () => {
  const host = new ScriptedHost();
  host.files.delete('/data/connection.json');
  await assert.rejects(runCmdlet(getUser, host), (error: unknown) => {
    assert.ok(error instanceof ShellError);
    assert.match(error.message, /no service has been started on the data folder '\/data'/);
    assert.deepEqual(error.hints[0], 'start it with: ./strongroom start --data /data');
    return true;
  });
});

test('a connection that may not be read, or is none, is named', async () => {
  const unreadable = new ScriptedHost();
  unreadable.unreadable.add('/data/connection.json');
  await assert.rejects(runCmdlet(getUser, unreadable), {
    category: 'connection',
    message: /cannot read '\/data\/connection.json': .*permission denied/,
  });
  for (const text of ['not json', '{"version":2}', JSON.stringify({ ...connectionJson, graph: 'http://plain/' })]) {
    const host = new ScriptedHost();
    host.files.set('/data/connection.json', text);
    await assert.rejects(runCmdlet(getUser, host), { category: 'connection', message: /is not a connection file of this program/ });
  }
});

test('a service that does not run, a name that is not known and a certificate of someone else each get their own words', async () => {
  const cases = [
    ['ECONNREFUSED', /nothing answers at https:\/\/localhost:8443/, /start the service with: .\/strongroom start --data \/data/],
    ['ENOTFOUND', /the name 'localhost' cannot be resolved/, /doctor/],
    ['SELF_SIGNED_CERT_IN_CHAIN', /is not trusted/, /connection.json/],
  ] as const;
  for (const [fails, message, hint] of cases) {
    const host = new ScriptedHost([{ ...me, fails }]);
    await assert.rejects(runCmdlet(getUser, host, { SignedIn: true }, { parameterSet: 'SignedInUser' }), (error: unknown) => {
      assert.ok(error instanceof ShellError);
      assert.match(error.message, message);
      assert.match(error.hints.join('\n'), hint);
      return true;
    });
  }
});

test('users are found by a filter whose quotes are doubled', async () => {
  const host = new ScriptedHost([
    { request: `GET ${arm}/v1.0/users?$filter=userPrincipalName eq 'o''neil@contoso.localhost'`, reply: { value: [] } },
  ]);
  const { values, warnings } = await runCmdlet(getUser, host, { UserPrincipalName: "o'neil@contoso.localhost" });
  assert.deepEqual(values, []);
  assert.match(warnings[0] ?? '', /the directory has no user/);
  host.assertDone();
});
