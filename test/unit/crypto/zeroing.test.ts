// What is secret and passes through JavaScript memory is zeros afterwards: watched at the functions that hand it out, those of node:crypto and our own.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { mock, test } from 'node:test';
import { Failure } from '../../../src/core/failure.ts';
import { NativeKey } from '../../../src/crypto/libcrypto.ts';
import { wrapInTransit } from '../../../src/crypto/rsa-aes-key-wrap.ts';
import { rsaPair } from '../../rsa-pairs.ts';
import { algorithm, ecPair, openSafe, privateJwk } from './safe.ts';

interface HandedOut {
  readonly random: Uint8Array[];
  readonly subkeys: Uint8Array[];
  readonly opened: Uint8Array[];
}

/** Watches what is handed out while `use` runs: random bytes, derived keys, decrypted values. */
async function watch(use: (seen: HandedOut) => Promise<void>): Promise<void> {
  const seen: HandedOut = { random: [], subkeys: [], opened: [] };
  const { randomBytes, hkdfSync, createDecipheriv } = crypto;
  mock.method(crypto, 'randomBytes', (length: number) => remember(seen.random, randomBytes(length)));
  mock.method(crypto, 'hkdfSync', (...given: Parameters<typeof hkdfSync>) => {
    const made = hkdfSync(...given);
    remember(seen.subkeys, Buffer.from(made));
    return made;
  });
  mock.method(crypto, 'createDecipheriv', (...given: Parameters<typeof createDecipheriv>) => {
    const decipher = createDecipheriv(...given);
    const update = decipher.update.bind(decipher);
    return Object.assign(decipher, { update: (data: Buffer) => remember(seen.opened, update(data)) });
  });
  const { alloc } = Buffer;
  mock.method(Buffer, 'alloc', (...given: Parameters<typeof alloc>) => {
    const bytes = alloc(...given);
    if (new Error().stack?.includes('openAes256Gcm')) seen.opened.push(bytes);
    return bytes;
  });
  syncBuiltinESMExports();
  try {
    await use(seen);
  } finally {
    mock.restoreAll();
    syncBuiltinESMExports();
  }
}

