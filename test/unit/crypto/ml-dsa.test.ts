// ML-DSA beside two other implementations, node:crypto and @noble/post-quantum: what one signs the others verify, and nothing that was changed.

import assert from 'node:assert/strict';
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign as nodeSign, verify as nodeVerify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ml_dsa44, ml_dsa65, ml_dsa87 } from '@noble/post-quantum/ml-dsa.js';
import fc from 'fast-check';
import * as v from 'valibot';
import { hasPendingErrors } from '../../../src/crypto/libcrypto.ts';
import { makeMlDsa, mlDsaPublicBytes } from '../../../src/crypto/ml-dsa.ts';
import { publicOctets } from '../../../src/crypto/native-keys.ts';
import { signWith, verifyWith } from '../../../src/crypto/operations.ts';
import { readPrivateKey } from '../../../src/crypto/private-key.ts';
import type { KeyAtRest, MlDsaSet } from '../../../src/crypto/types.ts';
import { FOLDER } from '../../vectors.ts';
import { algorithm, isBadParameter, openSafe, turned } from './safe.ts';

const noble = { 'ML-DSA-44': ml_dsa44, 'ML-DSA-65': ml_dsa65, 'ML-DSA-87': ml_dsa87 } as const;
const sets = Object.keys(noble) as readonly MlDsaSet[];
const safe = openSafe();
after(() => {
  safe.module.close();
  assert.equal(hasPendingErrors(), false);
});

function publicOf({ material }: Pick<KeyAtRest, 'material'>): { readonly node: KeyObject; readonly raw: Buffer } {
  assert.ok(material.kty === 'AKP-HSM');
  const jwk = { kty: 'AKP', alg: material.alg, pub: material.pub };
  return { node: createPublicKey({ key: jwk, format: 'jwk' }), raw: Buffer.from(material.pub, 'base64url') };
}

/** FIPS 204 algorithm 7, step 6, for a message in a context. */
function representative(publicKey: Uint8Array, context: Uint8Array, message: Uint8Array): Buffer {
  const shake = (bytes: Uint8Array) => createHash('shake256', { outputLength: 64 }).update(bytes).digest();
  return shake(Buffer.concat([shake(publicKey), Buffer.of(0, context.length), context, message]));
}

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));

for (const set of sets) {
  const row = algorithm(set);

  test(`${set}: a signature made here verifies there, with its context and no other`, async () => {
    const key = await safe.make({ kty: 'AKP-HSM', alg: set });
    const { node, raw } = publicOf(key);
    fc.assert(
      fc.property(bytes(600), bytes(255), fc.nat(), (message, context, place) => {
        const signature = safe.module.sign(key, row, message, { context });
        assert.ok(nodeVerify(null, message, { key: node, context }, signature));
        assert.ok(noble[set].verify(signature, message, raw, { context }));
        assert.ok(safe.module.verify(key, row, message, signature, { context }));
        assert.equal(safe.module.verify(key, row, message, turned(signature, place % signature.length), { context }), false);
        assert.equal(safe.module.verify(key, row, Buffer.concat([message, Buffer.of(0)]), signature, { context }), false);
        assert.equal(
          safe.module.verify(key, row, message, signature, { context: Buffer.concat([context, Buffer.of(0)]).subarray(-255) }),
          false,
        );
      }),
      { numRuns: 12 },
    );
  });

  test(`${set}: a signature made there verifies here`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), bytes(600), bytes(255), (seed, message, context) => {
        const theirs = noble[set].keygen(seed);
        const key = { kind: 'native', key: nativeOf(set, seed) } as const;
        try {
          const signature = noble[set].sign(message, theirs.secretKey, { context });
          assert.ok(verifyWith(key, row, message, signature, { context }));
          assert.ok(noble[set].verify(signWith(key, row, message, { context }), message, theirs.publicKey, { context }));
        } finally {
          key.key.free();
        }
      }),
      { numRuns: 6 },
    );
  });

  test(`${set}: the representative of a message stands for it, whoever made it`, async () => {
    const key = await safe.make({ kty: 'AKP-HSM', alg: set });
    const { node, raw } = publicOf(key);
    fc.assert(
      fc.property(bytes(600), bytes(255), (message, context) => {
        const mu = representative(raw, context, message);
        const signature = safe.module.sign(key, row, mu, { isMu: true });
        assert.ok(nodeVerify(null, message, { key: node, context }, signature));
        assert.ok(noble[set].internal.verify(signature, mu, raw, { externalMu: true }));
        assert.ok(safe.module.verify(key, row, mu, safe.module.sign(key, row, message, { context }), { isMu: true }));
        assert.equal(safe.module.verify(key, row, turned(mu, 0), signature, { isMu: true }), false);
        // As a message it is another one.
        assert.equal(safe.module.verify(key, row, mu, signature), false);
      }),
      { numRuns: 8 },
    );
  });

  test(`${set}: no context is the same as an empty one, and no two signatures are the same`, async () => {
    const key = await safe.make({ kty: 'AKP-HSM', alg: set });
    const message = Buffer.from('sample');
    const signature = safe.module.sign(key, row, message);
    assert.ok(safe.module.verify(key, row, message, signature, { context: Buffer.alloc(0) }));
    assert.notDeepEqual(safe.module.sign(key, row, message), signature);
  });

  test(`${set}: what is too long, too short or of another key is refused`, async () => {
    const key = await safe.make({ kty: 'AKP-HSM', alg: set });
    const other = await safe.make({ kty: 'AKP-HSM', alg: set });
    const message = Buffer.from('sample');
    isBadParameter(
      () => safe.module.sign(key, row, message, { context: Buffer.alloc(256) }),
      /a context of at most 255 bytes, and it has 256/,
    );
    for (const length of [0, 63, 65])
      isBadParameter(() => safe.module.sign(key, row, Buffer.alloc(length), { isMu: true }), /external_mu to have 64 bytes/);
    isBadParameter(
      () => safe.module.sign(key, row, Buffer.alloc(64), { isMu: true, context: Buffer.alloc(1) }),
      /external_mu excludes context/,
    );
    const signature = safe.module.sign(key, row, message);
    assert.equal(safe.module.verify(other, row, message, signature), false);
    for (const length of [0, 1, signature.length - 1])
      assert.equal(safe.module.verify(key, row, message, signature.subarray(0, length)), false);
    assert.equal(safe.module.verify(key, row, message, Buffer.concat([signature, Buffer.of(0)])), false);
    const foreign = algorithm(set === 'ML-DSA-44' ? 'ML-DSA-65' : 'ML-DSA-44');
    assert.throws(() => safe.module.sign(key, foreign, message), TypeError);
    assert.equal(hasPendingErrors(), false);
  });
}

