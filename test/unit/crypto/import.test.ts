// Importing private JSON Web Keys: whole and consistent ones of the service's types come in, all others are refused by the member at fault.

import assert from 'node:assert/strict';
import { createHash, randomBytes, sign } from 'node:crypto';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { hasPendingErrors } from '../../../src/crypto/libcrypto.ts';
import type { PrivateJwk } from '../../../src/crypto/types.ts';
import { rsaPair } from '../../rsa-pairs.ts';
import { algorithm, curves, ecPair, inverse, isBadParameter, openSafe, privateJwk } from './safe.ts';

const { module, bring } = openSafe();
const rsa = privateJwk(rsaPair(2048));
const otherRsa = privateJwk(rsaPair(2048));
const ec = privateJwk(ecPair('P-256'), 'P-256');
const rsaMembers = ['n', 'e', 'd', 'p', 'q', 'dp', 'dq', 'qi'] as const;

function refuses(jwk: PrivateJwk, words: RegExp): void {
  isBadParameter(() => bring(jwk), words);
  assert.equal(hasPendingErrors(), false);
}

function bytes(text: string | undefined): Buffer {
  return Buffer.from(text ?? '', 'base64url');
}

function number(text: string | undefined): bigint {
  return BigInt(`0x${bytes(text).toString('hex')}`);
}

function text(value: bigint, width?: number): string {
  const hex = value.toString(16);
  const even = hex.padStart(width === undefined ? hex.length + (hex.length % 2) : width * 2, '0');
  return Buffer.from(even, 'hex').toString('base64url');
}

for (const [kty, jwk] of [
  ['RSA', rsa],
  ['EC', ec],
  ['oct', { k: randomBytes(32).toString('base64url') }],
] as const) {
  test(`a key of type ${kty} or ${kty}-HSM becomes ${kty}-HSM, with its public part alone in the description`, () => {
    for (const written of [kty, `${kty}-HSM`]) {
      const { material } = bring({ ...jwk, kty: written });
      const { n, e, x, y, crv } = { n: undefined, e: undefined, x: undefined, y: undefined, crv: undefined, ...jwk };
      // biome-ignore format: a table reads by its columns
      const expected = {
        RSA: { kty: 'RSA-HSM', size: 2048, n, e },
        EC:  { kty: 'EC-HSM', crv, x, y },
        oct: { kty: 'oct-HSM', size: 256 },
      }[kty];
      assert.deepEqual(material, expected);
    }
  });
}

test('RSA keys of other sizes and exponents than the service has are refused', () => {
  refuses(privateJwk(rsaPair(1024)), /^Invalid key size: '1024'$/);
  refuses(privateJwk(rsaPair(2056)), /^Invalid key size: '2056'$/);
  refuses(privateJwk(rsaPair(2048, 17)), /^JSON Web Key: e property of RSA key must be 3 or 65537$/);
  refuses({ ...rsa, e: 'AQ' }, /e property/);
  refuses({ ...rsa, e: 'AA' }, /e property/);
  refuses({ ...rsa, n: randomBytes(600).toString('base64url') }, /^JSON Web Key: n property of RSA key is too large$/);
  refuses({ ...rsa, d: 'A'.repeat(4_000_000) }, /^JSON Web Key: d property of RSA key is too large$/);
  assert.equal(bring(privateJwk(rsaPair(2048, 3))).material.kty, 'RSA-HSM');
});

test('RSA numbers may have zeros in front, as some writers put them there; the description has none', () => {
  const padded = Object.fromEntries(
    rsaMembers.map((member) => [member, Buffer.concat([Buffer.alloc(1), bytes(rsa[member])]).toString('base64url')]),
  );
  assert.deepEqual(bring({ ...padded, kty: 'RSA' }).material, { kty: 'RSA-HSM', size: 2048, n: rsa.n, e: rsa.e });
});

test('an RSA key that lacks any of its eight numbers is refused by name', () => {
  for (const member of rsaMembers) {
    refuses({ ...rsa, [member]: undefined }, new RegExp(`^JSON Web Key: ${member} property of RSA key is missing$`));
    refuses({ ...rsa, [member]: '' }, new RegExp(`^JSON Web Key: ${member} property of RSA key is missing$`));
  }
});

