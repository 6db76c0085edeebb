// RSA, ECDSA and HMAC signatures of the safe, held against node:crypto in both directions.

import assert from 'node:assert/strict';
import {
  constants,
  createHash,
  createHmac,
  createSecretKey,
  type KeyObject,
  privateEncrypt,
  publicDecrypt,
  randomBytes,
  type SignKeyObjectInput,
  sign,
  type VerifyKeyObjectInput,
  verify,
} from 'node:crypto';
import { test } from 'node:test';
import { type Pair, rsaPair } from '../../rsa-pairs.ts';
import { algorithm, curves, ecPair, isBadParameter, openSafe, privateJwk, turned } from './safe.ts';

const message = Buffer.from('sign me');
const rsaAlgorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const;
const ecAlgorithms = { 'P-256': 'ES256', 'P-256K': 'ES256K', 'P-384': 'ES384', 'P-521': 'ES512' } as const;

function hashOf(name: string): 'sha256' | 'sha384' | 'sha512' {
  if (name.includes('384')) return 'sha384';
  return name.includes('512') ? 'sha512' : 'sha256';
}

function digest(name: string): Buffer {
  return createHash(hashOf(name)).update(message).digest();
}

function nodeOptions(name: string, key: KeyObject): SignKeyObjectInput & VerifyKeyObjectInput {
  if (name.startsWith('ES')) return { key, dsaEncoding: 'ieee-p1363' };
  if (!name.startsWith('PS')) return { key };
  return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: digest(name).length };
}

for (const [bits, exponent] of [
  [2048, 65537],
  [2048, 3],
  [3072, 65537],
  [4096, 65537],
] as const) {
  test(`an RSA key of ${bits} bits with exponent ${exponent} signs and verifies as node:crypto does`, () => {
    const pair = rsaPair(bits, exponent);
    const { module, bring } = openSafe();
    const key = bring(privateJwk(pair));
    for (const name of rsaAlgorithms) bothWays(name, pair, key, module);
    module.close();
  });
}

for (const curve of curves) {
  test(`a key on ${curve} signs and verifies as node:crypto does`, () => {
    const pair = ecPair(curve);
    const { module, bring } = openSafe();
    const key = bring(privateJwk(pair, curve));
    for (let round = 0; round < 10; round += 1) bothWays(ecAlgorithms[curve], pair, key, module);
    module.close();
  });
}

function bothWays(
  name: string,
  pair: Pair,
  key: ReturnType<ReturnType<typeof openSafe>['bring']>,
  module: ReturnType<typeof openSafe>['module'],
): void {
  const row = algorithm(name);
  const ours = module.sign(key, row, digest(name));
  assert.ok(verify(hashOf(name), message, nodeOptions(name, pair.publicKey), ours), `${name}: node accepts ours`);
  const theirs = sign(hashOf(name), message, nodeOptions(name, pair.privateKey));
  assert.ok(module.verify(key, row, digest(name), theirs), `${name}: we accept node's`);
  assert.equal(module.verify(key, row, digest(name), turned(theirs, -1)), false, `${name}: changed signature`);
  assert.equal(module.verify(key, row, turned(digest(name), 0), theirs), false, `${name}: changed digest`);
}

test('a key that the safe made signs what node:crypto verifies with its public description', async () => {
  const { module, make } = openSafe();
  for (const curve of curves) {
    const key = await make({ kty: 'EC-HSM', curve });
    assert.ok(key.material.kty === 'EC-HSM');
    const { x, y } = key.material;
    const jwk = { kty: 'EC', crv: curve === 'P-256K' ? 'secp256k1' : curve, x, y };
    const name = ecAlgorithms[curve];
    assert.ok(
      verify(
        hashOf(name),
        message,
        { key: jwk, format: 'jwk', dsaEncoding: 'ieee-p1363' },
        module.sign(key, algorithm(name), digest(name)),
      ),
    );
  }
  for (const exponent of [3, 65537] as const) {
    const key = await make({ kty: 'RSA-HSM', size: 2048, exponent });
    assert.ok(key.material.kty === 'RSA-HSM');
    const { n, e, size } = key.material;
    assert.deepEqual([size, e], [2048, exponent === 3 ? 'Aw' : 'AQAB']);
    assert.ok(
      verify('sha256', message, { key: { kty: 'RSA', n, e }, format: 'jwk' }, module.sign(key, algorithm('RS256'), digest('RS256'))),
    );
  }
  module.close();
});

test('RSNULL pads raw data without naming a hash, as TLS 1.1 needs it', () => {
  const pair = rsaPair(2048);
  const { module, bring } = openSafe();
  const key = bring(privateJwk(pair));
  for (const length of [1, 20, 36, 245]) {
    const data = randomBytes(length);
    const ours = module.sign(key, algorithm('RSNULL'), data);
    assert.deepEqual(ours, privateEncrypt(pair.privateKey, data));
    assert.deepEqual(publicDecrypt(pair.publicKey, ours), data);
    assert.ok(module.verify(key, algorithm('RSNULL'), data, ours));
    assert.equal(module.verify(key, algorithm('RSNULL'), turned(data, 0), ours), false);
  }
  for (const length of [0, 246]) {
    isBadParameter(
      () => module.sign(key, algorithm('RSNULL'), Buffer.alloc(length)),
      /^Algorithm 'RSNULL' requires a value of 1 to 245 bytes/,
    );
    isBadParameter(() => module.verify(key, algorithm('RSNULL'), Buffer.alloc(length), Buffer.alloc(256)), /1 to 245 bytes/);
  }
  module.close();
});

