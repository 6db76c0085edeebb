// The Wycheproof vectors in the tree (C2SP/wycheproof, Apache-2.0): every case of each file, with the answer that it names.

import assert from 'node:assert/strict';
import { createHash, createSecretKey } from 'node:crypto';
import { test } from 'node:test';
import { hasPendingErrors, type NativeKey } from '../../../src/crypto/libcrypto.ts';
import { readPublicKey } from '../../../src/crypto/native-keys.ts';
import { decryptWith, encryptWith, signWith, verifyWith } from '../../../src/crypto/operations.ts';
import type { UsableKey } from '../../../src/crypto/plain-key.ts';
import { readPrivateKey } from '../../../src/crypto/private-key.ts';
import { type Case, type Group, readWycheproof } from '../../wycheproof.ts';
import { algorithm, failsAsOne } from './safe.ts';

/** Runs `check` on every case of a file, and sees to it that the file held as many as it says, of more than one result. */
function wycheproof(name: string, title: string, check: (item: Case, group: Group) => void): void {
  test(`${title} (Wycheproof ${name})`, () => {
    const file = readWycheproof(name);
    const results = new Set<string>();
    let count = 0;
    for (const group of file.testGroups) {
      for (const item of group.tests) {
        check(item, group);
        assert.equal(hasPendingErrors(), false, `case ${item.tcId} left an error behind`);
        results.add(item.result);
        count += 1;
      }
    }
    assert.equal(count, file.numberOfTests);
    assert.ok(results.has('valid') && results.has('invalid'));
  });
}

function secret(item: Case): UsableKey {
  return { kind: 'secret', key: createSecretKey(item.key) };
}

function withNative(key: NativeKey | undefined, use: (key: UsableKey) => void): void {
  assert.ok(key);
  try {
    use({ kind: 'native', key });
  } finally {
    key.free();
  }
}

function sha256(message: Buffer): Buffer {
  return createHash('sha256').update(message).digest();
}

wycheproof('aes_cbc_pkcs5', 'padded CBC opens whole padding alone', (item, { keySize }) => {
  const row = algorithm(`A${keySize}CBCPAD`);
  if (item.result !== 'valid') return failsAsOne(() => decryptWith(secret(item), row, item.ct, { iv: item.iv }));
  assert.deepEqual(encryptWith(secret(item), row, item.msg, { iv: item.iv }).value, item.ct);
  assert.deepEqual(decryptWith(secret(item), row, item.ct, { iv: item.iv }), item.msg);
});

wycheproof('aes_kwp', 'padded key wrapping opens whole keys alone', (item, { keySize }) => {
  for (const row of ['CKM_AES_KEY_WRAP_PAD', `A${keySize}KWPAD`].map(algorithm)) {
    if (item.result === 'invalid') {
      failsAsOne(() => decryptWith(secret(item), row, item.ct, {}));
      continue;
    }
    assert.deepEqual(encryptWith(secret(item), row, item.msg, {}).value, item.ct, `case ${item.tcId}`);
    assert.deepEqual(decryptWith(secret(item), row, item.ct, {}), item.msg);
  }
});

wycheproof('hmac_sha256', 'HMAC codes are right or not, and never half of one', (item, { tagSize }) => {
  const row = algorithm('HS256');
  const whole = tagSize === 256;
  assert.equal(verifyWith(secret(item), row, item.msg, item.tag), whole && item.result === 'valid', `case ${item.tcId}`);
  if (item.result === 'valid') assert.deepEqual(signWith(secret(item), row, item.msg).subarray(0, tagSize / 8), item.tag);
});

for (const [name, alg] of [
  ['ecdsa_secp256r1_sha256_p1363', 'ES256'],
  ['ecdsa_secp256k1_sha256_p1363', 'ES256K'],
] as const) {
  wycheproof(name, `${alg} verifies right signatures alone`, (item, group) => {
    withNative(readPublicKey(group.publicKeyDer), (key) => {
      assert.equal(verifyWith(key, algorithm(alg), sha256(item.msg), item.sig), item.result === 'valid', `case ${item.tcId}`);
    });
  });
}

wycheproof('rsa_pss_2048_sha256_mgf1_32', 'PS256 verifies right signatures alone', (item, group) => {
  withNative(readPublicKey(group.publicKeyDer), (key) => {
    assert.equal(verifyWith(key, algorithm('PS256'), sha256(item.msg), item.sig), item.result === 'valid', `case ${item.tcId}`);
  });
});

wycheproof('rsa_oaep_2048_sha1_mgf1sha1', 'RSA-OAEP opens whole padding alone, and none with a label', (item, group) => {
  withNative(readPrivateKey(group.privateKeyPkcs8), (key) => {
    if (item.result !== 'valid' || item.label.length > 0) return failsAsOne(() => decryptWith(key, algorithm('RSA-OAEP'), item.ct, {}));
    assert.deepEqual(decryptWith(key, algorithm('RSA-OAEP'), item.ct, {}), item.msg, `case ${item.tcId}`);
  });
});
