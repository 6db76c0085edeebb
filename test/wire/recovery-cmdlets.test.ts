// Disaster recovery in the cmdlets' language, against the whole service: in one go, and in the three steps of which the middle one needs no network.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { custody } from '../../src/ceremony/custody.ts';
import { makeCustodian } from '../../src/crypto/security-domain/custodian.ts';
import { cmdlets, openSession } from '../../src/shell/cmdlets/all.ts';
import type { Host } from '../../src/shell/host.ts';
import { runScript } from '../../src/shell/main.ts';
import { nodeHost } from '../../src/shell/node-host.ts';
import { type House, openHouse } from '../house.ts';
import { CRYPTO_USER, grant } from './ready.ts';

const [LOST, FIRST, SECOND] = ['cmdlet-lost', 'cmdlet-first', 'cmdlet-second'];
const NAMES = ['ann', 'bob', 'cho'];
const PASSPHRASE = 'correct horse battery staple';

suite('recovery by cmdlets', () => {
  let house: House;
  before(async () => {
    house = await openHouse();
    for (const name of [LOST, FIRST, SECOND]) await house.provision(name);
    mkdirSync(join(house.dataFolder, '../nowhere'));
    for (const name of NAMES) {
      const wish = { name, bits: 2048, days: 1, now: Date.UTC(2026, 0) };
      const made = await makeCustodian(wish, Buffer.from(PASSPHRASE));
      writeFileSync(at(`${name}.key`), made.privateKeyPem, { mode: 0o600 });
      writeFileSync(at(`${name}.cer`), made.certificatePem);
    }
  });
  after(() => house?.close());

  function at(name: string): string {
    return join(house.dataFolder, '..', name);
  }

  interface Ran {
    readonly status: number;
    readonly out: string;
    readonly errors: string;
  }

  /** Runs lines in which `FOLDER` stands for a folder of the test's own. `data` is a folder without a service for what is done offline. */
  async function ran(text: string, data = house.dataFolder): Promise<Ran> {
    const said = { out: '', errors: '' };
    const host: Host = {
      ...nodeHost(),
      // Nobody is there to answer.
      readLine: async () => undefined,
      stdout: (piece) => {
        said.out += piece;
      },
      stderr: (piece) => {
        said.errors += piece;
      },
    };
    const session = openSession(host, { data, custody: async () => custody });
    const status = await runScript(text.replaceAll('FOLDER', join(house.dataFolder, '..')), host, session, cmdlets);
    return { status, ...said };
  }

  async function shows(text: string, data?: string): Promise<string> {
    const { status, out, errors } = await ran(text, data);
    assert.equal(status, 0, errors);
    return out;
  }

  const KEYS = `
    $pass = ConvertTo-SecureString '${PASSPHRASE}' -AsPlainText -Force
    $ann = @{PublicKey='FOLDER/ann.cer'; PrivateKey='FOLDER/ann.key'; Password=$pass}
    $bob = @{PublicKey='FOLDER/bob.cer'; PrivateKey='FOLDER/bob.key'; Password=$pass}
    $cho = @{PublicKey='FOLDER/cho.cer'; PrivateKey='FOLDER/cho.key'; Password=$pass}`;

  test('the domain is exported, and a second export says that the first one still opens', async () => {
    const export_ = (out: string): string =>
      `Export-AzKeyVaultSecurityDomain -Name ${LOST} -Certificates FOLDER/ann.cer, FOLDER/bob.cer, FOLDER/cho.cer -OutputPath FOLDER/${out} -Quorum 2`;
    await shows(export_('sd.json'));
    const again = await ran(export_('again.json'));
    assert.equal(again.status, 0, again.errors);
    assert.match(again.errors, /every older file still opens, with its own custodians and their quorum/);
    await grant(house, LOST, CRYPTO_USER, house.connection.user.objectId);
    await house.hsm(LOST, 'POST', '/keys/k/create', { kty: 'EC-HSM' });
  });

  test('Test-StrongroomSecurityDomain says what the file needs and which keys open it, without a service', async () => {
    const nowhere = join(house.dataFolder, '../nowhere');
    const out = await shows(
      `${KEYS}
      $one = Test-StrongroomSecurityDomain FOLDER/sd.json -Certificates FOLDER/cho.cer -Keys $ann
      "$($one.Required) $($one.Shares.Count) $($one.Opens)"
      $one.Shares
      (Test-StrongroomSecurityDomain FOLDER/again.json -Keys $bob, $cho).Opens
      $wrong = @{PublicKey='FOLDER/ann.cer'; PrivateKey='FOLDER/bob.key'; Password=$pass}
      (Test-StrongroomSecurityDomain FOLDER/sd.json -Keys $wrong, $cho).Opens`,
      nowhere,
    );
    const lines = out.trim().split('\n');
    assert.equal(lines[0], '2 3 not tried: fewer keys than required');
    assert.match(lines[1] ?? '', /^1 [\w-]{43} .*ann\.key: opens$/);
    assert.match(lines[2] ?? '', /^2 [\w-]{43}$/);
    assert.match(lines[3] ?? '', /^3 [\w-]{43} .*cho\.cer has a share$/);
    assert.deepEqual(lines.slice(4), ['True', 'False']);
    const bad = await ran('Test-StrongroomSecurityDomain FOLDER/ann.cer', nowhere);
    assert.equal(bad.status, 1);
    assert.match(bad.errors, /The text is not a security domain file of version 2/);
  });

  test('in one go: a new HSM takes the domain over with two of three keys', async () => {
    const refused = await ran(`${KEYS}
      Import-AzKeyVaultSecurityDomain -Name ${FIRST} -Keys $ann -SecurityDomainPath FOLDER/sd.json`);
    assert.equal(refused.status, 1);
    assert.match(refused.errors, /needs the keys of 2 custodians; 1 were given/);
    const out = await shows(`${KEYS}
      Import-AzKeyVaultSecurityDomain -Name ${FIRST} -Keys $cho, $ann -SecurityDomainPath FOLDER/sd.json -PassThru
      (Get-AzKeyVaultManagedHsm -Name ${FIRST}).SecurityDomain.ActivationStatus`);
    assert.equal(out, 'True\nActive\n');
    const taken = await ran(`${KEYS}
      Import-AzKeyVaultSecurityDomain -Name ${FIRST} -Keys $cho, $ann -SecurityDomainPath FOLDER/sd.json`);
    assert.equal(taken.status, 1);
    assert.match(taken.errors, /has its security domain already/);
  });

  test('in three steps: the exchange key comes, the blob is made where there is no service, and is uploaded', async () => {
    await shows(`Import-AzKeyVaultSecurityDomain -Name ${SECOND} -DownloadExchangeKey -OutFile FOLDER/exchange.cer`);
    assert.match(readFileSync(at('exchange.cer'), 'utf8'), /^-----BEGIN CERTIFICATE-----\n/);
    const whatIf = await ran(
      `${KEYS}
      Import-AzKeyVaultSecurityDomain -RestoreBlob -Keys $ann, $bob -ExchangeKeyPath FOLDER/exchange.cer -SecurityDomainPath FOLDER/sd.json -OutFile FOLDER/blob.json -WhatIf`,
      join(house.dataFolder, '../nowhere'),
    );
    assert.equal(whatIf.status, 0, whatIf.errors);
    assert.throws(() => readFileSync(at('blob.json')));
    await shows(
      `${KEYS}
      Import-AzKeyVaultSecurityDomain -RestoreBlob -Keys $ann, $bob -ExchangeKeyPath FOLDER/exchange.cer -SecurityDomainPath FOLDER/sd.json -OutFile FOLDER/blob.json`,
      join(house.dataFolder, '../nowhere'),
    );
    assert.deepEqual(Object.keys(JSON.parse(readFileSync(at('blob.json'), 'utf8'))), ['EncData', 'WrappedKey']);
    await shows(`Import-AzKeyVaultSecurityDomain -Name ${SECOND} -ImportRestoredBlob -SecurityDomainPath FOLDER/blob.json`);
    await grant(house, SECOND, CRYPTO_USER, house.connection.user.objectId);
    const backup = (await house.hsm(LOST, 'POST', '/keys/k/backup')).json.value;
    const restored = await house.hsm(SECOND, 'POST', '/keys/restore', { value: backup });
    assert.equal(restored.status, 200, restored.text);
  });

  test('a pipeline names the HSM, an existing file is not replaced unasked, and a browser takes no keys', async () => {
    const exists = await ran(`Import-AzKeyVaultSecurityDomain -Name ${SECOND} -DownloadExchangeKey -OutFile FOLDER/exchange.cer`);
    assert.equal(exists.status, 1);
    const piped = await ran(`${KEYS}
      Get-AzKeyVaultManagedHsm -Name ${SECOND} | Import-AzKeyVaultSecurityDomain -Keys $cho, $ann -SecurityDomainPath FOLDER/sd.json`);
    assert.match(piped.errors, /has its security domain already/);
    const host = { ...nodeHost(), stdout: () => undefined, stderr: (piece: string) => errors.push(piece) };
    const errors: string[] = [];
    const script = `Test-StrongroomSecurityDomain '${at('sd.json')}'`;
    assert.equal(await runScript(script, host, openSession(host, { data: house.dataFolder }), cmdlets), 1);
    assert.match(errors.join(''), /not brought into a browser/);
  });
});
