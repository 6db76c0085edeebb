// The cmdlets that keep the directory, against the real login and Graph without a network: made, shown, changed, removed, and the secrets that result.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Cmdlet } from '../../../src/shell/cmdlet.ts';
import {
  getApplication,
  newApplication,
  newServicePrincipal,
  removeApplication,
  removeServicePrincipal,
} from '../../../src/shell/cmdlets/ad-application.ts';
import {
  getAppCredential,
  newAppCredential,
  newSpCredential,
  removeAppCredential,
  removeSpCredential,
} from '../../../src/shell/cmdlets/ad-credential.ts';
import { addGroupMember, getGroup, getGroupMember, newGroup, removeGroup, removeGroupMember } from '../../../src/shell/cmdlets/ad-group.ts';
import { newUser, removeUser, revokeSignInSession, updateUser } from '../../../src/shell/cmdlets/ad-user.ts';
import { getServicePrincipal, getUser } from '../../../src/shell/cmdlets/directory.ts';
import { render } from '../../../src/shell/format.ts';
import { openSession, type Session } from '../../../src/shell/session.ts';
import { SecureString } from '../../../src/shell/value.ts';
import '../../../src/shell/views.ts';
import { applicationForm, members, postToken, type Tenancy, userForm } from '../identity/tenancy.ts';
import { jwk, makePair } from '../security-domain/ceremony.ts';
import { houseHost } from './house-host.ts';
import { type Outcome, runCmdlet } from './run-cmdlet.ts';

const NAME = 'alice@strongroom.localhost';
const PASSWORD = 'Correct-horse-4';

interface Bench {
  readonly tenancy: Tenancy;
  run(cmdlet: Cmdlet<Session>, args?: Readonly<Record<string, unknown>>, parameterSet?: string): Promise<Outcome>;
}

async function bench(t: TestContext): Promise<Bench> {
  const { tenancy, host } = await houseHost(t);
  const session = openSession(host, { data: '/data' });
  return {
    tenancy,
    run: (cmdlet, args = {}, parameterSet = undefined) =>
      runCmdlet(cmdlet, host, args, { session, ...(parameterSet === undefined ? {} : { parameterSet }) }),
  };
}

/** The status of a sign-in with name and password. */
async function signsIn(tenancy: Tenancy, username: string, password: string): Promise<number> {
  return (await postToken(tenancy, { ...userForm(tenancy), username, password })).status;
}

async function programSignsIn(tenancy: Tenancy, clientId: unknown, secret: unknown): Promise<number> {
  return (await postToken(tenancy, { ...applicationForm(tenancy), client_id: String(clientId), client_secret: String(secret) })).status;
}

const secretOf = ({ items }: Outcome): unknown => items[0]?.SecretText;

test('a user is made, signs in, is changed, shut out, and removed', async (t) => {
  const { tenancy, run } = await bench(t);
  const made = await run(newUser, {
    DisplayName: 'Alice',
    UserPrincipalName: NAME,
    Password: new SecureString(PASSWORD),
    AccountEnabled: true,
    JobTitle: 'Signer',
  });
  assert.deepEqual([made.items[0]?.UserPrincipalName, made.items[0]?.JobTitle], [NAME, 'Signer']);
  assert.deepEqual(made.changes, [['Create user', NAME]]);
  assert.equal(await signsIn(tenancy, NAME, PASSWORD), 200);
  const refresh = members(await postToken(tenancy, { ...userForm(tenancy), username: NAME, password: PASSWORD })).refresh_token;

  await run(updateUser, { UPNOrObjectId: NAME, Surname: 'Ames', Password: new SecureString('Another-horse-5') });
  assert.deepEqual([await signsIn(tenancy, NAME, PASSWORD), await signsIn(tenancy, NAME, 'Another-horse-5')], [400, 200]);
  const stale = { grant_type: 'refresh_token', client_id: String(userForm(tenancy).client_id), refresh_token: String(refresh) };
  assert.equal((await postToken(tenancy, stale)).status, 400);
  assert.equal((await run(getUser, { UserPrincipalName: NAME })).items[0]?.Surname, 'Ames');

  assert.deepEqual((await run(revokeSignInSession, { UPNOrObjectId: NAME, PassThru: true })).values, [true]);
  await run(updateUser, { UPNOrObjectId: NAME, AccountEnabled: false });
  assert.equal(await signsIn(tenancy, NAME, 'Another-horse-5'), 400);
  await run(removeUser, { InputObject: made.values[0] });
  assert.equal((await run(getUser, { UserPrincipalName: NAME })).items.length, 0);
  await assert.rejects(run(removeUser, {}), /say which user/);
});

