// The audit record over the wire: what calls leave in the chain, and that the chain of a service verifies while it runs, after it stopped and after
// it was started again.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { auditFolder } from '../../src/audit/folder.ts';
import { chainsIn, keysBeside, type Verdict, verifyChain } from '../../src/audit/verify.ts';
import { AUDITOR } from '../../src/hsm/access/built-in-roles.ts';
import { type Got, type House, type Json, openHouse } from '../house.ts';
import { activate, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'audited';
let house: House;

before(async () => {
  house = await openHouse();
  await house.provision(HSM);
  await activate(house, HSM);
  await grant(house, HSM, CRYPTO_USER, house.connection.user.objectId);
});

after(() => house.close());

/** Every event of the chain, oldest first. */
function events(): readonly Json[] {
  const folder = auditFolder(house.dataFolder);
  return readdirSync(folder)
    .filter((file) => file.endsWith('.jsonl'))
    .sort()
    .flatMap((file) => readFileSync(join(folder, file), 'utf8').split('\n'))
    .filter((line) => line.includes('"event":'))
    .map((line) => JSON.parse(line).event);
}

/** The records of one answer. Those of changes come into the chain a moment after their answer: they are in the store first. */
async function recordsOf(got: Got): Promise<readonly Json[]> {
  const id = got.headers['x-ms-request-id'];
  for (;;) {
    const found = events().filter((event) => event.properties.requestId === id);
    if (found.length > 0) return found;
    await new Promise((wake) => setTimeout(wake, 10));
  }
}

async function verified(): Promise<Verdict> {
  const files = (await chainsIn(auditFolder(house.dataFolder))).get('node-1') ?? [];
  return verifyChain('node-1', files, { keys: await keysBeside(files), mayBeOpen: true, fromTheBeginning: true });
}

test('a call leaves one record in the shape of the service: who, what, where, when and how it ended', async () => {
  const made = await house.hsm(HSM, 'POST', '/keys/ledger/create', { kty: 'EC-HSM' });
  assert.equal(made.status, 200);
  const got = await house.hsm(HSM, 'GET', '/keys/ledger?api-version=7.4');
  const [record] = await recordsOf(got);
  const { user, tenantId } = house.connection;
  assert.equal(record.operationName, 'KeyGet');
  assert.equal(record.operationVersion, '7.4');
  assert.equal(record.category, 'AuditEvent');
  assert.equal(record.resultType, 'Success');
  assert.equal(record.httpStatusCode, 200);
  assert.equal(record.callerIpAddress, '127.0.0.1');
  assert.equal(record.TenantId, tenantId);
  assert.equal(record.PoolName, HSM);
  assert.match(record.resourceId, /^\/SUBSCRIPTIONS\/.*\/PROVIDERS\/MICROSOFT.KEYVAULT\/MANAGEDHSMS\/AUDITED$/);
  assert.equal(new URL(record.requestUri).pathname, '/keys/ledger');
  assert.equal(JSON.parse(record.identity).claim.http_schemas_microsoft_com_identity.claims.objectidentifier, user.objectId);
  const { caller, callerType, action, scope, decision, key } = record.properties;
  assert.deepEqual(
    { caller, callerType, action, scope, decision, key },
    {
      caller: user.objectId,
      callerType: 'user',
      action: 'Microsoft.KeyVault/managedHsm/keys/read/action',
      scope: '/keys/ledger',
      decision: 'allowed',
      key: 'ledger',
    },
  );
  assert.deepEqual(
    (await recordsOf(made)).map((event) => [event.operationName, event.httpStatusCode, event.properties.decision]),
    [['KeyCreate', 200, 'allowed']],
  );
});

test('whoever is turned away is recorded with the reason: no token, a bad one, no role, a bad path, a bad request, a key that is not there', async () => {
  const application = await house.token('application', 'hsm');
  const cases: readonly [Got, readonly unknown[]][] = [
    [await house.hsm(HSM, 'GET', '/keys/a', undefined, null), ['Authentication', 401, 'Failed', 'not authenticated', 'no token']],
    [
      await house.hsm(HSM, 'GET', '/keys/a', undefined, 'made-up'),
      ['Authentication', 401, 'Failed', 'not authenticated', 'The token is malformed or its signature is not valid.'],
    ],
    [await house.hsm(HSM, 'GET', '/keys/a', undefined, application), ['KeyGet', 403, 'Failed', 'refused', 'AccessDenied']],
    [await house.hsm(HSM, 'POST', '/keys/a/create', {}, application), ['KeyCreate', 403, 'Failed', 'refused', 'AccessDenied']],
    [await house.hsm(HSM, 'GET', '/nowhere'), ['UnknownOperation', 404, 'Failed', 'not decided', 'NotFound']],
    [await house.hsm(HSM, 'GET', '/keys/a?api-version=1'), ['KeyGet', 400, 'Failed', 'not decided', 'BadParameter']],
    [await house.hsm(HSM, 'POST', '/keys/a/create', { kty: 'none' }), ['KeyCreate', 400, 'Failed', 'allowed', 'BadParameter']],
    [await house.hsm(HSM, 'GET', '/keys/a'), ['KeyGet', 404, 'Failed', 'allowed', 'KeyNotFound']],
    [await house.hsm('absent', 'GET', '/keys/a'), ['KeyGet', 404, 'Failed', 'not decided', 'NotFound']],
  ];
  for (const [got, expected] of cases) {
    const found = (await recordsOf(got)).map((event) => [
      event.operationName,
      event.httpStatusCode,
      event.resultType,
      event.properties.decision,
      event.resultDescription,
    ]);
    assert.deepEqual(found, [expected]);
  }
});

test('changes in the resource manager and sign-ins are recorded too, and what is only read there is not', async () => {
  const { tenantId, authorityHost } = house.connection;
  const group = await house.arm('PUT', '/resourceGroups/recorded', { location: 'norwayeast' });
  const [change] = await recordsOf(group);
  assert.equal(change.operationName, 'Microsoft.Resources/subscriptions/resourceGroups/write');
  assert.equal(change.category, 'Administrative');
  const read = await house.arm('GET', '/resourceGroups/recorded');
  assert.equal(read.status, 200);
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: tenantId,
    client_secret: 'wrong',
    scope: 'x/.default',
  }).toString();
  const failed = await house.call('POST', `${authorityHost}${tenantId}/oauth2/v2.0/token`, { body });
  const [attempt] = await recordsOf(failed);
  assert.deepEqual([attempt.operationName, attempt.category, attempt.httpStatusCode], ['TokenIssue', 'SignInLogs', failed.status]);
  assert.ok(events().every((event) => event.properties.requestId !== read.headers['x-ms-request-id']));
});

