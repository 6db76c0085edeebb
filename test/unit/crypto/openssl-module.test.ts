// The life of keys in the safe: made, sealed, kept, dropped, forgotten; and what may never be seen of them from outside.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { inspect } from 'node:util';
import * as koffi from 'koffi';
import { hasPendingErrors } from '../../../src/crypto/libcrypto.ts';
import { generateEc, readPublicKey } from '../../../src/crypto/native-keys.ts';
import { ecSign } from '../../../src/crypto/openssl.ts';
import { openCryptoModule } from '../../../src/crypto/openssl-module.ts';
import { readPrivateKey } from '../../../src/crypto/private-key.ts';
import { decodeDomain } from '../../../src/crypto/security-domain/content.ts';
import { openSecurityDomain, readSecurityDomain } from '../../../src/crypto/security-domain/file.ts';
import { asSealedKey, type KeyAtRest, type KeySpec } from '../../../src/crypto/types.ts';
import { rsaPair } from '../../rsa-pairs.ts';
import { certificateOf, custodianOf, jwk, makePair } from '../security-domain/ceremony.ts';
import { algorithm, ecPair, openSafe, privateJwk } from './safe.ts';

const digest = randomBytes(32);
const P256: KeySpec = { kty: 'EC-HSM', curve: 'P-256' };

/** The row after somebody changed its sealed bytes: works only while the native key is in memory. */
function spoiled(key: KeyAtRest): KeyAtRest {
  return { ...key, sealed: asSealedKey(Buffer.alloc(80)) };
}

function isInMemory(safe: ReturnType<typeof openSafe>, key: KeyAtRest): boolean {
  const name = key.material.kty === 'oct-HSM' ? 'HS256' : 'ES256';
  try {
    return safe.module.sign(spoiled(key), algorithm(name), digest).length > 0;
  } catch {
    return false;
  }
}

test('a key is unsealed once and then kept, and its sealed bytes are not read again', async () => {
  const safe = openSafe();
  const made = await safe.make(P256);
  let reads = 0;
  const row: KeyAtRest = {
    ...made,
    get sealed() {
      reads += 1;
      return made.sealed;
    },
  };
  for (let round = 0; round < 5; round += 1) safe.module.sign(row, algorithm('ES256'), digest);
  assert.equal(reads, 1);
  safe.module.close();
});

test('a key that was made but not used yet is not kept', async () => {
  const safe = openSafe();
  assert.equal(isInMemory(safe, await safe.make(P256)), false);
  assert.equal(isInMemory(safe, safe.bring(privateJwk(ecPair('P-256'), 'P-256'))), false);
  safe.module.close();
});

test('a dropped key is out of memory at once, and the other versions stay', async () => {
  const safe = openSafe();
  const [first, second] = [await safe.make(P256), await safe.make({ kty: 'oct-HSM', size: 256 })];
  safe.module.sign(first, algorithm('ES256'), digest);
  safe.module.sign(second, algorithm('HS256'), digest);
  safe.module.drop(first.identity);
  assert.deepEqual([isInMemory(safe, first), isInMemory(safe, second)], [false, true]);
  safe.module.drop(first.identity);
  assert.equal(safe.module.sign(first, algorithm('ES256'), digest).length, 64, 'it can be unsealed again from a whole row');
  safe.module.close();
});

test('a dropped HSM loses all its keys from memory, and an HSM whose id begins alike loses none', async () => {
  const rootKey = randomBytes(32);
  const { module } = openSafe({ rootKey });
  const keys = await Promise.all(
    ['hsm', 'hsm-1', 'hsm-1x'].map(async (hsmId) => {
      const domain = { hsmId, sealed: module.createDomain(hsmId) };
      const identity = { hsmId, name: 'k', version: 'v' };
      return { domain, identity, ...(await module.generate(domain, identity, P256)) };
    }),
  );
  const safe = { ...openSafe(), module };
  for (const key of keys) module.sign(key, algorithm('ES256'), digest);
  module.dropDomain('hsm-1');
  assert.deepEqual(
    keys.map((key) => isInMemory(safe, key)),
    [true, false, true],
  );
  module.dropDomain('no such hsm');
  module.close();
});

