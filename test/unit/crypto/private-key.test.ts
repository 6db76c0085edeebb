// Our reading and writing of private keys, held against OpenSSL's own.

import assert from 'node:assert/strict';
import { createHash, type KeyObject, verify } from 'node:crypto';
import { test } from 'node:test';
import { hasPendingErrors, type NativeKey } from '../../../src/crypto/libcrypto.ts';
import { ecSign, rsaSign } from '../../../src/crypto/openssl.ts';
import { pkcs8Kind, readOurWriting, readPrivateKey, writePrivateKey } from '../../../src/crypto/private-key.ts';
import { rsaPair } from '../../rsa-pairs.ts';
import { integer, OBJECT_IDS, octets, sequence } from './der.ts';
import { curves, ecPair } from './safe.ts';

const inDer = (key: KeyObject): Buffer => key.export({ type: 'pkcs8', format: 'der' });

function using<Result>(key: NativeKey | undefined, use: (key: NativeKey) => Result): Result {
  assert.ok(key, 'it is read');
  try {
    return use(key);
  } finally {
    key.free();
    assert.equal(hasPendingErrors(), false);
  }
}

/** Signs with it, and holds that against the public half that node:crypto has. */
function signsFor(key: NativeKey, { publicKey }: { readonly publicKey: KeyObject }): boolean {
  const value = Buffer.alloc(32, 7);
  if (publicKey.asymmetricKeyType === 'ec') {
    return verify('sha256', value, publicKey, ecSign(key, sha256(value)));
  }
  return verify('sha256', value, publicKey, rsaSign(key, { padding: 'pkcs1', digest: 'sha256' }, sha256(value)));
}

function sha256(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}

test('a key of every kind is read part by part, signs for its public half, and is written byte for byte as OpenSSL writes it', () => {
  for (const curve of curves) {
    // A dozen, so that some numbers begin with zeros.
    for (let i = 0; i < 12; i += 1) {
      const pair = ecPair(curve);
      const der = inDer(pair.privateKey);
      assert.equal(pkcs8Kind(der), curve);
      using(readOurWriting(der), (key) => {
        assert.ok(signsFor(key, pair));
        assert.deepEqual(writePrivateKey(key, curve), der);
      });
    }
  }
  for (const [bits, exponent] of [
    [2048, 65537],
    [2048, 3],
    [3072, 65537],
  ] as const) {
    const pair = rsaPair(bits, exponent);
    const der = inDer(pair.privateKey);
    using(readOurWriting(der), (key) => {
      assert.ok(signsFor(key, pair));
      assert.deepEqual(writePrivateKey(key, 'RSA'), der);
    });
  }
});

test('a key that others wrote in another way is read all the same, and written in ours', () => {
  const pair = ecPair('P-256');
  const whole = inDer(pair.privateKey);
  const scalar = whole.subarray(36, 68);
  const withoutPublic = Buffer.concat([
    Buffer.from('3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420', 'hex'),
    scalar,
  ]);
  const sec1 = pair.privateKey.export({ type: 'sec1', format: 'der' });
  for (const der of [withoutPublic, sec1]) {
    assert.equal(readOurWriting(der), undefined);
    using(readPrivateKey(der), (key) => {
      assert.ok(signsFor(key, pair));
      assert.deepEqual(writePrivateKey(key, 'P-256'), whole);
    });
  }
  const rsa = rsaPair(2048);
  using(readPrivateKey(rsa.privateKey.export({ type: 'pkcs1', format: 'der' })), (key) => assert.ok(signsFor(key, rsa)));
});

test('an RSA key of another version than the first is not read as ours', () => {
  const rsa = inDer(rsaPair(2048).privateKey);
  const inner = rsa.subarray(26);
  // RSAPrivateKey: SEQUENCE, length in two bytes, version, the rest.
  const rest = inner.subarray(7);
  assert.deepEqual(inner.subarray(4, 7), integer(0n));
  const withVersion = (version: bigint) =>
    sequence(integer(0n), sequence(OBJECT_IDS.rsaEncryption, Buffer.of(5, 0)), octets(sequence(integer(version), rest)));
  assert.deepEqual(withVersion(0n), rsa);
  for (const version of [1n, 2n, 128n]) assert.equal(readOurWriting(withVersion(version)), undefined);
  assert.equal(hasPendingErrors(), false);
});

test('what is cut off, has something behind it, or a point that is not on its curve is no key', () => {
  const der = inDer(ecPair('P-256').privateKey);
  const elsewhere = Buffer.from(der);
  elsewhere[der.length - 1] = (elsewhere[der.length - 1] ?? 0) ^ 1;
  assert.equal(readOurWriting(elsewhere), undefined);
  assert.equal(readPrivateKey(elsewhere), undefined);
  for (let length = 0; length < der.length; length += 1) assert.equal(readOurWriting(der.subarray(0, length)), undefined);
  assert.equal(readOurWriting(Buffer.concat([der, Buffer.alloc(1)])), undefined);
  assert.equal(hasPendingErrors(), false);
});