test('a public description that was changed does not go with the key', async () => {
  const [key, other] = [await safe.make({ kty: 'AKP-HSM', alg: 'ML-DSA-44' }), await safe.make({ kty: 'AKP-HSM', alg: 'ML-DSA-44' })];
  assert.throws(() => safe.module.sign({ ...key, material: other.material }, algorithm('ML-DSA-44'), Buffer.alloc(1)), /does not match/);
});

test('what is kept of a key is its seed in PKCS#8, which node:crypto reads as the same key', () => {
  for (const set of sets) {
    const { plain, material } = makeMlDsa(set);
    const key = { key: plain, format: 'der', type: 'pkcs8' } as const;
    assert.equal(plain.length, 54);
    const node = createPublicKey(createPrivateKey(key));
    assert.ok(material.kty === 'AKP-HSM');
    assert.deepEqual(node.export({ format: 'jwk' }), { kty: 'AKP', alg: set, pub: material.pub });
    const signature = nodeSign(null, Buffer.from('sample'), key);
    assert.ok(nodeVerify(null, Buffer.from('sample'), node, signature));
  }
});

test('algorithms of other keys take neither context nor representative', async () => {
  const key = await safe.make({ kty: 'EC-HSM', curve: 'P-256' });
  for (const parameters of [{ context: Buffer.alloc(0) }, { isMu: true }])
    isBadParameter(() => safe.module.sign(key, algorithm('ES256'), Buffer.alloc(32), parameters), /takes neither context nor external_mu/);
});

function nativeOf(set: MlDsaSet, seed: Uint8Array) {
  const { plain } = makeMlDsa(set);
  plain.set(seed, plain.length - seed.length);
  const key = readPrivateKey(plain);
  assert.ok(key);
  return key;
}

const Known = v.object({
  vectors: v.array(
    v.object({
      set: v.picklist(sets),
      seed: v.string(),
      publicKeySha256: v.string(),
      message: v.string(),
      context: v.string(),
      signature: v.string(),
    }),
  ),
});

test('known answers: the key that follows from a seed, and signatures of others that are right for it (test/vectors/ml-dsa.json)', () => {
  const { vectors } = v.parse(Known, JSON.parse(readFileSync(join(FOLDER, 'ml-dsa.json'), 'utf8')));
  assert.deepEqual(new Set(vectors.map(({ set }) => set)), new Set(sets));
  for (const { set, publicKeySha256, ...hex } of vectors) {
    const [seed, message, context, signature] = [hex.seed, hex.message, hex.context, hex.signature].map((text) => Buffer.from(text, 'hex'));
    assert.ok(seed && message && context && signature);
    const key = nativeOf(set, seed);
    try {
      assert.equal(
        createHash('sha256')
          .update(publicOctets(key, mlDsaPublicBytes(set)))
          .digest('hex'),
        publicKeySha256,
      );
      assert.ok(verifyWith({ kind: 'native', key }, algorithm(set), message, signature, { context }));
      assert.equal(verifyWith({ kind: 'native', key }, algorithm(set), message, turned(signature, 7), { context }), false);
    } finally {
      key.free();
    }
  }
});
