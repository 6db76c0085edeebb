// Signing in with a browser: the device code page and the authorization page, with a person's mistakes and a stranger's attempts.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { Reply } from '../../../src/core/reply.ts';
import { isLoopback } from '../../../src/identity/authorize.ts';
import { sweepIdentity } from '../../../src/identity/sweep.ts';
import { AZURE_CLI, AZURE_POWERSHELL, ask, claimsOf, members, openTenancy, postToken, type Tenancy, text } from './tenancy.ts';

const MINUTE = 60_000;
const SCOPE = 'https://localhost:8443//.default offline_access openid profile';
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

test('a person approves a device code and the client gets its tokens, once', async (t) => {
  const tenancy = await openTenancy(t);
  const started = await startDevice(tenancy);
  assert.deepEqual([started.expires_in, started.interval], [900, 1]);
  assert.equal(started.verification_uri, 'https://localhost:8443/devicelogin');
  assert.match(String(started.message), new RegExp(String(started.user_code)));
  assert.deepEqual([(await poll(tenancy, started)).status, members(await poll(tenancy, started)).error], [400, 'authorization_pending']);

  const typed = String(started.user_code)
    .toLowerCase()
    .replace(/^(...)/, '$1-');
  const shown = await ask(tenancy.room, 'POST', '/devicelogin', { body: { user_code: typed } });
  assert.equal(shown.status, 200);
  assert.match(String(shown.body), /<strong>Azure CLI<\/strong>/);
  const done = await answerDevice(tenancy, shown, typed, 'approve');
  assert.deepEqual([done.status, /<h1>Approved<\/h1>/.test(String(done.body))], [200, true]);

  const answer = await poll(tenancy, started);
  assert.equal(answer.status, 200);
  assert.equal(claimsOf(text(answer, 'access_token')).upn, tenancy.tenant.user.userPrincipalName);
  assert.ok(text(answer, 'refresh_token') && text(answer, 'id_token'));
  assert.equal(members(await poll(tenancy, started)).error, 'bad_verification_code');
});

test('two polls at once get one set of tokens', async (t) => {
  const tenancy = await openTenancy(t);
  const started = await startDevice(tenancy);
  const code = String(started.user_code);
  await answerDevice(tenancy, await ask(tenancy.room, 'POST', '/devicelogin', { body: { user_code: code } }), code, 'approve');
  const answers = await Promise.all([poll(tenancy, started), poll(tenancy, started), poll(tenancy, started)]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 400, 400]);
});

test('a declined code, a late one and one of another client get no tokens', async (t) => {
  const tenancy = await openTenancy(t);
  const declined = await startDevice(tenancy);
  const code = String(declined.user_code);
  const shown = await ask(tenancy.room, 'POST', '/devicelogin', { body: { user_code: code } });
  assert.match(String((await answerDevice(tenancy, shown, code, 'decline')).body), /<h1>Declined<\/h1>/);
  assert.equal(members(await poll(tenancy, declined)).error, 'authorization_declined');

  const late = await startDevice(tenancy);
  assert.equal(members(await poll(tenancy, late, AZURE_POWERSHELL)).error, 'bad_verification_code');
  tenancy.clock.advance(15 * MINUTE);
  assert.deepEqual([members(await poll(tenancy, late)).error, members(await poll(tenancy, late)).error_codes], ['expired_token', [70020]]);
  assert.equal((await ask(tenancy.room, 'POST', '/devicelogin', { body: { user_code: String(late.user_code) } })).status, 400);
});

test('the user code alone is worth nothing to the client', async (t) => {
  const tenancy = await openTenancy(t);
  const started = await startDevice(tenancy);
  for (const guess of [String(started.user_code), `${started.user_code}.x`, `${started.user_code}.${'A'.repeat(43)}`]) {
    assert.equal(members(await poll(tenancy, { device_code: guess })).error, 'bad_verification_code');
  }
});