test('a digest of any other length than the exact one is refused by name, for signing and for verifying', async () => {
  const { module, make } = openSafe();
  const rsa = await make({ kty: 'RSA-HSM', size: 2048, exponent: 65537 });
  for (const name of rsaAlgorithms) refusesOtherLengths(name, rsa);
  for (const curve of curves) refusesOtherLengths(ecAlgorithms[curve], await make({ kty: 'EC-HSM', curve }));
  module.close();

  function refusesOtherLengths(name: string, key: typeof rsa): void {
    const right = digest(name).length;
    for (const length of [0, 1, 20, right - 1, right + 1, 128]) {
      const words = new RegExp(`^Algorithm '${name}' requires a digest of ${right} bytes, and the value has ${length}$`);
      isBadParameter(() => module.sign(key, algorithm(name), Buffer.alloc(length)), words);
      isBadParameter(() => module.verify(key, algorithm(name), Buffer.alloc(length), Buffer.alloc(64)), words);
    }
  }
});

test('a malformed signature is not valid, and never an error', async () => {
  const { module, make } = openSafe();
  const rsa = await make({ kty: 'RSA-HSM', size: 2048, exponent: 65537 });
  const ec = await make({ kty: 'EC-HSM', curve: 'P-256' });
  const secret = await make({ kty: 'oct-HSM', size: 256 });
  const good = { RS256: rsa, PS256: rsa, RSNULL: rsa, ES256: ec, HS256: secret };
  for (const [name, key] of Object.entries(good)) {
    const value = digest('RS256');
    const signature = module.sign(key, algorithm(name), value);
    const longer = Buffer.concat([signature, Buffer.alloc(1)]);
    const padded = Buffer.concat([Buffer.alloc(1), signature]);
    const wrong = [
      Buffer.alloc(0),
      signature.subarray(1),
      signature.subarray(0, -1),
      longer,
      padded,
      Buffer.alloc(signature.length),
      Buffer.alloc(signature.length, 0xff),
    ];
    for (const [index, candidate] of wrong.entries())
      assert.equal(module.verify(key, algorithm(name), value, candidate), false, `${name} ${index}`);
    assert.ok(module.verify(key, algorithm(name), value, signature), `${name} still works`);
  }
  module.close();
});

test('a PSS signature whose salt is not as long as the digest is not valid', () => {
  const pair = rsaPair(2048);
  const { module, bring } = openSafe();
  const key = bring(privateJwk(pair));
  for (const saltLength of [0, 20, 31, 33, constants.RSA_PSS_SALTLEN_MAX_SIGN]) {
    const signature = sign('sha256', message, { key: pair.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
    assert.equal(module.verify(key, algorithm('PS256'), digest('PS256'), signature), false, `salt ${saltLength}`);
  }
  module.close();
});

test('a signature of one algorithm is not valid under another', () => {
  const pair = rsaPair(2048);
  const { module, bring } = openSafe();
  const key = bring(privateJwk(pair));
  const signature = module.sign(key, algorithm('RS256'), digest('RS256'));
  assert.equal(module.verify(key, algorithm('PS256'), digest('RS256'), signature), false);
  assert.equal(module.verify(key, algorithm('RSNULL'), digest('RS256'), signature), false);
  module.close();
});

test('ECDSA and PSS signatures of one digest differ each time', async () => {
  const { module, make } = openSafe();
  const ec = await make({ kty: 'EC-HSM', curve: 'P-256' });
  const rsa = await make({ kty: 'RSA-HSM', size: 2048, exponent: 65537 });
  for (const [key, name] of [
    [ec, 'ES256'],
    [rsa, 'PS256'],
  ] as const) {
    const made = new Set(Array.from({ length: 20 }, () => module.sign(key, algorithm(name), digest(name)).toString('hex')));
    assert.equal(made.size, 20);
  }
  module.close();
});

for (const name of ['HS256', 'HS384', 'HS512']) {
  test(`${name} is the HMAC of the bytes as they are given, with keys of every size`, () => {
    const { module, bring } = openSafe();
    for (const bytes of [16, 24, 32, 48, 64]) {
      const secret = randomBytes(bytes);
      const key = bring({ kty: 'oct', k: secret.toString('base64url') });
      for (const length of [0, 1, 32, 1000]) {
        const value = randomBytes(length);
        const right = createHmac(hashOf(name), createSecretKey(secret)).update(value).digest();
        assert.deepEqual(module.sign(key, algorithm(name), value), right);
        assert.ok(module.verify(key, algorithm(name), value, right));
        assert.equal(module.verify(key, algorithm(name), value, turned(right, -1)), false);
        assert.equal(module.verify(key, algorithm(name), value, right.subarray(0, 16)), false);
      }
    }
    module.close();
  });
}
