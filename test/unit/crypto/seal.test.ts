// Sealing: what was sealed opens in its own place and nowhere else, and not after any change; domain keys and secrets likewise.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { openDomainKey, sealDomainKey } from '../../../src/crypto/domain.ts';
import { open, type Purpose, seal, subkey } from '../../../src/crypto/seal.ts';
import { asSealedDomainKey, asSealedKey } from '../../../src/crypto/types.ts';
import { algorithm, openSafe, turned } from './safe.ts';

const key = randomBytes(32);
const place = ['hsm-1', 'my-key', 'v1', 'oct-HSM'];
const doesNotOpen = /does not open/;
const digest = Buffer.alloc(32, 7);

test('what was sealed opens again, and no two seals of one value are alike', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.string(), { maxLength: 5 }), (plain, parts) => {
      const sealed = seal(key, 'key', parts, plain);
      assert.deepEqual(open(key, 'key', parts, sealed), Buffer.from(plain));
      assert.notDeepEqual(seal(key, 'key', parts, plain), sealed);
      assert.equal(sealed[0], 1, 'the version of the format comes first');
    }),
  );
});

test('a sealed value with any bit turned, cut short or made longer does not open', () => {
  const sealed = seal(key, 'key', place, Buffer.from('a private key'));
  fc.assert(
    fc.property(fc.nat(sealed.length - 1), fc.nat(7), (at, bit) => {
      assert.throws(() => open(key, 'key', place, turned(sealed, at, 1 << bit)), doesNotOpen);
    }),
  );
  for (let length = 0; length < sealed.length; length += 1)
    assert.throws(() => open(key, 'key', place, sealed.subarray(0, length)), doesNotOpen);
  assert.throws(() => open(key, 'key', place, Buffer.concat([sealed, Buffer.alloc(1)])), doesNotOpen);
});

test('a sealed value does not open in any other place, for another purpose or under another key', () => {
  const sealed = seal(key, 'key', place, Buffer.from('a private key'));
  for (const index of place.keys()) {
    const other = place.with(index, 'other');
    assert.throws(() => open(key, 'key', other, sealed), doesNotOpen);
  }
  for (const purpose of ['domain key', 'secret'] as const) assert.throws(() => open(key, purpose, place, sealed), doesNotOpen);
  assert.throws(() => open(turned(key, 31), 'key', place, sealed), doesNotOpen);
});

test('two places are the same only when all their parts are', () => {
  const parts = fc.array(fc.string({ maxLength: 4, unit: fc.constantFrom('a', 'b', '\0', '/', 'é') }), { maxLength: 4 });
  fc.assert(
    fc.property(parts, parts, (one, another) => {
      fc.pre(JSON.stringify(one) !== JSON.stringify(another));
      assert.throws(() => open(key, 'key', another, seal(key, 'key', one, Buffer.of(1))), doesNotOpen);
    }),
    {
      examples: [
        [
          ['ab', 'c'],
          ['a', 'bc'],
        ],
        [['a'], ['a', '']],
        [['a\0b'], ['a', 'b']],
      ],
    },
  );
});

test('each purpose has a subkey of its own', () => {
  const purposes: readonly Purpose[] = ['domain key', 'key', 'secret'];
  const subkeys = purposes.map((purpose) => subkey(key, purpose).toString('hex'));
  assert.equal(new Set([...subkeys, key.toString('hex')]).size, 4);
  assert.deepEqual(
    purposes.map((purpose) => subkey(key, purpose).toString('hex')),
    subkeys,
  );
});

test('a domain key opens for its own HSM under its own root key, and for no other', () => {
  const [rootKey, domainKey] = [randomBytes(32), randomBytes(32)];
  const sealed = sealDomainKey(rootKey, 'hsm-1', domainKey);
  assert.deepEqual(openDomainKey(rootKey, { hsmId: 'hsm-1', sealed }), domainKey);
  assert.throws(() => openDomainKey(rootKey, { hsmId: 'hsm-2', sealed }), doesNotOpen);
  assert.throws(() => openDomainKey(randomBytes(32), { hsmId: 'hsm-1', sealed }), doesNotOpen);
  for (const at of sealed.keys()) {
    assert.throws(() => openDomainKey(rootKey, { hsmId: 'hsm-1', sealed: asSealedDomainKey(turned(sealed, at)) }), doesNotOpen);
  }
  assert.throws(() => sealDomainKey(rootKey, 'hsm-1', Buffer.alloc(31)), RangeError);
});