test('an HSM that became another domain does not use the old domain key nor the keys from it', async () => {
  const safe = openSafe();
  const old = await safe.make(P256);
  safe.module.sign(old, algorithm('ES256'), digest);
  const domain = { hsmId: safe.domain.hsmId, sealed: safe.module.createDomain(safe.domain.hsmId) };
  const identity = { ...old.identity, version: 'new' };
  const key = { domain, identity, ...(await safe.module.generate(domain, identity, P256)) };
  assert.equal(isInMemory(safe, old), false);
  assert.equal(safe.module.sign(key, algorithm('ES256'), digest).length, 64);
  assert.throws(() => safe.module.sign({ ...old, domain }, algorithm('ES256'), digest), /does not open/);
  safe.module.close();
});

test('the memory holds as many keys as it was told, and the longest unused one goes first', async () => {
  const safe = openSafe({ cacheSize: 2 });
  const [a, b, c] = [await safe.make(P256), await safe.make(P256), await safe.make(P256)];
  for (const key of [a, b, a, c]) safe.module.sign(key, algorithm('ES256'), digest);
  assert.deepEqual(
    [a, b, c].map((key) => isInMemory(safe, key)),
    [true, false, true],
  );
  for (let round = 0; round < 50; round += 1)
    for (const key of [a, b, c]) assert.equal(safe.module.sign(key, algorithm('ES256'), digest).length, 64);
  safe.module.close();
});

test('a key opens in another safe with the same root key, and in no safe with another', async () => {
  const rootKey = randomBytes(32);
  const [first, second, stranger] = [openSafe({ rootKey }), openSafe({ rootKey }), openSafe()];
  const key = await first.make(P256);
  const signature = second.module.sign(key, algorithm('ES256'), digest);
  assert.ok(first.module.verify(key, algorithm('ES256'), digest, signature));
  assert.throws(() => stranger.module.sign(key, algorithm('ES256'), digest), /does not open/);
  for (const { module } of [first, second, stranger]) module.close();
});

test('the safe keeps a copy of the root key, so the caller may zero its own', async () => {
  const rootKey = randomBytes(32);
  const kept = Buffer.from(rootKey);
  const { module, make } = openSafe({ rootKey });
  rootKey.fill(0);
  const key = await make(P256);
  module.drop(key.identity);
  const other = openCryptoModule({ rootKey: kept });
  for (const safe of [module, other]) assert.equal(safe.sign(key, algorithm('ES256'), digest).length, 64);
  for (const safe of [module, other]) safe.close();
  assert.throws(() => openCryptoModule({ rootKey: Buffer.alloc(16) }), RangeError);
});

test('a closed safe refuses everything that would need a key, rather than use zeros', async () => {
  const { module, make, domain } = openSafe();
  const key = await make(P256);
  const pending = module.generate(domain, key.identity, { kty: 'RSA-HSM', size: 2048, exponent: 65537 });
  module.sign(key, algorithm('ES256'), digest);
  const sealed = module.sealSecret('first-account', 'n', digest);
  module.close();
  const closed = /the crypto module is closed/;
  await assert.rejects(pending, closed);
  await assert.rejects(module.generate(domain, key.identity, P256), closed);
  assert.throws(() => module.import(domain, key.identity, privateJwk(ecPair('P-256'), 'P-256')), closed);
  assert.throws(() => module.createDomain('hsm-2'), closed);
  assert.throws(() => module.sign(key, algorithm('ES256'), digest), closed);
  assert.throws(() => module.sealSecret('first-account', 'n', digest), closed);
  assert.throws(() => module.openSecret('first-account', 'n', sealed), closed);
  module.close();
});

test('native keys that were freed are refused, not read', () => {
  const key = generateEc('P-256');
  key.free();
  key.free();
  assert.throws(() => ecSign(key, digest), /this native key was freed/);
});

test('bytes that are no key give no key, and leave no error behind', () => {
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(40), randomBytes(200), Buffer.from('3003020100', 'hex')]) {
    assert.equal(readPrivateKey(bytes), undefined);
    assert.equal(readPublicKey(bytes), undefined);
    assert.equal(hasPendingErrors(), false);
  }
});

test('an error left in the queue of OpenSSL is noticed', () => {
  const lib = koffi.load(null);
  const read = lib.func('d2i_AutoPrivateKey', 'void *', ['void *', 'void *', 'long']);
  const bytes = Buffer.alloc(40);
  const cell = new BigUint64Array([BigInt(koffi.address(bytes))]);
  assert.equal(read(null, cell, bytes.length), null);
  assert.equal(hasPendingErrors(), true);
  lib.func('ERR_clear_error', 'void', [])();
  assert.equal(hasPendingErrors(), false);
});

