// Which bearer tokens open a door and which do not. Each refusal is a mistake that some service has shipped.

import assert from 'node:assert/strict';
import { createHmac, type KeyObject, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import { currentSigningKey, rollSigningKey } from '../../../src/identity/signing-keys.ts';
import { sweepIdentity } from '../../../src/identity/sweep.ts';
import { tokenVerifier } from '../../../src/identity/verify-token.ts';
import { rsaPair } from '../../rsa-pairs.ts';
import { applicationForm, ask, claimsOf, members, openTenancy, postToken, type Tenancy, text, userForm } from './tenancy.ts';

const HSM = 'https://managedhsm.localhost:8443';
const HOUR = 3_600_000;

test('the audience may have a slash at the end, and may not be another service', async (t) => {
  const tenancy = await openTenancy(t);
  for (const aud of [HSM, `${HSM}/`]) assert.ok((await tenancy.verify(await forged(tenancy, { aud }), 'hsm')).valid, aud);
  for (const aud of [
    'https://managedhsm.localhost',
    `${HSM}//`,
    `${HSM}.evil.example`,
    'https://localhost:8443',
    'https://vault.azure.net',
    '',
  ]) {
    assert.equal(await refusal(tenancy, await forged(tenancy, { aud })), 'The token was issued for another audience.', aud);
  }
  assert.equal(await refusal(tenancy, await forged(tenancy, { aud: [HSM] })), 'The token lacks a claim that this service needs.');
});

test("management and Graph take tokens for our own names and for the public cloud's, not for each other's", async (t) => {
  const tenancy = await openTenancy(t);
  for (const aud of ['https://localhost:8443', 'https://localhost:8443/', 'https://127.0.0.1:8443/', 'https://management.localhost:8443']) {
    const token = await forged(tenancy, { aud });
    for (const audience of ['management', 'graph'] as const) assert.ok((await tenancy.verify(token, audience)).valid, aud);
  }
  const arm = await forged(tenancy, { aud: 'https://management.azure.com/' });
  const graph = await forged(tenancy, { aud: 'https://graph.microsoft.com' });
  assert.deepEqual([(await tenancy.verify(arm, 'management')).valid, (await tenancy.verify(arm, 'graph')).valid], [true, false]);
  assert.deepEqual([(await tenancy.verify(graph, 'management')).valid, (await tenancy.verify(graph, 'graph')).valid], [false, true]);
});

test('v2 and ADFS issuers of ours are accepted, all others refused', async (t) => {
  const tenancy = await openTenancy(t);
  const { tenantId } = tenancy.tenant;
  const ours = [`https://localhost:8443/${tenantId}/`, `https://localhost:8443/${tenantId}/v2.0`, 'https://localhost:8443/adfs'];
  for (const iss of ours) assert.ok((await tenancy.verify(await forged(tenancy, { iss }), 'hsm')).valid, iss);
  const foreign = [
    `https://sts.windows.net/${tenantId}/`,
    'https://localhost:8443/other/',
    `https://localhost:8443/${tenantId}`,
    'https://localhost:8443/adfs/',
  ];
  for (const iss of foreign)
    assert.equal(await refusal(tenancy, await forged(tenancy, { iss })), 'The token was issued by another issuer.');
});

test('a token with v2 claims (azp) is understood', async (t) => {
  const tenancy = await openTenancy(t);
  const token = await forged(tenancy, { appid: undefined, azp: tenancy.tenant.servicePrincipal.clientId, ver: '2.0' });
  assert.ok((await tenancy.verify(token, 'hsm')).valid);
});

test('a token of another tenant is refused, though our key signed it', async (t) => {
  const tenancy = await openTenancy(t);
  const token = await forged(tenancy, { tid: '11111111-2222-4333-8444-555555555555' });
  assert.equal(await refusal(tenancy, token), 'The token was issued for another tenant.');
});

test('a token is good from its first second to its last, whether it is remembered or not', async (t) => {
  const tenancy = await openTenancy(t);
  const token = text(await postToken(tenancy, applicationForm(tenancy)), 'access_token');
  assert.ok((await tenancy.verify(token, 'hsm')).valid);
  tenancy.clock.advance(HOUR - 10_000);
  assert.ok((await tenancy.verify(token, 'hsm')).valid);
  tenancy.clock.advance(60_000);
  assert.equal(await refusal(tenancy, token), 'The token has expired.');
  assert.equal(await refusal({ ...tenancy, verify: tokenVerifier(tenancy.parts) }, token), 'The token has expired.');
});

test('a token from the future, without an end or without a beginning is refused', async (t) => {
  const tenancy = await openTenancy(t);
  const now = Math.floor(tenancy.clock.now() / 1000);
  assert.equal(await refusal(tenancy, await forged(tenancy, { nbf: now + 120 })), 'The token is not valid yet.');
  for (const lacking of ['exp', 'nbf', 'iss', 'aud', 'tid', 'oid', 'idtyp', 'appid', 'session']) {
    assert.equal(
      await refusal(tenancy, await forged(tenancy, { [lacking]: undefined })),
      'The token lacks a claim that this service needs.',
      lacking,
    );
  }
});

test('an unsigned token, one with its signature cut off and one that was changed are refused', async (t) => {
  const tenancy = await openTenancy(t);
  const [header = '', payload = '', signature = ''] = (await forged(tenancy)).split('.');
  const none = encoded({ alg: 'none', typ: 'JWT', kid: JSON.parse(Buffer.from(header, 'base64url').toString()).kid });
  const changed = encoded({ ...claimsOf(`${header}.${payload}.`), oid: tenancy.tenant.user.objectId });
  const wrong = [
    `${none}.${payload}.`,
    `${none}.${payload}.${signature}`,
    `${header}.${payload}.`,
    `${header}.${payload}`,
    `${header}.${changed}.${signature}`,
  ];
  for (const token of [...wrong, '', 'x', '..', 'a.b.c', `${header}.${payload}.${signature}.x`]) {
    assert.equal(await refusal(tenancy, token), 'The token is malformed or its signature is not valid.', token.slice(0, 20));
  }
  assert.equal(await refusal(tenancy, 'x'.repeat(20_000)), 'The token is too long.');
});

test('our public key does not pass for a shared secret', async (t) => {
  const tenancy = await openTenancy(t);
  const { certificate, kid } = await keyRow(tenancy);
  const jwks = members(await ask(tenancy.room, 'GET', '/common/discovery/v2.0/keys'));
  const { publicKey } = new X509Certificate(certificate);
  const spki = publicKey.export({ type: 'spki', format: 'pem' });
  const payload = (await forged(tenancy)).split('.')[1];
  for (const secret of [certificate, JSON.stringify(jwks), spki]) {
    const signed = `${encoded({ alg: 'HS256', typ: 'JWT', kid })}.${payload}`;
    const token = `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
    assert.equal(await refusal(tenancy, token), 'The token is malformed or its signature is not valid.');
  }
});

test('only RS256 is believed, although the key could do more', async (t) => {
  const tenancy = await openTenancy(t);
  for (const alg of ['PS256', 'RS384', 'RS512']) {
    assert.equal(await refusal(tenancy, await forged(tenancy, {}, { alg })), 'The token is malformed or its signature is not valid.', alg);
  }
});

test('a key that the token brings along, or points to, is not looked at', async (t) => {
  const tenancy = await openTenancy(t);
  const stranger = rsaPair(2048);
  const jwk = stranger.publicKey.export({ format: 'jwk' });
  const { kid } = await keyRow(tenancy);
  const brought = { jwk, jku: 'https://evil.example/keys', x5u: 'https://evil.example/cert' };
  const withOurKid = await forged(tenancy, {}, { ...brought, kid }, stranger.privateKey);
  assert.equal(await refusal(tenancy, withOurKid), 'The token is malformed or its signature is not valid.');
  for (const other of ['stranger', '', '../../dev/null', "' or 1=1", '__proto__', undefined]) {
    const token = await forged(tenancy, {}, { ...brought, kid: other }, stranger.privateKey);
    assert.equal(await refusal(tenancy, token), 'The token was not signed with a key of this service.', String(other));
  }
  assert.ok((await tenancy.verify(await forged(tenancy, {}, brought), 'hsm')).valid, 'our own signature counts, whatever stands beside it');
});

test('an unknown critical header is refused', async (t) => {
  const tenancy = await openTenancy(t);
  const [header = '', payload = ''] = (await forged(tenancy)).split('.');
  const critical = encoded({ ...JSON.parse(Buffer.from(header, 'base64url').toString()), crit: ['b64'], b64: false });
  assert.equal(await refusal(tenancy, `${critical}.${payload}.AAAA`), 'The token is malformed or its signature is not valid.');
});

test('an id token and a refresh token are no access tokens', async (t) => {
  const tenancy = await openTenancy(t);
  const answer = await postToken(tenancy, userForm(tenancy));
  for (const name of ['id_token', 'refresh_token']) {
    for (const audience of ['hsm', 'management', 'graph'] as const) {
      assert.equal((await tenancy.verify(text(answer, name), audience)).valid, false, name);
    }
  }
});

test('disabling or deleting a principal ends its tokens at once', async (t) => {
  const tenancy = await openTenancy(t);
  const { objectId } = tenancy.tenant.servicePrincipal;
  const token = text(await postToken(tenancy, applicationForm(tenancy)), 'access_token');
  assert.ok((await tenancy.verify(token, 'hsm')).valid);
  await change(tenancy, objectId, 0);
  assert.equal(await refusal(tenancy, token), 'The token was issued to a principal that is disabled.');
  await change(tenancy, objectId, 1);
  assert.ok((await tenancy.verify(token, 'hsm')).valid);
  await tenancy.parts.write(async (writer) => {
    await writer.deleteFrom('principals').where('id', '=', objectId).execute();
    writer.touch(`principal:${objectId}`);
  });
  assert.equal(await refusal(tenancy, token), 'The token was issued to a principal that no longer exists.');
});

test("a token that says it is a user's does not pass for an application's, nor for another application's", async (t) => {
  const tenancy = await openTenancy(t);
  for (const claims of [{ idtyp: 'user' }, { appid: '00000000-0000-4000-8000-000000000000' }, { oid: tenancy.tenant.user.objectId }]) {
    assert.equal(await refusal(tenancy, await forged(tenancy, claims)), 'The token does not fit its principal.');
  }
});

test('after a roll new tokens have the new key, and old ones stay good until the old key retires', async (t) => {
  const tenancy = await openTenancy(t);
  const old = text(await postToken(tenancy, applicationForm(tenancy)), 'access_token');
  assert.ok((await tenancy.verify(old, 'hsm')).valid);
  await rollSigningKey(tenancy.parts);
  const young = text(await postToken(tenancy, applicationForm(tenancy)), 'access_token');
  assert.notEqual(kidOf(old), kidOf(young));
  for (const token of [old, young]) assert.ok((await tenancy.verify(token, 'hsm')).valid);
  assert.deepEqual(await publishedKids(tenancy), [kidOf(young), kidOf(old)]);

  await rollSigningKey(tenancy.parts, 0);
  assert.equal(await refusal(tenancy, young), 'The token was not signed with a key of this service.');
  assert.ok((await tenancy.verify(old, 'hsm')).valid, 'the first key still has its time');
  await sweepIdentity(tenancy.parts);
  assert.equal((await tenancy.parts.read.selectFrom('signing_keys').select('kid').execute()).length, 2);
});

test('a remembered token does not outlive its signing key', async (t) => {
  const tenancy = await openTenancy(t);
  const token = text(await postToken(tenancy, applicationForm(tenancy)), 'access_token');
  await rollSigningKey(tenancy.parts, 60_000);
  assert.ok((await tenancy.verify(token, 'hsm')).valid);
  tenancy.clock.advance(60_000);
  assert.equal(await refusal(tenancy, token), 'The token was not signed with a key of this service.');
  assert.equal((await publishedKids(tenancy)).length, 1);
});

test('many checks at once of right and wrong tokens never mix up who is who', async (t) => {
  const tenancy = await openTenancy(t);
  const application = await forged(tenancy);
  const user = text(await postToken(tenancy, userForm(tenancy, HSM)), 'access_token');
  const wrong = `${application.slice(0, -8)}AAAAAAAA`;
  const rounds = await Promise.all(Array.from({ length: 60 }, (_, i) => tenancy.verify([application, user, wrong][i % 3] ?? '', 'hsm')));
  const kinds = rounds.map((check) => (check.valid ? check.caller.kind : 'refused'));
  assert.deepEqual(
    kinds,
    Array.from({ length: 60 }, (_, i) => ['application', 'user', 'refused'][i % 3]),
  );
});

/** A token that our own key signs over claims of our choice: what checks other than the signature have to stop. */
async function forged(
  tenancy: Tenancy,
  claims: Record<string, unknown> = {},
  header: Record<string, unknown> = {},
  key?: KeyObject,
): Promise<string> {
  const { tenantId, servicePrincipal } = tenancy.tenant;
  const { kid, privateKey } = await currentSigningKey(tenancy.parts)();
  const now = Math.floor(tenancy.clock.now() / 1000);
  const usual = {
    aud: HSM,
    iss: `https://localhost:8443/${tenantId}/`,
    tid: tenantId,
    oid: servicePrincipal.objectId,
    appid: servicePrincipal.clientId,
    idtyp: 'app',
    session: 0,
    nbf: now,
    exp: now + 3600,
  };
  return new SignJWT({ ...usual, ...claims }).setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid, ...header }).sign(key ?? privateKey);
}

function keyRow({ parts }: Tenancy) {
  return parts.read.selectFrom('signing_keys').selectAll().executeTakeFirstOrThrow();
}

async function refusal(tenancy: Pick<Tenancy, 'verify'>, token: string): Promise<string> {
  const check = await tenancy.verify(token, 'hsm');
  return check.valid ? 'accepted' : check.description;
}

async function change(tenancy: Tenancy, id: string, enabled: number): Promise<void> {
  await tenancy.parts.write(async (writer) => {
    await writer.updateTable('principals').set({ enabled }).where('id', '=', id).execute();
    writer.touch(`principal:${id}`);
  });
}

async function publishedKids(tenancy: Tenancy): Promise<unknown[]> {
  const { keys } = members(await ask(tenancy.room, 'GET', '/common/discovery/keys'));
  assert.ok(Array.isArray(keys));
  return keys.map((key) => key.kid);
}

function kidOf(token: string): unknown {
  return JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid;
}

function encoded(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
