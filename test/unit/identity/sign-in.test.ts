// Signing in at the token endpoint: what each client sends and what it gets back, right and wrong.

import assert from 'node:assert/strict';
import { createHash, type KeyObject, type X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import { selfSigned } from '../../../src/core/self-signed.ts';
import { addCertificate, addSecret } from '../../../src/identity/credentials.ts';
import { createServicePrincipal } from '../../../src/identity/principals.ts';
import { identityRoom } from '../../../src/identity/room.ts';
import { hashSecret } from '../../../src/identity/secret-hash.ts';
import { endSessions } from '../../../src/identity/sessions.ts';
import { thumbprint, thumbprint256 } from '../../../src/identity/signing-keys.ts';
import { rsaPair } from '../../rsa-pairs.ts';
import {
  AZURE_CLI,
  AZURE_POWERSHELL,
  applicationForm,
  ask,
  claimsOf,
  members,
  openTenancy,
  postToken,
  type Tenancy,
  text,
  userForm,
} from './tenancy.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

test('a service principal signs in with its secret and its token opens the HSM alone', async (t) => {
  const tenancy = await openTenancy(t);
  const answer = await postToken(tenancy, applicationForm(tenancy));
  assert.equal(answer.status, 200);
  assert.deepEqual(Object.keys(members(answer)).sort(), ['access_token', 'expires_in', 'ext_expires_in', 'token_type']);
  assert.equal(members(answer).expires_in, 3599);
  assert.equal(answer.headers['cache-control'], 'no-store, no-cache');

  const token = text(answer, 'access_token');
  const { servicePrincipal, tenantId } = tenancy.tenant;
  const { aud, oid, sub, appid, appidacr, idtyp, tid, upn } = claimsOf(token);
  const { clientId, objectId } = servicePrincipal;
  assert.deepEqual(
    { aud, oid, sub, appid, appidacr, idtyp, tid, upn },
    {
      aud: 'https://managedhsm.localhost:8443',
      oid: objectId,
      sub: objectId,
      appid: clientId,
      appidacr: '1',
      idtyp: 'app',
      tid: tenantId,
      upn: undefined,
    },
  );
  const caller = { kind: 'application', tenantId, objectId, clientId, groups: [] };
  const until = Number(claimsOf(token).exp) * 1000;
  assert.deepEqual(await tenancy.verify(token, 'hsm'), { valid: true, caller, until });
  for (const audience of ['management', 'graph'] as const) assert.equal((await tenancy.verify(token, audience)).valid, false);
});

test('a user signs in with name and password through an ADFS authority, as az does', async (t) => {
  const tenancy = await openTenancy(t);
  const answer = await postToken(tenancy, userForm(tenancy), '/adfs/oauth2/token/');
  assert.equal(answer.status, 200);
  const { userPrincipalName, objectId } = tenancy.tenant.user;
  const { tenantId } = tenancy.tenant;
  assert.equal(members(answer).foci, '1');
  assert.equal(members(answer).expires_in, 3599);
  const clientInfo = JSON.parse(Buffer.from(text(answer, 'client_info'), 'base64url').toString());
  assert.deepEqual(clientInfo, { uid: objectId, utid: tenantId });

  const id = claimsOf(text(answer, 'id_token'));
  assert.deepEqual(
    [id.aud, id.tid, id.preferred_username, id.iss],
    [AZURE_CLI, tenantId, userPrincipalName, 'https://localhost:8443/adfs'],
  );
  const access = text(answer, 'access_token');
  assert.deepEqual([claimsOf(access).aud, claimsOf(access).scp], ['https://localhost:8443/', 'user_impersonation']);
  assert.ok(text(answer, 'scope').split(' ').includes('https://localhost:8443//.default'));
  for (const audience of ['management', 'graph'] as const) {
    const check = await tenancy.verify(access, audience);
    assert.ok(check.valid && check.caller.kind === 'user' && check.caller.userPrincipalName === userPrincipalName);
  }
  assert.equal((await tenancy.verify(access, 'hsm')).valid, false);
});

test('a v1 client asks for a resource and gets its numbers as text', async (t) => {
  const tenancy = await openTenancy(t);
  const { scope: _, ...form } = userForm(tenancy);
  const answer = await postToken(tenancy, { ...form, resource: 'https://management.azure.com/' }, '/common/oauth2/token');
  assert.equal(answer.status, 200);
  const { expires_in: expiresIn, resource, expires_on: on, not_before: before } = members(answer);
  assert.deepEqual([expiresIn, resource], ['3599', 'https://management.azure.com/']);
  assert.equal(Number(on) - Number(before), 3600);
  assert.ok(text(answer, 'refresh_token') && text(answer, 'id_token'));
  assert.ok((await tenancy.verify(text(answer, 'access_token'), 'management')).valid);
});

test('client id and secret may come in the Authorization header', async (t) => {
  const tenancy = await openTenancy(t);
  const { client_id: id, client_secret: secret, ...body } = applicationForm(tenancy);
  const authorization = `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;
  const answer = await ask(tenancy.room, 'POST', '/organizations/oauth2/v2.0/token', { body, authorization });
  assert.equal(answer.status, 200);
});

/** Each row: what is sent besides (or instead of) a right form, and the answer. */
// biome-ignore format: a table reads by its columns
const REFUSED: readonly [title: string, form: 'application' | 'user', change: Record<string, string | undefined>, status: number, error: string, code: number][] = [
  ['a wrong secret',                  'application', { client_secret: 'no' },                                401, 'invalid_client',         7000215],
  ['no secret',                       'application', { client_secret: undefined },                           401, 'invalid_client',         7000218],
  ['an unknown client',               'application', { client_id: 'feb35b29-0000-4000-8000-000000000000' },  400, 'unauthorized_client',    700016],
  ['no client',                       'application', { client_id: undefined },                               400, 'invalid_request',        900144],
  ['a public client without a user',  'application', { client_id: AZURE_CLI, client_secret: undefined },     401, 'invalid_client',         700025],
  ['a public client with a secret',   'user',        { client_secret: 'x' },                                 401, 'invalid_client',         700025],
  ['a wrong password',                'user',        { password: 'no' },                                     400, 'invalid_grant',          50126],
  ['a user that does not exist',      'user',        { username: 'nobody@strongroom.localhost' },            400, 'invalid_grant',          50126],
  ['no password',                     'user',        { password: undefined },                                400, 'invalid_request',        900144],
  ['no grant type',                   'user',        { grant_type: undefined },                              400, 'invalid_request',        900144],
  ['an unknown grant type',           'user',        { grant_type: 'implicit' },                             400, 'unsupported_grant_type', 70003],
  ['a resource that is not ours',     'application', { scope: 'https://vault.azure.net/.default' },          400, 'invalid_resource',       500011],
  ['two resources at once',           'user',        { scope: 'https://localhost:8443/.default https://managedhsm.localhost:8443/.default' }, 400, 'invalid_scope', 70011],
  ['a scope that is not the default', 'application', { scope: 'https://localhost:8443/user_impersonation' }, 400, 'invalid_scope',          70011],
  ['no scope',                        'application', { scope: undefined },                                   400, 'invalid_request',        900144],
  ['a refresh token of our fancy',    'user',        { grant_type: 'refresh_token', refresh_token: 'x' },    400, 'invalid_grant',          700082],
  ['a device code of our fancy',      'user',        { grant_type: 'device_code', device_code: 'ABC.x' },    400, 'bad_verification_code',  70018],
];

test('every wrong token request gets its AADSTS error', async (t) => {
  const tenancy = await openTenancy(t);
  for (const [i, [title, form, change, status, error, code]] of REFUSED.entries()) {
    const base: Record<string, string | undefined> = form === 'user' ? userForm(tenancy) : applicationForm(tenancy);
    const body = Object.fromEntries(
      Object.entries({ ...base, ...change }).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
    );
    const answer = await postToken(tenancy, body, undefined, `10.0.0.${i}`);
    assert.deepEqual([answer.status, members(answer).error, members(answer).error_codes], [status, error, [code]], title);
    assert.ok(text(answer, 'error_description').startsWith(`AADSTS${code}: `), title);
  }
});

test('another tenant is not found, whatever is asked of it', async (t) => {
  const tenancy = await openTenancy(t);
  const other = '11111111-2222-4333-8444-555555555555';
  const answers = [
    await postToken(tenancy, applicationForm(tenancy), `/${other}/oauth2/v2.0/token`),
    await ask(tenancy.room, 'GET', `/${other}/v2.0/.well-known/openid-configuration`),
    await ask(tenancy.room, 'GET', '/example.com/discovery/keys'),
  ];
  for (const answer of answers) {
    assert.deepEqual([answer.status, members(answer).error, members(answer).error_codes], [400, 'invalid_request', [90002]]);
  }
  assert.match(text(answers[0] ?? assert.fail(), 'error_description'), new RegExp(`Tenant '${other}' not found`));
});

test('the tenant answers to its id, its domain, common and organizations', async (t) => {
  const tenancy = await openTenancy(t);
  for (const name of [tenancy.tenant.tenantId, 'strongroom.localhost', 'common', 'organizations', 'ADFS']) {
    const answer = await postToken(tenancy, applicationForm(tenancy), `/${name}/oauth2/token`);
    assert.equal(answer.status, 200, name);
  }
});

test('a GET on the token endpoint says that it wants a POST', async (t) => {
  const { room } = await openTenancy(t);
  const answer = await ask(room, 'GET', '/common/oauth2/v2.0/token');
  assert.deepEqual([answer.status, members(answer).error_codes], [400, [900561]]);
});

test('one refresh token serves many resources, and both clients of the family', async (t) => {
  const tenancy = await openTenancy(t);
  const first = text(await postToken(tenancy, userForm(tenancy)), 'refresh_token');
  const hsm = await postToken(tenancy, refreshForm(first, AZURE_CLI, 'https://managedhsm.localhost:8443/.default offline_access openid'));
  assert.equal(hsm.status, 200);
  assert.ok((await tenancy.verify(text(hsm, 'access_token'), 'hsm')).valid);
  const other = await postToken(tenancy, refreshForm(first, AZURE_POWERSHELL, 'https://localhost:8443//.default'));
  assert.equal(other.status, 200);
  assert.equal(claimsOf(text(other, 'access_token')).appid, AZURE_POWERSHELL);
  const foreign = {
    ...refreshForm(first, tenancy.tenant.servicePrincipal.clientId),
    client_secret: tenancy.tenant.servicePrincipal.clientSecret,
  };
  assert.deepEqual(members(await postToken(tenancy, foreign)).error_codes, [700082]);
});

test('a refresh token that was exchanged works for minutes, its successor for ninety days', async (t) => {
  const tenancy = await openTenancy(t);
  const first = text(await postToken(tenancy, userForm(tenancy)), 'refresh_token');
  const second = text(await postToken(tenancy, refreshForm(first)), 'refresh_token');
  assert.notEqual(first, second);
  tenancy.clock.advance(4 * MINUTE);
  assert.equal((await postToken(tenancy, refreshForm(first))).status, 200, 'another process with the same token cache');
  tenancy.clock.advance(90 * DAY - HOUR);
  const third = text(await postToken(tenancy, refreshForm(second)), 'refresh_token');
  tenancy.clock.advance(90 * DAY);
  assert.deepEqual(members(await postToken(tenancy, refreshForm(third))).error_codes, [700082]);
});

test('a refresh token that is played again later ends all that came from its sign-in, and no other sign-in', async (t) => {
  const tenancy = await openTenancy(t);
  const first = text(await postToken(tenancy, userForm(tenancy)), 'refresh_token');
  const elsewhere = text(await postToken(tenancy, userForm(tenancy)), 'refresh_token');
  const second = text(await postToken(tenancy, refreshForm(first)), 'refresh_token');
  const third = text(await postToken(tenancy, refreshForm(second)), 'refresh_token');
  tenancy.clock.advance(6 * MINUTE);
  for (const replayed of [first, third, second]) {
    assert.deepEqual(members(await postToken(tenancy, refreshForm(replayed))).error_codes, [700082]);
  }
  assert.equal((await postToken(tenancy, refreshForm(elsewhere))).status, 200);
});

test('when sessions are ended, no refresh token and no sign-in that was under way survives', async (t) => {
  const tenancy = await openTenancy(t);
  const { objectId } = tenancy.tenant.user;
  const token = text(await postToken(tenancy, userForm(tenancy)), 'refresh_token');
  const { write } = tenancy.parts;
  let ended = false;
  const interrupted: typeof write = async (job) => {
    if (!ended) await write((writer) => endSessions(writer, tenancy.clock, objectId));
    ended = true;
    return write(job);
  };
  const room = identityRoom({ ...tenancy.parts, write: interrupted });
  const late = await postToken({ ...tenancy, room }, userForm(tenancy));
  assert.deepEqual(members(await postToken(tenancy, refreshForm(token))).error_codes, [700082]);
  assert.deepEqual(members(await postToken(tenancy, refreshForm(text(late, 'refresh_token')))).error_codes, [700082]);
  assert.equal((await tenancy.verify(text(late, 'access_token'), 'management')).valid, false);
  assert.equal((await postToken(tenancy, userForm(tenancy))).status, 200);
});

test('a disabled user gets no token, with the right password or with a refresh token', async (t) => {
  const tenancy = await openTenancy(t);
  const first = text(await postToken(tenancy, userForm(tenancy)), 'refresh_token');
  await setEnabled(tenancy, tenancy.tenant.user.objectId, 0);
  assert.deepEqual(members(await postToken(tenancy, userForm(tenancy))).error_codes, [50057]);
  assert.deepEqual(members(await postToken(tenancy, refreshForm(first))).error_codes, [50057]);
  assert.deepEqual(members(await postToken(tenancy, { ...userForm(tenancy), password: 'no' })).error_codes, [50126]);
});

test('an expired secret is called expired only to who knows it', async (t) => {
  const tenancy = await openTenancy(t);
  const verifier = await hashSecret('short-lived');
  const clientId = 'c0ffee00-0000-4000-8000-000000000001';
  await tenancy.parts.write(async (writer) => {
    const id = await createServicePrincipal(writer, tenancy.clock, { displayName: 'robot', clientId });
    await addSecret(writer, tenancy.clock, id, 'secret', verifier, tenancy.clock.now() + HOUR);
  });
  const form = { ...applicationForm(tenancy), client_id: clientId, client_secret: 'short-lived' };
  assert.equal((await postToken(tenancy, form)).status, 200);
  tenancy.clock.advance(HOUR);
  assert.deepEqual(members(await postToken(tenancy, form)).error_codes, [7000222]);
  assert.deepEqual(members(await postToken(tenancy, { ...form, client_secret: 'no' })).error_codes, [7000215]);
});

test('guessing is stopped after ten wrong secrets, also when they come at once, and goes on a minute later', async (t) => {
  const tenancy = await openTenancy(t);
  const wrong = { ...applicationForm(tenancy), client_secret: 'no' };
  const answers = await Promise.all(Array.from({ length: 14 }, () => postToken(tenancy, wrong)));
  assert.equal(answers.filter((answer) => answer.status === 401).length, 10);
  assert.equal(answers.filter((answer) => answer.status === 429).length, 4);
  const right = await postToken(tenancy, applicationForm(tenancy));
  assert.deepEqual([right.status, members(right).error_codes], [429, [50053]]);
  assert.match(right.headers['retry-after'] ?? '', /^\d+$/);
  assert.equal((await postToken(tenancy, applicationForm(tenancy), undefined, '192.0.2.9')).status, 200, 'elsewhere it goes on');
  tenancy.clock.advance(61_000);
  assert.equal((await postToken(tenancy, applicationForm(tenancy))).status, 200);
});

test('many right sign-ins at once all succeed', async (t) => {
  const tenancy = await openTenancy(t);
  const answers = await Promise.all(Array.from({ length: 24 }, () => postToken(tenancy, applicationForm(tenancy))));
  assert.ok(answers.every(({ status }) => status === 200));
});

test('a service principal signs in with its certificate', async (t) => {
  const tenancy = await openTenancy(t);
  const robot = await robotWithCertificate(tenancy);
  const headers = [
    { x5t: thumbprint(robot.certificate) },
    { 'x5t#S256': thumbprint256(robot.certificate) },
    { x5t: `${thumbprint(robot.certificate)}=` },
  ];
  for (const header of headers) {
    const answer = await postToken(tenancy, await assertionForm(tenancy, robot, { header }));
    assert.equal(answer.status, 200);
    assert.equal(claimsOf(text(answer, 'access_token')).appidacr, '2');
  }
  const byAdfs = await assertionForm(tenancy, robot, { audience: 'https://localhost:8443/adfs/oauth2/token' });
  assert.equal((await postToken(tenancy, byAdfs, '/adfs/oauth2/token')).status, 200);
});

test('a tenant behind the ADFS authority, where Terraform puts it, is the tenant', async (t) => {
  const tenancy = await openTenancy(t);
  const path = `/adfs/${tenancy.tenant.tenantId}/oauth2/v2.0/token`;
  assert.equal((await postToken(tenancy, applicationForm(tenancy), path)).status, 200);
  const byCertificate = await assertionForm(tenancy, await robotWithCertificate(tenancy), { audience: `https://localhost:8443${path}` });
  assert.equal((await postToken(tenancy, byCertificate, path)).status, 200);
  const elsewhere = await postToken(tenancy, applicationForm(tenancy), '/adfs/22222222-2222-4222-8222-222222222222/oauth2/v2.0/token');
  assert.deepEqual([elsewhere.status, members(elsewhere).error_codes], [400, [90002]]);
});

test('an assertion for another audience, of another key, expired, unsigned or under a foreign name is refused', async (t) => {
  const tenancy = await openTenancy(t);
  const robot = await robotWithCertificate(tenancy);
  const stranger = rsaPair(2048).privateKey;
  const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{}').toString('base64url')}.`;
  const right = await assertionForm(tenancy, robot);
  const wrong = [
    await assertionForm(tenancy, robot, { audience: 'https://login.microsoftonline.com/common/oauth2/v2.0/token' }),
    await assertionForm(tenancy, { ...robot, privateKey: stranger }),
    await assertionForm(tenancy, robot, { expires: -HOUR }),
    await assertionForm(tenancy, robot, { expires: 30 * DAY }),
    await assertionForm(tenancy, robot, { header: { x5t: 'AAAA' } }),
    await assertionForm(tenancy, robot, { header: {} }),
    await assertionForm(tenancy, robot, { issuer: tenancy.tenant.servicePrincipal.clientId }),
    { ...right, client_assertion: none },
    { ...right, client_id: tenancy.tenant.servicePrincipal.clientId },
  ];
  for (const [i, form] of wrong.entries()) {
    const answer = await postToken(tenancy, form, undefined, `10.0.1.${i}`);
    // The last three are under the name of an issuer that nobody here trusts.
    assert.deepEqual([answer.status, members(answer).error_codes], [401, [i < 6 ? 700027 : 70021]], `number ${i}`);
  }
});

test('secrets are stored as scrypt hashes and refresh tokens as digests', async (t) => {
  const tenancy = await openTenancy(t, undefined, 'real');
  const refresh = text(await postToken(tenancy, userForm(tenancy)), 'refresh_token');
  const { read } = tenancy.parts;
  const credentials = await read.selectFrom('credentials').selectAll().execute();
  for (const { verifier } of credentials) assert.match(verifier, /^\$scrypt\$ln=15,r=8,p=1\$[\w-]{22}\$[\w-]{43}$/);
  const grants = await read.selectFrom('grants').selectAll().execute();
  assert.deepEqual(
    grants.map(({ id }) => id),
    [createHash('sha256').update(refresh).digest('base64url')],
  );
  const everything = JSON.stringify([credentials, grants, await read.selectFrom('meta').selectAll().execute()]);
  for (const secret of [refresh, tenancy.tenant.user.password, tenancy.tenant.servicePrincipal.clientSecret]) {
    assert.ok(!everything.includes(secret));
  }
});

function refreshForm(token: string, client = AZURE_CLI, scope = 'https://localhost:8443//.default offline_access'): Record<string, string> {
  return { grant_type: 'refresh_token', client_id: client, refresh_token: token, scope };
}

async function setEnabled(tenancy: Tenancy, id: string, enabled: number): Promise<void> {
  await tenancy.parts.write(async (writer) => {
    await writer.updateTable('principals').set({ enabled }).where('id', '=', id).execute();
    writer.touch(`principal:${id}`);
  });
}

interface Robot {
  readonly clientId: string;
  readonly privateKey: KeyObject;
  readonly certificate: X509Certificate;
}

async function robotWithCertificate(tenancy: Tenancy): Promise<Robot> {
  const { publicKey, privateKey } = rsaPair(2048);
  const certificate = selfSigned(publicKey, privateKey, 'robot', tenancy.clock.now() - HOUR, 30);
  const clientId = 'c0ffee00-0000-4000-8000-000000000002';
  await tenancy.parts.write(async (writer) => {
    const id = await createServicePrincipal(writer, tenancy.clock, { displayName: 'robot', clientId });
    await addCertificate(writer, tenancy.clock, id, certificate.toString());
  });
  return { clientId, privateKey, certificate };
}

interface Assertion {
  readonly header?: Record<string, string>;
  readonly audience?: string;
  readonly expires?: number;
  readonly issuer?: string;
}

async function assertionForm(tenancy: Tenancy, robot: Robot, options: Assertion = {}): Promise<Record<string, string>> {
  const { header = { x5t: thumbprint(robot.certificate) }, expires = HOUR, issuer = robot.clientId } = options;
  const audience = options.audience ?? `${tenancy.origin}/${tenancy.tenant.tenantId}/oauth2/v2.0/token`;
  const now = Math.floor(tenancy.clock.now() / 1000);
  const assertion = await new SignJWT({ jti: 'x' })
    .setProtectedHeader({ alg: 'RS256', typ: 'JWT', ...header })
    .setIssuer(issuer)
    .setSubject(robot.clientId)
    .setAudience(audience)
    .setNotBefore(now - 600)
    .setExpirationTime(now + expires / 1000)
    .sign(robot.privateKey);
  const { client_secret: _, ...form } = applicationForm(tenancy);
  const type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
  return { ...form, client_id: robot.clientId, client_assertion_type: type, client_assertion: assertion };
}

test('a user has five hundred refresh tokens at most: the oldest make room', async (t) => {
  const tenancy = await openTenancy(t);
  const { objectId } = tenancy.tenant.user;
  const first = text(await postToken(tenancy, userForm(tenancy)), 'refresh_token');
  const common = { kind: 'refresh', client_id: AZURE_CLI, principal_id: objectId, state: 'approved', data_json: '{}' } as const;
  const life = { session: 0, family: null, redeemed_at: null, expires_at: tenancy.clock.now() + DAY };
  await tenancy.parts.write(async (writer) => {
    for (let i = 0; i < 500; i++) {
      const row = { ...common, ...life, id: `row ${i}`, created_at: tenancy.clock.now() + i };
      await writer.insertInto('grants').values(row).execute();
    }
  });
  tenancy.clock.advance(MINUTE);
  const last = text(await postToken(tenancy, userForm(tenancy)), 'refresh_token');
  const { count } = await tenancy.parts.read
    .selectFrom('grants')
    .select((select) => select.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  assert.equal(count, 500);
  assert.deepEqual(members(await postToken(tenancy, refreshForm(first))).error_codes, [700082]);
  assert.equal((await postToken(tenancy, refreshForm(last))).status, 200);
});