test('a form from another site, for another code or from another address approves nothing', async (t) => {
  const tenancy = await openTenancy(t);
  const [started, other] = [await startDevice(tenancy), await startDevice(tenancy)];
  const code = String(started.user_code);
  const shown = await ask(tenancy.room, 'POST', '/devicelogin', { body: { user_code: code } });
  const foreign = await ask(tenancy.room, 'POST', '/devicelogin', { body: { user_code: String(other.user_code) } });
  const { userPrincipalName: username, password } = tenancy.tenant.user;
  const form = { user_code: code, username, password, answer: 'approve' };
  const wrong = [
    await ask(tenancy.room, 'POST', '/devicelogin', { body: form }),
    await ask(tenancy.room, 'POST', '/devicelogin', { body: { ...form, token: 'AAAA' } }),
    await ask(tenancy.room, 'POST', '/devicelogin', { body: { ...form, token: hiddenField(foreign, 'token') } }),
    await ask(tenancy.room, 'POST', '/devicelogin', { body: { ...form, token: hiddenField(shown, 'token') }, address: '192.0.2.1' }),
  ];
  for (const answer of wrong) assert.equal(answer.status, 400);
  assert.equal(members(await poll(tenancy, started)).error, 'authorization_pending');
});

test('a wrong password on the page says so, and guessing codes is stopped', async (t) => {
  const tenancy = await openTenancy(t);
  const started = await startDevice(tenancy);
  const code = String(started.user_code);
  const shown = await ask(tenancy.room, 'POST', '/devicelogin', { body: { user_code: code } });
  const body = {
    user_code: code,
    username: tenancy.tenant.user.userPrincipalName,
    password: 'no',
    answer: 'approve',
    token: hiddenField(shown, 'token'),
  };
  const answer = await ask(tenancy.room, 'POST', '/devicelogin', { body });
  assert.equal(answer.status, 400);
  assert.match(String(answer.body), /AADSTS50126/);
  assert.ok(!String(answer.body).includes('value="no"'));

  const guesses = [];
  for (let i = 0; i < 12; i++) guesses.push(await ask(tenancy.room, 'POST', '/devicelogin', { body: { user_code: `BCDFGHJK${i}` } }));
  assert.deepEqual(guesses.map(({ status }) => status).slice(-2), [429, 429]);
});

test('the pages cannot be framed, run no script and keep no trace', async (t) => {
  const { room } = await openTenancy(t);
  for (const path of ['/devicelogin', '/common/oauth2/v2.0/logout', '/adfs/oauth2/authorize']) {
    const answer = await ask(room, 'GET', path);
    assert.match(answer.contentType ?? '', /^text\/html/);
    const policy = answer.headers['content-security-policy'] ?? '';
    for (const rule of ["default-src 'none'", "script-src 'none'", "frame-ancestors 'none'"]) assert.ok(policy.includes(rule), rule);
    assert.deepEqual([answer.headers['cache-control'], answer.headers['referrer-policy']], ['no-store', 'no-referrer']);
  }
});

test('a person signs in with the browser and the client redeems the code with its verifier', async (t) => {
  const tenancy = await openTenancy(t);
  const flow = newFlow();
  const location = new URL((await signInWithBrowser(tenancy, flow)).headers.location ?? '');
  assert.equal(location.origin + location.pathname, 'http://localhost:8400/');
  assert.equal(location.searchParams.get('state'), flow.parameters.state);
  const code = location.searchParams.get('code') ?? '';

  const answer = await postToken(tenancy, redeemForm(flow, code));
  assert.equal(answer.status, 200);
  assert.equal(claimsOf(text(answer, 'id_token')).nonce, flow.parameters.nonce);
  assert.ok((await tenancy.verify(text(answer, 'access_token'), 'management')).valid);
  assert.deepEqual(members(await postToken(tenancy, redeemForm(flow, code))).error_codes, [54005]);
  const refresh = { grant_type: 'refresh_token', client_id: AZURE_CLI, refresh_token: text(answer, 'refresh_token') };
  assert.deepEqual(members(await postToken(tenancy, refresh)).error_codes, [700082], 'somebody else has the code too, so what it got ends');
});

test('nobody begins more sign-ins on other devices than a person could end', async (t) => {
  const tenancy = await openTenancy(t);
  const begin = (address: string) =>
    ask(tenancy.room, 'POST', '/common/oauth2/v2.0/devicecode', { body: { client_id: AZURE_CLI, scope: 'openid' }, address });
  const answers = [];
  for (let i = 0; i < 62; i++) answers.push((await begin('192.0.2.1')).status);
  assert.deepEqual([answers.filter((status) => status === 200).length, answers.at(-1)], [60, 429]);
  assert.equal((await begin('192.0.2.2')).status, 200);
  tenancy.clock.advance(60_000);
  assert.equal((await begin('192.0.2.1')).status, 200);
});

