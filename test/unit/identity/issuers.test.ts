// Tokens of outside issuers: whose are believed, for what, as whom, and which are refused. Each refusal is a mistake that some service has shipped.

import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { OUTSIDE_TAG } from '../../../src/core/directory.ts';
import type { TrustedIssuer } from '../../../src/identity/issuers/settings.ts';
import { endSessions } from '../../../src/identity/sessions.ts';
import { issuerNamed, type SigningPair, signed, signingPair } from './outside.ts';
import { applicationForm, members, openTenancy, postToken, type Tenancy, text } from './tenancy.ts';

const FIRST = 'https://login.first.example/realm';
const SECOND = 'https://login.second.example';
const MINUTE = 60_000;

/** Shared: making keys is slow, and no test changes them. */
const keys = { first: signingPair('first-key'), second: signingPair('second-key') };

/** Two issuers with a key each. The user is `alice` at the first, the service principal `deployer` at the second. */
async function openBoth(t: TestContext, settings: Partial<TrustedIssuer> = {}): Promise<Tenancy> {
  const sets: Readonly<Record<string, SigningPair>> = { [FIRST]: keys.first, [SECOND]: keys.second };
  const tenancy = await openTenancy(t, {
    issuers: [issuerNamed(FIRST, settings), issuerNamed(SECOND)],
    keySetOf: async (issuer) => {
      const pair = sets[issuer];
      return pair === undefined ? undefined : { keys: [pair.published], goodUntil: Number.POSITIVE_INFINITY };
    },
  });
  const { user, servicePrincipal } = tenancy.tenant;
  await tenancy.parts.write(async (writer) => {
    await writer.insertInto('outside_identities').values({ issuer: FIRST, subject: 'alice', principal_id: user.objectId }).execute();
    await writer
      .insertInto('federated_credentials')
      .values({ ...credential(servicePrincipal.objectId), issuer: SECOND, subject: 'deployer' })
      .execute();
  });
  return tenancy;
}

function credential(objectId: string, audience = 'api://AzureADTokenExchange') {
  const row = { id: randomUUID(), object_id: objectId, name: randomUUID(), description: null, created_at: 0 };
  return { ...row, audiences_json: JSON.stringify([audience]) };
}

function fromFirst(
  claims: Readonly<Record<string, unknown>> = {},
  header: Readonly<Record<string, unknown>> = {},
  now?: number,
): Promise<string> {
  return signed(keys.first, { iss: FIRST, ...claims }, header, now);
}

function fromSecond(claims: Readonly<Record<string, unknown>> = {}): Promise<string> {
  return signed(keys.second, { iss: SECOND, sub: 'deployer', ...claims });
}

async function refusal({ verify }: Tenancy, token: string): Promise<string> {
  const check = await verify(token, 'hsm');
  return check.valid ? `accepted as ${check.caller.objectId}` : check.description;
}

test('a token of each trusted issuer stands for the principal whom the directory names for it, and for nobody else', async (t) => {
  const tenancy = await openBoth(t);
  const { user, servicePrincipal, tenantId } = tenancy.tenant;
  const alice = await tenancy.verify(await fromFirst(), 'hsm');
  assert.ok(alice.valid && alice.caller.kind === 'user');
  assert.deepEqual([alice.caller.objectId, alice.caller.userPrincipalName], [user.objectId, user.userPrincipalName]);
  const { objectId, clientId } = servicePrincipal;
  const caller = { kind: 'application', tenantId, objectId, groups: [], clientId };
  assert.deepEqual(await tenancy.verify(await fromSecond(), 'hsm'), { valid: true, caller });
  const unknown = 'The directory of this service does not know whom the token is about.';
  assert.equal(await refusal(tenancy, await fromFirst({ sub: 'deployer' })), unknown, "the second issuer's subject");
  assert.equal(await refusal(tenancy, await fromSecond({ sub: 'alice' })), unknown, "the first issuer's subject");
  assert.equal(await refusal(tenancy, await fromFirst({ sub: user.objectId })), unknown, 'an object id says nothing');
});

test('no issuer speaks for another: each key counts for its own issuer alone', async (t) => {
  const tenancy = await openBoth(t);
  const crossed = [
    await signed(keys.first, { iss: SECOND, sub: 'deployer' }),
    await signed(keys.second, { iss: FIRST }),
    await signed(keys.first, { iss: SECOND, sub: 'deployer' }, { kid: 'second-key' }),
    await signed(keys.second, { iss: FIRST }, { kid: 'first-key' }),
  ];
  for (const token of crossed) {
    assert.match(
      await refusal(tenancy, token),
      /^The token (was not signed with a key of its issuer|is malformed or its signature is not valid)\.$/,
    );
  }
  const { tenantId } = tenancy.tenant;
  for (const iss of [`https://localhost:8443/${tenantId}/`, `${FIRST}/`, 'https://evil.example', '', undefined]) {
    assert.equal((await tenancy.verify(await fromFirst({ iss }), 'hsm')).valid, false, String(iss));
  }
});

