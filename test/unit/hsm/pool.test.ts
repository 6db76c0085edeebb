// HSMs as the resource manager makes and unmakes them, and the states between: what they answer, and what is left of them.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { returnUnconfirmed } from '../../../src/hsm/pool.ts';
import { administrator, type Estate, openEstate, person } from './estate.ts';

const ROLES = '/providers/Microsoft.Authorization';
const CRYPTO_USER = '21dbd100-6940-42c2-9190-5d6cb909625b';

test('a name that nobody has answers NotFound and says so', async (t) => {
  const estate = await openEstate(t);
  await estate.provision('contoso');
  const got = await estate.ask('GET', '/securitydomain/download/pending', { at: 'fabrikam' });
  assert.equal(got.status, 404);
  assert.deepEqual(got.body.error, {
    code: 'NotFound',
    message: 'There is no managed HSM at https://fabrikam.managedhsm.localhost:8443. It may have been deleted, or not been created yet.',
    inner: undefined,
  });
});

test('a name that was asked for before it was taken answers as soon as it is', async (t) => {
  const estate = await openEstate(t);
  assert.equal((await estate.ask('GET', '/settings')).code, 'NotFound');
  await estate.activated('Contoso');
  assert.equal((await estate.ask('GET', '/settings')).status, 200);
});

test('the initial administrators, each once, are all that a new HSM has', async (t) => {
  const estate = await openEstate(t);
  const second = randomUUID();
  await estate.activated('contoso', [administrator.objectId, second.toUpperCase(), administrator.objectId.toUpperCase()]);
  const { body } = await estate.ask('GET', `${ROLES}/roleAssignments`);
  const seen = body.value.map((each: { properties: unknown }) => each.properties);
  const role = 'Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/a290e904-7015-4bba-90c8-60543313cdb4';
  const expected = [administrator.objectId, second].map((principalId) => ({ principalId, roleDefinitionId: role, scope: '/' }));
  assert.deepEqual(
    seen.sort((a: { principalId: string }, b: { principalId: string }) => a.principalId.localeCompare(b.principalId)),
    expected.sort((a, b) => a.principalId.localeCompare(b.principalId)),
  );
  assert.equal((await estate.ask('GET', '/settings', { as: person(second) })).status, 200);
});

test('the resource manager is told of an activation when the HSM is active, and not before', async (t) => {
  const estate = await openEstate(t);
  const id = await estate.provision('contoso');
  const { read, write, clock } = estate.parts;
  assert.equal(await estate.port.isActivated(read, id), false);
  await write((writer) =>
    writer
      .updateTable('hsms')
      .set({ state: 'confirming', active_at: clock.now() + 1000, holder: writer.holder })
      .where('id', '=', id)
      .execute(),
  );
  await estate.sweep();
  assert.equal(await estate.port.isActivated(read, id), false);
  estate.advance(1000);
  await estate.sweep();
  assert.equal(await estate.port.isActivated(read, id), true);
  assert.equal(await estate.port.isActivated(read, randomUUID()), false);
});

test('an HSM that the end of the service caught while confirming waits for another download; an active one stays active', async (t) => {
  const estate = await openEstate(t);
  const caught = await estate.provision('caught');
  const active = await estate.activated('active');
  const { read, write, clock } = estate.parts;
  await write((writer) =>
    writer.updateTable('hsms').set({ state: 'confirming', active_at: clock.now(), holder: 'before' }).where('id', '=', caught).execute(),
  );
  await write((writer) => returnUnconfirmed(writer, (holder) => holder === 'before'));
  await estate.sweep();
  assert.equal(await estate.port.isActivated(read, caught), false);
  assert.equal(await estate.port.isActivated(read, active), true);
});

