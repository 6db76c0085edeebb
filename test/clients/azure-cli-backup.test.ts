// The genuine azure-cli backs an HSM up into azurite and restores it, whole and one key, and says what is wrong when something is.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { get } from 'node:https';
import { json } from 'node:stream/consumers';
import { after, suite } from 'node:test';
import { openStorage, type Storage, trustingIssuer } from '../azurite.ts';
import type { Json } from '../house.ts';
import { CRYPTO_OFFICER, CRYPTO_USER } from '../wire/ready.ts';
import { az, azFails, azPlain, storyWith, useRecipe } from './azure-cli-stage.ts';
import { type Plain, signIn } from './plain.ts';
import { activatedFor, must } from './ready.ts';

const HSM = 'azbackup';
const ADMINISTRATOR = 'a290e904-7015-4bba-90c8-60543313cdb4';
const storage = await openStorage();

suite('azure-cli and backups', { skip: 'missing' in storage ? storage.missing : false }, () => {
  if ('missing' in storage) return;
  const at: Storage = storage;
  let container = '';
  let user: Plain;
  let folder = '';
  after(() => at.stop());
  const chapter = storyWith(async () => ['--backup-private-host', at.host, '--backup-ca', at.caFile], HSM);

  const into = (permissions?: string) => [
    ...['--hsm-name', HSM, '--storage-resource-uri', container],
    ...['--storage-container-SAS-token', at.sas(container, permissions)],
  ];

  chapter('an HSM is backed up into a container with a SAS token', async (on) => {
    const { connection } = on.service;
    container = await at.container('cli');
    const application = await activatedFor(connection, HSM);
    for (const role of [ADMINISTRATOR, CRYPTO_USER, CRYPTO_OFFICER]) {
      const roleDefinitionId = `Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/${role}`;
      const properties = { roleDefinitionId, principalId: connection.user.objectId };
      await must(application.hsm(HSM, 'PUT', `/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}`, { properties }));
    }
    user = await signIn(connection, 'user');
    for (const name of ['kept', 'lost']) await must(user.hsm(HSM, 'POST', `/keys/${name}/create`, { kty: 'EC-HSM' }));
    await useRecipe(on);
    const done = await az(on, 'keyvault', 'backup', 'start', ...into());
    assert.equal(done.status, 'Succeeded');
    assert.ok(done.folderUrl.startsWith(`${container}/mhsm-${HSM}-`), done.folderUrl);
    folder = done.folderUrl.split('/').at(-1);
    assert.deepEqual(await at.names(container), [`${folder}/chunk-00000`, `${folder}/manifest.json`]);
  });

  chapter('one key that was purged is restored from it', async (on) => {
    await must(user.hsm(HSM, 'DELETE', '/keys/lost'));
    await must(user.hsm(HSM, 'DELETE', '/deletedkeys/lost'));
    await azPlain(on, 'keyvault', 'restore', 'start', ...into(), '--backup-folder', folder, '--key-name', 'lost');
    assert.equal((await az(on, 'keyvault', 'key', 'show', '--hsm-name', HSM, '--name', 'lost')).key.kty, 'EC-HSM');
  });

  chapter('the whole HSM is restored from it, and what is newer is gone', async (on) => {
    await must(user.hsm(HSM, 'POST', '/keys/newer/create', { kty: 'EC-HSM' }));
    await azPlain(on, 'keyvault', 'restore', 'start', ...into('r'), '--backup-folder', folder);
    const list = await az(on, 'keyvault', 'key', 'list', '--hsm-name', HSM);
    assert.deepEqual(list.map((key: { name: string }) => key.name).sort(), ['kept', 'lost']);
  });

  chapter("the HSM's managed identity does instead of a token, where the storage trusts it", async (on) => {
    const { connection } = on.service;
    const made = await az(on, 'identity', 'create', '--resource-group', 'group', '--name', 'backups', '--location', 'norwayeast');
    await azPlain(on, 'keyvault', 'update-hsm', '--hsm-name', HSM, '--resource-group', 'group', '--mi-user-assigned', made.id);
    const ca = readFileSync(connection.caFile);
    const discovery = `${connection.authorityHost}${connection.tenantId}/v2.0/.well-known/openid-configuration`;
    const { jwks_uri } = await fetched(discovery, ca);
    const keys = await fetched(jwks_uri, ca);
    const callers = new Set<unknown>();
    at.gate = trustingIssuer(keys, at.sas(container), (objectId) => callers.add(objectId));
    const words = ['--hsm-name', HSM, '--storage-resource-uri', container, '--use-managed-identity', 'true'];
    const done = await az(on, 'keyvault', 'backup', 'start', ...words);
    assert.equal(done.status, 'Succeeded');
    await azPlain(on, 'keyvault', 'restore', 'start', ...words, '--backup-folder', done.folderUrl.split('/').at(-1));
    assert.deepEqual([...callers], [made.principalId]);
    at.gate = undefined;
  });

  chapter('what is wrong stands in what az prints', async (on) => {
    assert.match(await azFails(on, 'keyvault', 'backup', 'start', ...into('r')), /AuthorizationPermissionMismatch[\s\S]*may not write/);
    assert.match(
      await azFails(on, 'keyvault', 'restore', 'start', ...into(), '--backup-folder', 'mhsm-none'),
      /BackupNotFound[\s\S]*no complete backup/,
    );
  });
});

function fetched(url: string, ca: Buffer): Promise<Json> {
  return new Promise((done, failed) => {
    get(url, { ca }, (response) => json(response).then(done, failed)).on('error', failed);
  });
}
