// Every algorithm × key × operation over HTTP, from the algorithm table itself: with each key that fits, what the HSM makes the other side opens and what the other
// side makes the HSM opens, for every length that is taken; with each key that does not fit, and for each operation that the algorithm is not for, a refusal.

import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import { algorithms, type EncryptionAlgorithm, type KeyOperation, type SignatureAlgorithm } from '../../src/crypto/algorithms.ts';
import { type Got, type House, type Json, openHouse } from '../house.ts';
import { rsaPair } from '../rsa-pairs.ts';
import { readVectors } from '../vectors.ts';
import {
  fits,
  type Held,
  isAuthenticated,
  isRight,
  isSealing,
  isSigning,
  open,
  parametersOf,
  type Sealed,
  seal,
  sealable,
  signable,
  signableLengths,
  signature,
} from './other-side.ts';
import { ALL_OPERATIONS, activate, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'algorithms';
const NOTHING = Buffer.alloc(0);
const MESSAGE = Buffer.from('I owe you seven kroner.');
const text = (bytes: Buffer): string => bytes.toString('base64url');
const bytes = (value: string): Buffer => Buffer.from(value, 'base64url');

/** Keys of every type and size; those of RSA with 3072 and 4096 bits are published ones, because making them takes long. */
const PUBLISHED = readVectors().keys;
const imported: readonly (Held & { readonly jwk: Json })[] = [
  rsa('rsa-2048', rsaPair(2048).privateKey.export({ format: 'jwk' })),
  rsa('rsa-2048-e3', rsaPair(2048, 3).privateKey.export({ format: 'jwk' })),
  rsa('rsa-3072', published('RSA', 3072)),
  rsa('rsa-4096', published('RSA', 4096)),
  ...['P-256', 'P-256K', 'P-384', 'P-521'].map(ec),
  ...[128, 192, 256, 512].map(oct),
];
const SETS = ['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'];
/** What each operation is called in an address, and its other direction. */
const WIRE: Readonly<Record<KeyOperation, string>> = {
  encrypt: 'encrypt',
  decrypt: 'decrypt',
  wrapKey: 'wrapkey',
  unwrapKey: 'unwrapkey',
  sign: 'sign',
  verify: 'verify',
  secureWrapKey: 'securewrapkey',
  secureUnwrapKey: 'secureunwrapkey',
};
const SEALS = ['encrypt', 'wrapKey'] as const;
const BACK = { encrypt: 'decrypt', wrapKey: 'unwrapKey' } as const;
/** The one that has all of them. */
const VERSION = '?api-version=2026-05-01-preview';

suite('algorithms', () => {
  let house: House;
  const keys: Held[] = [...imported];
  const refusals = new Set<string>();
  before(async () => {
    house = await openHouse();
    await house.provision(HSM);
    await activate(house, HSM);
    await grant(house, HSM, CRYPTO_USER, house.connection.user.objectId);
    for (const { name, jwk } of imported) {
      const got = await house.hsm(HSM, 'PUT', `/keys/${name}`, { key: { ...jwk, key_ops: ALL_OPERATIONS } });
      assert.equal(got.status, 200, got.text);
      for (const secret of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k']) assert.equal(got.json.key[secret], undefined);
    }
    for (const alg of SETS) {
      const got = await house.hsm(HSM, 'POST', `/keys/${alg}/create${VERSION}`, { kty: 'AKP', alg, key_ops: ALL_OPERATIONS });
      assert.equal(got.status, 200, got.text);
      const jwk = { kty: 'AKP', alg, pub: got.json.key.pub };
      const publicKey = createPublicKey({ key: jwk, format: 'jwk' });
      keys.push({ name: alg, kty: 'AKP-HSM', group: alg, publicKey });
    }
  });
  after(() => house?.close());

  function ask(key: Held, operation: KeyOperation, body: Json): Promise<Got> {
    return house.hsm(HSM, 'POST', `/keys/${key.name}/${WIRE[operation]}${VERSION}`, body);
  }

  async function use(key: Held, operation: KeyOperation, body: Json): Promise<Json> {
    const got = await ask(key, operation, body);
    assert.equal(got.status, 200, `${operation} ${body.alg} with ${key.name}: ${got.text}`);
    assert.equal(got.json.alg, body.alg);
    assert.match(got.json.kid, new RegExp(`/keys/${key.name}/[0-9a-f]{32}$`));
    return got.json;
  }

  async function refused(key: Held, operation: KeyOperation, body: Json): Promise<string> {
    const got = await ask(key, operation, body);
    assert.deepEqual([got.status, got.json.error?.code], [400, 'BadParameter'], `${operation} ${body.alg} with ${key.name}: ${got.text}`);
    return got.json.error.message.replace(/ \(Activity ID: .*$/, '');
  }

  /** In parallel: an HSM has many callers. */
  async function each<Item>(items: readonly Item[], check: (item: Item) => Promise<unknown>): Promise<void> {
    await Promise.all(items.map(check));
  }

  for (const row of algorithms.filter(isSigning)) {
    test(`${row.name}: each side verifies what the other signs, and nothing that was changed`, () =>
      each(fitting(row, keys), (key) => signs(row, key)));
  }

  async function signs(row: SignatureAlgorithm, key: Held): Promise<void> {
    const alg = row.name;
    const lengths = signableLengths(row, key);
    for (const length of lengths.taken) {
      // A digest has one length, whatever the message's.
      const message = signable(row, MESSAGE).equals(MESSAGE) ? randomBytes(length) : MESSAGE;
      const value = signable(row, message);
      const signed = bytes((await use(key, 'sign', { alg, value: text(value) })).value);
      assert.ok(isRight(row, key, message, signed), `${key.name}: the other side does not verify`);
      const own = signature(row, key, message) ?? signed;
      assert.equal(await verified(key, alg, value, own), true);
      for (const wrong of [turned(own), own.subarray(1), own.subarray(0, -1), Buffer.concat([own, Buffer.of(0)]), NOTHING])
        assert.equal(await verified(key, alg, value, wrong), false);
      if (value.length > 0) assert.equal(await verified(key, alg, turned(value), own), false);
    }
    for (const length of lengths.refused) {
      await refused(key, 'sign', { alg, value: text(randomBytes(length)) });
      await refused(key, 'verify', { alg, digest: text(randomBytes(length)), value: text(randomBytes(64)) });
    }
  }

  for (const row of algorithms.filter(isSealing)) {
    for (const seals of SEALS.filter((operation) => row.operations.includes(operation))) {
      test(`${row.name}: each side opens what the other seals, by ${seals} and ${BACK[seals]}, and nothing that was changed`, () =>
        each(fitting(row, keys), (key) => sealsAndOpens(row, key, seals)));
    }
  }

  async function sealsAndOpens(row: EncryptionAlgorithm, key: Held, seals: 'encrypt' | 'wrapKey'): Promise<void> {
    const [alg, opens] = [row.name, BACK[seals]];
    const lengths = sealable(row, key);
    for (const length of lengths.taken) {
      const plain = randomBytes(length);
      const parameters = parametersOf(row);
      const answer = await use(key, seals, { alg, value: text(plain), ...wire(parameters) });
      assert.deepEqual(open(row, key, { ...parameters, ...read(answer) }), plain, `${key.name}: the other side opens something else`);
      const own = seal(row, key, plain);
      assert.deepEqual(bytes((await use(key, opens, { alg, ...wire(own) })).value), plain);
      const wrongs = isAuthenticated(row) ? changed(own) : [];
      for (const wrong of wrongs) refusals.add(await refused(key, opens, { alg, ...wire(wrong) }));
    }
    for (const length of lengths.refused) await refused(key, seals, { alg, value: text(randomBytes(length)), ...wire(parametersOf(row)) });
  }

  for (const row of algorithms) {
    test(`${row.name}: refused with every key and for every operation that it is not for`, async () => {
      const value = text(randomBytes(32));
      const body = { alg: row.name, value, digest: value, iv: text(randomBytes(16)) };
      const asked = keys.flatMap((key) => ALL_OPERATIONS.map((operation) => ({ key, operation })));
      const wrong = asked.filter(({ key, operation }) => !fits(row, key) || !row.operations.includes(operation));
      assert.ok(wrong.length > keys.length);
      await each(wrong, ({ key, operation }) => refused(key, operation, body));
    });
  }

  test('an algorithm that nobody knows is refused, whatever its name', () =>
    each(
      ['none', 'HS1', 'RS1', 'A256GCMKW', 'es256', 'ES256 ', '', 'constructor', '__proto__', 'toString', '\u0000', 'A'.repeat(10_000)],
      async (alg) => {
        for (const key of keys.slice(0, 6)) await refused(key, 'sign', { alg, value: text(randomBytes(32)) });
      },
    ));

  test('whatever was changed about it, what does not open is refused in one and the same way', () => {
    assert.deepEqual([...refusals], ['The parameter is incorrect.']);
  });

  test('RSA1_5 does not tell good padding from bad: what does not open is answered with other bytes, the same ones each time', async () => {
    const [key] = keys;
    assert.ok(key);
    const body = { alg: 'RSA1_5', value: text(Buffer.concat([Buffer.alloc(1), randomBytes(255)])) };
    const first = await use(key, 'decrypt', body);
    assert.deepEqual(await use(key, 'decrypt', body), first);
    assert.equal(await refused(key, 'decrypt', { ...body, value: text(randomBytes(255)) }), 'The parameter is incorrect.');
  });

  async function verified(key: Held, alg: string, digest: Buffer, value: Buffer): Promise<boolean> {
    return (await use(key, 'verify', { alg, digest: text(digest), value: text(value) })).value;
  }
});

function fitting(row: (typeof algorithms)[number], keys: readonly Held[]): readonly Held[] {
  const found = keys.filter((key) => fits(row, key));
  assert.ok(found.length > 0, `no key fits ${row.name}: add one to this file`);
  return found;
}

/** One bit, somewhere. */
function turned(value: Buffer): Buffer {
  const other = Buffer.from(value);
  const place = Math.floor(Math.random() * other.length);
  other.writeUInt8(other.readUInt8(place) ^ (1 << Math.floor(Math.random() * 8)), place);
  return other;
}

/** Each part turned, cut and lengthened. */
function changed(sealed: Sealed): readonly Sealed[] {
  const { value, iv, aad, tag } = sealed;
  const found: Sealed[] = [
    { ...sealed, value: Buffer.concat([value, Buffer.of(0)]) },
    { ...sealed, value: Buffer.concat([value, Buffer.alloc(8)]) },
  ];
  if (value.length > 0)
    found.push({ ...sealed, value: turned(value) }, { ...sealed, value: value.subarray(1) }, { ...sealed, value: NOTHING });
  if (iv !== undefined) found.push({ ...sealed, iv: turned(iv) });
  if (tag !== undefined) found.push({ ...sealed, tag: turned(tag) });
  if (aad !== undefined) found.push({ ...sealed, aad: turned(aad) }, { ...sealed, aad: NOTHING });
  return found;
}

function wire(parts: Partial<Sealed>): Json {
  return Object.fromEntries(Object.entries(parts).map(([member, value]) => [member, text(value)]));
}

function read({ value, iv, tag }: Json): Sealed {
  return { value: bytes(value), ...(iv === undefined ? {} : { iv: bytes(iv) }), ...(tag === undefined ? {} : { tag: bytes(tag) }) };
}

function rsa(name: string, jwk: Json): Held & { readonly jwk: Json } {
  const privateKey = createPrivateKey({ key: jwk, format: 'jwk' });
  return { name, kty: 'RSA-HSM', bits: bytes(jwk.n).length * 8, privateKey, publicKey: createPublicKey(privateKey), jwk };
}

function published(kty: string, bits: number): Json {
  const found = [...PUBLISHED.values()].find((key) => key.kty === kty && bytes(key.n ?? '').length * 8 === bits);
  assert.ok(found);
  return found;
}

function ec(group: string): Held & { readonly jwk: Json } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: group === 'P-256K' ? 'secp256k1' : group });
  return { name: group, kty: 'EC-HSM', group, privateKey, publicKey, jwk: { ...privateKey.export({ format: 'jwk' }), crv: group } };
}

function oct(bits: number): Held & { readonly jwk: Json } {
  const secret = randomBytes(bits / 8);
  return { name: `oct-${bits}`, kty: 'oct-HSM', bits, secret, jwk: { kty: 'oct', k: text(secret) } };
}