test('a key whose row was moved to another HSM, name or version, or given another domain, does not work', async () => {
  const rootKey = randomBytes(32);
  const { make, module, domain } = openSafe({ rootKey });
  const made = await make({ kty: 'EC-HSM', curve: 'P-256' });
  module.drop(made.identity);
  const es256 = algorithm('ES256');
  for (const member of ['hsmId', 'name', 'version'] as const) {
    const moved = { ...made, identity: { ...made.identity, [member]: 'other' } };
    assert.throws(() => module.sign(moved, es256, digest), doesNotOpen, member);
  }
  const otherHsm = { hsmId: 'hsm-2', sealed: module.createDomain('hsm-2') };
  assert.throws(() => module.sign({ ...made, domain: otherHsm }, es256, digest), doesNotOpen);
  assert.throws(() => module.sign({ ...made, domain: { ...otherHsm, sealed: domain.sealed } }, es256, digest), doesNotOpen);
  assert.equal(module.sign(made, es256, digest).length, 64);
  module.close();
});

test('a key whose public description was changed in the row does not work', async () => {
  const { make, module } = openSafe();
  const [rsa, otherRsa] = [
    await make({ kty: 'RSA-HSM', size: 2048, exponent: 65537 }),
    await make({ kty: 'RSA-HSM', size: 2048, exponent: 65537 }),
  ];
  const [ec, otherEc] = [await make({ kty: 'EC-HSM', curve: 'P-256' }), await make({ kty: 'EC-HSM', curve: 'P-256' })];
  const secret = await make({ kty: 'oct-HSM', size: 128 });
  const changed = /does not match its public description|does not open/;
  const [rsaMaterial, ecMaterial] = [rsa.material, ec.material];
  assert.ok(rsaMaterial.kty === 'RSA-HSM');
  assert.ok(ecMaterial.kty === 'EC-HSM');
  assert.throws(() => module.sign({ ...rsa, material: otherRsa.material }, algorithm('RS256'), digest), changed);
  assert.throws(() => module.sign({ ...rsa, material: { ...rsaMaterial, e: 'Aw' } }, algorithm('RS256'), digest), changed);
  assert.throws(() => module.sign({ ...rsa, material: { ...rsaMaterial, size: 4096 } }, algorithm('RS256'), digest), changed);
  assert.throws(() => module.sign({ ...ec, material: otherEc.material }, algorithm('ES256'), digest), changed);
  assert.throws(() => module.sign({ ...ec, material: { ...ecMaterial, crv: 'P-256K' } }, algorithm('ES256K'), digest), changed);
  assert.throws(() => module.sign({ ...ec, material: { kty: 'oct-HSM', size: 256 } }, algorithm('HS256'), digest), changed);
  assert.throws(() => module.encrypt({ ...secret, material: { kty: 'oct-HSM', size: 256 } }, algorithm('A256GCM'), digest), changed);
  module.close();
});

test('a sealed key whose bytes were changed does not work, and says nothing of the key', async () => {
  const { make, module } = openSafe();
  const made = await make({ kty: 'oct-HSM', size: 256 });
  for (const at of [0, 1, 13, 29, -1]) {
    const changed = { ...made, sealed: asSealedKey(turned(made.sealed, at)) };
    assert.throws(() => module.sign(changed, algorithm('HS256'), digest), doesNotOpen);
  }
  module.close();
});

test("a secret of the service's own opens for its purpose and name alone, in a safe with the same root key", () => {
  const rootKey = randomBytes(32);
  const [first, second, stranger] = [openSafe({ rootKey }).module, openSafe({ rootKey }).module, openSafe().module];
  const plain = Buffer.from('a token signing key');
  const sealed = first.sealSecret('token-signing-key', 'k1', plain);
  assert.deepEqual(second.openSecret('token-signing-key', 'k1', sealed), plain);
  assert.equal(Buffer.from(sealed).includes(plain), false);
  assert.throws(() => second.openSecret('token-signing-key', 'k2', sealed), doesNotOpen);
  assert.throws(() => second.openSecret('exchange-key', 'k1', sealed), doesNotOpen);
  assert.throws(() => second.openSecret('token-signing-keyk' as never, '1', sealed), doesNotOpen);
  assert.throws(() => second.openSecret('token-signing-key', 'k1', turned(sealed, -1)), doesNotOpen);
  assert.throws(() => stranger.openSecret('token-signing-key', 'k1', sealed), doesNotOpen);
  for (const module of [first, second, stranger]) module.close();
});
