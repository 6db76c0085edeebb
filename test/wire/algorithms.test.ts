// Every algorithm of the data plane against node:crypto, in both directions: what the HSM makes the other side opens, and what the other side makes the
// HSM opens. The keys are made here and imported, so that both sides have them.

import assert from 'node:assert/strict';
import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
  sign as signLocally,
  verify as verifyLocally,
} from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import { type Got, type House, type Json, openHouse } from '../house.ts';
import { activate, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'algorithms';
const MESSAGE = Buffer.from('I owe you seven kroner.');
const text = (bytes: Buffer): string => bytes.toString('base64url');
const bytes = (value: string): Buffer => Buffer.from(value, 'base64url');

interface Pair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

const rsa: Pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
const curves: Readonly<Record<string, Pair>> = {
  'P-256': generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  'P-256K': generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
  'P-384': generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  'P-521': generateKeyPairSync('ec', { namedCurve: 'P-521' }),
};
const secrets: Readonly<Record<number, Buffer>> = { 128: randomBytes(16), 192: randomBytes(24), 256: randomBytes(32) };

interface Signing {
  readonly alg: string;
  readonly key: string;
  readonly pair: Pair;
  readonly hash: string;
  readonly local: object;
}

const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
const RAW = { dsaEncoding: 'ieee-p1363' };

function ec(crv: string): Pair {
  const pair = curves[crv];
  assert.ok(pair);
  return pair;
}

// biome-ignore format: a table reads by its columns
const SIGNATURES: readonly Signing[] = [
  { alg: 'RS256',  key: 'rsa',     pair: rsa,          hash: 'sha256', local: {} },
  { alg: 'RS384',  key: 'rsa',     pair: rsa,          hash: 'sha384', local: {} },
  { alg: 'RS512',  key: 'rsa',     pair: rsa,          hash: 'sha512', local: {} },
  { alg: 'PS256',  key: 'rsa',     pair: rsa,          hash: 'sha256', local: PSS },
  { alg: 'PS384',  key: 'rsa',     pair: rsa,          hash: 'sha384', local: PSS },
  { alg: 'PS512',  key: 'rsa',     pair: rsa,          hash: 'sha512', local: PSS },
  { alg: 'ES256',  key: 'P-256',   pair: ec('P-256'),  hash: 'sha256', local: RAW },
  { alg: 'ES256K', key: 'P-256K',  pair: ec('P-256K'), hash: 'sha256', local: RAW },
  { alg: 'ES384',  key: 'P-384',   pair: ec('P-384'),  hash: 'sha384', local: RAW },
  { alg: 'ES512',  key: 'P-521',   pair: ec('P-521'),  hash: 'sha512', local: RAW },
];

// biome-ignore format: a table reads by its columns
const RSA_ENCRYPTION: readonly (readonly [alg: string, local: object])[] = [
  ['RSA1_5',       { padding: constants.RSA_PKCS1_PADDING }],
  ['RSA-OAEP',     { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' }],
  ['RSA-OAEP-256', { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }],
];

suite('algorithms', () => {
  let house: House;
  before(async () => {
    house = await openHouse();
    await house.provision(HSM);
    await activate(house, HSM);
    await grant(house, HSM, CRYPTO_USER, house.connection.user.objectId);
    await importKey('rsa', { ...jwk(rsa), kty: 'RSA' });
    for (const [crv, pair] of Object.entries(curves)) await importKey(crv, { ...jwk(pair), crv });
    for (const [size, k] of Object.entries(secrets)) await importKey(`oct-${size}`, { kty: 'oct', k: text(k) });
  });
  after(() => house?.close());

  async function importKey(name: string, key: Json): Promise<void> {
    const got = await house.hsm(HSM, 'PUT', `/keys/${name}`, { key });
    assert.equal(got.status, 200, got.text);
    for (const secret of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k']) assert.equal(got.json.key[secret], undefined);
  }

  async function use(key: string, operation: string, body: Json): Promise<Got['json']> {
    const got = await house.hsm(HSM, 'POST', `/keys/${key}/${operation}`, body);
    assert.equal(got.status, 200, `${operation} ${body.alg}: ${got.text}`);
    return got.json;
  }

  async function refused(key: string, operation: string, body: Json): Promise<string> {
    const got = await house.hsm(HSM, 'POST', `/keys/${key}/${operation}`, body);
    assert.deepEqual([got.status, got.json.error?.code], [400, 'BadParameter'], got.text);
    return got.json.error.message.replace(/ \(Activity ID: .*$/, '');
  }

  for (const { alg, key, pair, hash, local } of SIGNATURES) {
    test(`${alg}: each side verifies what the other signs, and neither what was changed`, async () => {
      const digest = createHash(hash).update(MESSAGE).digest();
      const signature = bytes((await use(key, 'sign', { alg, value: text(digest) })).value);
      assert.ok(verifyLocally(hash, MESSAGE, { key: pair.publicKey, ...local }, signature));
      const own = signLocally(hash, MESSAGE, { key: pair.privateKey, ...local });
      assert.equal((await use(key, 'verify', { alg, digest: text(digest), value: text(own) })).value, true);
      own.writeUInt8(own.readUInt8(own.length - 1) ^ 1, own.length - 1);
      assert.equal((await use(key, 'verify', { alg, digest: text(digest), value: text(own) })).value, false);
      assert.equal((await use(key, 'verify', { alg, digest: text(digest), value: 'AAAA' })).value, false);
      await refused(key, 'sign', { alg, value: text(digest.subarray(1)) });
    });
  }

  test('RSNULL pads what it is given, and puts nothing around it', async () => {
    const value = Buffer.from('no digest at all');
    const signature = bytes((await use('rsa', 'sign', { alg: 'RSNULL', value: text(value) })).value);
    const opened = privateDecrypt(
      { key: rsa.privateKey, padding: constants.RSA_NO_PADDING },
      publicEncrypt({ key: rsa.publicKey, padding: constants.RSA_NO_PADDING }, signature),
    );
    assert.deepEqual(opened, signature);
    assert.equal((await use('rsa', 'verify', { alg: 'RSNULL', digest: text(value), value: text(signature) })).value, true);
  });

  for (const [alg, local] of RSA_ENCRYPTION) {
    for (const [seals, opens] of [
      ['encrypt', 'decrypt'],
      ['wrapkey', 'unwrapkey'],
    ] as const) {
      test(`${alg}: each side opens what the other seals (${seals}, ${opens})`, async () => {
        const sealed = bytes((await use('rsa', seals, { alg, value: text(MESSAGE) })).value);
        assert.deepEqual(privateDecrypt({ key: rsa.privateKey, ...local }, sealed), MESSAGE);
        const own = publicEncrypt({ key: rsa.publicKey, ...local }, MESSAGE);
        assert.deepEqual(bytes((await use('rsa', opens, { alg, value: text(own) })).value), MESSAGE);
        await refused('rsa', seals, { alg, value: text(Buffer.alloc(256)) });
      });
    }
  }

  for (const size of [128, 192, 256] as const) {
    const key = `oct-${size}`;
    const secret = secrets[size] ?? Buffer.alloc(0);

    test(`A${size}GCM: the service makes the nonce, and a changed tag, text or aad is one and the same refusal`, async () => {
      const alg = `A${size}GCM`;
      const aad = Buffer.from('about it');
      const sealed = await use(key, 'encrypt', { alg, value: text(MESSAGE), aad: text(aad) });
      assert.equal(bytes(sealed.iv).length, 12);
      const decipher = createDecipheriv(`aes-${size}-gcm`, secret, bytes(sealed.iv)).setAAD(aad).setAuthTag(bytes(sealed.tag));
      assert.deepEqual(Buffer.concat([decipher.update(bytes(sealed.value)), decipher.final()]), MESSAGE);
      const again = await use(key, 'encrypt', { alg, value: text(MESSAGE) });
      assert.notEqual(again.iv, sealed.iv);

      const iv = randomBytes(12);
      const cipher = createCipheriv(`aes-${size}-gcm`, secret, iv).setAAD(aad);
      const value = Buffer.concat([cipher.update(MESSAGE), cipher.final()]);
      const good = { alg, value: text(value), iv: text(iv), aad: text(aad), tag: text(cipher.getAuthTag()) };
      assert.deepEqual(bytes((await use(key, 'decrypt', good)).value), MESSAGE);
      const words = new Set<string>();
      for (const change of [
        { tag: text(randomBytes(16)) },
        { value: text(randomBytes(value.length)) },
        { aad: text(randomBytes(4)) },
        { iv: text(randomBytes(12)) },
      ]) {
        words.add(await refused(key, 'decrypt', { ...good, ...change }));
      }
      assert.equal(words.size, 1);
    });

    test(`A${size}CBC and A${size}CBCPAD: each side opens what the other seals`, async () => {
      const iv = randomBytes(16);
      for (const [alg, padded] of [
        [`A${size}CBC`, false],
        [`A${size}CBCPAD`, true],
      ] as const) {
        const plain = padded ? MESSAGE : Buffer.alloc(32, 9);
        const sealed = bytes((await use(key, 'encrypt', { alg, iv: text(iv), value: text(plain) })).value);
        const decipher = createDecipheriv(`aes-${size}-cbc`, secret, iv).setAutoPadding(padded);
        assert.deepEqual(Buffer.concat([decipher.update(sealed), decipher.final()]), plain);
        const cipher = createCipheriv(`aes-${size}-cbc`, secret, iv).setAutoPadding(padded);
        const own = Buffer.concat([cipher.update(plain), cipher.final()]);
        assert.deepEqual(bytes((await use(key, 'decrypt', { alg, iv: text(iv), value: text(own) })).value), plain);
        await refused(key, 'encrypt', { alg, value: text(plain) });
      }
    });

    test(`A${size}KW and the two of CKM: each side unwraps what the other wraps`, async () => {
      const wrapped = randomBytes(32);
      for (const [alg, cipherName, iv] of [
        [`A${size}KW`, `id-aes${size}-wrap`, Buffer.alloc(8, 0xa6)],
        ['CKM_AES_KEY_WRAP', `id-aes${size}-wrap`, Buffer.alloc(8, 0xa6)],
        ['CKM_AES_KEY_WRAP_PAD', `id-aes${size}-wrap-pad`, Buffer.from('a65959a6', 'hex')],
      ] as const) {
        const sealed = bytes((await use(key, 'wrapkey', { alg, value: text(wrapped) })).value);
        const decipher = createDecipheriv(cipherName, secret, iv);
        assert.deepEqual(Buffer.concat([decipher.update(sealed), decipher.final()]), wrapped);
        const cipher = createCipheriv(cipherName, secret, iv);
        const own = Buffer.concat([cipher.update(wrapped), cipher.final()]);
        assert.deepEqual(bytes((await use(key, 'unwrapkey', { alg, value: text(own) })).value), wrapped);
        own.writeUInt8(own.readUInt8(0) ^ 1, 0);
        await refused(key, 'unwrapkey', { alg, value: text(own) });
      }
    });

    for (const hash of [256, 384, 512] as const) {
      test(`HS${hash} with ${size} bits: the other side makes the same code`, async () => {
        const alg = `HS${hash}`;
        const { value } = await use(key, 'sign', { alg, value: text(MESSAGE) });
        assert.deepEqual(bytes(value), createHmac(`sha${hash}`, secret).update(MESSAGE).digest());
        assert.equal((await use(key, 'verify', { alg, digest: text(MESSAGE), value })).value, true);
        assert.equal((await use(key, 'verify', { alg, digest: text(Buffer.from('other')), value })).value, false);
      });
    }
  }

  test('an algorithm that does not fit the key, its size, its curve or the operation is refused', async () => {
    for (const [key, operation, alg] of [
      ['rsa', 'sign', 'ES256'],
      ['P-256', 'sign', 'RS256'],
      ['P-256', 'sign', 'ES384'],
      ['oct-128', 'encrypt', 'A256GCM'],
      ['oct-256', 'wrapkey', 'A128KW'],
      ['oct-256', 'wrapkey', 'A256GCM'],
      ['oct-256', 'wrapkey', 'A256CBC'],
      ['rsa', 'encrypt', 'RS256'],
      ['rsa', 'sign', 'none'],
    ] as const) {
      await refused(key, operation, { alg, value: text(Buffer.alloc(32)) });
    }
  });
});

function jwk({ privateKey }: Pair): Json {
  return privateKey.export({ format: 'jwk' });
}
