// `strongroom backup verify` on backups in a folder and in a storage: what it finds without keys, what with a quorum, and what the running HSM says.

import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { openStorage } from '../azurite.ts';
import { type Ended, run } from '../clients/service.ts';
import { type House, type Json, openHouse } from '../house.ts';
import { PROGRAM } from '../program.ts';
import { jwk, makePair, type Pair } from '../unit/security-domain/ceremony.ts';
import { activate, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'verified';
const program = [process.execPath, PROGRAM, 'backup', 'verify'];

suite('backups that are verified', () => {
  let house: House;
  let folder: string;
  let backup: string;
  let quorum: readonly string[];
  let custodians: readonly Pair[];
  const storage = openStorage();

  before(async () => {
    const at = await storage;
    folder = await mkdtemp(join(tmpdir(), 'strongroom-verify-'));
    const flags = 'missing' in at ? [] : ['--backup-private-host', at.host, '--backup-ca', at.caFile];
    house = await openHouse({ flags: ['--backup-folder', folder, ...flags] });
    custodians = ['a', 'b', 'c'].map((name) => makePair(name));
    await house.provision(HSM);
    const certificates = custodians.map(jwk);
    const domain = (await house.hsm(HSM, 'POST', '/securitydomain/download', { certificates, required: 2 })).json.value;
    writeFileSync(join(folder, 'sd.json'), domain);
    for (const [index, { pem, der }] of custodians.entries()) {
      writeFileSync(join(folder, `c${index}.key`), pem, { mode: 0o600 });
      writeFileSync(join(folder, `c${index}.cer`), der);
    }
    while ((await house.hsm(HSM, 'GET', '/securitydomain/download/pending')).json.status !== 'Success')
      await new Promise((wake) => setTimeout(wake, 100));
    await grant(house, HSM, CRYPTO_USER, house.connection.user.objectId);
    for (const kty of ['EC-HSM', 'RSA-HSM', 'oct-HSM']) await house.hsm(HSM, 'POST', `/keys/${kty}/create`, { kty });
    quorum = ['--security-domain', 'sd.json', '--key', 'c0.key', '--key', 'c2.key'];
    backup = fileURLToPath((await backedUp({ storageResourceUri: pathToFileURL(folder).href })).azureStorageBlobContainerUri);
  });
  after(async () => {
    await house?.close();
    const at = await storage;
    if (!('missing' in at)) await at.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function backedUp(body: Json): Promise<Json> {
    const started = await house.hsm(HSM, 'POST', '/backup', body);
    for (;;) {
      const { json } = await house.call('GET', started.headers['azure-asyncoperation'] ?? '', { token: await house.token('user', 'hsm') });
      if (json.status === 'Succeeded') return json;
      assert.equal(json.status, 'InProgress', JSON.stringify(json));
      await new Promise((wake) => setTimeout(wake, 20));
    }
  }

  function verified(...words: readonly string[]): Promise<Ended> {
    return run([...program, ...words], folder, { ...process.env });
  }

  test('without keys everything is there and nobody says that it is genuine; with a quorum it is', async () => {
    const plain = await verified(backup);
    assert.equal(plain.status, 0, plain.stderr);
    assert.match(plain.stdout, /hsm +verified\n[\s\S]*keys +3\nversions +3\n[\s\S]*whole +all 1 chunks[\s\S]*genuine +not known/);
    const full = await verified(backup, ...quorum, '--json');
    assert.equal(full.status, 0, full.stderr);
    const { takenAt, domain, bytes, ...facts } = JSON.parse(full.stdout);
    assert.deepEqual(facts, { whole: true, genuine: true, hsm: HSM, keys: 3, versions: 3 });
    assert.ok(Date.parse(takenAt) > 0 && bytes > 100 && /^[0-9a-f-]{36}$/.test(domain));
  });

  test('damage is found without keys; what somebody made up, only with them', async () => {
    const copy = join(folder, 'copy');
    const damaged = async (change: () => void, ...words: readonly string[]): Promise<Ended> => {
      rmSync(copy, { recursive: true, force: true });
      cpSync(backup, copy, { recursive: true });
      change();
      return verified(copy, ...words);
    };
    const chunk = join(copy, 'chunk-00000');
    const manifest = join(copy, 'manifest.json');
    const flip = (): void => {
      const bytes = readFileSync(chunk);
      bytes[100] = (bytes[100] ?? 0) ^ 1;
      writeFileSync(chunk, bytes);
    };
    for (const [change, code] of [
      [flip, 'BackupCorrupted'],
      [() => rmSync(chunk), 'BackupNotFound'],
      [() => rmSync(manifest), 'BackupNotFound'],
      [() => writeFileSync(manifest, '{}'), 'BackupCorrupted'],
    ] as const) {
      const ended = await damaged(change);
      assert.equal(ended.status, 1);
      assert.match(ended.stderr, new RegExp(code));
    }
    const forge = (): void => {
      const outer = JSON.parse(readFileSync(manifest, 'utf8'));
      writeFileSync(manifest, JSON.stringify({ ...outer, manifest: outer.manifest.replace('"keys":3', '"keys":9') }));
    };
    assert.equal((await damaged(forge)).status, 0);
    const found = await damaged(forge, ...quorum, '--json');
    assert.deepEqual([found.status, JSON.parse(found.stdout).code], [1, 'BackupCorrupted']);
  });

  test('too few custodians, those of another domain, and keys of somebody else are refused', async () => {
    const few = await verified(backup, '--security-domain', 'sd.json', '--key', 'c1.key');
    assert.equal(few.status, 1);
    assert.match(few.stderr, /needs the keys of 2 custodians/);
    await house.provision('verified-other');
    await activate(house, 'verified-other');
    const domain = await house.hsm('verified-other', 'POST', '/securitydomain/download', {
      certificates: custodians.map(jwk),
      required: 2,
    });
    writeFileSync(join(folder, 'other.json'), domain.json.value);
    const other = await verified(backup, '--security-domain', 'other.json', '--key', 'c0.key', '--key', 'c1.key');
    assert.equal(other.status, 1);
    assert.match(other.stderr, /SecurityDomainMismatch/);
  });

  test('a backup in a storage is verified with a token that may read', async (t) => {
    const at = await storage;
    if ('missing' in at) return t.skip(at.missing);
    const container = await at.container('verify');
    const done = await backedUp({ storageResourceUri: container, token: at.sas(container) });
    const words = [done.azureStorageBlobContainerUri, '--ca', at.caFile, '--sas-token-from', 'env:SAS', ...quorum];
    const ended = await run([...program, ...words], folder, { ...process.env, SAS: at.sas(container, 'r') });
    assert.equal(ended.status, 0, ended.stderr);
    assert.match(ended.stdout, /genuine +an HSM of this security domain wrote it/);
  });

  test('a folder without a backup, and words that make no sense, are said to be so', async () => {
    mkdirSync(join(folder, 'empty'));
    assert.match((await verified('empty')).stderr, /BackupNotFound/);
    assert.equal((await verified()).status, 2);
    assert.equal((await verified('https://account.blob.core.windows.net/c/f')).status, 2);
  });
});