test('an outside token opens the rooms that its audiences are for, and no others', async (t) => {
  const tenancy = await openBoth(t, { audiences: { hsm: ['keys'], management: ['arm', 'both'], graph: ['both'] } });
  const opened = async (aud: unknown) => {
    const token = await fromFirst({ aud });
    const rooms = ['hsm', 'management', 'graph'] as const;
    const checks = await Promise.all(rooms.map(async (room) => ((await tenancy.verify(token, room)).valid ? [room] : [])));
    return checks.flat();
  };
  assert.deepEqual(await opened('keys'), ['hsm']);
  assert.deepEqual(await opened('arm'), ['management']);
  assert.deepEqual(await opened('both'), ['management', 'graph']);
  assert.deepEqual(await opened(['keys', 'elsewhere']), ['hsm']);
  for (const aud of ['strongroom', 'KEYS', '', undefined, []]) assert.deepEqual(await opened(aud), [], String(aud));
});

test('an issuer without audiences is for assertions alone', async (t) => {
  const tenancy = await openBoth(t, { audiences: { hsm: [], management: [], graph: [] } });
  for (const aud of ['strongroom', '', [], undefined, 'api://AzureADTokenExchange']) {
    assert.equal((await tenancy.verify(await fromFirst({ aud }), 'hsm')).valid, false, String(aud));
  }
});

test('lifetimes are looked at each time, also of a token that is known already', async (t) => {
  const tenancy = await openBoth(t);
  const now = Math.floor(tenancy.clock.now() / 1000);
  const token = await fromFirst({ exp: now + 300 });
  assert.ok((await tenancy.verify(token, 'hsm')).valid);
  tenancy.clock.advance(7 * MINUTE);
  assert.equal(await refusal(tenancy, token), 'The token has expired.');
  const later = Math.floor(tenancy.clock.now() / 1000);
  assert.equal(await refusal(tenancy, await fromFirst({ nbf: later + 120, iat: later })), 'The token is not valid yet.');
  assert.equal(await refusal(tenancy, await fromFirst({ iat: later + 120, exp: later + 600 })), 'The token is not valid yet.');
  for (const lacking of ['exp', 'iat']) {
    assert.equal(
      await refusal(tenancy, await fromFirst({ [lacking]: undefined })),
      'The token lacks a claim that this service needs.',
      lacking,
    );
  }
});

test('an unsigned token, a shared secret made of the public key, other algorithms and keys that a token brings along are refused', async (t) => {
  const tenancy = await openBoth(t);
  const [header = '', payload = '', signature = ''] = (await fromFirst()).split('.');
  const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const none = encoded({ alg: 'none', kid: 'first-key' });
  const wrong = [`${none}.${payload}.`, `${none}.${payload}.${signature}`, `${header}.${payload}.`, `${header}.${payload}.AAAA`];
  for (const secret of [keys.first.publicKey.export({ type: 'spki', format: 'pem' }), JSON.stringify(keys.first.published)]) {
    const half = `${encoded({ alg: 'HS256', kid: 'first-key' })}.${payload}`;
    wrong.push(`${half}.${createHmac('sha256', secret).update(half).digest('base64url')}`);
  }
  const critical = encoded({ alg: 'RS256', kid: 'first-key', crit: ['b64'], b64: false });
  wrong.push(await fromFirst({}, { alg: 'PS256' }), `${critical}.${payload}.${signature}`);
  for (const token of wrong)
    assert.equal(await refusal(tenancy, token), 'The token is malformed or its signature is not valid.', token.slice(0, 40));

  const stranger = signingPair('stranger');
  const brought = { jwk: stranger.published, jku: 'https://evil.example/keys', x5u: 'https://evil.example/cert' };
  for (const kid of ['stranger', '__proto__', '../first-key', '', undefined]) {
    assert.equal(
      await refusal(tenancy, await signed(stranger, { iss: FIRST }, { ...brought, kid })),
      'The token was not signed with a key of its issuer.',
      String(kid),
    );
  }
  assert.equal(
    await refusal(tenancy, await signed(stranger, { iss: FIRST }, { ...brought, kid: 'first-key' })),
    'The token is malformed or its signature is not valid.',
  );
});

test('a key that its issuer published and that is none fits no token, and is no fault of the service', async (t) => {
  for (const published of [
    { ...keys.first.published, n: 7 },
    { ...keys.first.published, n: '' },
    { kty: 'EC', kid: keys.first.kid, crv: 'P-256', x: 'AA', y: 'AA' },
  ]) {
    const known = { keys: [published], goodUntil: Number.POSITIVE_INFINITY };
    const tenancy = await openTenancy(t, { issuers: [issuerNamed(FIRST)], keySetOf: async () => known });
    assert.equal(await refusal(tenancy, await fromFirst()), 'The token is malformed or its signature is not valid.');
  }
});

