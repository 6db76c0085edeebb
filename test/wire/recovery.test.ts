// Disaster recovery: a new HSM takes over the security domain of another one, with a quorum of its custodians, and then opens the other's backups.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { wrappingCertificate } from '../../src/crypto/security-domain/certificate.ts';
import { makeRestoreBlob, openSecurityDomain, readSecurityDomain } from '../../src/crypto/security-domain/file.ts';
import { type House, type Json, openHouse } from '../house.ts';
import { custodianOf, jwk, makePair, type Pair } from '../unit/security-domain/ceremony.ts';
import { CRYPTO_USER, grant } from './ready.ts';

const LOST = 'recovery-lost';
const NEW = 'recovery-new';
const DIGEST = Buffer.alloc(32, 8).toString('base64url');

suite('disaster recovery', () => {
  let house: House;
  let custodians: readonly Pair[];
  let file: string;
  let backup: string;
  let publicHalf: string;
  before(async () => {
    house = await openHouse();
    custodians = ['a', 'b', 'c'].map((name) => makePair(name));
    await house.provision(LOST);
    await house.provision(NEW);
    file = (await house.hsm(LOST, 'POST', '/securitydomain/download', { certificates: custodians.map(jwk), required: 2 })).json.value;
    await untilActive(LOST);
    await grant(house, LOST, CRYPTO_USER, house.connection.user.objectId);
    publicHalf = (await house.hsm(LOST, 'POST', '/keys/k/create', { kty: 'EC-HSM' })).json.key.x;
    backup = (await house.hsm(LOST, 'POST', '/keys/k/backup')).json.value;
  });
  after(() => house?.close());

  async function untilActive(name: string): Promise<void> {
    for (let tries = 0; tries < 100; tries += 1) {
      if ((await house.hsm(name, 'GET', '/securitydomain/upload/pending')).json.status === 'Success') return;
      await new Promise((wake) => setTimeout(wake, 100));
    }
    assert.fail(`${name} did not become active`);
  }

  async function exchange(): Promise<Json> {
    const { key_format, transfer_key } = (await house.hsm(NEW, 'GET', '/securitydomain/upload')).json;
    assert.equal(key_format, 'jwk');
    return JSON.parse(transfer_key);
  }

  /** What the custodians do with their keys, away from any service. */
  function restoreBlob(holders: readonly Pair[], certificate: string): string {
    const blobs = [...openSecurityDomain(readSecurityDomain(file), holders.map(custodianOf))].map(([tag, plain]) => ({ tag, plain }));
    return makeRestoreBlob(blobs, wrappingCertificate(Buffer.from(certificate, 'base64'), 'The exchange certificate'));
  }

  test('the exchange key is the same until a domain was uploaded, also for two that ask at once and after a restart', async () => {
    const [one, two] = await Promise.all([exchange(), exchange()]);
    assert.deepEqual(one, two);
    assert.deepEqual([one.kty, one.key_ops], ['RSA', ['wrapKey', 'verify', 'encrypt']]);
    await house.restart();
    assert.deepEqual(await exchange(), one);
  });

  test('whatever fails in the cryptography of a blob gets one answer, and the HSM goes on waiting', async () => {
    const { x5c } = await exchange();
    const good = JSON.parse(restoreBlob(custodians.slice(1), x5c[0]));
    const other = JSON.parse(restoreBlob(custodians.slice(1), x5c[0]));
    const [first, second, third] = good.EncData.data;
    const cut = (jwe: string, at: number, end: number): string =>
      jwe
        .split('.')
        .with(at, jwe.split('.')[at]?.slice(0, end) ?? '')
        .join('.');
    const turned = (jwe: string, at: number): string =>
      jwe
        .split('.')
        .with(
          at,
          (jwe.split('.')[at] ?? '').replace(/^./, (digit) => (digit === 'A' ? 'B' : 'A')),
        )
        .join('.');
    const withData = (data: unknown): unknown => ({ ...good, EncData: { ...good.EncData, data } });
    const withKey = (enc_key: string): unknown => ({ ...good, WrappedKey: { ...good.WrappedKey, enc_key } });
    // biome-ignore format: a table reads by its columns
    const broken: Readonly<Record<string, unknown>> = {
      'a changed tag of a blob':       withData([{ ...first, compact_jwe: turned(first.compact_jwe, 4) }, second, third]),
      'a changed text of a blob':      withData([{ ...first, compact_jwe: turned(first.compact_jwe, 3) }, second, third]),
      'a short tag of a blob':         withData([{ ...first, compact_jwe: cut(first.compact_jwe, 4, 22) }, second, third]),
      'no tag at all':                 withData([{ ...first, compact_jwe: cut(first.compact_jwe, 4, 0) }, second, third]),
      'blobs under each other\'s tags': withData([{ ...first, compact_jwe: second.compact_jwe }, { ...second, compact_jwe: first.compact_jwe }, third]),
      'a blob missing':                withData([first, second]),
      'a blob under another tag':      withData([first, second, { ...third, tag: 'kmsp_enclave_backup' }]),
      'blobs of another blob':         withData(other.EncData.data),
      'the key of another blob':       withKey(other.WrappedKey.enc_key),
      'a changed RSA ciphertext':      withKey(turned(good.WrappedKey.enc_key, 1)),
      'a short RSA ciphertext':        withKey(cut(good.WrappedKey.enc_key, 1, 100)),
      'a changed tag of the key':      withKey(turned(good.WrappedKey.enc_key, 4)),
      'a short tag of the key':        withKey(cut(good.WrappedKey.enc_key, 4, 22)),
      'a key that is a blob':          withKey(first.compact_jwe),
    };
    const answers = new Set<string>();
    for (const [what, value] of Object.entries(broken)) {
      const got = await house.hsm(NEW, 'POST', '/securitydomain/upload', { value: JSON.stringify(value) });
      assert.equal(got.status, 400, `${what}: ${got.text}`);
      assert.equal(got.headers['azure-asyncoperation'], undefined, what);
      answers.add(
        JSON.stringify([got.json.error.code, got.json.error.message.replace(/ \(Activity ID: .*/, ''), got.json.error.innererror]),
      );
    }
    assert.deepEqual([...answers], ['["BadParameter","The parameter is incorrect.",null]']);
    assert.equal((await house.hsm(NEW, 'GET', '/keys')).json.error.innererror.code, 'HsmNotActivated');
    assert.deepEqual((await exchange()).x5c, x5c);
  });

  test('a blob for another exchange key and what is no blob at all are refused in words', async () => {
    const elsewhere = restoreBlob(custodians.slice(1), makePair('elsewhere').der.toString('base64'));
    for (const [value, words] of [
      [elsewhere, /made for another exchange certificate/],
      ['{}', /is not a security domain restore blob/],
      ['nonsense', /is not a security domain restore blob/],
      [file, /is not a security domain restore blob/],
    ] as const) {
      const got = await house.hsm(NEW, 'POST', '/securitydomain/upload', { value });
      assert.deepEqual([got.status, got.json.error?.code], [400, 'BadParameter'], got.text);
      assert.match(got.json.error.message, words);
    }
  });

  test('with a quorum the new HSM becomes the same domain: it opens the backup, and the key is the same key', async () => {
    const { x5c } = await exchange();
    const value = restoreBlob(
      [custodians[2], custodians[0]].filter((pair) => pair !== undefined),
      x5c[0],
    );
    const got = await house.hsm(NEW, 'POST', '/securitydomain/upload', { value });
    assert.deepEqual([got.status, got.json.status], [202, 'InProgress'], got.text);
    assert.match(
      got.headers['azure-asyncoperation'] ?? '',
      /^https:\/\/recovery-new\.managedhsm\.localhost:\d+\/securitydomain\/upload\/pending\?api-version=/,
    );
    await untilActive(NEW);
    await grant(house, NEW, CRYPTO_USER, house.connection.user.objectId);
    const restored = await house.hsm(NEW, 'POST', '/keys/restore', { value: backup });
    assert.equal(restored.status, 200, restored.text);
    assert.equal(restored.json.key.x, publicHalf);
    const signature = (await house.hsm(NEW, 'POST', '/keys/k/sign', { alg: 'ES256', value: DIGEST })).json.value;
    assert.equal((await house.hsm(LOST, 'POST', '/keys/k/verify', { alg: 'ES256', digest: DIGEST, value: signature })).json.value, true);
    await house.restart();
    assert.equal((await house.hsm(NEW, 'POST', '/keys/k/sign', { alg: 'ES256', value: DIGEST })).status, 200);
  });

  test('an HSM that has its domain takes no other one', async () => {
    for (const [method, body] of [
      ['GET', undefined],
      ['POST', { value: '{}' }],
    ] as const) {
      assert.equal((await house.hsm(NEW, method, '/securitydomain/upload', body)).json.error.code, 'Conflict');
    }
  });

  test('fewer custodians than the quorum open nothing', () => {
    assert.throws(() => openSecurityDomain(readSecurityDomain(file), custodians.slice(0, 1).map(custodianOf)));
  });
});