test('an RSA key with any number of another key, or a changed one, is refused', () => {
  for (const member of rsaMembers.filter((name) => name !== 'e')) {
    const words = /^JSON Web Key: n, e, d, p, q, dp, dq and qi are not one RSA key$/;
    refuses({ ...rsa, [member]: otherRsa[member] }, words);
    refuses({ ...rsa, [member]: text(number(rsa[member]) + 2n) }, words);
    refuses({ ...rsa, [member]: 'AA' }, /not one RSA key|Invalid key size/);
    refuses({ ...rsa, [member]: 'AQ' }, /not one RSA key|Invalid key size/);
  }
  refuses({ ...rsa, e: 'Aw' }, /not one RSA key/);
  refuses({ ...rsa, p: rsa.q ?? '', q: rsa.p ?? '' }, /not one RSA key/);
});

test('an RSA modulus with a factor that is no prime is refused, though every equation between the numbers holds', () => {
  const e = 65537n;
  const q = number(rsa.q);
  for (;;) {
    const p = number(privateJwk(rsaPair(1024)).p) * number(privateJwk(rsaPair(1024)).p);
    const totient = (p - 1n) * (q - 1n);
    if ((p * q).toString(2).length !== 2048 || totient % e === 0n) continue;
    const d = inverse(e, totient);
    const numbers = { n: p * q, e, d, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qi: inverse(q, p) };
    const jwk = Object.fromEntries(Object.entries(numbers).map(([member, value]) => [member, text(value)]));
    refuses({ ...jwk, kty: 'RSA' }, /^JSON Web Key: n, e, d, p, q, dp, dq and qi are not one RSA key$/);
    return;
  }
});

for (const curve of curves) {
  test(`a key on ${curve} is refused when its point is not on the curve, not its own, or any member is too long`, () => {
    const jwk = privateJwk(ecPair(curve), curve);
    const other = privateJwk(ecPair(curve), curve);
    const width = bytes(jwk.x).length;
    const words = new RegExp(`^JSON Web Key: x, y and d are not one EC key on curve ${curve}$`);
    refuses({ ...jwk, x: other.x ?? '' }, words);
    refuses({ ...jwk, x: other.x ?? '', y: other.y ?? '' }, words);
    refuses({ ...jwk, d: other.d ?? '' }, words);
    refuses({ ...jwk, x: text(0n, width), y: text(0n, width) }, words);
    refuses({ ...jwk, d: text(0n, width) }, words);
    refuses({ ...jwk, d: Buffer.alloc(width, 0xff).toString('base64url') }, words);
    refuses({ ...jwk, x: Buffer.alloc(width, 0xff).toString('base64url') }, words);
    for (const member of ['x', 'y', 'd'] as const) {
      const tooLong = new RegExp(`^JSON Web Key: ${member} property of EC key has more than ${width} bytes on curve ${curve}$`);
      refuses({ ...jwk, [member]: Buffer.concat([Buffer.from([1]), bytes(jwk[member])]).toString('base64url') }, tooLong);
      refuses({ ...jwk, [member]: text(number(jwk[member]) >> 8n) }, words);
      refuses({ ...jwk, [member]: undefined }, new RegExp(`^JSON Web Key: ${member} property of EC key is missing$`));
    }
    assert.deepEqual(bring(jwk).material, { kty: 'EC-HSM', crv: curve, x: jwk.x, y: jwk.y });
  });
}

test('numbers of a curve may come with a zero in front or without those they need, as the SDK for Java sends them; the description has the full width', () => {
  for (const curve of curves) {
    // One coordinate in 256 begins with a zero byte, on P-521 half of them do.
    const jwk = privateJwk(ecPair(curve), curve);
    const width = bytes(jwk.x).length;
    const bare = Object.fromEntries((['x', 'y', 'd'] as const).map((member) => [member, text(number(jwk[member]))]));
    const padded = Object.fromEntries((['x', 'y', 'd'] as const).map((member) => [member, text(number(jwk[member]), width + 3)]));
    for (const other of [bare, padded])
      assert.deepEqual(bring({ ...jwk, ...other }).material, { kty: 'EC-HSM', crv: curve, x: jwk.x, y: jwk.y });
  }
});