test('a code is worth nothing with another verifier, client or reply address, nor after ten minutes', async (t) => {
  const tenancy = await openTenancy(t);
  // biome-ignore format: a table reads by its columns
  const changes: readonly [Record<string, string>, number][] = [
    [{ code_verifier: 'x'.repeat(43) },           501481],
    [{ code_verifier: 'short' },                  501481],
    [{ client_id: AZURE_POWERSHELL },             70000],
    [{ redirect_uri: 'http://localhost:8400/x' }, 70000],
    [{ code: 'x' },                               70000],
  ];
  for (const [change, error] of changes) {
    const flow = newFlow();
    const code = codeOf(await signInWithBrowser(tenancy, flow));
    assert.deepEqual(members(await postToken(tenancy, { ...redeemForm(flow, code), ...change })).error_codes, [error]);
    if (change.code === undefined)
      assert.deepEqual(members(await postToken(tenancy, redeemForm(flow, code))).error_codes, [54005], 'no second try');
  }
  const flow = newFlow();
  const code = codeOf(await signInWithBrowser(tenancy, flow));
  tenancy.clock.advance(10 * MINUTE);
  assert.deepEqual(members(await postToken(tenancy, redeemForm(flow, code))).error_codes, [70008]);
});

test('nothing is ever sent to an address that is not the loopback', async (t) => {
  const tenancy = await openTenancy(t);
  for (const uri of [
    'https://evil.example/',
    'http://localhost.evil.example/',
    'http://localhost@evil.example/',
    'http://user:pass@localhost:1/',
    'http://127.0.0.1.nip.io/',
    'https://localhost/',
    'javascript:alert(1)',
    'http://localhost/#here',
    '//localhost/',
    'urn:ietf:wg:oauth:2.0:oob',
    '',
  ]) {
    assert.equal(isLoopback(uri), false, uri);
    const answer = await ask(tenancy.room, 'GET', authorizeUrl({ ...newFlow().parameters, redirect_uri: uri }));
    assert.deepEqual([answer.status, answer.headers.location], [400, undefined], uri);
  }
  for (const uri of ['http://localhost', 'http://localhost:8400/', 'http://127.0.0.1:1/cb?x=1', 'http://[::1]:9/'])
    assert.ok(isLoopback(uri), uri);
});

test('a wrong authorization request goes back to the client with its error', async (t) => {
  const tenancy = await openTenancy(t);
  // biome-ignore format: a table reads by its columns
  const wrong: readonly [Record<string, string | undefined>, string][] = [
    [{ code_challenge: undefined },                 'invalid_request'],
    [{ code_challenge_method: 'plain' },            'invalid_request'],
    [{ code_challenge_method: undefined },          'invalid_request'],
    [{ response_type: 'token' },                    'unsupported_response_type'],
    [{ scope: 'https://vault.azure.net/.default' }, 'invalid_resource'],
    [{ prompt: 'none' },                            'interaction_required'],
  ];
  for (const [change, error] of wrong) {
    const flow = newFlow();
    const answer = await ask(tenancy.room, 'GET', authorizeUrl({ ...flow.parameters, ...change }));
    const location = new URL(answer.headers.location ?? '');
    assert.deepEqual(
      [answer.status, location.searchParams.get('error'), location.searchParams.get('state')],
      [302, error, flow.parameters.state],
    );
  }
  const unknown = await ask(tenancy.room, 'GET', authorizeUrl({ ...newFlow().parameters, client_id: 'nobody' }));
  assert.deepEqual([unknown.status, unknown.headers.location], [400, undefined]);
});

test('the sign-in page shows what it was given as text, and takes no form that it did not make', async (t) => {
  const tenancy = await openTenancy(t);
  const flow = newFlow();
  const parameters = { ...flow.parameters, state: '"><script>alert(1)</script>', login_hint: '<b>"x"' };
  const shown = await ask(tenancy.room, 'GET', authorizeUrl(parameters));
  assert.ok(!/<script|<b>/.test(String(shown.body)));
  assert.match(shown.headers['content-security-policy'] ?? '', /form-action 'self' http:\/\/localhost:8400;/);

  const { userPrincipalName: username, password } = tenancy.tenant.user;
  const token = hiddenField(shown, 'token');
  const swapped = { ...parameters, username, password, token, code_challenge: newFlow().parameters.code_challenge };
  const answer = await ask(tenancy.room, 'POST', '/common/oauth2/v2.0/authorize', { body: swapped });
  assert.deepEqual([answer.status, answer.headers.location], [400, undefined]);
});