test('a subject claim of choice, and claims that every token must have', async (t) => {
  const tenancy = await openBoth(t, { subjectClaim: 'oid', requiredClaims: { tid: 'acme', verified: true, groups: 'hsm' } });
  const good = { sub: 'pairwise', oid: 'alice', tid: 'acme', verified: true, groups: ['staff', 'hsm'] };
  assert.ok((await tenancy.verify(await fromFirst(good), 'hsm')).valid);
  const refused = async (claims: object): Promise<string> => refusal(tenancy, await fromFirst({ ...good, ...claims }));
  for (const [name, value] of [
    ['tid', 'other'],
    ['tid', undefined],
    ['verified', 'true'],
    ['groups', 'staff'],
    ['groups', ['staff']],
  ] as const) {
    assert.equal(await refused({ [name]: value }), `The claim '${name}' of the token is not one that this service takes.`);
  }
  for (const oid of [undefined, '', 7, ['alice'], 'a'.repeat(1001)]) {
    assert.equal(await refused({ oid }), "The token lacks the claim 'oid', which says who it is about.");
  }
});

test('the directory decides at once: disabled, signed out everywhere, or no longer known by that name', async (t) => {
  const tenancy = await openBoth(t);
  const { objectId } = tenancy.tenant.user;
  const change = (set: { enabled: number }) =>
    tenancy.parts.write(async (writer) => {
      await writer.updateTable('principals').set(set).where('id', '=', objectId).execute();
      writer.touch(`principal:${objectId}`);
    });
  const token = await fromFirst({}, {}, tenancy.clock.now());
  assert.ok((await tenancy.verify(token, 'hsm')).valid);
  await change({ enabled: 0 });
  assert.match(await refusal(tenancy, token), /disabled/);
  await change({ enabled: 1 });
  tenancy.clock.advance(2000);
  await tenancy.parts.write((writer) => endSessions(writer, tenancy.clock, objectId));
  assert.equal(await refusal(tenancy, token), 'The token was revoked: sign in again.');
  tenancy.clock.advance(2000);
  const young = await fromFirst({}, {}, tenancy.clock.now());
  assert.ok((await tenancy.verify(young, 'hsm')).valid);
  await tenancy.parts.write(async (writer) => {
    await writer.deleteFrom('outside_identities').where('principal_id', '=', objectId).execute();
    writer.touch(OUTSIDE_TAG);
  });
  assert.match(await refusal(tenancy, young), /does not know whom/);
});

test('a name that would stand for two principals stands for none', async (t) => {
  const tenancy = await openBoth(t);
  const { servicePrincipal } = tenancy.tenant;
  await tenancy.parts.write(async (writer) => {
    await writer
      .insertInto('federated_credentials')
      .values({ ...credential(servicePrincipal.objectId), issuer: FIRST, subject: 'alice' })
      .execute();
    writer.touch(OUTSIDE_TAG);
  });
  assert.match(await refusal(tenancy, await fromFirst()), /does not know whom/);
});

test('an assertion of a trusted issuer gets a token for the program that names its subject', async (t) => {
  const tenancy = await openBoth(t);
  const form = async (claims: object, issuer = fromSecond): Promise<Record<string, string>> => {
    const { client_secret: _, ...rest } = applicationForm(tenancy);
    const type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
    return { ...rest, client_assertion_type: type, client_assertion: await issuer({ aud: 'api://AzureADTokenExchange', ...claims }) };
  };
  const answer = await postToken(tenancy, await form({}));
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  assert.ok((await tenancy.verify(text(answer, 'access_token'), 'hsm')).valid);
  for (const [claims, code] of [
    [{ sub: 'another' }, 70021],
    [{ iss: FIRST }, 70021],
    [{ iss: 'https://evil.example' }, 70021],
    [{ aud: 'strongroom' }, 700027],
    [{ exp: 1 }, 700027],
  ] as const) {
    const refused = await postToken(tenancy, await form(claims));
    assert.deepEqual([refused.status, members(refused).error_codes], [401, [code]], JSON.stringify(claims));
  }
  const forged = await postToken(
    tenancy,
    await form({}, (claims) => signed(keys.first, { iss: SECOND, sub: 'deployer', ...claims }, { kid: 'second-key' })),
  );
  assert.deepEqual(members(forged).error_codes, [700027]);
});

test('many checks at once of tokens from everywhere never mix up who is who', async (t) => {
  const tenancy = await openBoth(t);
  const own = text(await postToken(tenancy, applicationForm(tenancy)), 'access_token');
  const [alice, deployer] = [await fromFirst(), await fromSecond()];
  const wrong = `${alice.slice(0, -8)}AAAAAAAA`;
  const { user, servicePrincipal } = tenancy.tenant;
  const wanted = [servicePrincipal.objectId, user.objectId, servicePrincipal.objectId, 'refused'];
  const rounds = await Promise.all(Array.from({ length: 80 }, (_, i) => tenancy.verify([own, alice, deployer, wrong][i % 4] ?? '', 'hsm')));
  assert.deepEqual(
    rounds.map((check) => (check.valid ? check.caller.objectId : 'refused')),
    Array.from({ length: 80 }, (_, i) => wanted[i % 4]),
  );
});