test('a private number of a curve that begins with zeros keeps its width', () => {
  for (let round = 0; round < 2000; round += 1) {
    const jwk = privateJwk(ecPair('P-256'), 'P-256');
    if (bytes(jwk.x)[0] !== 0 && bytes(jwk.d)[0] !== 0) continue;
    assert.deepEqual(bring(jwk).material, { kty: 'EC-HSM', crv: 'P-256', x: jwk.x, y: jwk.y });
    return;
  }
  assert.fail('one of 128 keys is such a key');
});

test('an unknown curve or type is refused without being repeated', () => {
  for (const crv of [undefined, 'P-192', 'secp256k1', 'Ed25519', 'toString', '__proto__']) {
    refuses({ ...ec, crv }, /^JSON Web Key: crv property of EC key must be one of P-256, P-256K, P-384, P-521$/);
  }
  for (const kty of ['', 'OKP', 'rsa', 'AKP', 'constructor'])
    refuses({ ...rsa, kty }, /^JSON Web Key: kty must be RSA, RSA-HSM, EC, EC-HSM, oct or oct-HSM$/);
  refuses({ ...ec, crv: 'P-256K' }, /not one EC key on curve P-256K/);
});

test('a secret key has 16 to 64 bytes', () => {
  for (const length of [16, 24, 32, 48, 64]) {
    const { material } = bring({ kty: 'oct', k: randomBytes(length).toString('base64url') });
    assert.deepEqual(material, { kty: 'oct-HSM', size: length * 8 });
  }
  refuses(
    { kty: 'oct', k: randomBytes(65).toString('base64url') },
    /^JSON Web Key: k property of oct key is too large, maximum size is 64$/,
  );
  refuses({ kty: 'oct', k: randomBytes(8).toString('base64url') }, /^Invalid key size: '64'$/);
  refuses({ kty: 'oct' }, /^JSON Web Key: k property of oct key is missing$/);
});

test('a member that is not canonical base64url is refused by name', () => {
  for (const wrong of ['AQAB=', 'AQ+/', 'A QAB', 'AQABA', 'AB']) {
    refuses({ ...rsa, d: wrong }, /^JSON Web Key: d property of RSA key is not base64url$/);
    refuses({ ...ec, d: wrong }, /^JSON Web Key: d property of EC key is not base64url$/);
    refuses({ kty: 'oct', k: wrong }, /^JSON Web Key: k property of oct key is not base64url$/);
  }
});

test('no refusal repeats any private member', () => {
  const seen: string[] = [];
  const attempts = [
    { ...rsa, q: otherRsa.q ?? '' },
    { ...rsa, qi: undefined },
    { ...ec, x: ec.y ?? '' },
    { ...rsa, kty: 'EC', crv: 'P-256' },
  ];
  for (const jwk of attempts) {
    try {
      bring(jwk);
      assert.fail('it must be refused');
    } catch (error) {
      seen.push(inspect(error, { depth: 9, showHidden: true }) + JSON.stringify(error));
    }
  }
  for (const secret of [rsa.d, rsa.p, rsa.q, rsa.dp, rsa.dq, rsa.qi, ec.d]) {
    for (const shown of seen) {
      assert.equal(shown.includes(secret ?? '-'), false);
      assert.equal(shown.includes(bytes(secret).toString('hex').slice(0, 24)), false);
    }
  }
});

test('an imported key signs what the key it came from signs', () => {
  const pair = rsaPair(2048);
  const key = bring(privateJwk(pair));
  const message = Buffer.from('message');
  assert.deepEqual(
    module.sign(key, algorithm('RS256'), createHash('sha256').update(message).digest()),
    sign('sha256', message, pair.privateKey),
  );
});
