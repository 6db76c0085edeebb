// RSA and AES encryption and key wrapping of the safe, held against node:crypto in both directions, with every limit and every failure.

import assert from 'node:assert/strict';
import {
  type CipherGCMTypes,
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createSecretKey,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import { test } from 'node:test';
import { algorithmFor, algorithms } from '../../../src/crypto/algorithms.ts';
import { hasPendingErrors } from '../../../src/crypto/libcrypto.ts';
import type { KeyAtRest } from '../../../src/crypto/types.ts';
import { rsaPair } from '../../rsa-pairs.ts';
import { algorithm, failsAsOne, isBadParameter, openSafe, privateJwk, turned } from './safe.ts';

const { RSA_PKCS1_OAEP_PADDING, RSA_PKCS1_PADDING, RSA_NO_PADDING } = constants;
// biome-ignore format: a table reads by its columns
const rsaRows = [
  { name: 'RSA1_5',       overhead: 11, node: { padding: RSA_PKCS1_PADDING } },
  { name: 'RSA-OAEP',     overhead: 42, node: { padding: RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' } },
  { name: 'RSA-OAEP-256', overhead: 66, node: { padding: RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' } },
] as const;
const sizes = [128, 192, 256] as const;

for (const bits of [2048, 3072, 4096]) {
  test(`an RSA key of ${bits} bits encrypts and decrypts as node:crypto does, up to the longest plaintext`, () => {
    const pair = rsaPair(bits);
    const { module, bring } = openSafe();
    const key = bring(privateJwk(pair));
    for (const { name, overhead, node } of rsaRows) {
      const longest = bits / 8 - overhead;
      for (const length of [0, 1, 32, longest]) {
        const value = randomBytes(length);
        const { value: encrypted, iv, tag } = module.encrypt(key, algorithm(name), value);
        assert.deepEqual([encrypted.length, iv, tag], [bits / 8, undefined, undefined]);
        assert.deepEqual(privateDecrypt({ key: pair.privateKey, ...node }, encrypted), value, name);
        assert.deepEqual(module.decrypt(key, algorithm(name), publicEncrypt({ key: pair.publicKey, ...node }, value)), value, name);
      }
      const words = new RegExp(`^Algorithm '${name}' takes at most ${longest} bytes with this key, and the value has ${longest + 1}$`);
      isBadParameter(() => module.encrypt(key, algorithm(name), Buffer.alloc(longest + 1)), words);
    }
    module.close();
  });
}

test('every ciphertext that does not fit the key fails in the same words', () => {
  const pair = rsaPair(2048);
  const other = rsaPair(2048);
  const { module, bring } = openSafe();
  const key = bring(privateJwk(pair));
  const oaep = { key: pair.publicKey, padding: RSA_PKCS1_OAEP_PADDING };
  const plain = Buffer.from('plain');
  const good = publicEncrypt({ ...oaep, oaepHash: 'sha256' }, plain);
  const wrong = {
    empty: Buffer.alloc(0),
    short: good.subarray(1),
    long: Buffer.concat([Buffer.alloc(1), good]),
    zero: Buffer.alloc(256),
    'beyond the modulus': Buffer.alloc(256, 0xff),
    changed: turned(good, 100),
    'another hash': publicEncrypt({ ...oaep, oaepHash: 'sha1' }, plain),
    'a label': publicEncrypt({ ...oaep, oaepHash: 'sha256', oaepLabel: Buffer.from('label') }, plain),
    'another key': publicEncrypt({ ...oaep, key: other.publicKey, oaepHash: 'sha256' }, plain),
  };
  for (const ciphertext of Object.values(wrong)) {
    failsAsOne(() => module.decrypt(key, algorithm('RSA-OAEP-256'), ciphertext));
    assert.equal(hasPendingErrors(), false);
  }
  for (const ciphertext of [wrong.empty, wrong.short, wrong.long, wrong['beyond the modulus']]) {
    failsAsOne(() => module.decrypt(key, algorithm('RSA1_5'), ciphertext));
    assert.equal(hasPendingErrors(), false);
  }
  assert.deepEqual(module.decrypt(key, algorithm('RSA-OAEP-256'), good), plain);
  module.close();
});

test('broken PKCS#1 v1.5 padding is never reported: the answer is the one that the draft derives from key and ciphertext', () => {
  const pair = rsaPair(2048);
  const { module, bring } = openSafe();
  const jwk = privateJwk(pair);
  const key = bring(jwk);
  const body = Buffer.alloc(256, 0xaa);
  // biome-ignore format: a table reads by its columns
  const blocks = [
    ['no separator',        [0x00, 0x02]],
    ['block type 1',        [0x00, 0x01]],
    ['a first byte',        [0x01, 0x02]],
    ['a separator too soon', [0x00, 0x02, 0xaa, 0xaa, 0xaa, 0x00]],
  ] as const;
  for (const [what, head] of blocks) {
    const block = Buffer.from(body);
    block.set(head);
    const ciphertext = publicEncrypt({ key: pair.publicKey, padding: RSA_NO_PADDING }, block);
    const first = module.decrypt(key, algorithm('RSA1_5'), ciphertext);
    assert.deepEqual(first, implicitAnswer(Buffer.from(jwk.d ?? '', 'base64url'), ciphertext), what);
    assert.deepEqual(module.decrypt(key, algorithm('RSA1_5'), ciphertext), first, 'the same each time');
    assert.equal(hasPendingErrors(), false);
  }
  module.close();
});

/** draft-irtf-cfrg-rsa-guidance, "Alternative PKCS#1 v1.5 decryption", written from its text. */
function implicitAnswer(d: Buffer, ciphertext: Buffer): Buffer {
  const size = ciphertext.length;
  const exponent = Buffer.concat([Buffer.alloc(size - d.length), d]);
  const seed = createHmac('sha256', createHash('sha256').update(exponent).digest()).update(ciphertext).digest();
  const lengths = expand(seed, 'length', 256);
  const message = expand(seed, 'message', size);
  const bound = size - 10;
  const mask = 2 ** Math.ceil(Math.log2(bound + 1)) - 1;
  let length = 0;
  for (let at = 0; at < 256; at += 2) {
    const candidate = lengths.readUInt16BE(at) & mask;
    if (candidate < bound) length = candidate;
  }
  return message.subarray(size - length);
}

function expand(seed: Buffer, label: string, length: number): Buffer {
  const bits = Buffer.alloc(2);
  bits.writeUInt16BE(length * 8);
  const pieces = Array.from({ length: Math.ceil(length / 32) }, (_, index) =>
    createHmac('sha256', seed)
      .update(Buffer.of(index >> 8, index & 255))
      .update(label)
      .update(bits)
      .digest(),
  );
  return Buffer.concat(pieces).subarray(0, length);
}

function aesKey(bits: number, bring: ReturnType<typeof openSafe>['bring']) {
  const secret = randomBytes(bits / 8);
  return { key: bring({ kty: 'oct-HSM', k: secret.toString('base64url') }), node: createSecretKey(secret) };
}

function gcm(bits: (typeof sizes)[number]): CipherGCMTypes {
  return `aes-${bits}-gcm`;
}

for (const bits of sizes) {
  test(`A${bits}GCM encrypts and decrypts as node:crypto does, with and without additional data`, () => {
    const { module, bring } = openSafe();
    const { key, node } = aesKey(bits, bring);
    const row = algorithm(`A${bits}GCM`);
    for (const aad of [undefined, Buffer.alloc(0), randomBytes(20)]) {
      for (const length of [0, 1, 16, 33, 5000]) {
        const value = randomBytes(length);
        const ours = module.encrypt(key, row, value, { aad });
        assert.ok(ours.iv && ours.tag);
        assert.deepEqual([ours.iv.length, ours.tag.length, ours.value.length], [12, 16, length]);
        const decipher = createDecipheriv(gcm(bits), node, ours.iv)
          .setAAD(aad ?? Buffer.alloc(0))
          .setAuthTag(ours.tag);
        assert.deepEqual(Buffer.concat([decipher.update(ours.value), decipher.final()]), value);
        const iv = randomBytes(12);
        const cipher = createCipheriv(gcm(bits), node, iv).setAAD(aad ?? Buffer.alloc(0));
        const theirs = Buffer.concat([cipher.update(value), cipher.final()]);
        assert.deepEqual(module.decrypt(key, row, theirs, { iv, aad, tag: cipher.getAuthTag() }), value);
      }
    }
    module.close();
  });

  test(`A${bits}GCM opens nothing that was changed anywhere`, () => {
    const { module, bring } = openSafe();
    const { key } = aesKey(bits, bring);
    const row = algorithm(`A${bits}GCM`);
    const aad = Buffer.from('additional');
    const { value, iv = Buffer.alloc(0), tag = Buffer.alloc(0) } = module.encrypt(key, row, Buffer.from('plain'), { aad });
    failsAsOne(() => module.decrypt(key, row, turned(value, 0), { iv, tag, aad }));
    failsAsOne(() => module.decrypt(key, row, value.subarray(1), { iv, tag, aad }));
    failsAsOne(() => module.decrypt(key, row, value, { iv: turned(iv, 0), tag, aad }));
    failsAsOne(() => module.decrypt(key, row, value, { iv, tag: turned(tag, 15), aad }));
    failsAsOne(() => module.decrypt(key, row, value, { iv, tag, aad: turned(aad, 0) }));
    failsAsOne(() => module.decrypt(key, row, value, { iv, tag }));
    failsAsOne(() => module.decrypt(aesKey(bits, bring).key, row, value, { iv, tag, aad }));
    assert.equal(hasPendingErrors(), false);
    isBadParameter(() => module.decrypt(key, row, value, { tag, aad }), /requires the parameter 'iv'/);
    isBadParameter(() => module.decrypt(key, row, value, { iv, aad }), /requires the parameter 'tag'/);
    isBadParameter(() => module.decrypt(key, row, value, { iv: iv.subarray(1), tag, aad }), /'iv' to have 12 bytes, and it has 11/);
    // A short tag is easily guessed, so it is no tag (NIST SP 800-38D appendix C).
    isBadParameter(() => module.decrypt(key, row, value, { iv, tag: tag.subarray(0, 4), aad }), /'tag' to have 16 bytes, and it has 4/);
    module.close();
  });

  test(`A${bits}CBC and A${bits}CBCPAD encrypt and decrypt as node:crypto does`, () => {
    const { module, bring } = openSafe();
    const { key, node } = aesKey(bits, bring);
    for (const padded of [false, true]) {
      const row = algorithm(`A${bits}CBC${padded ? 'PAD' : ''}`);
      for (const length of padded ? [0, 1, 15, 16, 17, 5000] : [16, 32, 4096]) {
        const value = randomBytes(length);
        const iv = randomBytes(16);
        const cipher = createCipheriv(`aes-${bits}-cbc`, node, iv).setAutoPadding(padded);
        const theirs = Buffer.concat([cipher.update(value), cipher.final()]);
        assert.deepEqual(module.encrypt(key, row, value, { iv }), { value: theirs, iv });
        assert.deepEqual(module.decrypt(key, row, theirs, { iv }), value);
      }
    }
    module.close();
  });

  test(`A${bits}CBC and A${bits}CBCPAD refuse a missing iv by name and a bad ciphertext in the same words`, () => {
    const { module, bring } = openSafe();
    const { key, node } = aesKey(bits, bring);
    const [plainRow, paddedRow] = [algorithm(`A${bits}CBC`), algorithm(`A${bits}CBCPAD`)];
    const iv = randomBytes(16);
    for (const row of [plainRow, paddedRow]) {
      isBadParameter(() => module.encrypt(key, row, Buffer.alloc(16)), /requires the parameter 'iv'/);
      isBadParameter(() => module.encrypt(key, row, Buffer.alloc(16), { iv: iv.subarray(4) }), /'iv' to have 16 bytes, and it has 12/);
      isBadParameter(() => module.decrypt(key, row, Buffer.alloc(16)), /requires the parameter 'iv'/);
      for (const length of [0, 1, 15, 17]) failsAsOne(() => module.decrypt(key, row, Buffer.alloc(length), { iv }));
    }
    for (const length of [0, 1, 15, 17])
      isBadParameter(() => module.encrypt(key, plainRow, Buffer.alloc(length), { iv }), /a multiple of 16 bytes/);
    for (const last of [0, 17, 255]) {
      const cipher = createCipheriv(`aes-${bits}-cbc`, node, iv).setAutoPadding(false);
      failsAsOne(() => module.decrypt(key, paddedRow, cipher.update(Buffer.alloc(16, last)), { iv }));
    }
    assert.equal(hasPendingErrors(), false);
    module.close();
  });

  test(`key wrapping with ${bits} bits is RFC 3394 and RFC 5649 and not another mode under their name`, () => {
    const { module, bring } = openSafe();
    const { key, node } = aesKey(bits, bring);
    for (const name of [`A${bits}KW`, 'CKM_AES_KEY_WRAP']) {
      for (const length of [16, 24, 32, 64, 512]) {
        const value = randomBytes(length);
        const wrapped = nodeWrap(`id-aes${bits}-wrap`, node, 'a6a6a6a6a6a6a6a6', value);
        assert.deepEqual(module.encrypt(key, algorithm(name), value), { value: wrapped });
        assert.equal(wrapped.length, length + 8);
        assert.deepEqual(module.decrypt(key, algorithm(name), wrapped), value);
      }
    }
    for (const length of [1, 7, 8, 9, 16, 20, 32, 100]) {
      const value = randomBytes(length);
      const wrapped = nodeWrap(`id-aes${bits}-wrap-pad`, node, 'a65959a6', value);
      assert.deepEqual(module.encrypt(key, algorithm('CKM_AES_KEY_WRAP_PAD'), value), { value: wrapped });
      assert.deepEqual(module.decrypt(key, algorithm('CKM_AES_KEY_WRAP_PAD'), wrapped), value);
    }
    module.close();
  });

  test(`an unwrapped key has exactly the bytes that were wrapped, trailing zeros included (${bits} bits)`, () => {
    const { module, bring } = openSafe();
    const { key } = aesKey(bits, bring);
    for (let length = 1; length <= 40; length += 1) {
      for (const fill of [0x00, 0xff, length]) {
        const value = Buffer.alloc(length, fill);
        value[0] = 1;
        const { value: wrapped } = module.encrypt(key, algorithm('CKM_AES_KEY_WRAP_PAD'), value);
        assert.deepEqual(module.decrypt(key, algorithm('CKM_AES_KEY_WRAP_PAD'), wrapped), value);
      }
    }
    module.close();
  });

  test(`a wrapped key that is not whole fails in the same words (${bits} bits)`, () => {
    const { module, bring } = openSafe();
    const { key } = aesKey(bits, bring);
    for (const name of [`A${bits}KW`, 'CKM_AES_KEY_WRAP', 'CKM_AES_KEY_WRAP_PAD']) {
      const row = algorithm(name);
      const { value: wrapped } = module.encrypt(key, row, randomBytes(32));
      for (let at = 0; at < wrapped.length; at += 1) failsAsOne(() => module.decrypt(key, row, turned(wrapped, at)));
      for (const length of [0, 1, 8, 15, 16, 17, 24, 32, 39]) failsAsOne(() => module.decrypt(key, row, wrapped.subarray(0, length)));
      failsAsOne(() => module.decrypt(aesKey(bits, bring).key, row, wrapped));
      assert.equal(hasPendingErrors(), false);
    }
    for (const length of [0, 1, 8, 15, 17]) {
      isBadParameter(
        () => module.encrypt(key, algorithm(`A${bits}KW`), Buffer.alloc(length)),
        /at least 16 bytes whose length is a multiple of 8$/,
      );
    }
    isBadParameter(() => module.encrypt(key, algorithm('CKM_AES_KEY_WRAP_PAD'), Buffer.alloc(0)), /a value of at least 1 byte$/);
    module.close();
  });
}

function nodeWrap(cipherName: string, key: ReturnType<typeof createSecretKey>, check: string, value: Buffer): Buffer {
  const cipher = createCipheriv(cipherName, key, Buffer.from(check, 'hex'));
  return Buffer.concat([cipher.update(value), cipher.final()]);
}

test('the iv of GCM is new each time, whatever the caller sends', async () => {
  const { module, make } = openSafe();
  const key = await make({ kty: 'oct-HSM', size: 256 });
  const iv = Buffer.alloc(12);
  const made = Array.from({ length: 2000 }, () => module.encrypt(key, algorithm('A256GCM'), Buffer.of(1), { iv }).iv?.toString('hex'));
  assert.equal(new Set(made).size, 2000);
  assert.ok(!made.includes(iv.toString('hex')));
  module.close();
});

test('GCM and CBC are never the answer to a wrap, nor KW to an encrypt', async () => {
  const { module, make } = openSafe();
  const { material } = await make({ kty: 'oct-HSM', size: 128 });
  for (const name of ['A128GCM', 'A128CBC', 'A128CBCPAD'])
    isBadParameter(() => algorithmFor(name, 'wrapKey', material), /cannot be used for operation 'wrapKey'/);
  for (const name of ['A128KW', 'CKM_AES_KEY_WRAP'])
    isBadParameter(() => algorithmFor(name, 'encrypt', material), /cannot be used for operation 'encrypt'/);
  module.close();
});

test('a key never works with an algorithm of another type, curve or size', async () => {
  const { module, make } = openSafe();
  const keys: KeyAtRest[] = [
    await make({ kty: 'RSA-HSM', size: 2048, exponent: 65537 }),
    await make({ kty: 'EC-HSM', curve: 'P-256' }),
    await make({ kty: 'EC-HSM', curve: 'P-256K' }),
    await make({ kty: 'oct-HSM', size: 128 }),
  ];
  let refused = 0;
  for (const key of keys) {
    for (const row of algorithms) {
      try {
        algorithmFor(row.name, row.operations[0] ?? 'sign', key.material);
        continue;
      } catch {
        refused += 1;
      }
      const [value, iv] = [Buffer.alloc(row.kind === 'ec-signature' ? row.valueBytes : 32), Buffer.alloc(16)];
      assert.throws(() => module.sign(key, row, value), TypeError);
      assert.throws(() => module.verify(key, row, value, Buffer.alloc(64)), TypeError);
      assert.throws(() => module.encrypt(key, row, value, { iv }), TypeError);
      assert.throws(() => module.decrypt(key, row, value, { iv, tag: iv }), TypeError);
    }
  }
  assert.ok(refused > 60);
  module.close();
});