test('a password that is too simple is refused in the words of the service', async (t) => {
  const { run } = await bench(t);
  const given = { DisplayName: 'A', UserPrincipalName: NAME, Password: new SecureString('simple'), AccountEnabled: true };
  await assert.rejects(run(newUser, given), /complexity requirements/);
});

test('a group is made, filled by names and ids, shown, emptied and removed', async (t) => {
  const { tenancy, run } = await bench(t);
  const made = await run(newGroup, { DisplayName: 'Key signers', Description: 'They sign' });
  assert.equal(made.items[0]?.MailNickname, 'Keysigners');
  const { user, servicePrincipal } = tenancy.tenant;
  await run(addGroupMember, {
    GroupDisplayName: 'key signers',
    MemberUserPrincipalName: [user.userPrincipalName],
    MemberObjectId: [servicePrincipal.objectId],
  });
  const shown = await run(getGroupMember, { GroupObject: made.values[0] });
  assert.deepEqual(
    shown.items.map(({ OdataType }) => OdataType),
    ['#microsoft.graph.servicePrincipal', '#microsoft.graph.user'],
  );
  await run(removeGroupMember, { GroupObjectId: made.items[0]?.Id, MemberObjectId: [servicePrincipal.objectId] });
  assert.equal((await run(getGroupMember, { GroupDisplayName: 'Key signers' })).items.length, 1);
  assert.equal((await run(getGroup, { DisplayNameStartsWith: 'Key' })).items[0]?.Description, 'They sign');
  await run(newGroup, { DisplayName: 'Key signers' });
  await assert.rejects(run(removeGroup, { DisplayName: 'Key signers' }), /several groups named/);
  await run(removeGroup, { ObjectId: made.items[0]?.Id });
  await assert.rejects(run(getGroupMember, { GroupDisplayName: 'nobody' }), /there is no group/);
});

test('a program is made with a secret that is shown once, gets others, and loses them', async (t) => {
  const { tenancy, run } = await bench(t);
  const made = await run(newServicePrincipal, { DisplayName: 'deployer', AccountEnabled: true });
  const [credential] = made.items[0]?.PasswordCredentials as { SecretText: string; KeyId: string }[];
  const { AppId, Id } = made.items[0] ?? {};
  assert.equal(await programSignsIn(tenancy, AppId, credential?.SecretText), 200);
  assert.doesNotMatch(
    render((await run(getServicePrincipal, { ApplicationId: AppId })).values, undefined),
    new RegExp(credential?.SecretText ?? ''),
  );

  const second = await run(newAppCredential, { ApplicationId: AppId, CustomKeyIdentifier: 'second' });
  const third = await run(newSpCredential, { ObjectId: Id });
  for (const secret of [secretOf(second), secretOf(third)]) assert.equal(await programSignsIn(tenancy, AppId, secret), 200);
  const shown = await run(getAppCredential, { ApplicationId: AppId });
  assert.deepEqual(
    shown.items.map(({ DisplayName, SecretText }) => [DisplayName, SecretText]),
    [
      [undefined, undefined],
      ['second', undefined],
    ],
  );
  await run(removeAppCredential, { ApplicationId: AppId, KeyId: credential?.KeyId });
  assert.deepEqual(
    [await programSignsIn(tenancy, AppId, credential?.SecretText), await programSignsIn(tenancy, AppId, secretOf(second))],
    [401, 200],
  );
  await run(removeSpCredential, { ServicePrincipalName: AppId });
  assert.equal(await programSignsIn(tenancy, AppId, secretOf(third)), 401);
  await assert.rejects(run(removeSpCredential, { ObjectId: Id }), /no such credential/);

  await run(removeServicePrincipal, { DisplayName: 'deployer' });
  assert.equal((await run(getApplication, { ApplicationId: AppId })).items.length, 1);
  await run(removeApplication, { ApplicationId: AppId });
  assert.equal((await run(getApplication, { ApplicationId: AppId })).items.length, 0);
});

test('a certificate is given to an application and taken away, and another stays', async (t) => {
  const { run } = await bench(t);
  const [first, second] = ['first', 'second'].map((name) => jwk(makePair(name)).x5c[0]);
  const made = await run(newApplication, { DisplayName: 'certified' });
  const app = { ApplicationObject: made.values[0] };
  const one = await run(newAppCredential, { ...app, CertValue: first, CustomKeyIdentifier: 'first' });
  assert.deepEqual([one.items[0]?.DisplayName, one.items[0]?.Type, secretOf(one)], ['first', 'AsymmetricX509Cert', undefined]);
  await run(newAppCredential, { ...app, CertValue: second, CustomKeyIdentifier: 'second' });
  await run(removeAppCredential, { ...app, KeyId: one.items[0]?.KeyId });
  assert.deepEqual(
    (await run(getAppCredential, app)).items.map(({ DisplayName }) => DisplayName),
    ['second'],
  );
});