function remember(list: Uint8Array[], bytes: Buffer): Buffer {
  assert.equal(isZero(bytes), false, 'it is something to begin with');
  list.push(bytes);
  return bytes;
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

test('a new domain key is zeros as soon as it is sealed', async () => {
  const { module } = openSafe();
  await watch(async (seen) => {
    module.createDomain('hsm-2');
    assert.deepEqual([seen.random.length, seen.subkeys.length], [1, 1]);
    assert.ok([...seen.random, ...seen.subkeys].every(isZero));
  });
  module.close();
});

test('a new secret key is zeros as soon as it is sealed, and of the domain only one subkey is kept until the HSM is dropped', async () => {
  const { module, make, domain } = openSafe();
  await watch(async (seen) => {
    await make({ kty: 'oct-HSM', size: 256 });
    assert.deepEqual([seen.random.filter((bytes) => !isZero(bytes)).length, seen.opened.length], [1, 1], 'the version id is not secret');
    assert.ok(seen.opened.every(isZero), 'the domain key');
    assert.deepEqual(seen.subkeys.map(isZero), [true, false]);
    module.dropDomain(domain.hsmId);
    assert.ok(seen.subkeys.every(isZero));
  });
  module.close();
});

test('the subkey of a domain is zeros once the safe is closed', async () => {
  const { module, make } = openSafe();
  await watch(async (seen) => {
    await make({ kty: 'EC-HSM', curve: 'P-256' });
    module.close();
    assert.ok(seen.subkeys.length === 2 && seen.subkeys.every(isZero));
  });
});

test('an unsealed key is zeros as soon as it is in native memory', async () => {
  const { module, make } = openSafe();
  const rows = [
    [await make({ kty: 'RSA-HSM', size: 2048, exponent: 65537 }), 'RS256'],
    [await make({ kty: 'EC-HSM', curve: 'P-256' }), 'ES256'],
    [await make({ kty: 'oct-HSM', size: 256 }), 'HS256'],
  ] as const;
  await watch(async (seen) => {
    for (const [key, name] of rows) module.sign(key, algorithm(name), Buffer.alloc(32));
    assert.ok(seen.opened.length === 3 && seen.opened.every(isZero));
  });
  module.close();
});

test("a subkey for the service's own secrets, and a plaintext that did not prove genuine, are zeros", async () => {
  const { module, make } = openSafe();
  const key = await make({ kty: 'oct-HSM', size: 256 });
  module.encrypt(key, algorithm('A256GCM'), Buffer.alloc(8));
  await watch(async (seen) => {
    const sealed = module.sealSecret('first-account', 'name', Buffer.alloc(40, 1));
    assert.throws(() => module.openSecret('first-account', 'other', sealed));
    const parameters = { iv: Buffer.alloc(12), tag: Buffer.alloc(16) };
    assert.throws(() => module.decrypt(key, algorithm('A256GCM'), Buffer.alloc(40), parameters));
    assert.deepEqual([seen.subkeys.length, seen.opened.length], [2, 2]);
    assert.ok([...seen.subkeys, ...seen.opened].every(isZero));
  });
  module.close();
});

test('native keys are freed when they are sealed, pushed out, dropped, and when the safe is closed', async () => {
  const { module, make, bring, domain } = openSafe({ cacheSize: 2 });
  const frees = mock.method(NativeKey.prototype, 'free');
  const freed = () => frees.mock.callCount();
  const keys = await Promise.all([1, 2, 3, 4].map(() => make({ kty: 'EC-HSM', curve: 'P-256' })));
  assert.equal(freed(), 4, 'after making four');
  bring(privateJwk(ecPair('P-256'), 'P-256'));
  assert.equal(freed(), 5, 'after an import');
  assert.throws(() => bring({ ...privateJwk(rsaPair(2048)), qi: 'Aw' }));
  assert.equal(freed(), 6, 'after an import that was refused');
  for (const key of keys) module.sign(key, algorithm('ES256'), Buffer.alloc(32));
  assert.equal(freed(), 8, 'after two were pushed out');
  const [, , third, fourth] = keys;
  assert.ok(third && fourth);
  module.drop(third.identity);
  assert.equal(freed(), 9, 'after a drop');
  module.dropDomain(domain.hsmId);
  assert.equal(freed(), 10, 'after the HSM was dropped');
  module.sign(fourth, algorithm('ES256'), Buffer.alloc(32));
  module.close();
  assert.equal(freed(), 11, 'after closing');
  mock.restoreAll();
});

test('a key that was unwrapped is zeros as soon as it is sealed, and as soon as it is refused', async () => {
  const { module, domain, make } = openSafe();
  const kek = await make({ kty: 'RSA-HSM', size: 2048, exponent: 65537 });
  const { n, e } = { n: '', e: '', ...kek.material };
  const recipient = crypto.createPublicKey({ key: { kty: 'RSA', n, e }, format: 'jwk' });
  const identity = { hsmId: domain.hsmId, name: 'wrapped', version: '1' };
  for (const [plain, kty] of [
    [ecPair('P-256').privateKey.export({ type: 'pkcs8', format: 'der' }), 'EC'],
    [ecPair('P-256').privateKey.export({ type: 'pkcs8', format: 'der' }), 'RSA'],
    [crypto.randomBytes(32), 'oct'],
    [crypto.randomBytes(65), 'oct'],
    [crypto.randomBytes(100), 'RSA'],
  ] as const) {
    const wrapped = wrapInTransit(recipient, plain);
    await watch(async (seen) => {
      try {
        module.importWrapped(domain, identity, kek, wrapped, { kty });
      } catch (error) {
        assert.ok(error instanceof Failure);
      }
      assert.ok(seen.opened.length >= 1 && seen.opened.every(isZero), kty);
    });
  }
  module.close();
});