test('a deleted HSM answers nothing until it is recovered, and is then as it was', async (t) => {
  const estate = await openEstate(t);
  const id = await estate.activated('contoso');
  await estate.ask('POST', '/keys/signing/create', { body: { kty: 'EC' }, as: await cryptoUser(estate) });
  await estate.parts.write((writer) => estate.port.softDelete(writer, id));
  for (const [method, target] of [
    ['GET', '/settings'],
    ['GET', '/securitydomain/download/pending'],
    ['POST', '/securitydomain/download'],
  ] as const) {
    assert.equal((await estate.ask(method, target)).code, 'NotFound', target);
  }
  await estate.parts.write((writer) => estate.port.recover(writer, id));
  assert.equal((await estate.ask('GET', '/settings')).status, 200);
  assert.equal((await estate.ask('GET', '/keys/signing', { as: await cryptoUser(estate) })).status, 200);
});

test('a purged HSM leaves nothing behind, and its name begins anew', async (t) => {
  const estate = await openEstate(t);
  const id = await estate.activated('contoso');
  const user = await cryptoUser(estate);
  await estate.ask('POST', '/keys/signing/create', { body: { kty: 'EC' }, as: user });
  await estate.ask('PATCH', '/settings/AllowKeyManagementOperationsThroughARM', { body: { value: 'true' } });
  const role = { roleName: 'Reader', permissions: [{ dataActions: ['Microsoft.KeyVault/managedHsm/keys/read/action'] }] };
  await estate.ask('PUT', `${ROLES}/roleDefinitions/${randomUUID()}`, { body: { properties: role } });
  assert.deepEqual(await rowsOf(estate, id), {
    hsms: 1,
    role_assignments: 2,
    role_definitions: 1,
    hsm_settings: 1,
    keys: 1,
    key_versions: 1,
  });

  await estate.parts.write((writer) => estate.port.softDelete(writer, id));
  assert.ok(estate.touched.includes(`domain:${id}`), 'a deletion tells every thread to forget the domain key');
  estate.touched.length = 0;
  await estate.parts.write((writer) => estate.port.purge(writer, id));
  assert.deepEqual(await rowsOf(estate, id), {
    hsms: 0,
    role_assignments: 0,
    role_definitions: 0,
    hsm_settings: 0,
    keys: 0,
    key_versions: 0,
  });
  assert.ok(estate.touched.includes(`domain:${id}`), 'and so does the purge');

  await estate.activated('contoso');
  assert.equal((await estate.ask('GET', '/keys/signing', { as: user })).code, 'AccessDenied');
});

test('a key that was being made while its HSM was deleted is not kept', async (t) => {
  const estate = await openEstate(t);
  const id = await estate.activated('contoso');
  const user = await cryptoUser(estate);
  const making = estate.ask('POST', '/keys/late/create', { body: { kty: 'RSA', key_size: 2048 }, as: user });
  const deleting = estate.parts.write((writer) => estate.port.softDelete(writer, id));
  assert.equal((await making).code, 'NotFound');
  await deleting;
  await estate.parts.write((writer) => estate.port.recover(writer, id));
  assert.equal((await estate.ask('GET', '/keys/late', { as: user })).code, 'KeyNotFound');
});

async function cryptoUser(estate: Estate) {
  const user = person(randomUUID());
  const properties = { roleDefinitionId: CRYPTO_USER, principalId: user.objectId };
  const { status } = await estate.ask('PUT', `${ROLES}/roleAssignments/${randomUUID()}`, { body: { properties } });
  assert.equal(status, 201);
  return user;
}

async function rowsOf({ parts: { read } }: Estate, hsmId: string) {
  const tables = ['role_assignments', 'role_definitions', 'hsm_settings', 'keys', 'key_versions'] as const;
  const counts = await Promise.all(
    tables.map(async (table) => [table, (await read.selectFrom(table).select('hsm_id').where('hsm_id', '=', hsmId).execute()).length]),
  );
  const hsms = await read.selectFrom('hsms').select('id').where('id', '=', hsmId).execute();
  return { hsms: hsms.length, ...Object.fromEntries(counts) };
}