test('the answer comes as a form or in the fragment where the client asks for that', async (t) => {
  const tenancy = await openTenancy(t);
  const posted = await signInWithBrowser(tenancy, newFlow({ response_mode: 'form_post' }));
  assert.equal(posted.status, 200);
  assert.match(String(posted.body), /<form method="post" action="http:\/\/localhost:8400\/">/);
  assert.ok(hiddenField(posted, 'code') && hiddenField(posted, 'state'));
  const fragment = await signInWithBrowser(tenancy, newFlow({ response_mode: 'fragment' }));
  assert.match(fragment.headers.location ?? '', /^http:\/\/localhost:8400\/#code=/);
  const cancelled = await signInWithBrowser(tenancy, newFlow(), { answer: 'cancel' });
  assert.match(cancelled.headers.location ?? '', /error=access_denied/);
});

test('what is over is swept away, what is not stays', async (t) => {
  const tenancy = await openTenancy(t);
  await startDevice(tenancy);
  await signInWithBrowser(tenancy, newFlow());
  const count = async () => (await tenancy.parts.read.selectFrom('grants').select('id').execute()).length;
  await sweepIdentity(tenancy.parts);
  assert.equal(await count(), 2);
  tenancy.clock.advance(71 * MINUTE);
  await sweepIdentity(tenancy.parts);
  assert.equal(await count(), 1);
  tenancy.clock.advance(10 * MINUTE);
  await sweepIdentity(tenancy.parts);
  assert.equal(await count(), 0);
});

async function startDevice(tenancy: Tenancy): Promise<Record<string, unknown>> {
  const body = { client_id: AZURE_CLI, scope: SCOPE };
  const answer = await ask(tenancy.room, 'POST', '/adfs/oauth2/devicecode', { body });
  assert.equal(answer.status, 200);
  return members(answer);
}

function poll(tenancy: Tenancy, started: Record<string, unknown>, client = AZURE_CLI): Promise<Reply> {
  return postToken(
    tenancy,
    { grant_type: DEVICE_GRANT, client_id: client, device_code: String(started.device_code) },
    '/adfs/oauth2/token',
  );
}

function answerDevice(tenancy: Tenancy, shown: Reply, code: string, answer: 'approve' | 'decline'): Promise<Reply> {
  const { userPrincipalName: username, password } = tenancy.tenant.user;
  const body = { user_code: code, username, password, answer, token: hiddenField(shown, 'token') };
  return ask(tenancy.room, 'POST', '/devicelogin', { body });
}

function hiddenField(shown: Reply, name: string): string {
  const [, value] = new RegExp(`name="${name}" value="([^"]*)"`).exec(String(shown.body)) ?? [];
  assert.ok(value, `the page has a field ${name}`);
  return value;
}

interface Flow {
  readonly verifier: string;
  readonly parameters: Readonly<Record<string, string>>;
}

function newFlow(change: Record<string, string> = {}): Flow {
  const verifier = randomBytes(32).toString('base64url');
  const parameters = {
    client_id: AZURE_CLI,
    redirect_uri: 'http://localhost:8400/',
    response_type: 'code',
    scope: SCOPE,
    state: randomBytes(8).toString('hex'),
    nonce: randomBytes(8).toString('hex'),
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...change,
  };
  return { verifier, parameters };
}

function authorizeUrl(parameters: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(parameters).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
  return `/adfs/oauth2/authorize?${new URLSearchParams(Object.fromEntries(given))}`;
}

async function signInWithBrowser(tenancy: Tenancy, flow: Flow, besides: Record<string, string> = {}): Promise<Reply> {
  const shown = await ask(tenancy.room, 'GET', authorizeUrl(flow.parameters));
  assert.equal(shown.status, 200);
  const { userPrincipalName: username, password } = tenancy.tenant.user;
  const body = { ...flow.parameters, token: hiddenField(shown, 'token'), username, password, ...besides };
  return ask(tenancy.room, 'POST', '/adfs/oauth2/authorize', { body });
}

function codeOf(answer: Reply): string {
  return new URL(answer.headers.location ?? '').searchParams.get('code') ?? '';
}

function redeemForm({ verifier, parameters }: Flow, code: string): Record<string, string> {
  const { client_id: client = '', redirect_uri: uri = '' } = parameters;
  return { grant_type: 'authorization_code', client_id: client, redirect_uri: uri, code, code_verifier: verifier };
}
