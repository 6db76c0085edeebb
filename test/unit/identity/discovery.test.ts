// How clients find their way to us, and what the first start makes.

import assert from 'node:assert/strict';
import { randomBytes, X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import * as v from 'valibot';
import { systemClock } from '../../../src/core/clock.ts';
import { Versions } from '../../../src/core/coherence.ts';
import { selfSigned } from '../../../src/core/self-signed.ts';
import { urlsFor } from '../../../src/core/urls.ts';
import { openCryptoModule } from '../../../src/crypto/openssl-module.ts';
import { openOutsideIssuers } from '../../../src/identity/issuers/outside-token.ts';
import { openTenant } from '../../../src/identity/open-tenant.ts';
import { identityRoom } from '../../../src/identity/room.ts';
import { openEmbeddedReader, openEmbeddedStore } from '../../../src/store/embedded.ts';
import { rsaPair } from '../../rsa-pairs.ts';
import { applicationForm, ask, members, openTenancy, postToken, text } from './tenancy.ts';

test('the Entra-shaped documents name their own version and the origin that was asked', async (t) => {
  const { room, tenant } = await openTenancy(t);
  const id = tenant.tenantId;
  const origin = 'https://127.0.0.1:8443';
  const v2 = members(await ask(room, 'GET', `/${id}/v2.0/.well-known/openid-configuration`, { origin }));
  assert.equal(v2.issuer, `${origin}/${id}/v2.0`);
  assert.equal(v2.token_endpoint, `${origin}/${id}/oauth2/v2.0/token`);
  assert.equal(v2.authorization_endpoint, `${origin}/${id}/oauth2/v2.0/authorize`);
  assert.equal(v2.device_authorization_endpoint, `${origin}/${id}/oauth2/v2.0/devicecode`);
  assert.equal(v2.jwks_uri, `${origin}/${id}/discovery/v2.0/keys`);
  const v1 = members(await ask(room, 'GET', '/strongroom.localhost/.well-known/openid-configuration'));
  assert.deepEqual([v1.issuer, v1.token_endpoint], [`https://localhost:8443/${id}/`, `https://localhost:8443/${id}/oauth2/token`]);
  const common = members(await ask(room, 'GET', '/common/v2.0/.well-known/openid-configuration'));
  assert.deepEqual(
    [common.issuer, common.token_endpoint],
    ['https://localhost:8443/{tenantid}/v2.0', 'https://localhost:8443/common/oauth2/v2.0/token'],
  );
});

test('every address in every document is one that the room answers', async (t) => {
  const { room } = await openTenancy(t);
  for (const path of ['/common/v2.0/', '/common/', '/adfs/']) {
    const document = members(await ask(room, 'GET', `${path}.well-known/openid-configuration`));
    for (const name of ['jwks_uri', 'authorization_endpoint', 'token_endpoint', 'end_session_endpoint'])
      assert.ok((await ask(room, 'GET', String(document[name]))).status < 500, name);
    for (const name of ['token_endpoint', 'device_authorization_endpoint'])
      assert.equal(members(await ask(room, 'POST', String(document[name]))).error, 'invalid_request', name);
  }
});

test('the ADFS-shaped document has no tenant and no version', async (t) => {
  const { room } = await openTenancy(t);
  const document = members(await ask(room, 'GET', '/adfs/.well-known/openid-configuration'));
  assert.equal(document.issuer, 'https://localhost:8443/adfs');
  assert.equal(document.token_endpoint, 'https://localhost:8443/adfs/oauth2/token');
});

test('anybody can verify our tokens with the published keys', async (t) => {
  const tenancy = await openTenancy(t);
  const token = text(await postToken(tenancy, applicationForm(tenancy)), 'access_token');
  const set = v.parse(
    v.custom<JSONWebKeySet>((value) => v.is(v.object({ keys: v.array(v.looseObject({ kid: v.string() })) }), value)),
    members(await ask(tenancy.room, 'GET', '/common/discovery/v2.0/keys')),
  );
  const { protectedHeader } = await jwtVerify(token, createLocalJWKSet(set), { algorithms: ['RS256'] });
  const [key] = set.keys;
  assert.deepEqual([protectedHeader.kid, protectedHeader.x5t, key?.use], [key?.kid, key?.x5t, 'sig']);
  const certificate = new X509Certificate(Buffer.from(key?.x5c?.[0] ?? '', 'base64'));
  assert.ok(certificate.verify(certificate.publicKey));
  assert.deepEqual(certificate.publicKey.export({ format: 'jwk' }).n, key?.n);
  assert.equal(JSON.stringify(set).includes('"d"'), false);
});

test('instance discovery knows our names, with and without port, and no others', async (t) => {
  const { room } = await openTenancy(t);
  for (const place of [
    'https://localhost:8443/common/oauth2/v2.0/authorize',
    'https://localhost/organizations',
    'https://login.localhost:8443/x/y',
  ]) {
    const answer = await ask(room, 'GET', `/common/discovery/instance?api-version=1.1&authorization_endpoint=${encodeURIComponent(place)}`);
    assert.equal(answer.status, 200, place);
    assert.deepEqual(members(answer).metadata, [
      { preferred_network: 'localhost:8443', preferred_cache: 'localhost:8443', aliases: ['localhost:8443'] },
    ]);
  }
  for (const place of ['https://login.evil.example/common', 'nonsense', 'https://localhost.evil.example/']) {
    const answer = await ask(room, 'GET', `/common/discovery/instance?authorization_endpoint=${encodeURIComponent(place)}`);
    assert.deepEqual([answer.status, members(answer).error, members(answer).error_codes], [400, 'invalid_instance', [50049]], place);
  }
});

test('the realm of every user name is ours, whether the user exists or not', async (t) => {
  const { room } = await openTenancy(t);
  const answers = [];
  for (const name of ['owner', 'nobody'])
    answers.push(members(await ask(room, 'GET', `/common/userrealm/${name}@strongroom.localhost?api-version=1.0`)));
  assert.deepEqual(answers[0], answers[1]);
  assert.equal(answers[0]?.account_type, 'Managed');
});

test('the first start makes a tenant, and every later start finds the same one', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-tenant-'));
  const versions = new Versions(Versions.allocate());
  const store = await openEmbeddedStore(folder, { versions, committed: () => undefined });
  const crypto = openCryptoModule({ rootKey: randomBytes(32) });
  const reader = openEmbeddedReader(folder);
  t.after(async () => {
    crypto.close();
    reader.close();
    await store.close();
    await rm(folder, { recursive: true });
  });
  const parts = { read: store.read, write: store.write, crypto, clock: systemClock, urls: urlsFor('localhost', 8443), versions };
  const outside = openOutsideIssuers({ issuers: [], keySetOf: async () => undefined, clock: systemClock, versions });
  const first = await openTenant(parts);
  assert.deepEqual(await openTenant(parts), first);
  assert.deepEqual(await openTenant({ ...parts, urls: urlsFor('localhost', 9443) }), first, 'another port does not make another tenant');
  assert.equal(first.user.userPrincipalName, 'owner@strongroom.localhost');
  for (const secret of [first.user.password, first.servicePrincipal.clientSecret]) assert.match(secret, /^[A-Za-z2-9]{33}$/);
  const owners = await store.read.selectFrom('arm_role_assignments').selectAll().execute();
  assert.deepEqual(
    owners.map(({ scope, role, principal_id: id }) => ({ scope, role, id })).sort((a, b) => a.id.localeCompare(b.id)),
    [first.user.objectId, first.servicePrincipal.objectId]
      .sort()
      .map((id) => ({ scope: `/subscriptions/${first.subscriptionId}`, role: 'Owner', id })),
  );
  const subscription = await store.read.selectFrom('subscriptions').selectAll().executeTakeFirstOrThrow();
  assert.deepEqual(
    [subscription.id, subscription.tenant_id, subscription.display_name],
    [first.subscriptionId, first.tenantId, 'Strongroom'],
  );

  const worker = identityRoom({ ...parts, read: reader.read, write: undefined, tenantId: first.tenantId, outside });
  assert.equal((await ask(worker, 'GET', '/common/discovery/keys')).status, 200);
  const row = worker.rows.find(({ mode }) => mode === 'write');
  assert.ok(row, 'a worker has the writing rows too, for their admission');
});

test('a secret that was sealed by another root key stops the start, and says nothing of it', async (t) => {
  const { parts } = await openTenancy(t);
  const crypto = openCryptoModule({ rootKey: randomBytes(32) });
  t.after(() => crypto.close());
  await assert.rejects(openTenant({ ...parts, crypto }), (error: Error) => !/owner@|[A-Za-z2-9]{33}/.test(error.message));
});

test('a certificate of ours is valid DER on both sides of the year 2050', () => {
  const { publicKey, privateKey } = rsaPair(2048);
  const start = Date.UTC(2049, 11, 1);
  const certificate = selfSigned(publicKey, privateKey, 'Strongroom token signing', start, 400);
  assert.deepEqual([certificate.validFromDate.getTime(), certificate.validToDate.getTime()], [start, start + 400 * 86_400_000]);
  assert.equal(certificate.subject, 'CN=Strongroom token signing');
  assert.ok(certificate.verify(publicKey));
});
