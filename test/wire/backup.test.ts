// Backup and restore of a whole HSM over the wire, into a real blob storage and into a folder.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { openStorage, type Storage } from '../azurite.ts';
import { type Got, type House, type Json, openHouse } from '../house.ts';
import { activate, CRYPTO_OFFICER, CRYPTO_USER, grant, RESTORE_USER } from './ready.ts';

const HSM = 'whole';
const OTHER = 'whole-other';
const DIGEST = Buffer.alloc(32, 5).toString('base64url');

const storage = await openStorage();

suite('backup and restore of an HSM', { skip: 'missing' in storage ? storage.missing : false }, () => {
  if ('missing' in storage) return;
  const at: Storage = storage;
  let house: House;
  let container: string;

  before(async () => {
    house = await openHouse({ flags: ['--backup-private-host', at.host, '--backup-ca', at.caFile, '--backup-timeout', '3'] });
    container = await at.container('backups');
    for (const name of [HSM, OTHER]) {
      await house.provision(name);
      await activate(house, name);
      for (const role of [CRYPTO_USER, CRYPTO_OFFICER]) await grant(house, name, role, house.connection.user.objectId);
    }
  });
  after(async () => {
    await house?.close();
    await at.stop();
  });

  const parameters = () => ({ storageResourceUri: container, token: at.sas(container) });

  async function ended(name: string, started: Got): Promise<Json> {
    assert.equal(started.status, 202, started.text);
    const address = started.headers['azure-asyncoperation'] ?? '';
    for (;;) {
      const got = await house.call('GET', address, { token: await house.token('user', 'hsm') });
      assert.equal(got.status, 200, `${name}: ${got.text}`);
      if (got.json.status !== 'InProgress') return got.json;
      await new Promise((wake) => setTimeout(wake, 20));
    }
  }

  async function backUp(name: string): Promise<Json> {
    const done = await ended(name, await house.hsm(name, 'POST', '/backup', parameters()));
    assert.equal(done.status, 'Succeeded', JSON.stringify(done));
    return done;
  }

  async function restore(name: string, folderToRestore: string): Promise<Json> {
    return ended(name, await house.hsm(name, 'PUT', '/restore', { sasTokenParameters: parameters(), folderToRestore }));
  }

  const folderOf = (done: Json): string => done.azureStorageBlobContainerUri.split('/').at(-1);

  test('what was deleted, changed and made since the backup is as it was when the HSM is restored', async () => {
    for (const [name, kty] of [
      ['rsa', 'RSA-HSM'],
      ['ec', 'EC-HSM'],
      ['gone', 'EC-HSM'],
    ])
      await house.hsm(HSM, 'POST', `/keys/${name}/create`, { kty, tags: { made: 'before' } });
    const signature = (await house.hsm(HSM, 'POST', '/keys/ec/sign', { alg: 'ES256', value: DIGEST })).json.value;
    const list = (await house.hsm(HSM, 'GET', '/keys')).json;

    const started = await house.hsm(HSM, 'POST', '/backup', parameters());
    assert.match(started.json.jobId, /^[0-9a-f]{32}$/);
    const done = await ended(HSM, started);
    assert.equal(done.status, 'Succeeded', JSON.stringify(done));
    assert.match(done.azureStorageBlobContainerUri, /\/devstoreaccount1\/backups\/mhsm-whole-\d{16}$/);

    await house.hsm(HSM, 'PATCH', '/keys/ec', { tags: { made: 'after' } });
    await house.hsm(HSM, 'DELETE', '/keys/gone');
    await house.hsm(HSM, 'DELETE', '/deletedkeys/gone');
    await house.hsm(HSM, 'POST', '/keys/newer/create', { kty: 'EC-HSM' });

    const restored = await restore(HSM, folderOf(done));
    assert.equal(restored.status, 'Succeeded', JSON.stringify(restored));
    assert.equal(restored.statusDetails, 'Number of successful key versions restored: 3, Number of key versions could not overwrite: 0');
    assert.deepEqual((await house.hsm(HSM, 'GET', '/keys')).json, list);
    const check = { alg: 'ES256', digest: DIGEST, value: signature };
    assert.equal((await house.hsm(HSM, 'POST', '/keys/ec/verify', check)).json.value, true);
    assert.equal((await house.hsm(HSM, 'POST', '/keys/rsa/sign', { alg: 'RS256', value: DIGEST })).status, 200);
  });

  test('roles, settings and rotation policies come back, and newer ones go; the caller has no more rights than the backup gives', async () => {
    const { objectId } = house.connection.servicePrincipal;
    const assignments = '/providers/Microsoft.Authorization/roleAssignments';
    await house.hsm(HSM, 'PUT', '/keys/ec/rotationpolicy', { attributes: { expiryTime: 'P90D' } });
    await house.hsm(HSM, 'PATCH', '/settings/AllowKeyManagementOperationsThroughARM', { value: 'true' });
    const role = '/providers/Microsoft.Authorization/roleDefinitions/11111111-2222-4333-8444-555555555555';
    const permissions = [{ dataActions: ['Microsoft.KeyVault/managedHsm/keys/read/action'] }];
    const custom = { properties: { roleName: 'reader', permissions, assignableScopes: ['/'], description: '', type: 'CustomRole' } };
    assert.equal((await house.hsm(HSM, 'PUT', role, custom)).status, 201);
    await grant(house, HSM, RESTORE_USER, objectId);
    const before = (await house.hsm(HSM, 'GET', assignments)).json;
    const done = await backUp(HSM);

    await house.hsm(HSM, 'PUT', '/keys/ec/rotationpolicy', {});
    await house.hsm(HSM, 'PATCH', '/settings/AllowKeyManagementOperationsThroughARM', { value: 'false' });
    await house.hsm(HSM, 'DELETE', role);
    await grant(house, HSM, CRYPTO_USER, objectId);
    const application = await house.token('application', 'hsm');
    assert.equal((await house.hsm(HSM, 'GET', '/keys/ec', undefined, application)).status, 200);

    const body = { sasTokenParameters: parameters(), folderToRestore: folderOf(done) };
    assert.equal((await ended(HSM, await house.hsm(HSM, 'PUT', '/restore', body, application))).status, 'Succeeded');
    assert.equal((await house.hsm(HSM, 'GET', '/keys/ec', undefined, application)).status, 403);
    assert.deepEqual((await house.hsm(HSM, 'GET', assignments)).json, before);
    assert.equal((await house.hsm(HSM, 'GET', role)).json.properties.roleName, 'reader');
    assert.equal((await house.hsm(HSM, 'GET', '/keys/ec/rotationpolicy')).json.attributes.expiryTime, 'P90D');
    assert.equal((await house.hsm(HSM, 'GET', '/settings/AllowKeyManagementOperationsThroughARM')).json.value, 'true');
  });

  test('one key comes back by name when it was purged, and is counted as kept when it is there', async () => {
    const done = await backUp(HSM);
    const key = (await house.hsm(HSM, 'GET', '/keys/ec')).json;
    const body = () => ({ sasTokenParameters: parameters(), folder: done.azureStorageBlobContainerUri });
    const kept = await ended(HSM, await house.hsm(HSM, 'PUT', '/keys/ec/restore', body()));
    assert.deepEqual(
      [kept.status, kept.statusDetails],
      ['Succeeded', 'Number of successful key versions restored: 0, Number of key versions could not overwrite: 1'],
    );
    await house.hsm(HSM, 'DELETE', '/keys/ec');
    await house.hsm(HSM, 'DELETE', '/deletedkeys/ec');
    const back = await ended(HSM, await house.hsm(HSM, 'PUT', '/keys/ec/restore', body()));
    assert.equal(back.statusDetails, 'Number of successful key versions restored: 1, Number of key versions could not overwrite: 0');
    assert.deepEqual((await house.hsm(HSM, 'GET', '/keys/ec')).json, key);
    assert.equal((await house.hsm(HSM, 'GET', '/keys/ec/rotationpolicy')).json.attributes.expiryTime, 'P90D');
    const absent = await ended(HSM, await house.hsm(HSM, 'PUT', '/keys/absent/restore', body()));
    assert.deepEqual([absent.status, absent.error.code], ['Failed', 'KeyNotFound']);
  });

  test('the checks beforehand read and write what a backup and a restore would, and leave everything as it was', async () => {
    const names = await at.names(container);
    assert.equal((await ended(HSM, await house.hsm(HSM, 'POST', '/prebackup', parameters()))).status, 'Succeeded');
    assert.deepEqual(await at.names(container), names);
    const done = await backUp(HSM);
    const keys = (await house.hsm(HSM, 'GET', '/keys')).json;
    const body = { sasTokenParameters: parameters(), folderToRestore: folderOf(done) };
    const checked = await ended(HSM, await house.hsm(HSM, 'PUT', '/prerestore', body));
    assert.equal(checked.statusDetails, 'The backup is whole and can be restored: 3 keys with 3 versions.');
    assert.deepEqual((await house.hsm(HSM, 'GET', '/keys')).json, keys);
  });

  test('an HSM of another security domain refuses the backup and goes on as it was', async () => {
    const done = await backUp(HSM);
    await house.hsm(OTHER, 'POST', '/keys/mine/create', { kty: 'EC-HSM' });
    const refused = await restore(OTHER, folderOf(done));
    assert.deepEqual([refused.status, refused.error.code], ['Failed', 'SecurityDomainMismatch']);
    assert.equal((await house.hsm(OTHER, 'POST', '/keys/mine/sign', { alg: 'ES256', value: DIGEST })).status, 200);
  });

  test('what is wrong with the storage is said, with its code', async () => {
    const nowhere = container.replace('backups', 'nowhere');
    // An expired token is AuthenticationFailed to Azure and AuthorizationFailure to azurite.
    const cases: [Json, string, RegExp][] = [
      [{ storageResourceUri: nowhere, token: at.sas(nowhere) }, 'ContainerNotFound', /no container at .*nowhere.*Make it first/],
      [{ storageResourceUri: container, token: at.sas(container, 'rl') }, 'AuthorizationPermissionMismatch', /may not write/],
      [{ storageResourceUri: container, token: at.sas(container, 'rcwdl', -60) }, 'AuthorizationFailure', /valid from 20.* until 20/],
      [{ storageResourceUri: container, token: 'sv=2022-11-02&sr=c&sp=rw&sig=forged' }, 'AuthorizationFailure', /keep this service out/],
    ];
    for (const [body, code, words] of cases) {
      const failed = await ended(HSM, await house.hsm(HSM, 'POST', '/backup', body));
      assert.deepEqual([failed.status, failed.error?.code], ['Failed', code], JSON.stringify(failed));
      assert.match(failed.error.message, words);
      assert.equal(failed.azureStorageBlobContainerUri, null);
    }
    const missing = await restore(HSM, 'mhsm-whole-2020010100000000');
    assert.deepEqual([missing.status, missing.error.code], ['Failed', 'BackupNotFound']);
  });

  test('a backup that was changed in any way is refused, and the HSM is as it was', async () => {
    const folder = folderOf(await backUp(HSM));
    const keys = (await house.hsm(HSM, 'GET', '/keys')).json;
    const other = folderOf(await backUp(HSM));
    const chunk = await at.read(container, `${folder}/chunk-00000`);
    const manifest = await at.read(container, `${folder}/manifest.json`);
    const flipped = Buffer.from(chunk);
    flipped[chunk.length >> 1] = (flipped[chunk.length >> 1] ?? 0) ^ 1;
    const outer = JSON.parse(manifest.toString());
    const fewer = { ...JSON.parse(outer.manifest), rows: {} };
    const bad: readonly [string, Buffer][] = [
      ['chunk-00000', flipped],
      ['chunk-00000', chunk.subarray(0, -1)],
      ['chunk-00000', Buffer.concat([chunk, Buffer.of(0)])],
      ['chunk-00000', await at.read(container, `${other}/chunk-00000`)],
      ['manifest.json', Buffer.from(JSON.stringify({ ...outer, manifest: JSON.stringify(fewer) }))],
      ['manifest.json', manifest.subarray(0, 100)],
      ['manifest.json', Buffer.from('{"__proto__":{"manifest":1}}')],
    ];
    for (const [name, bytes] of bad) {
      await at.write(container, `${folder}/${name}`, bytes);
      const refused = await restore(HSM, folder);
      assert.deepEqual([refused.status, refused.error.code], ['Failed', 'BackupCorrupted'], `${name} ${bytes.length}`);
      await at.write(container, `${folder}/${name}`, name === 'manifest.json' ? manifest : chunk);
    }
    assert.deepEqual((await house.hsm(HSM, 'GET', '/keys')).json, keys);
    assert.equal((await restore(HSM, folder)).status, 'Succeeded');
  });

  test('while it is being restored an HSM answers nothing but the status, and takes no second job', async () => {
    const folder = folderOf(await backUp(HSM));
    const reached = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<undefined>();
    at.gate = (request) => {
      if (!String(request.url).includes('chunk-')) return undefined;
      reached.resolve();
      return goOn.promise;
    };
    const started = await house.hsm(HSM, 'PUT', '/restore', { sasTokenParameters: parameters(), folderToRestore: folder });
    await reached.promise;
    for (const [method, path, body] of [
      ['GET', '/keys', undefined],
      ['POST', '/keys/ec/sign', { alg: 'ES256', value: DIGEST }],
      ['POST', '/keys/late/create', { kty: 'EC-HSM' }],
      ['POST', '/backup', parameters()],
      ['POST', '/securitydomain/download', { certificates: [], required: 2 }],
    ] as const) {
      const refused = await house.hsm(HSM, method, path, body);
      assert.deepEqual([refused.status, refused.json.error?.innererror?.code], [409, 'HsmRestoring'], `${path} ${refused.text}`);
    }
    assert.equal((await house.hsm(HSM, 'GET', `/restore/${started.json.jobId}/pending`)).json.status, 'InProgress');
    assert.equal((await house.hsm(OTHER, 'GET', '/keys')).status, 200);
    at.gate = undefined;
    goOn.resolve(undefined);
    assert.equal((await ended(HSM, started)).status, 'Succeeded');
    assert.equal((await house.hsm(HSM, 'POST', '/keys/ec/sign', { alg: 'ES256', value: DIGEST })).status, 200);
  });

  test('a second backup is refused while one is under way', async () => {
    const goOn = Promise.withResolvers<undefined>();
    at.gate = () => goOn.promise;
    const started = await house.hsm(HSM, 'POST', '/backup', parameters());
    const second = await house.hsm(HSM, 'POST', '/backup', parameters());
    assert.deepEqual([second.status, second.json.error.code], [409, 'Conflict']);
    at.gate = undefined;
    goOn.resolve(undefined);
    assert.equal((await ended(HSM, started)).status, 'Succeeded');
  });

  test('a job is known by its own HSM, and in its own family, alone', async () => {
    const { jobId } = await backUp(HSM);
    for (const [name, path] of [
      [OTHER, `/backup/${jobId}/pending`],
      [HSM, `/restore/${jobId}/pending`],
      [HSM, '/backup/unknown/pending'],
    ] as const)
      assert.equal((await house.hsm(name, 'GET', path)).status, 404, path);
  });

  test('nothing in the data folder and in no status has a SAS token', async () => {
    const token = at.sas(container);
    const done = await ended(HSM, await house.hsm(HSM, 'POST', '/backup', { storageResourceUri: container, token: `?${token}` }));
    const failed = await ended(HSM, await house.hsm(HSM, 'POST', '/backup', { storageResourceUri: `${container}x`, token }));
    const signature = new URLSearchParams(token).get('sig') ?? '';
    assert.ok(signature.length > 20);
    for (const text of [JSON.stringify(done), JSON.stringify(failed)])
      assert.ok(!text.includes(signature) && !text.includes(encodeURIComponent(signature)));
    for (const file of readdirSync(house.dataFolder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())) {
      const bytes = readFileSync(join(file.parentPath, file.name));
      assert.ok(!bytes.includes(signature) && !bytes.includes(encodeURIComponent(signature)), file.name);
    }
  });

  test('an address that is not one container, or a token that is none, is refused at once', async () => {
    const token = at.sas(container);
    for (const body of [
      {},
      { storageResourceUri: 'backups', token },
      { storageResourceUri: `${container}?${token}` },
      { storageResourceUri: new URL(container).origin, token },
      { storageResourceUri: 'http://account.blob.core.windows.net/c', token },
      { storageResourceUri: 'ftp://account.blob.core.windows.net/c', token },
      { storageResourceUri: 'file:///tmp', token },
      { storageResourceUri: container },
      { storageResourceUri: container, token: 'a b' },
      { storageResourceUri: container, token, useManagedIdentity: true },
    ]) {
      const refused = await house.hsm(HSM, 'POST', '/backup', body);
      assert.deepEqual([refused.status, refused.json.error?.code], [400, 'BadParameter'], JSON.stringify(body));
      assert.ok(!refused.text.includes('sig='));
    }
    for (const folderToRestore of ['', '../backups', 'a/../b', 'https://elsewhere/backups/x', 'a?b'])
      assert.equal((await house.hsm(HSM, 'PUT', '/restore', { sasTokenParameters: parameters(), folderToRestore })).status, 400);
  });
});
