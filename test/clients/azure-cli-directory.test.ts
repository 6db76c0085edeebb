// The genuine azure-cli keeps the directory: users, groups, applications, service principals and their credentials.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite } from 'node:test';
import { AUDIENCE, type OutsideProvider, openProvider } from '../wire/provider.ts';
import { az, azFails, azPlain, type Stage, storyWith, useRecipe } from './azure-cli-stage.ts';

const PASSWORD = 'Correct-horse-4';

// biome-ignore lint/suspicious/noExplicitAny: what az prints is judged member by member where it is used.
type Printed = any;

suite('azure-cli and the directory', () => {
  const folder = mkdtempSync(join(tmpdir(), 'strongroom-issuer-'));
  let outside: OutsideProvider;
  const chapter = storyWith(async () => {
    outside = await openProvider(folder, ['workload']);
    const file = join(folder, 'issuers.json');
    writeFileSync(file, JSON.stringify({ issuers: [{ issuer: outside.issuer, caFile: outside.caFile }] }));
    return ['--identity-port', '0', '--issuers', file];
  }, 'az-directory');
  after(async () => {
    await outside?.stop();
    rmSync(folder, { recursive: true });
  });

  chapter('users are made, found, changed and removed', async (on) => {
    for (const who of [on, elsewhere(on)]) await useRecipe(who);
    const name = userName(on, 'alice');
    const made = await az(on, 'ad', 'user', 'create', '--display-name', 'Alice', '--user-principal-name', name, '--password', PASSWORD);
    assert.deepEqual([made.displayName, made.userPrincipalName], ['Alice', name]);
    assert.equal((await az(on, 'ad', 'user', 'show', '--id', name)).id, made.id);
    assert.deepEqual(idsOf(await az(on, 'ad', 'user', 'list', '--display-name', 'Ali')), [made.id]);
    await azPlain(on, 'ad', 'user', 'update', '--id', made.id, '--display-name', 'Alice A.');
    assert.equal((await az(on, 'ad', 'user', 'show', '--id', made.id)).displayName, 'Alice A.');
    const other = await az(
      on,
      'ad',
      'user',
      'create',
      '--display-name',
      'B',
      '--user-principal-name',
      userName(on, 'b'),
      '--password',
      PASSWORD,
    );
    await azPlain(on, 'ad', 'user', 'delete', '--id', other.id);
    assert.match(await azFails(on, 'ad', 'user', 'show', '--id', other.id), /does not exist/);
  });

  chapter('groups have members and owners, and say who is in them', async (on) => {
    const alice = await az(on, 'ad', 'user', 'show', '--id', userName(on, 'alice'));
    const group = await az(
      on,
      'ad',
      'group',
      'create',
      '--display-name',
      'auditors',
      '--mail-nickname',
      'auditors',
      '--description',
      'They look',
    );
    assert.equal(group.description, 'They look');
    assert.equal((await az(on, 'ad', 'group', 'create', '--display-name', 'auditors', '--mail-nickname', 'auditors')).id, group.id);
    await azPlain(on, 'ad', 'group', 'member', 'add', '--group', group.id, '--member-id', alice.id);
    const check = ['ad', 'group', 'member', 'check', '--group', group.id, '--member-id', alice.id];
    assert.equal((await az(on, ...check)).value, true);
    assert.deepEqual(idsOf(await az(on, 'ad', 'group', 'member', 'list', '--group', group.id)), [alice.id]);
    assert.deepEqual(idsOf(await az(on, 'ad', 'user', 'get-member-groups', '--id', alice.id)), [group.id]);
    await azPlain(on, 'ad', 'group', 'owner', 'add', '--group', group.id, '--owner-object-id', alice.id);
    assert.deepEqual(idsOf(await az(on, 'ad', 'group', 'owner', 'list', '--group', group.id)), [alice.id]);
    await azPlain(on, 'ad', 'group', 'owner', 'remove', '--group', group.id, '--owner-object-id', alice.id);
    await azPlain(on, 'ad', 'group', 'member', 'remove', '--group', group.id, '--member-id', alice.id);
    assert.equal((await az(on, ...check)).value, false);
    await azPlain(on, 'ad', 'group', 'delete', '--group', group.id);
    assert.deepEqual(await az(on, 'ad', 'group', 'list', '--display-name', 'auditors'), []);
  });

  chapter('create-for-rbac makes a program that signs in, and makes it anew when it is there', async (on) => {
    const first = await az(on, 'ad', 'sp', 'create-for-rbac', '--display-name', 'deployer');
    assert.equal(first.tenant, on.service.connection.tenantId);
    await az(elsewhere(on), ...signIn(on, first));
    const second = await az(on, 'ad', 'sp', 'create-for-rbac', '--display-name', 'deployer');
    assert.equal(second.appId, first.appId);
    await az(elsewhere(on), ...signIn(on, second));
    await cannotSignIn(on, first);
  });

  chapter('create-for-rbac with a role makes a program that may do what the role says', async (on) => {
    const scope = `/subscriptions/${on.service.connection.subscriptionId}`;
    const made = await az(on, 'ad', 'sp', 'create-for-rbac', '--display-name', 'watcher', '--role', 'Reader', '--scopes', scope);
    await az(elsewhere(on), ...signIn(on, made));
    assert.deepEqual(await az(elsewhere(on), 'group', 'list'), []);
    const refused = await azFails(elsewhere(on), 'group', 'create', '--name', 'mine', '--location', 'norwayeast');
    assert.match(refused, /AuthorizationFailed/);
  });

  chapter('a workload signs in with a token of an issuer that the operator trusts', async (on) => {
    const application = await az(on, 'ad', 'app', 'create', '--display-name', 'workload');
    await az(on, 'ad', 'sp', 'create', '--id', application.appId);
    const credential = { name: 'outside', issuer: outside.issuer, subject: 'workload', audiences: [AUDIENCE] };
    const place = ['ad', 'app', 'federated-credential'];
    const made = await az(on, ...place, 'create', '--id', application.id, '--parameters', JSON.stringify(credential));
    assert.equal((await az(on, ...place, 'show', '--id', application.id, '--federated-credential-id', made.id)).subject, 'workload');
    assert.deepEqual(idsOf(await az(on, ...place, 'list', '--id', application.id)), [made.id]);
    const words = ['login', '--service-principal', '--username', application.appId, '--tenant', on.service.connection.tenantId];
    const accounts = await az(elsewhere(on), ...words, '--allow-no-subscriptions', '--federated-token', await outside.token('workload'));
    assert.equal(accounts[0].user.name, application.appId);
    const other = JSON.stringify({ ...credential, name: 'other', issuer: 'https://elsewhere.example' });
    assert.match(
      await azFails(on, ...place, 'create', '--id', application.id, '--parameters', other),
      /not among those that this service trusts/,
    );
    await azPlain(on, ...place, 'delete', '--id', application.id, '--federated-credential-id', 'outside');
    await azPlain(elsewhere(on), 'account', 'clear');
    assert.match(await azFails(elsewhere(on), ...words, '--federated-token', await outside.token('workload')), /AADSTS70021/);
  });

  chapter('credentials are listed, reset, added and removed one by one', async (on) => {
    const [program] = await az(on, 'ad', 'sp', 'list', '--display-name', 'deployer');
    const added = await az(on, 'ad', 'app', 'credential', 'reset', '--id', program.appId, '--append', '--display-name', 'second');
    await az(elsewhere(on), ...signIn(on, added));
    const list = await az(on, 'ad', 'app', 'credential', 'list', '--id', program.appId);
    assert.deepEqual(
      list.map(({ displayName }: Printed) => displayName),
      ['rbac', 'second'],
    );
    const second = list.find(({ displayName }: Printed) => displayName === 'second');
    await azPlain(on, 'ad', 'app', 'credential', 'delete', '--id', program.appId, '--key-id', second.keyId);
    await cannotSignIn(on, added);
    const reset = await az(on, 'ad', 'sp', 'credential', 'reset', '--id', program.appId);
    await az(elsewhere(on), ...signIn(on, reset));
  });

  chapter('a program signs in with a certificate that az makes for it', async (on) => {
    const made = await az(on, 'ad', 'sp', 'create-for-rbac', '--display-name', 'certified', '--create-cert');
    const words = ['login', '--service-principal', '--username', made.appId, '--tenant', on.service.connection.tenantId];
    await az(elsewhere(on), ...words, '--allow-no-subscriptions', '--certificate', made.fileWithCertAndPrivateKey);
    const keys = await az(on, 'ad', 'sp', 'list', '--display-name', 'certified');
    assert.equal(keys.length, 1);
    assert.equal((await az(on, 'ad', 'app', 'credential', 'list', '--id', made.appId, '--cert')).length, 1);
    rmSync(made.fileWithCertAndPrivateKey);
  });

  chapter('applications and service principals are made apart, owned, shown and deleted', async (on) => {
    const application = await az(on, 'ad', 'app', 'create', '--display-name', 'parts', '--identifier-uris', 'api://parts');
    const principal = await az(on, 'ad', 'sp', 'create', '--id', application.appId);
    assert.equal((await az(on, 'ad', 'sp', 'show', '--id', application.appId)).id, principal.id);
    assert.equal((await az(on, 'ad', 'app', 'show', '--id', 'api://parts')).id, application.id);
    const me = await az(on, 'ad', 'signed-in-user', 'show');
    await azPlain(on, 'ad', 'app', 'owner', 'add', '--id', application.id, '--owner-object-id', me.id);
    assert.deepEqual(idsOf(await az(on, 'ad', 'signed-in-user', 'list-owned-objects')), [application.id]);
    assert.deepEqual(idsOf(await az(on, 'ad', 'app', 'list', '--show-mine')), [application.id]);
    await azPlain(on, 'ad', 'app', 'update', '--id', application.id, '--display-name', 'whole');
    assert.equal((await az(on, 'ad', 'sp', 'show', '--id', principal.id)).displayName, 'whole');
    await azPlain(on, 'ad', 'sp', 'delete', '--id', principal.id);
    await azPlain(on, 'ad', 'app', 'delete', '--id', application.id);
    assert.deepEqual(await az(on, 'ad', 'app', 'list', '--display-name', 'whole'), []);
  });

  chapter('a managed identity is made, and a program that has its header signs in as it', async (on) => {
    await azPlain(on, 'group', 'create', '--name', 'identities', '--location', 'norwayeast');
    const made = await az(on, 'identity', 'create', '--name', 'worker', '--resource-group', 'identities', '--tags', 'a=b');
    assert.equal((await az(on, 'identity', 'show', '--name', 'worker', '--resource-group', 'identities')).clientId, made.clientId);
    assert.deepEqual(idsOf(await az(on, 'identity', 'list')), [made.id]);
    const { graph, identity } = on.service.connection;
    const url = `${graph}v1.0/servicePrincipals/${made.principalId}/strongroom.addIdentityHeader`;
    const { header } = await az(on, 'rest', '--method', 'post', '--url', url, '--resource', graph, '--body', '{}');
    const program = elsewhere(on);
    const environment = { ...program.environment, IDENTITY_ENDPOINT: `${identity}msi/token`, IDENTITY_HEADER: header };
    const accounts = await az({ ...program, environment }, 'login', '--identity', '--allow-no-subscriptions');
    assert.equal(accounts[0].tenantId, on.service.connection.tenantId);
    const token = await az(
      { ...program, environment },
      'account',
      'get-access-token',
      '--resource',
      on.service.connection.managedHsmResource,
    );
    assert.equal(JSON.parse(Buffer.from(token.accessToken.split('.')[1], 'base64url').toString()).oid, made.principalId);
    await azPlain(on, 'identity', 'delete', '--name', 'worker', '--resource-group', 'identities');
    assert.deepEqual(await az(on, 'identity', 'list'), []);
  });

  chapter('who is no administrator of the directory is refused in the words of Graph', async (on) => {
    await az(elsewhere(on), 'login', '--username', userName(on, 'alice'), '--password', PASSWORD, '--allow-no-subscriptions');
    const refused = await azFails(elsewhere(on), 'ad', 'group', 'create', '--display-name', 'mine', '--mail-nickname', 'mine');
    assert.match(refused, /Insufficient privileges to complete the operation/);
    assert.equal((await az(elsewhere(on), 'ad', 'signed-in-user', 'show')).displayName, 'Alice A.');
  });
});

/** As somebody else: with az settings of their own, so that the administrator stays signed in. */
function elsewhere(on: Stage): Stage {
  const home = join(on.service.folder, 'home');
  return { ...on, environment: { ...on.environment, AZURE_CONFIG_DIR: join(home, 'elsewhere') } };
}

function signIn(on: Stage, { appId, password }: { readonly appId: string; readonly password: string }): readonly string[] {
  const place = ['--tenant', on.service.connection.tenantId, '--allow-no-subscriptions'];
  return ['login', '--service-principal', '--username', appId, '--password', password, ...place];
}

/** MSAL has the program's token still, and would not ask: so it forgets everybody first. */
async function cannotSignIn(on: Stage, who: Parameters<typeof signIn>[1]): Promise<void> {
  await azPlain(elsewhere(on), 'account', 'clear');
  assert.match(await azFails(elsewhere(on), ...signIn(on, who)), /AADSTS7000215/);
}

function userName(on: Stage, name: string): string {
  return on.service.connection.user.userPrincipalName.replace('owner', name);
}

function idsOf(list: readonly { readonly id: string }[]): readonly string[] {
  return list.map(({ id }) => id);
}
