// Storages that fail, lie, crawl, or are not where they may be: the job ends with words, nothing half is left that looks like a backup, the HSM is as it was,
// and nobody else is contacted.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, afterEach, before, suite, test } from 'node:test';
import { type Gatekeeper, openStorage, type Storage } from '../azurite.ts';
import { type Got, type House, type Json, openHouse } from '../house.ts';
import { activate, CRYPTO_OFFICER, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'faults';
const storage = await openStorage();

suite('backups and their storage when it fails', { skip: 'missing' in storage ? storage.missing : false }, () => {
  if ('missing' in storage) return;
  const at: Storage = storage;
  let house: House;
  let container: string;
  let elsewhere: Server;
  let visits = 0;

  before(async () => {
    elsewhere = createServer((_request, response) => {
      visits += 1;
      response.end('hello');
    });
    await once(elsewhere.listen(0, '127.0.0.1'), 'listening');
    house = await openHouse({ flags: ['--backup-private-host', at.host, '--backup-ca', at.caFile, '--backup-timeout', '1'] });
    container = await at.container('faults');
    await house.provision(HSM);
    await activate(house, HSM);
    for (const role of [CRYPTO_USER, CRYPTO_OFFICER]) await grant(house, HSM, role, house.connection.user.objectId);
    await house.hsm(HSM, 'POST', '/keys/k/create', { kty: 'EC-HSM' });
  });
  afterEach(() => {
    at.gate = undefined;
  });
  after(async () => {
    elsewhere.close();
    await house?.close();
    await at.stop();
  });

  const parameters = (uri = container) => ({ storageResourceUri: uri, token: at.sas(container) });
  const port = (): number => (elsewhere.address() as AddressInfo).port;

  async function ended(started: Got): Promise<Json> {
    assert.equal(started.status, 202, started.text);
    for (;;) {
      const got = await house.call('GET', started.headers['azure-asyncoperation'] ?? '', { token: await house.token('user', 'hsm') });
      if (got.json.status !== 'InProgress') return got.json;
      await new Promise((wake) => setTimeout(wake, 20));
    }
  }

  async function backUp(uri?: string): Promise<Json> {
    return ended(await house.hsm(HSM, 'POST', '/backup', parameters(uri)));
  }

  async function restore(folderToRestore: string): Promise<Json> {
    return ended(await house.hsm(HSM, 'PUT', '/restore', { sasTokenParameters: parameters(), folderToRestore }));
  }

  const folderOf = (done: Json): string => done.azureStorageBlobContainerUri.split('/').at(-1);

  /** Meets only requests of this method for a file of this name. */
  const meeting = (method: string, name: string, keeper: Gatekeeper): Gatekeeper => {
    return (request, response) => (request.method === method && (request.url ?? '').includes(name) ? keeper(request, response) : undefined);
  };

  const FAULTS: readonly [string, Gatekeeper, string][] = [
    ['breaks the connection', (request) => (request.socket.destroy(), 'handled'), 'StorageUnreachable'],
    ['never answers', () => 'handled', 'StorageTimeout'],
    [
      'answers a byte a second',
      (_request, response) => (response.writeHead(200, { 'content-length': '100' }).write('<'), 'handled'),
      'StorageTimeout',
    ],
    ['has no room', (_request, response) => (response.writeHead(507).end(), 'handled'), 'InsufficientStorage'],
    ['is too busy', (_request, response) => (response.writeHead(503, { 'x-ms-error-code': 'ServerBusy' }).end(), 'handled'), 'ServerBusy'],
    [
      'is immutable',
      (_request, response) => (response.writeHead(409, { 'x-ms-error-code': 'BlobImmutableDueToPolicy' }).end(), 'handled'),
      'BlobImmutableDueToPolicy',
    ],
    [
      'points elsewhere',
      (_request, response) => (response.writeHead(307, { location: `http://127.0.0.1:${port()}/` }).end(), 'handled'),
      'StorageRedirected',
    ],
    ['speaks something else', (_request, response) => (response.writeHead(418).end('<html>'), 'handled'), 'StorageError'],
  ];
  for (const [what, keeper, code] of FAULTS) {
    test(`a storage that ${what} in the middle of a backup: the job fails with ${code} and leaves no backup`, async () => {
      at.gate = meeting('PUT', 'chunk-', keeper);
      const failed = await backUp();
      assert.deepEqual([failed.status, failed.error?.code], ['Failed', code], JSON.stringify(failed));
      at.gate = undefined;
      assert.deepEqual(
        (await at.names(container)).filter((name) => name.endsWith('manifest.json')),
        [],
      );
      assert.equal((await house.hsm(HSM, 'GET', '/keys/k')).status, 200);
    });
  }

  test('a storage that stumbles is tried again', async () => {
    let stumbles = 2;
    at.gate = meeting('PUT', 'chunk-', (request) => {
      stumbles -= 1;
      if (stumbles < 0) return undefined;
      request.socket.destroy();
      return 'handled';
    });
    const done = await backUp();
    assert.equal(done.status, 'Succeeded', JSON.stringify(done));
  });

  test('a storage that answers with something else, without end, or not at all in the middle of a restore leaves the HSM as it was', async () => {
    const folder = folderOf(await backUp());
    const cases: readonly [string, Gatekeeper, string][] = [
      [
        'manifest',
        (_request, response) => (response.writeHead(200, { 'content-length': '7', etag: '"x"' }).end('garbage'), 'handled'),
        'BackupCorrupted',
      ],
      [
        'chunk-',
        (_request, response) => (response.writeHead(200, { 'content-length': '7', etag: '"x"' }).end('garbage'), 'handled'),
        'BackupCorrupted',
      ],
      [
        'manifest',
        (_request, response) => {
          response.writeHead(200, { 'content-length': String(2 ** 40), etag: '"x"' });
          const more = (): boolean => response.destroyed || (response.write(Buffer.alloc(1 << 20)), setImmediate(more), true);
          more();
          return 'handled';
        },
        'StorageAnswerTooLarge',
      ],
      ['chunk-', (request) => (request.socket.destroy(), 'handled'), 'StorageUnreachable'],
      ['chunk-', () => 'handled', 'StorageTimeout'],
      [
        'chunk-',
        (_request, response) => (response.writeHead(404, { 'x-ms-error-code': 'BlobNotFound' }).end(), 'handled'),
        'BackupNotFound',
      ],
    ];
    for (const [name, keeper, code] of cases) {
      at.gate = meeting('GET', name, keeper);
      const failed = await restore(folder);
      assert.deepEqual([failed.status, failed.error?.code], ['Failed', code], `${name}: ${JSON.stringify(failed)}`);
      assert.equal((await house.hsm(HSM, 'GET', '/keys/k')).status, 200);
    }
    at.gate = undefined;
    assert.equal((await restore(folder)).status, 'Succeeded');
  });

  test('an address of the own network is not connected to, however it is written', async () => {
    visits = 0;
    for (const host of [
      'localhost',
      '127.0.0.1',
      '127.1',
      '2130706433',
      '0x7f.1',
      '[::1]',
      '[::ffff:127.0.0.1]',
      '0.0.0.0',
      '169.254.169.254',
      '10.0.0.1',
    ]) {
      const failed = await backUp(`https://${host}:${port()}/account/container`);
      assert.deepEqual([failed.status, failed.error?.code], ['Failed', 'StorageAddressNotAllowed'], `${host}: ${JSON.stringify(failed)}`);
    }
    const itself = await backUp(`https://localhost:${new URL(house.connection.resourceManager).port}/account/container`);
    assert.equal(itself.error.code, 'StorageAddressNotAllowed');
    for (const uri of [`http://${at.host}/a/c`, `http://127.0.0.1:${port()}/a/c`, `http://account.example/c`]) {
      const got = await house.hsm(HSM, 'POST', '/backup', parameters(uri));
      // Only an allowed host may do without TLS; this one speaks TLS alone.
      if (uri.includes(at.host)) assert.equal((await ended(got)).status, 'Failed');
      else assert.deepEqual([got.status, got.json.error.code], [400, 'BadParameter'], uri);
    }
    assert.equal(visits, 0);
  });

  test('a host that does not exist and a port where nobody listens are said to be so', async () => {
    const nowhere = await backUp('https://no-such-host.invalid/container');
    assert.deepEqual([nowhere.status, nowhere.error.code], ['Failed', 'StorageUnreachable']);
  });
});