test('neither the sealed key nor its description holds any private bytes', async () => {
  const { module, bring } = openSafe();
  for (const source of [
    privateJwk(rsaPair(2048)),
    privateJwk(ecPair('P-384'), 'P-384'),
    { kty: 'oct', k: randomBytes(32).toString('base64url') },
  ]) {
    const { sealed, material } = bring(source);
    for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k'] as const) {
      const secret = source[member as keyof typeof source];
      if (secret === undefined) continue;
      const bytes = Buffer.from(secret, 'base64url');
      assert.equal(Buffer.from(sealed).includes(bytes.subarray(0, 12)), false, member);
      assert.equal(JSON.stringify(material).includes(secret), false, member);
    }
  }
  module.close();
});

test('printing the safe, or an error from it, shows no root key, domain key or key', async () => {
  const rootKey = randomBytes(32);
  const secret = randomBytes(32);
  const { module, bring, domain } = openSafe({ rootKey });
  const key = bring({ kty: 'oct', k: secret.toString('base64url') });
  module.sign(key, algorithm('HS256'), digest);
  const shown = [inspect(module, { depth: 9, showHidden: true, maxArrayLength: null }), JSON.stringify(module)];
  const failing = [
    () => module.sign(spoiled({ ...key, identity: { ...key.identity, version: 'x' } }), algorithm('HS256'), digest),
    () =>
      module.sign({ ...key, domain: { ...domain, hsmId: 'y' }, identity: { ...key.identity, version: 'y' } }, algorithm('HS256'), digest),
    () => module.decrypt(key, algorithm('A256KW'), Buffer.alloc(40)),
    () => module.decrypt(key, algorithm('A256GCM'), secret, { iv: Buffer.alloc(12), tag: Buffer.alloc(16) }),
    () => module.encrypt(key, algorithm('A128GCM'), secret),
    () => module.encrypt(key, algorithm('A256KW'), secret.subarray(1)),
    () => module.openSecret('first-account', 'n', Buffer.alloc(64)),
  ];
  for (const fail of failing)
    assert.throws(fail, (error) => shown.push(inspect(error, { depth: 9, showHidden: true, maxArrayLength: null })) > 0);
  assert.equal(shown.length, 2 + failing.length);
  for (const text of shown) {
    for (const bytes of [rootKey, secret]) {
      for (const spelling of [
        bytes.toString('hex'),
        bytes.toString('base64'),
        bytes.toString('base64url'),
        [...bytes].join(', '),
        spaced(bytes),
      ]) {
        assert.equal(text.includes(spelling.slice(0, 20)), false);
      }
    }
  }
  module.close();
});

function spaced(bytes: Buffer): string {
  return (bytes.toString('hex').match(/../g) ?? []).join(' ');
}

test('random bytes are as many as were asked for, and never the same', () => {
  const { module } = openSafe();
  for (const count of [1, 16, 128]) assert.equal(module.randomBytes(count).length, count);
  const made = new Set(Array.from({ length: 1000 }, () => module.randomBytes(16).toString('hex')));
  assert.equal(made.size, 1000);
  module.close();
});

test('a security domain opens with a quorum of its custodians, and every export of one domain holds the same domain', () => {
  const { module, domain } = openSafe();
  const pairs = ['Ada', 'Bea', 'Cy'].map((name) => makePair(name));
  const domainId = '01234567-89ab-4cde-8f01-23456789abcd';
  const custodians = module.readCustodians(pairs.map(jwk), 2);
  assert.deepEqual(
    custodians.certificates.map((certificate) => certificate.x5t256),
    pairs.map((pair) => certificateOf(pair).x5t256),
  );
  const opened = [
    [0, 1],
    [1, 2],
    [2, 0],
  ].map((indexes) => {
    const file = readSecurityDomain(module.exportSecurityDomain(domain, domainId, custodians));
    return decodeDomain(openSecurityDomain(file, pairs.filter((_, index) => indexes.includes(index)).map(custodianOf)));
  });
  for (const one of opened) assert.deepEqual(one, opened[0]);
  assert.equal(opened[0]?.domainId, domainId);
  assert.equal(opened[0]?.domainKey.length, 32);
  assert.throws(() => module.exportSecurityDomain({ ...domain, hsmId: 'hsm-2' }, domainId, custodians), /does not open/);
  module.close();
});
