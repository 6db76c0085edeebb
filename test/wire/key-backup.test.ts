// A key that is carried away in a blob and brought back: with all its versions, into its own security domain and no other.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type House, openHouse } from '../house.ts';
import { activate, CRYPTO_OFFICER, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'backups';
const OTHER = 'backups-other';
const DIGEST = Buffer.alloc(32, 5).toString('base64url');

suite('backup of one key', () => {
  let house: House;
  before(async () => {
    house = await openHouse();
    for (const name of [HSM, OTHER]) {
      await house.provision(name);
      await activate(house, name);
      for (const role of [CRYPTO_USER, CRYPTO_OFFICER]) await grant(house, name, role, house.connection.user.objectId);
    }
  });
  after(() => house?.close());

  test('a purged key comes back with its versions, times, tags and policy, and its old signatures verify', async () => {
    for (const kty of ['EC-HSM', 'RSA-HSM']) await house.hsm(HSM, 'POST', '/keys/k/create', { kty, tags: { made: kty } });
    await house.hsm(HSM, 'PUT', '/keys/k/rotationpolicy', { attributes: { expiryTime: 'P90D' } });
    const [first, second] = (await house.hsm(HSM, 'GET', '/keys/k/versions')).json.value;
    const [one = '', two = ''] = [first.kid, second.kid].map((kid: string) => kid.split('/').at(-1) ?? '');
    const signature = (await house.hsm(HSM, 'POST', `/keys/k/${one}/sign`, { alg: 'ES256', value: DIGEST })).json.value;
    const blob = (await house.hsm(HSM, 'POST', '/keys/k/backup')).json.value;
    assert.deepEqual((await house.hsm(HSM, 'POST', '/keys/restore', { value: blob })).json.error.code, 'Conflict');
    await house.hsm(HSM, 'DELETE', '/keys/k');
    assert.equal(
      (await house.hsm(HSM, 'POST', '/keys/restore', { value: blob })).json.error.innererror.code,
      'ObjectIsDeletedButRecoverable',
    );
    await house.hsm(HSM, 'DELETE', '/deletedkeys/k');

    const restored = await house.hsm(HSM, 'POST', '/keys/restore', { value: blob });
    assert.equal(restored.status, 200, restored.text);
    assert.equal(restored.json.key.kid, second.kid);
    assert.deepEqual((await house.hsm(HSM, 'GET', '/keys/k/versions')).json.value, [first, second]);
    assert.equal((await house.hsm(HSM, 'GET', '/keys/k/rotationpolicy')).json.attributes.expiryTime, 'P90D');
    const check = { alg: 'ES256', digest: DIGEST, value: signature };
    assert.equal((await house.hsm(HSM, 'POST', `/keys/k/${one}/verify`, check)).json.value, true);
    assert.equal((await house.hsm(HSM, 'POST', `/keys/k/${two}/sign`, { alg: 'RS256', value: DIGEST })).status, 200);
  });

  test('another security domain, a changed blob and a made-up one are one and the same refusal', async () => {
    await house.hsm(HSM, 'POST', '/keys/foreign/create', { kty: 'EC-HSM' });
    const blob: string = (await house.hsm(HSM, 'POST', '/keys/foreign/backup')).json.value;
    const changed = `${blob.slice(0, -6)}${blob.endsWith('AAAAAA') ? 'BBBBBB' : 'AAAAAA'}`;
    const answers = [
      await house.hsm(OTHER, 'POST', '/keys/restore', { value: blob }),
      await house.hsm(HSM, 'POST', '/keys/restore', { value: changed }),
      await house.hsm(HSM, 'POST', '/keys/restore', { value: 'bm90IGEgYmFja3Vw' }),
    ];
    assert.deepEqual([...new Set(answers.map(({ status, json }) => `${status} ${json.error?.code}`))], ['400 MalformedBackupBlob']);
    assert.equal(new Set(answers.map(({ json }) => json.error.message.replace(/ \(Activity.*$/, ''))).size, 1);
  });

  test('a key that is not there has no backup', async () => {
    assert.equal((await house.hsm(HSM, 'POST', '/keys/absent/backup')).json.error.code, 'KeyNotFound');
  });
});