test('a sign-in says whose it is, also when the password is wrong', async () => {
  const { tenantId, authorityHost, user, servicePrincipal } = house.connection;
  const attempt = async (form: Record<string, string>): Promise<Json> => {
    const body = new URLSearchParams({ scope: 'openid', ...form }).toString();
    const [record] = await recordsOf(await house.call('POST', `${authorityHost}${tenantId}/oauth2/v2.0/token`, { body }));
    return [record.httpStatusCode, record.properties.subject];
  };
  const asUser = { grant_type: 'password', client_id: '04b07795-8ddb-461a-bbee-02f9e1bf7b46', username: user.userPrincipalName };
  assert.deepEqual(await attempt({ ...asUser, password: user.password }), [200, user.objectId]);
  assert.deepEqual(await attempt({ ...asUser, password: 'wrong' }), [400, user.objectId]);
  assert.deepEqual(await attempt({ ...asUser, username: 'nobody@example.org', password: 'wrong' }), [400, undefined]);
  const asApplication = { grant_type: 'client_credentials', client_id: servicePrincipal.clientId, client_secret: 'wrong' };
  assert.deepEqual(await attempt(asApplication), [401, servicePrincipal.objectId]);
});

test('what the service does by itself because it is due is recorded with the change', async () => {
  const due = (operation: string): Json => events().find((event) => event.operationName === operation);
  assert.equal(due('SecurityDomainActivate').PoolName, HSM);
  assert.equal((await house.hsm(HSM, 'POST', '/keys/Brief/create', { kty: 'EC-HSM' })).status, 200);
  assert.equal((await house.hsm(HSM, 'DELETE', '/keys/Brief')).status, 200);
  // 64 bytes can be imported and not made, so it cannot be rotated.
  const long = { kty: 'oct', k: Buffer.alloc(64, 3).toString('base64url') };
  assert.equal((await house.hsm(HSM, 'PUT', '/keys/long', { key: long })).status, 200);
  const policy = { lifetimeActions: [{ trigger: { timeAfterCreate: 'P28D' }, action: { type: 'Rotate' } }] };
  assert.equal((await house.hsm(HSM, 'PUT', '/keys/long/rotationpolicy', policy)).status, 200);
  house.advance(29 * 86_400_000);
  for (const operation of ['KeyPurgeIfDue', 'KeyRotateIfDueFailed'])
    while (due(operation) === undefined) await new Promise((wake) => setTimeout(wake, 50));
  assert.equal(due('KeyRotateIfDueFailed').properties.key, 'long');
  const { properties, clientInfo, resultType } = due('KeyPurgeIfDue');
  assert.deepEqual(
    [properties.key, properties.scope, clientInfo, resultType],
    ['Brief', '/keys/Brief', 'the service itself: it was due', 'Success'],
  );
});

/** Every record that the service gives out for these filters, page by page. */
async function given(filters: string, hsm = HSM, token?: string): Promise<readonly Json[]> {
  const records: Json[] = [];
  for (let next: string | undefined = `/strongroom/audit?${filters}`; next !== undefined; ) {
    const got: Got = await house.hsm(hsm, 'GET', next, undefined, token);
    assert.equal(got.status, 200, got.text);
    records.push(...got.json.value);
    const link: string | undefined = got.json.nextLink;
    next = link?.replace(/^https:\/\/[^/]+/, '');
  }
  return records;
}

