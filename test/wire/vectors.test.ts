// Published vectors through the HTTP API: their keys are imported, and every one is computed as its source says, or refused.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { algorithms } from '../../src/crypto/algorithms.ts';
import { type House, openHouse } from '../house.ts';
import { readVectors, type Vector } from '../vectors.ts';
import { WYCHEPROOF } from '../wycheproof.ts';
import { ALL_OPERATIONS, activate, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'vectors';
const { keys, vectors } = readVectors();

/** Keys that cannot be imported: their vectors are checked without the wire, in the file that is named here. */
const BESIDE: Readonly<Record<string, string>> = Object.fromEntries(
  ['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'].map((name) => [name, 'test/unit/crypto/ml-dsa.test.ts']),
);

/** The other way: what an operation made can be undone, so that one vector shows both. */
const BACK = { encrypt: 'decrypt', wrapKey: 'unwrapKey', sign: 'verify' } as const;

suite('published vectors', () => {
  let house: House;
  before(async () => {
    house = await openHouse();
    await house.provision(HSM);
    await activate(house, HSM);
    await grant(house, HSM, CRYPTO_USER, house.connection.user.objectId);
    const imports = [...keys].map(([name, key]) =>
      house.hsm(HSM, 'PUT', `/keys/${keyName(name)}`, { key: { ...key, key_ops: ALL_OPERATIONS } }),
    );
    for (const [at, got] of (await Promise.all(imports)).entries()) assert.equal(got.status, 200, `${[...keys][at]?.[0]}: ${got.text}`);
  });
  after(() => house?.close());

  async function computed(vector: Vector, operation: string, body: object): Promise<unknown> {
    const got = await house.hsm(HSM, 'POST', `/keys/${keyName(vector.key)}/${operation}`, { alg: vector.alg, ...body });
    if (got.status === 200) return got.json.value;
    assert.deepEqual([got.status, got.json.error?.code], [400, 'BadParameter'], got.text);
    assert.match(got.json.error.message, /^The parameter is incorrect\. /);
    return 'refused';
  }

  async function check(vector: Vector): Promise<void> {
    const { operation, value, result } = vector;
    switch (operation) {
      case 'sign':
        assert.equal(await computed(vector, 'sign', { value }), result);
        assert.equal(await computed(vector, BACK.sign, { digest: value, value: result }), true);
        return;
      case 'verify':
        assert.equal(await computed(vector, 'verify', { digest: value, value: vector.signature }), result);
        return;
      case 'encrypt':
        assert.equal(await computed(vector, 'encrypt', { value, iv: vector.iv }), result);
        assert.equal(await computed(vector, BACK.encrypt, { value: result, iv: vector.iv }), value);
        return;
      case 'wrapKey':
        assert.equal(await computed(vector, 'wrapKey', { value }), result);
        assert.equal(await computed(vector, BACK.wrapKey, { value: result }), value);
        return;
      default: {
        const { iv, aad, tag } = vector;
        assert.equal(await computed(vector, operation, { value, iv, aad, tag }), result);
      }
    }
  }

  for (const { name } of algorithms.filter((row) => !(row.name in BESIDE))) {
    const own = vectors.filter(({ alg }) => alg === name);
    test(`${name}: ${own.length} published vectors`, async () => {
      const elsewhere = WYCHEPROOF.some(({ algorithms: covered }) => covered.includes(name));
      assert.ok(own.length > 0 || elsewhere, `${name} has no vector: add one to test/vectors`);
      for (const vector of own) {
        try {
          await check(vector);
        } catch (cause) {
          throw new Error(`${vector.source}, key ${vector.key}: ${cause instanceof Error ? cause.message : cause}`, { cause });
        }
      }
    });
  }

  test('what is checked beside the wire cannot be imported', async () => {
    for (const alg of Object.keys(BESIDE)) {
      const key = { kty: 'AKP', alg, pub: 'AAAA', priv: 'AAAA' };
      const got = await house.hsm(HSM, 'PUT', '/keys/beside?api-version=2026-05-01-preview', { key });
      assert.deepEqual([got.status, got.json.error?.code], [400, 'BadParameter'], got.text);
    }
  });

  test('every vector is of an algorithm that there is', () => {
    const known = new Set(algorithms.map(({ name }) => name));
    assert.deepEqual(
      vectors.filter(({ alg }) => !known.has(alg)),
      [],
    );
  });
});

/** Names of keys on the wire have letters, digits and hyphens alone. */
function keyName(name: string): string {
  return name.replace(/[^0-9a-zA-Z]/g, '-');
}
