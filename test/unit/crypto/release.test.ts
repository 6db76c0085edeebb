// Keys on their way to an attested target: opened with node:crypto alone, as the target would; and what the safe lets go under which terms.

import assert from 'node:assert/strict';
import {
  constants,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import { after, test } from 'node:test';
import type { KeyAtRest, KeySpec, ReleaseEncryption, ReleaseTerms } from '../../../src/crypto/types.ts';
import { rsaPair } from '../../rsa-pairs.ts';
import { algorithm, failsAsOne, isBadParameter, openSafe, turned } from './safe.ts';

const safe = openSafe();
after(() => safe.module.close());
const target = rsaPair(2048);
const stranger = rsaPair(2048);
const POLICY = '{"contentType":"application/json","data":"e30","immutable":false}';
const exportable: ReleaseTerms = { kind: 'exportable', policy: POLICY };
const secure: ReleaseTerms = { kind: 'secure', policy: POLICY };

async function make(spec: KeySpec, release?: ReleaseTerms): Promise<KeyAtRest> {
  const identity = { hsmId: safe.domain.hsmId, name: 'my-key', version: randomBytes(16).toString('hex') };
  return { domain: safe.domain, identity, ...(await safe.module.generate(safe.domain, identity, spec, release)) };
}

/** As the target does it: PKCS #11 3.1 section 6.1.21 with the standard library. */
function opened(value: Buffer, oaepHash: string, privateKey: KeyObject = target.privateKey): Buffer {
  const modulus = 256;
  const aes = privateDecrypt({ key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, value.subarray(0, modulus));
  assert.equal(aes.length, 32);
  const decipher = createDecipheriv('id-aes256-wrap-pad', aes, Buffer.from('a65959a6', 'hex'));
  return Buffer.concat([decipher.update(value.subarray(modulus)), decipher.final()]);
}

// biome-ignore format: a table reads by its columns
const WAYS: readonly (readonly [encryption: ReleaseEncryption, oaepHash: string, others: readonly string[]])[] = [
  ['CKM_RSA_AES_KEY_WRAP',  'sha1',   ['sha256', 'sha384']],
  ['RSA_AES_KEY_WRAP_256',  'sha256', ['sha1', 'sha384']],
  ['RSA_AES_KEY_WRAP_384',  'sha384', ['sha1', 'sha256']],
];

const SPECS: readonly KeySpec[] = [
  { kty: 'RSA-HSM', size: 2048, exponent: 65537 },
  { kty: 'EC-HSM', curve: 'P-256K' },
  { kty: 'EC-HSM', curve: 'P-521' },
  { kty: 'oct-HSM', size: 192 },
  { kty: 'AKP-HSM', alg: 'ML-DSA-87' },
];

for (const [encryption, oaepHash, others] of WAYS) {
  test(`a key released by ${encryption} is the key, to its target and by this algorithm alone`, async () => {
    for (const spec of SPECS) {
      const key = await make(spec, exportable);
      const value = safe.module.release(key, target.publicKey, encryption);
      const plain = opened(value, oaepHash);
      assert.ok(isOf(key, plain), spec.kty);
      for (const other of others) assert.throws(() => opened(value, other));
      assert.throws(() => opened(value, oaepHash, stranger.privateKey));
      assert.throws(() => opened(turned(value, -1), oaepHash));
    }
  });
}

/** Whether these bytes are the private half of the key. */
function isOf({ material, ...key }: KeyAtRest, plain: Buffer): boolean {
  if (material.kty === 'oct-HSM') {
    const wrapped = safe.module.encrypt({ ...key, material }, algorithm('A192KW'), randomBytes(32)).value;
    const decipher = createDecipheriv('id-aes192-wrap', plain, Buffer.from('a6a6a6a6a6a6a6a6', 'hex'));
    return Buffer.concat([decipher.update(wrapped), decipher.final()]).length === 32;
  }
  const jwk: Readonly<Record<string, unknown>> = {
    ...createPublicKey(createPrivateKey({ key: plain, format: 'der', type: 'pkcs8' })).export({ format: 'jwk' }),
  };
  const members = material.kty === 'RSA-HSM' ? ['n', 'e'] : material.kty === 'EC-HSM' ? ['x', 'y'] : ['pub', 'alg'];
  return members.every((member) => jwk[member] === (material as Readonly<Record<string, unknown>>)[member]);
}

test('only a key that was sealed as exportable is released, and only under its own policy', async () => {
  const [plain, wrapping, key] = [
    await make({ kty: 'oct-HSM', size: 256 }),
    await make({ kty: 'oct-HSM', size: 256 }, secure),
    await make({ kty: 'oct-HSM', size: 256 }, exportable),
  ];
  const out = (asked: KeyAtRest) => () => safe.module.release(asked, target.publicKey, 'RSA_AES_KEY_WRAP_256');
  assert.throws(out(plain), TypeError);
  assert.throws(out(wrapping), TypeError);
  // What a row claims counts for nothing against the seal.
  for (const lie of [
    { ...plain, terms: key.terms },
    { ...wrapping, terms: key.terms },
    { ...key, terms: { ...key.terms, release: { ...exportable, policy: POLICY.replace('e30', 'e31') } } },
    { ...key, terms: { ...key.terms, origin: 'imported' as const } },
  ]) {
    assert.throws(out(lie), /sealed key does not open/);
    assert.throws(() => safe.module.check(lie), /sealed key does not open/);
  }
  safe.module.check(key);
});

test('a key may be sealed anew under other terms, and its old seal stays as it was', async () => {
  const key = await make({ kty: 'EC-HSM', curve: 'P-256' }, exportable);
  const terms = { ...key.terms, release: { ...exportable, policy: 'another' } };
  const sealed = safe.module.adopt(safe.domain, key, key.identity, key.identity, terms);
  const changed = { ...key, terms, sealed };
  safe.module.check(changed);
  assert.ok(isOf(changed, opened(safe.module.release(changed, target.publicKey, 'RSA_AES_KEY_WRAP_384'), 'sha384')));
  assert.throws(() => safe.module.check({ ...key, terms }), /does not open/);
});

// --- secure wrapping ---

// biome-ignore format: a table reads by its columns
const WRAPPING: readonly (readonly [spec: KeySpec, name: string, length: number])[] = [
  [{ kty: 'RSA-HSM', size: 2048, exponent: 65537 }, 'RSA-OAEP-256',         256],
  [{ kty: 'oct-HSM', size: 128 },                   'A128KW',               40],
  [{ kty: 'oct-HSM', size: 192 },                   'A192KW',               40],
  [{ kty: 'oct-HSM', size: 256 },                   'A256KW',               40],
  [{ kty: 'oct-HSM', size: 128 },                   'A128KWPAD',            40],
  [{ kty: 'oct-HSM', size: 192 },                   'A192KWPAD',            40],
  [{ kty: 'oct-HSM', size: 256 },                   'A256KWPAD',            40],
  [{ kty: 'oct-HSM', size: 128 },                   'CKM_AES_KEY_WRAP',     40],
  [{ kty: 'oct-HSM', size: 256 },                   'CKM_AES_KEY_WRAP_PAD', 40],
];

for (const [spec, name, length] of WRAPPING) {
  test(`${name}: a fresh key is wrapped here, and unwrapped for the target alone`, async () => {
    const key = await make(spec, secure);
    const row = algorithm(name);
    const [one, other] = [safe.module.secureWrap(key, row), safe.module.secureWrap(key, row)];
    assert.deepEqual([one.length, one.equals(other)], [length, false]);
    const received = [one, one, other].map((value) =>
      privateDecrypt(
        { key: target.privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' },
        safe.module.secureUnwrap(key, row, value, target.publicKey),
      ),
    );
    assert.deepEqual([received[0]?.length, received[0]?.equals(received[1] ?? Buffer.alloc(0))], [32, true]);
    assert.notDeepEqual(received[0], received[2]);
    for (const bad of [turned(one, 0), turned(one, -1), one.subarray(1), Buffer.alloc(0)])
      failsAsOne(() => safe.module.secureUnwrap(key, row, bad, target.publicKey));
  });
}

test('what was not made by secure wrapping is not unwrapped, though the public key can encrypt it', async () => {
  const key = await make({ kty: 'RSA-HSM', size: 2048, exponent: 65537 }, secure);
  assert.ok(key.material.kty === 'RSA-HSM');
  const publicKey = createPublicKey({ key: { kty: 'RSA', n: key.material.n, e: key.material.e }, format: 'jwk' });
  for (const length of [0, 16, 31, 33]) {
    const value = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }, randomBytes(length));
    failsAsOne(() => safe.module.secureUnwrap(key, algorithm('RSA-OAEP-256'), value, target.publicKey));
  }
});

test('a key for secure wrapping does nothing else, and others do not do its work', async () => {
  const [wrapping, ordinary] = [await make({ kty: 'oct-HSM', size: 256 }, secure), await make({ kty: 'oct-HSM', size: 256 })];
  const row = algorithm('A256KW');
  const wrapped = safe.module.secureWrap(wrapping, row);
  assert.throws(() => safe.module.decrypt(wrapping, row, wrapped), TypeError);
  assert.throws(() => safe.module.encrypt(wrapping, row, Buffer.alloc(32)), TypeError);
  assert.throws(() => safe.module.decrypt({ ...wrapping, terms: ordinary.terms }, row, wrapped), /does not open/);
  assert.throws(() => safe.module.secureWrap(ordinary, row), TypeError);
  assert.throws(() => safe.module.secureWrap({ ...ordinary, terms: wrapping.terms }, row), /does not open/);
  isBadParameter(() => safe.module.algorithm('A256KWPAD', 'wrapKey', ordinary.material), /cannot be used for operation 'wrapKey'/);
  isBadParameter(() => safe.module.algorithm('RSA-OAEP', 'secureWrapKey', wrapping.material), /cannot be used for operation/);
});
