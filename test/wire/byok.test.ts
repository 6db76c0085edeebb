// Bring your own key, over the wire: a key exchange key that can do nothing else, keys of every type wrapped for it, and every way in which that must not work.

import assert from 'node:assert/strict';
import {
  constants,
  createCipheriv,
  createHash,
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  publicEncrypt,
  randomBytes,
  sign,
} from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import { type Got, type House, type Json, openHouse } from '../house.ts';
import { rsaPair } from '../rsa-pairs.ts';
import { activate, CRYPTO_OFFICER, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'byok';
const OTHER = 'byok-other';
const CURVES = { 'P-256': 'prime256v1', 'P-256K': 'secp256k1', 'P-384': 'secp384r1', 'P-521': 'secp521r1' } as const;
const POLICY = '{"version":"1.0.0","anyOf":[{"authority":"https://attest.example","allOf":[{"claim":"a","equals":"b"}]}]}';
const MESSAGE = Buffer.from('message');

/** As Microsoft's specification of the transfer blob has it, with node:crypto. */
function byok(kek: Json, plain: Uint8Array, changed: Json = {}): Json {
  const aesKey = randomBytes(32);
  const cipher = createCipheriv('id-aes256-wrap-pad', aesKey, Buffer.from('a65959a6', 'hex'));
  const key = createPublicKey({ key: { kty: 'RSA', n: kek.n, e: kek.e }, format: 'jwk' });
  const wrapped = publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' }, aesKey);
  return {
    schema_version: '1.0.0',
    header: { kid: kek.kid, alg: 'dir', enc: 'CKM_RSA_AES_KEY_WRAP' },
    ciphertext: Buffer.concat([wrapped, cipher.update(plain)]).toString('base64url'),
    generator: 'a test',
    ...changed,
  };
}

function text(file: Json): string {
  return Buffer.from(JSON.stringify(file)).toString('base64url');
}

function pkcs8(key: KeyObject): Buffer {
  return key.export({ type: 'pkcs8', format: 'der' });
}

suite('bring your own key', () => {
  let house: House;
  let kek: Json;
  before(async () => {
    house = await openHouse();
    for (const name of [HSM, OTHER]) {
      await house.provision(name);
      await activate(house, name);
      for (const role of [CRYPTO_USER, CRYPTO_OFFICER]) await grant(house, name, role, house.connection.user.objectId);
    }
    kek = await made('kek', { kty: 'RSA-HSM', key_ops: ['import'] });
  });
  after(() => house?.close());

  async function made(name: string, body: Json, hsm = HSM): Promise<Json> {
    const got = await house.hsm(hsm, 'POST', `/keys/${name}/create`, body);
    assert.equal(got.status, 200, got.text);
    return got.json.key;
  }

  function bring(name: string, key: Json, more: Json = {}): Promise<Got> {
    return house.hsm(HSM, 'PUT', `/keys/${name}`, { key, ...more });
  }

  async function refused(what: string, status: number, code: string, says: RegExp, asked: Promise<Got>): Promise<void> {
    const got = await asked;
    assert.equal(`${got.status} ${got.json.error?.code}`, `${status} ${code}`, `${what}: ${got.text}`);
    assert.match(got.json.error.message, says, what);
  }

  test('an RSA key signs as it did before it was brought, with the attributes and tags that came with it', async () => {
    for (const modulusLength of [2048, 3072, 4096]) {
      const { privateKey } = rsaPair(modulusLength);
      const key = { kty: 'RSA-HSM', key_ops: ['sign', 'verify'], key_hsm: text(byok(kek, pkcs8(privateKey))) };
      const attributes = { enabled: true, exp: 4102444800 };
      const got = await bring('rsa', key, { Hsm: true, attributes, tags: { from: 'elsewhere' } });
      assert.equal(got.status, 200, got.text);
      const { n, e } = privateKey.export({ format: 'jwk' });
      assert.deepEqual({ n: got.json.key.n, e: got.json.key.e, kty: got.json.key.kty }, { n, e, kty: 'RSA-HSM' });
      assert.deepEqual(new Set(got.json.key.key_ops), new Set(['sign', 'verify']));
      assert.deepEqual([got.json.attributes.exp, got.json.tags], [4102444800, { from: 'elsewhere' }]);
      const digest = createHash('sha256').update(MESSAGE).digest('base64url');
      const signed = await house.hsm(HSM, 'POST', '/keys/rsa/sign', { alg: 'RS256', value: digest });
      assert.equal(signed.json.value, sign('sha256', MESSAGE, privateKey).toString('base64url'));
    }
  });

  test('a key on each curve verifies what its owner signed before', async () => {
    for (const [index, [crv, namedCurve]] of Object.entries(CURVES).entries()) {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve });
      const got = await bring('ec', { kty: 'EC-HSM', crv, key_hsm: text(byok(kek, pkcs8(privateKey))) });
      assert.equal(got.status, 200, got.text);
      const { x, y } = privateKey.export({ format: 'jwk' });
      assert.deepEqual([got.json.key.crv, got.json.key.x, got.json.key.y], [crv, x, y]);
      const hash = ['sha256', 'sha256', 'sha384', 'sha512'][index] ?? '';
      const value = sign(hash, MESSAGE, { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url');
      const digest = createHash(hash).update(MESSAGE).digest('base64url');
      const alg = ['ES256', 'ES256K', 'ES384', 'ES512'][index];
      assert.equal((await house.hsm(HSM, 'POST', '/keys/ec/verify', { alg, digest, value })).json.value, true, crv);
    }
  });

  test('a secret key of 16, 24, 32 and 64 bytes authenticates as it did before', async () => {
    for (const length of [16, 24, 32, 64]) {
      const secret = randomBytes(length);
      const got = await bring('oct', { kty: 'oct-HSM', key_hsm: text(byok(kek, secret)) });
      assert.equal(got.status, 200, got.text);
      assert.deepEqual(Object.keys(got.json.key).sort(), ['key_ops', 'kid', 'kty']);
      const signed = await house.hsm(HSM, 'POST', '/keys/oct/sign', { alg: 'HS512', value: MESSAGE.toString('base64url') });
      assert.equal(signed.json.value, createHmac('sha512', secret).update(MESSAGE).digest('base64url'));
    }
  });

  test('either alphabet of base64 will do, padded or not, for the file and for the ciphertext in it', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    const file = byok(kek, pkcs8(privateKey));
    const { x } = privateKey.export({ format: 'jwk' });
    for (const inside of ['base64url', 'base64'] as const) {
      for (const outside of ['base64url', 'base64'] as const) {
        const ciphertext = Buffer.from(file.ciphertext, 'base64url').toString(inside);
        // The question marks make sure that the alphabets differ, and the mark at the front is what some editors write.
        const written = `\uFEFF${JSON.stringify({ ...file, ciphertext, generator: '???>>>' }, null, 2)}\n`;
        const key_hsm = Buffer.from(written).toString(outside);
        const got = await bring('alphabets', { kty: 'EC', key_hsm });
        assert.equal(got.json.key?.x, x, got.text);
      }
    }
  });

  test('the key exchange key may be named without its version, with another port, and as a later version of itself', async () => {
    const plain = randomBytes(32);
    const [, , host, , name] = kek.kid.split('/');
    for (const kid of [`https://${host}/keys/${name}`, kek.kid.replace(/:\d+/, ''), kek.kid.toUpperCase().replace('KEYS', 'keys')]) {
      const file = byok({ ...kek, kid }, plain);
      const got = await bring('named', { kty: 'oct', key_hsm: text(file) });
      assert.equal(got.status, 200, `${kid}: ${got.text}`);
    }
    const first = await made('renewed', { kty: 'RSA-HSM', key_ops: ['import'] });
    const second = await made('renewed', { kty: 'RSA-HSM', key_ops: ['import'] });
    for (const version of [first, second])
      assert.equal((await bring('named', { kty: 'oct', key_hsm: text(byok(version, plain)) })).status, 200);
    const crossed = byok({ ...first, kid: second.kid }, plain);
    await refused(
      'the wrong version',
      400,
      'BadParameter',
      /^The parameter is incorrect\./,
      bring('named', { kty: 'oct', key_hsm: text(crossed) }),
    );
  });

  test('a key exchange key does nothing else, and can be made into nothing else', async () => {
    const value = randomBytes(32).toString('base64url');
    const calls: readonly (readonly [string, Json])[] = [
      ['encrypt', { alg: 'RSA-OAEP', value }],
      ['decrypt', { alg: 'RSA-OAEP', value: randomBytes(256).toString('base64url') }],
      ['wrapkey', { alg: 'RSA-OAEP', value }],
      ['unwrapkey', { alg: 'RSA-OAEP', value: randomBytes(256).toString('base64url') }],
      ['sign', { alg: 'RS256', value }],
      ['verify', { alg: 'RS256', digest: value, value }],
    ];
    for (const [operation, body] of calls) {
      const got = await house.hsm(HSM, 'POST', `/keys/kek/${operation}`, body);
      assert.equal(`${got.status} ${got.json.error?.innererror?.code}`, '403 KeyOperationForbidden', operation);
    }
    for (const key_ops of [['decrypt'], ['import', 'unwrapKey']]) {
      await refused(String(key_ops), 400, 'BadParameter', /'import'/, house.hsm(HSM, 'PATCH', '/keys/kek', { key_ops }));
    }
    const unsaid = await house.hsm(HSM, 'PATCH', '/keys/kek', { key_ops: [] });
    assert.deepEqual(unsaid.json.key.key_ops, ['import'], unsaid.text);
    await made('ordinary', { kty: 'RSA-HSM' });
    await refused('into one', 400, 'BadParameter', /'import'/, house.hsm(HSM, 'PATCH', '/keys/ordinary', { key_ops: ['import'] }));
    assert.equal((await house.hsm(HSM, 'PATCH', '/keys/kek', { key_ops: ['import'], tags: { a: 'b' } })).status, 200);
    for (const key_ops of [
      ['import', 'decrypt'],
      ['import', 'export'],
    ]) {
      await refused('mixed', 400, 'BadParameter', /'import'/, house.hsm(HSM, 'POST', '/keys/mixed/create', { kty: 'RSA', key_ops }));
    }
    const release_policy = { data: Buffer.from(POLICY).toString('base64url') };
    const exportable = { kty: 'RSA', key_ops: ['import'], attributes: { exportable: true }, release_policy };
    await refused('exportable', 400, 'BadParameter', /'import'/, house.hsm(HSM, 'POST', '/keys/mixed/create', exportable));
    for (const kty of ['EC', 'oct']) {
      await refused(kty, 400, 'BadParameter', /'import'/, house.hsm(HSM, 'POST', '/keys/mixed/create', { kty, key_ops: ['import'] }));
    }
  });

  test('a key that is no key exchange key, is not there, or is of another HSM unwraps nothing', async () => {
    const plain = randomBytes(32);
    const absent = { ...kek, kid: kek.kid.replace('/kek/', '/absent/') };
    const oldVersion = { ...kek, kid: kek.kid.replace(/[0-9a-f]{32}$/, '0'.repeat(32)) };
    const ordinary = await made('usual', { kty: 'RSA-HSM' });
    const foreign = await made('kek', { kty: 'RSA-HSM', key_ops: ['import'] }, OTHER);
    const deleted = await made('gone', { kty: 'RSA-HSM', key_ops: ['import'] });
    await house.hsm(HSM, 'DELETE', '/keys/gone');
    for (const [what, key, says] of [
      ['absent', absent, /header.kid is not a key exchange key/],
      ['no such version', oldVersion, /header.kid is not a key exchange key/],
      ['ordinary', ordinary, /header.kid is not a key exchange key/],
      ['deleted', deleted, /header.kid is not a key exchange key/],
      ['another HSM', foreign, /header.kid is a key of another HSM/],
    ] as const) {
      await refused(what, 400, 'BadParameter', says, bring('nothing', { kty: 'oct', key_hsm: text(byok(key, plain)) }));
    }
    // What was wrapped for the other HSM does not open here under this one's name either.
    const renamed = byok({ ...foreign, kid: kek.kid }, plain);
    await refused(
      'renamed',
      400,
      'BadParameter',
      /^The parameter is incorrect\./,
      bring('nothing', { kty: 'oct', key_hsm: text(renamed) }),
    );
    assert.equal((await house.hsm(HSM, 'GET', '/keys/nothing')).status, 404);
  });

  test('a disabled key exchange key, one before its time and one after it let nothing in', async () => {
    const now = Math.floor(Date.now() / 1000);
    const rows = [
      [{ enabled: false }, 'KeyDisabled'],
      [{ nbf: now + 86_400 }, 'KeyNotYetValid'],
      [{ exp: now - 86_400 }, 'KeyExpired'],
    ] as const;
    for (const [attributes, inner] of rows) {
      const key = await made('timed', { kty: 'RSA-HSM', key_ops: ['import'], attributes });
      const got = await bring('nothing', { kty: 'oct', key_hsm: text(byok(key, randomBytes(32))) });
      assert.equal(`${got.status} ${got.json.error?.innererror?.code}`, `403 ${inner}`, got.text);
    }
  });

  test('garbage, another type and changed bytes are refused, what the wrapping hides with one and the same words', async () => {
    const ec = pkcs8(generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey);
    const file = byok(kek, ec);
    const changed = (at: number): Json => {
      const bytes = Buffer.from(file.ciphertext, 'base64url');
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      return { ...file, ciphertext: bytes.toString('base64url') };
    };
    const answers = [
      await bring('nothing', { kty: 'EC', key_hsm: text(changed(0)) }),
      await bring('nothing', { kty: 'EC', key_hsm: text(changed(255)) }),
      await bring('nothing', { kty: 'EC', key_hsm: text(changed(256)) }),
      await bring('nothing', { kty: 'EC', key_hsm: text(changed(300)) }),
      await bring('nothing', { kty: 'EC', key_hsm: text(byok(kek, randomBytes(100))) }),
      await bring('nothing', { kty: 'RSA', key_hsm: text(byok(kek, randomBytes(32))) }),
      await bring('nothing', { kty: 'RSA', key_hsm: text({ ...file, ciphertext: randomBytes(600).toString('base64url') }) }),
      await bring('nothing', { kty: 'RSA', key_hsm: text({ ...file, ciphertext: 'AAAA' }) }),
    ];
    const seen = answers.map(({ status, json }) => `${status} ${json.error?.code} ${json.error?.message.replace(/ \(Activity.*$/, '')}`);
    assert.deepEqual([...new Set(seen)], ['400 BadParameter The parameter is incorrect.']);

    await refused('another type', 400, 'BadParameter', /of type 'EC-HSM'/, bring('nothing', { kty: 'RSA', key_hsm: text(file) }));
    await refused(
      'another curve',
      400,
      'BadParameter',
      /on curve 'P-256'/,
      bring('nothing', { kty: 'EC', crv: 'P-384', key_hsm: text(file) }),
    );
    await refused('no type', 400, 'BadParameter', /kty/, bring('nothing', { key_hsm: text(file) }));
    await refused('no JSON', 400, 'BadParameter', /JSON/, bring('nothing', { kty: 'EC', key_hsm: randomBytes(64).toString('base64url') }));
    await refused('two keys', 400, 'BadParameter', /whole key/, bring('nothing', { kty: 'EC', d: 'AQAB', key_hsm: text(file) }));
    const weak = pkcs8(rsaPair(1024).privateKey);
    await refused(
      'too weak',
      400,
      'BadParameter',
      /Invalid key size: '1024'/,
      bring('nothing', { kty: 'RSA', key_hsm: text(byok(kek, weak)) }),
    );
    assert.equal((await house.hsm(HSM, 'GET', '/keys/nothing')).status, 404);
  });

  test('a key that comes wrapped may be made exportable, with the policy that this takes', async () => {
    const key = { kty: 'RSA', key_hsm: text(byok(kek, pkcs8(rsaPair(2048).privateKey))) };
    const exportable = { attributes: { exportable: true } };
    await refused('no policy', 400, 'BadParameter', /must have release policy/, bring('leaves', key, exportable));
    const release_policy = { data: Buffer.from(POLICY).toString('base64url') };
    const got = await bring('leaves', key, { ...exportable, release_policy });
    assert.equal(got.status, 200, got.text);
    assert.equal(got.json.attributes.exportable, true);
    assert.deepEqual(JSON.parse(Buffer.from(got.json.release_policy.data, 'base64url').toString()), JSON.parse(POLICY));
  });

  test('to bring a key takes the right to import, at the name it gets', async () => {
    const application = await house.token('application', 'hsm');
    const { objectId } = house.connection.servicePrincipal;
    const body = { key: { kty: 'oct', key_hsm: text(byok(kek, randomBytes(32))) } };
    const asApplication = (name: string) => house.hsm(HSM, 'PUT', `/keys/${name}`, body, application);
    assert.equal((await asApplication('mine')).json.error.code, 'AccessDenied');
    await grant(house, HSM, CRYPTO_USER, objectId, '/keys/mine');
    assert.equal((await asApplication('mine')).status, 200);
    assert.equal((await asApplication('yours')).json.error.code, 'AccessDenied');
  });
});