test('administrators read the records of their HSM: by operation, key, result, caller and time, in pages, each record once', async () => {
  const { user } = house.connection;
  await house.hsm(HSM, 'POST', '/keys/ledger/sign', { alg: 'ES256', value: 'A'.repeat(43) });
  await house.hsm(HSM, 'GET', '/keys/other');
  const all = await given('top=500');
  assert.deepEqual(
    all.map(({ sequence }) => sequence),
    all.map(({ sequence }) => sequence).toSorted((a, b) => a - b),
  );
  assert.ok(all.every(({ event }) => event.PoolName === HSM));
  const paged = await given('top=3');
  assert.deepEqual(paged.slice(0, all.length), all);
  const signs = await given('operation=keysign');
  assert.deepEqual(
    signs,
    all.filter(({ event }) => event.operationName === 'KeySign'),
  );
  assert.equal(signs.length, 1);
  const ofKey = await given('key=LEDGER');
  assert.ok(ofKey.length > 1 && ofKey.every(({ event }) => event.properties.key === 'ledger'));
  const failed = await given('result=Failed');
  assert.ok(failed.length > 1 && failed.every(({ event }) => event.httpStatusCode >= 400));
  const own = await given(`principalId=${user.objectId.toUpperCase()}`);
  assert.ok(own.length > 1 && own.every(({ event }) => event.properties.caller === user.objectId));
  const [first, , third] = all.map(({ event }) => event.time);
  const between = await given(`startTime=${first}&endTime=${third}`);
  assert.ok(between.length >= 3 && between.every(({ event }) => event.time >= first && event.time <= third));
  assert.deepEqual(await given('startTime=2100-01-01T00:00:00Z'), []);
});

test('whoever asks again where the last page ended gets what came since, and nothing twice', async () => {
  const last = await house.hsm(HSM, 'GET', '/strongroom/audit?top=500');
  const follow = last.json.followLink.replace(/^https:\/\/[^/]+/, '');
  await house.hsm(HSM, 'GET', '/keys/followed');
  const since = await house.hsm(HSM, 'GET', follow);
  const seen = new Set(last.json.value.map(({ sequence }: Json) => sequence));
  assert.ok(since.json.value.every(({ sequence }: Json) => !seen.has(sequence)));
  assert.ok(since.json.value.some(({ event }: Json) => event.properties.key === 'followed'));
});

test('records are for administrators and auditors of that HSM: nobody else reads them, and they read those of no other', async () => {
  const { servicePrincipal } = house.connection;
  const application = await house.token('application', 'hsm');
  await grant(house, HSM, CRYPTO_USER, servicePrincipal.objectId);
  const refused = await house.hsm(HSM, 'GET', '/strongroom/audit', undefined, application);
  assert.deepEqual([refused.status, refused.json.error.code], [403, 'AccessDenied']);
  await grant(house, HSM, AUDITOR, servicePrincipal.objectId);
  assert.ok((await given('top=5', HSM, application)).length > 0);
  assert.equal((await house.hsm(HSM, 'GET', '/strongroom/audit', undefined, null)).status, 401);
  await house.provision('other');
  await house.hsm('other', 'GET', '/keys');
  const others = await given('top=500', 'other');
  assert.ok(others.length > 0 && others.every(({ event }) => event.PoolName === 'other'));
});

test('an HSM that gets the name of one that was purged does not get its records', async () => {
  await house.provision('twice');
  await house.hsm('twice', 'GET', '/keys/from-before');
  const place = '/resourceGroups/group/providers/Microsoft.KeyVault/managedHSMs/twice';
  await house.arm('DELETE', place);
  await house.arm('POST', '/providers/Microsoft.KeyVault/locations/norwayeast/deletedManagedHSMs/twice/purge');
  await house.provision('twice');
  await house.hsm('twice', 'GET', '/keys/from-now');
  const records = await given('top=500', 'twice');
  const keys = records.map(({ event }) => event.properties.key);
  assert.ok(keys.includes('from-now') && !keys.includes('from-before'), keys.join());
  assert.ok(events().some((event) => event.properties.key === 'from-before'));
});

test('a filter that is none is refused', async () => {
  for (const filter of ['startTime=yesterday', 'top=0', 'top=x', 'result=Maybe', 'principalId=me', 'cursor=../../etc/passwd', 'cursor=1']) {
    const got = await house.hsm(HSM, 'GET', `/strongroom/audit?${filter}`);
    assert.deepEqual([got.status, got.json.error.code], [400, 'BadParameter'], filter);
  }
  assert.deepEqual((await house.hsm(HSM, 'GET', '/strongroom/audit?cursor=999999.0')).json.value, []);
});

test('the chain of a running service verifies, and of one that was stopped and started; its numbers have no gap', async () => {
  const running = await verified();
  assert.deepEqual(running.problems, []);
  assert.equal(running.events, events().length);
  await house.restart();
  const again = await house.hsm(HSM, 'GET', '/keys/ledger');
  await recordsOf(again);
  const restarted = await verified();
  assert.deepEqual(restarted.problems, []);
  assert.equal(restarted.segments, running.segments + 1);
  assert.equal(restarted.sequence, restarted.events);
  assert.ok(restarted.events > running.events);
});
