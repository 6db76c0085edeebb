// What holds for every value, over HTTP: what is sealed opens, what is signed verifies, and no change of any part goes unnoticed. Values, sizes and changes are
// random; a failure names the seed and the smallest example.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import fc from 'fast-check';
import { type Algorithm, algorithms, type EncryptionAlgorithm, type SignatureAlgorithm } from '../../src/crypto/algorithms.ts';
import { type House, type Json, openHouse } from '../house.ts';
import { fits, type Held, isAuthenticated, isSealing, isSigning, parametersOf, sealable, signable } from './other-side.ts';
import { activate, CRYPTO_OFFICER, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'properties';
const VERSION = '?api-version=2026-05-01-preview';
/** Values for each algorithm; every one is several calls. */
const RUNS = { numRuns: 12 };
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');
const bytes = (value: string): Buffer => Buffer.from(value, 'base64url');

/** One key for each that an algorithm may ask for, and what makes it. */
// biome-ignore format: a table reads by its columns
const KEYS: readonly (Held & { readonly make: Json })[] = [
  { name: 'rsa',     kty: 'RSA-HSM', bits: 2048,         make: { kty: 'RSA' } },
  { name: 'p256',    kty: 'EC-HSM',  group: 'P-256',     make: { kty: 'EC', crv: 'P-256' } },
  { name: 'p256k',   kty: 'EC-HSM',  group: 'P-256K',    make: { kty: 'EC', crv: 'P-256K' } },
  { name: 'p384',    kty: 'EC-HSM',  group: 'P-384',     make: { kty: 'EC', crv: 'P-384' } },
  { name: 'p521',    kty: 'EC-HSM',  group: 'P-521',     make: { kty: 'EC', crv: 'P-521' } },
  { name: 'oct-128', kty: 'oct-HSM', bits: 128,          make: { kty: 'oct', key_size: 128 } },
  { name: 'oct-192', kty: 'oct-HSM', bits: 192,          make: { kty: 'oct', key_size: 192 } },
  { name: 'oct-256', kty: 'oct-HSM', bits: 256,          make: { kty: 'oct', key_size: 256 } },
  { name: 'ml-44',   kty: 'AKP-HSM', group: 'ML-DSA-44', make: { kty: 'AKP', alg: 'ML-DSA-44' } },
  { name: 'ml-65',   kty: 'AKP-HSM', group: 'ML-DSA-65', make: { kty: 'AKP', alg: 'ML-DSA-65' } },
  { name: 'ml-87',   kty: 'AKP-HSM', group: 'ML-DSA-87', make: { kty: 'AKP', alg: 'ML-DSA-87' } },
];

suite('properties', () => {
  let house: House;
  before(async () => {
    house = await openHouse();
    await house.provision(HSM);
    await activate(house, HSM);
    for (const role of [CRYPTO_USER, CRYPTO_OFFICER]) await grant(house, HSM, role, house.connection.user.objectId);
    for (const { name, make } of KEYS) assert.equal((await house.hsm(HSM, 'POST', `/keys/${name}/create${VERSION}`, make)).status, 200);
  });
  after(() => house?.close());

  async function use(key: string, operation: string, body: Json): Promise<Json> {
    const got = await house.hsm(HSM, 'POST', `/keys/${key}/${operation}${VERSION}`, body);
    assert.equal(got.status, 200, got.text);
    return got.json;
  }

  for (const row of algorithms.filter(isSealing)) {
    const key = keyFor(row);
    const [seals, opens] = row.operations.includes('encrypt') ? ['encrypt', 'decrypt'] : ['wrapkey', 'unwrapkey'];

    test(`${row.name}: what is sealed opens as it was`, () =>
      fc.assert(
        fc.asyncProperty(plaintext(row, key), async (plain) => {
          const parameters = wire(parametersOf(row));
          const { value, iv, tag } = await use(key.name, seals, { alg: row.name, value: text(plain), ...parameters });
          const opened = await use(key.name, opens, { alg: row.name, ...parameters, value, iv, tag });
          assert.equal(opened.value, text(plain));
        }),
        RUNS,
      ));

    if (!isAuthenticated(row)) continue;
    test(`${row.name}: what was changed anywhere does not open`, () =>
      fc.assert(
        fc.asyncProperty(plaintext(row, key), fc.string(), change, async (plain, about, turn) => {
          const aad = row.kind === 'aes-gcm' && about !== '' ? { aad: text(Buffer.from(about)) } : {};
          const sealed = await use(key.name, seals, { alg: row.name, value: text(plain), ...aad });
          const parts = Object.entries({ value: sealed.value, iv: sealed.iv, tag: sealed.tag, ...aad }).filter(
            ([, part]) => part !== undefined && part !== '',
          );
          const [member = '', part = ''] = parts[turn.where % parts.length] ?? [];
          const body = { alg: row.name, ...Object.fromEntries(parts), [member]: text(changed(bytes(part), turn)) };
          const got = await house.hsm(HSM, 'POST', `/keys/${key.name}/${opens}${VERSION}`, { value: '', ...body });
          assert.deepEqual([got.status, got.json.error?.code], [400, 'BadParameter'], got.text);
        }),
        RUNS,
      ));
  }

  for (const row of algorithms.filter(isSigning)) {
    const key = keyFor(row);
    test(`${row.name}: what is signed verifies, and neither another value nor another signature does`, () =>
      fc.assert(
        fc.asyncProperty(message(row), change, async (raw, turn) => {
          const value = signable(row, Buffer.from(raw));
          const signed = await use(key.name, 'sign', { alg: row.name, value: text(value) });
          const right = { alg: row.name, digest: text(value), value: signed.value };
          assert.equal((await use(key.name, 'verify', right)).value, true);
          const wrong = { ...right, value: text(changed(bytes(signed.value), turn)) };
          assert.equal((await use(key.name, 'verify', wrong)).value, false);
          if (value.length === 0) return;
          const other = { ...right, digest: text(changed(value, { ...turn, how: 'turn' })) };
          assert.equal((await use(key.name, 'verify', other)).value, false);
        }),
        RUNS,
      ));
  }

  test('a key comes back from its backup as it was, whatever was said of it', () =>
    fc.assert(
      fc.asyncProperty(
        tags,
        attributes,
        fc.subarray(['sign', 'verify', 'wrapKey', 'unwrapKey'], { minLength: 1 }),
        async (tagged, said, ops) => {
          const body = { kty: 'oct', tags: tagged, attributes: said, key_ops: ops };
          const made = await use('kept', 'create', body);
          const { value } = await use('kept', 'backup', {});
          for (const [method, path] of [
            ['DELETE', '/keys/kept'],
            ['DELETE', '/deletedkeys/kept'],
          ] as const) {
            assert.ok((await house.hsm(HSM, method, `${path}${VERSION}`)).status < 300);
          }
          const back = await house.hsm(HSM, 'POST', `/keys/restore${VERSION}`, { value });
          assert.equal(back.status, 200, back.text);
          assert.deepEqual(back.json, made);
          // JSON.parse keeps a member that is called __proto__; a literal would not.
          assert.deepEqual(Object.entries(back.json.tags ?? {}), Object.entries(tagged));
          for (const path of ['/keys/kept', '/deletedkeys/kept']) await house.hsm(HSM, 'DELETE', `${path}${VERSION}`);
        },
      ),
      RUNS,
    ));
});

function keyFor(row: Algorithm): Held {
  const key = KEYS.find((candidate) => fits(row, candidate));
  assert.ok(key, `no key fits ${row.name}: add one to this file`);
  return key;
}

/** Of any length that the algorithm takes, up to 1 KB. */
function plaintext(row: EncryptionAlgorithm, key: Held): fc.Arbitrary<Uint8Array> {
  const { taken } = sealable(row, key);
  const [shortest, longest] = [Math.min(...taken), Math.max(...taken)];
  // Blocks of CBC without padding, halves of them for key wrapping without.
  const step = row.kind === 'aes-cbc' && !row.padded ? 16 : row.kind === 'aes-kw' && !row.padded ? 8 : 1;
  return fc
    .integer({ min: shortest / step, max: Math.floor(longest / step) })
    .chain((steps) => fc.uint8Array({ minLength: steps * step, maxLength: steps * step }));
}

function message(row: SignatureAlgorithm): fc.Arbitrary<Uint8Array> {
  // What is signed raw has to be there, and to fit beside its padding.
  const isRaw = row.kind === 'rsa-signature' && row.digest === undefined;
  return fc.uint8Array(isRaw ? { minLength: 1, maxLength: 245 } : { maxLength: 3000 });
}

interface Change {
  readonly how: 'turn' | 'cut' | 'lengthen' | 'empty';
  /** Which part, and which bit of it. */
  readonly where: number;
}

const change: fc.Arbitrary<Change> = fc.record({ how: fc.constantFrom('turn', 'turn', 'cut', 'lengthen', 'empty'), where: fc.nat() });

function changed(value: Buffer, { how, where }: Change): Buffer {
  if (how === 'cut') return value.subarray(0, where % value.length);
  if (how === 'lengthen') return Buffer.concat([value, Buffer.alloc(1 + (where % 16), where)]);
  if (how === 'empty') return Buffer.alloc(0);
  const other = Buffer.from(value);
  const place = where % (value.length * 8);
  other.writeUInt8(other.readUInt8(place >> 3) ^ (1 << (place & 7)), place >> 3);
  return other;
}

const tags = fc.dictionary(fc.string({ maxLength: 20 }), fc.string({ unit: 'grapheme', maxLength: 40 }), {
  maxKeys: 15,
  noNullPrototype: true,
});
const seconds = fc.integer({ min: 0, max: 253_402_300_799 });
const attributes = fc.record({ enabled: fc.boolean(), nbf: seconds, exp: seconds }, { requiredKeys: [] });

function wire(parts: { readonly iv?: Buffer; readonly aad?: Buffer }): Json {
  return Object.fromEntries(Object.entries(parts).map(([member, value]) => [member, text(value)]));
}
