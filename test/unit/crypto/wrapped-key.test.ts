// Keys that come in wrapped for a key exchange key: wrapped by node:crypto and by openssl, of every type, and refused in one and the same way wherever the
// wrapping was touched. What unwraps is then checked like any other import.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  createPublicKey,
  generateKeyPairSync,
  generatePrimeSync,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
  sign,
} from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { hasPendingErrors } from '../../../src/crypto/libcrypto.ts';
import { wrapInTransit } from '../../../src/crypto/rsa-aes-key-wrap.ts';
import type { KeyAtRest, WrappedKeySpec } from '../../../src/crypto/types.ts';
import { rsaPair } from '../../rsa-pairs.ts';
import { openssl } from '../../tools.ts';
import { der, integer, OBJECT_IDS, octets, sequence } from './der.ts';
import { algorithm, curves, ecPair, failsAsOne, inverse, isBadParameter, openSafe, privateJwk, turned } from './safe.ts';

const { module, domain, make, bring } = openSafe();
const kek = await make({ kty: 'RSA-HSM', size: 2048, exponent: 65537 });
const kekPublic = publicKeyOf(kek);
const kekBytes = 256;
const pair = rsaPair(2048);

after(() => module.close());

function publicKeyOf({ material }: KeyAtRest): KeyObject {
  assert.equal(material.kty, 'RSA-HSM');
  return createPublicKey({ key: { kty: 'RSA', n: material.n, e: material.e }, format: 'jwk' });
}

function pkcs8(key: KeyObject): Buffer {
  return key.export({ type: 'pkcs8', format: 'der' });
}

function bringIn(wrapped: Uint8Array, spec: WrappedKeySpec, recipient = kek): KeyAtRest {
  const identity = { hsmId: domain.hsmId, name: 'wrapped', version: randomBytes(16).toString('hex') };
  return { domain, identity, ...module.importWrapped(domain, identity, recipient, wrapped, spec) };
}

/** As node:crypto does it; what is carried need not be a key. */
function wrappedByNode(plain: Uint8Array, { aesBytes = 32, oaepHash = 'sha1', padding = constants.RSA_PKCS1_OAEP_PADDING } = {}): Buffer {
  const aesKey = randomBytes(aesBytes);
  const cipher = createCipheriv(`id-aes${aesBytes * 8}-wrap-pad`, aesKey, Buffer.from('a65959a6', 'hex'));
  const hash = padding === constants.RSA_PKCS1_OAEP_PADDING ? { oaepHash } : {};
  return Buffer.concat([publicEncrypt({ key: kekPublic, padding, ...hash }, aesKey), cipher.update(plain), cipher.final()]);
}

function refuses(wrapped: Uint8Array, spec: WrappedKeySpec): void {
  failsAsOne(() => bringIn(wrapped, spec));
  assert.equal(hasPendingErrors(), false);
}

test('an RSA key of each size that was wrapped comes in, and signs what the key it came from signs', () => {
  const message = Buffer.from('message');
  const digest = createHash('sha256').update(message).digest();
  for (const bits of [2048, 3072, 4096]) {
    const { privateKey } = rsaPair(bits);
    for (const kty of ['RSA', 'RSA-HSM']) {
      const key = bringIn(wrappedByNode(pkcs8(privateKey)), { kty });
      const { n, e } = privateKey.export({ format: 'jwk' });
      assert.deepEqual(key.material, { kty: 'RSA-HSM', size: bits, n, e });
      assert.deepEqual(module.sign(key, algorithm('RS256'), digest), sign('sha256', message, privateKey));
    }
  }
});

for (const crv of curves) {
  test(`a key on ${crv} that was wrapped comes in, whether or not the request names the curve`, () => {
    const { privateKey } = ecPair(crv);
    const { x, y } = privateKey.export({ format: 'jwk' });
    for (const spec of [{ kty: 'EC-HSM', crv }, { kty: 'EC' }]) {
      assert.deepEqual(bringIn(wrappedByNode(pkcs8(privateKey)), spec).material, { kty: 'EC-HSM', crv, x, y });
    }
    const other = crv === 'P-256' ? 'P-384' : 'P-256';
    isBadParameter(() => bringIn(wrappedByNode(pkcs8(privateKey)), { kty: 'EC', crv: other }), /^The wrapped key is on curve 'P-/);
  });
}

test('a secret key of 16 to 64 bytes that was wrapped comes in, and one of another length does not', () => {
  for (const length of [16, 24, 32, 48, 64]) {
    const secret = randomBytes(length);
    const key = bringIn(wrappedByNode(secret), { kty: 'oct-HSM' });
    assert.deepEqual(key.material, { kty: 'oct-HSM', size: length * 8 });
    if (length > 32) continue;
    const row = algorithm('CKM_AES_KEY_WRAP_PAD');
    const { value } = module.encrypt(key, row, Buffer.from('carried'));
    const cipher = createDecipheriv(`id-aes${length * 8}-wrap-pad`, secret, Buffer.from('a65959a6', 'hex'));
    assert.equal(Buffer.concat([cipher.update(value), cipher.final()]).toString(), 'carried');
  }
  isBadParameter(() => bringIn(wrappedByNode(randomBytes(15)), { kty: 'oct' }), /^Invalid key size: '120'$/);
  isBadParameter(
    () => bringIn(wrappedByNode(randomBytes(65)), { kty: 'oct' }),
    /^JSON Web Key: k property of oct key is too large, maximum size is 64$/,
  );
});

test('what we wrap, node:crypto unwraps and the safe takes in, for key exchange keys of every size', () => {
  const plain = pkcs8(ecPair('P-384').privateKey);
  for (const digest of ['sha1', 'sha256', 'sha384'] as const) {
    const wrapped = wrapInTransit(pair.publicKey, plain, digest);
    const aesKey = privateDecrypt({ key: pair.privateKey, oaepHash: digest }, wrapped.subarray(0, kekBytes));
    const decipher = createDecipheriv('id-aes256-wrap-pad', aesKey, Buffer.from('a65959a6', 'hex'));
    assert.deepEqual(decipher.update(wrapped.subarray(kekBytes)), plain);
  }
  for (const size of [3072, 4096]) {
    const larger = bring(privateJwk(rsaPair(size, 3)));
    const wrapped = wrapInTransit(publicKeyOf(larger), plain);
    assert.equal(bringIn(wrapped, { kty: 'EC', crv: 'P-384' }, larger).material.kty, 'EC-HSM');
    failsAsOne(() => bringIn(wrapped, { kty: 'EC', crv: 'P-384' }));
  }
});

test('what the openssl command wraps comes in', async (t) => {
  const program = await openssl();
  if ('missing' in program) return t.skip(program.missing);
  const folder = mkdtempSync(join(tmpdir(), 'strongroom-wrap-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const at = (name: string): string => join(folder, name);
  const run = (...args: readonly string[]) => execFileSync(program.path, args, { stdio: 'pipe' });
  writeFileSync(at('kek.pem'), kekPublic.export({ type: 'spki', format: 'pem' }));
  writeFileSync(at('aes'), randomBytes(32));
  run('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-outform', 'DER', '-out', at('target.der'));
  run('pkcs8', '-topk8', '-nocrypt', '-in', at('target.der'), '-inform', 'DER', '-outform', 'DER', '-out', at('target.p8'));
  const oaep = ['-pkeyopt', 'rsa_padding_mode:oaep', '-pkeyopt', 'rsa_oaep_md:sha1', '-pkeyopt', 'rsa_mgf1_md:sha1'];
  run('pkeyutl', '-encrypt', '-pubin', '-inkey', at('kek.pem'), ...oaep, '-in', at('aes'), '-out', at('wrapped-aes'));
  const key = readFileSync(at('aes')).toString('hex');
  run('enc', '-id-aes256-wrap-pad', '-K', key, '-iv', 'A65959A6', '-in', at('target.p8'), '-out', at('wrapped-target'));
  const wrapped = Buffer.concat([readFileSync(at('wrapped-aes')), readFileSync(at('wrapped-target'))]);
  const { n } = createPublicKey({ key: readFileSync(at('target.der')), format: 'der', type: 'pkcs1' }).export({ format: 'jwk' });
  const { material } = bringIn(wrapped, { kty: 'RSA' });
  assert.equal(material.kty === 'RSA-HSM' && material.n, n);
});

test('a wrapped key with any byte changed, cut off or added fails in the same words', () => {
  const spec = { kty: 'EC', crv: 'P-256' };
  const wrapped = wrappedByNode(pkcs8(ecPair('P-256').privateKey));
  // Every byte of the wrapped key, and every eighth of the RSA number before it.
  for (let at = 0; at < wrapped.length; at += at < kekBytes ? 8 : 1) refuses(turned(wrapped, at), spec);
  for (const length of [0, 1, kekBytes - 1, kekBytes, kekBytes + 8, kekBytes + 16, wrapped.length - 8, wrapped.length - 1]) {
    refuses(wrapped.subarray(0, length), spec);
  }
  refuses(Buffer.concat([wrapped, Buffer.alloc(8)]), spec);
  refuses(Buffer.concat([Buffer.alloc(1), wrapped]), spec);
  refuses(randomBytes(wrapped.length), spec);
  assert.equal(bringIn(wrapped, spec).material.kty, 'EC-HSM');
});

test('another padding, another hash, another length of the key in between: the same words', () => {
  const plain = pkcs8(ecPair('P-256').privateKey);
  const spec = { kty: 'EC' };
  refuses(wrappedByNode(plain, { oaepHash: 'sha256' }), spec);
  refuses(wrappedByNode(plain, { padding: constants.RSA_PKCS1_PADDING }), spec);
  refuses(wrappedByNode(plain, { aesBytes: 16 }), spec);
  refuses(wrappedByNode(plain, { aesBytes: 24 }), spec);
  const cbc = createCipheriv('aes-256-cbc', Buffer.alloc(32), Buffer.alloc(16));
  refuses(Buffer.concat([publicEncrypt({ key: kekPublic, oaepHash: 'sha1' }, Buffer.alloc(32)), cbc.update(plain), cbc.final()]), spec);
});

test('what unwraps to no PKCS#8 of an RSA or EC key fails in those words too', () => {
  const good = pkcs8(ecPair('P-256').privateKey);
  const inner = ecPair('P-384').privateKey.export({ type: 'sec1', format: 'der' });
  const explicit = generateKeyPairSync('ec', { namedCurve: 'prime256v1', paramEncoding: 'explicit' }).privateKey;
  const plains = [
    randomBytes(1),
    randomBytes(200),
    Buffer.concat([good, Buffer.alloc(1)]),
    good.subarray(0, -1),
    turned(good, 4, 2),
    pair.privateKey.export({ type: 'pkcs1', format: 'der' }),
    ecPair('P-256').privateKey.export({ type: 'sec1', format: 'der' }),
    pair.publicKey.export({ type: 'spki', format: 'der' }),
    pair.privateKey.export({ type: 'pkcs8', format: 'der', cipher: 'aes-256-cbc', passphrase: 'x' }),
    pkcs8(generateKeyPairSync('ed25519').privateKey),
    pkcs8(generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey),
    pkcs8(generateKeyPairSync('ec', { namedCurve: 'secp224r1' }).privateKey),
    pkcs8(explicit),
    // One curve outside, another inside: in a name, and written out.
    sequence(integer(0n), sequence(OBJECT_IDS.ecPublicKey, OBJECT_IDS['P-256']), octets(inner)),
    sequence(integer(0n), sequence(OBJECT_IDS.ecPublicKey, OBJECT_IDS['P-256']), octets(explicit.export({ type: 'sec1', format: 'der' }))),
    threePrimes(),
  ];
  for (const plain of plains) for (const kty of ['RSA', 'EC']) refuses(wrappedByNode(plain), { kty });
});

/** RFC 8017 appendix A.1.2, version 1: consistent in itself, but with a third factor. */
function threePrimes(): Buffer {
  const e = 65537n;
  for (;;) {
    const primes = [683, 683, 682].map((bits) => generatePrimeSync(bits, { bigint: true }));
    const [p = 0n, q = 0n, r = 0n] = primes;
    const n = p * q * r;
    const totient = primes.reduce((product, prime) => product * (prime - 1n), 1n);
    if (n.toString(2).length !== 2048 || totient % e === 0n) continue;
    const d = inverse(e, totient);
    const other = sequence(sequence(integer(r), integer(d % (r - 1n)), integer(inverse(p * q, r))));
    const numbers = [1n, n, e, d, p, q, d % (p - 1n), d % (q - 1n), inverse(q, p)].map(integer);
    return sequence(integer(0n), sequence(OBJECT_IDS.rsaEncryption, der(0x05)), octets(sequence(...numbers, other)));
  }
}

test('a wrapped key that the service would not take as a JSON Web Key is refused in words of its own', () => {
  const rsa = (bits: number, exponent?: number) => wrappedByNode(pkcs8(rsaPair(bits, exponent).privateKey));
  isBadParameter(() => bringIn(rsa(1024), { kty: 'RSA' }), /^Invalid key size: '1024'$/);
  isBadParameter(() => bringIn(rsa(2056), { kty: 'RSA' }), /^Invalid key size: '2056'$/);
  isBadParameter(() => bringIn(rsa(2048, 17), { kty: 'RSA' }), /e property of RSA key must be 3 or 65537$/);
  const numbers = privateJwk(pair);
  const other = privateJwk(rsaPair(2048));
  const number = (text = '') => integer(BigInt(`0x${Buffer.from(text, 'base64url').toString('hex')}`));
  for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi'] as const) {
    const { n, e, d, p, q, dp, dq, qi }: Readonly<Record<string, string | undefined>> = { ...numbers, [member]: other[member] };
    const key = sequence(integer(0n), ...[n, e, d, p, q, dp, dq, qi].map(number));
    const plain = sequence(integer(0n), sequence(OBJECT_IDS.rsaEncryption, der(0x05)), octets(key));
    isBadParameter(() => bringIn(wrappedByNode(plain), { kty: 'RSA' }), /^The key is not one RSA key$/);
  }
  // A prime of 16 KB: whoever asked whether it is one would be busy for hours.
  const [n = '', e = '', d = '', q = ''] = [numbers.n, numbers.e, numbers.d, numbers.q];
  const key = sequence(integer(0n), ...[n, e, d].map(number), integer(2n ** 132_049n - 1n), ...[q, d, d, d].map(number));
  const plain = sequence(integer(0n), sequence(OBJECT_IDS.rsaEncryption, der(0x05)), octets(key));
  isBadParameter(() => bringIn(wrappedByNode(plain), { kty: 'RSA' }), /^The key is not one RSA key$/);
  const [one, two] = [ecPair('P-256').privateKey, ecPair('P-256').privateKey];
  const mixed = Buffer.concat([pkcs8(one).subarray(0, -65), pkcs8(two).subarray(-65)]);
  isBadParameter(() => bringIn(wrappedByNode(mixed), { kty: 'EC' }), /^The key is not one EC key on curve P-256$/);
});

test('a wrapped key has to be of the type that was announced', () => {
  const words = /^The wrapped key is of type '\w+-HSM', and the request says '\w+-HSM'$/;
  isBadParameter(() => bringIn(wrappedByNode(pkcs8(pair.privateKey)), { kty: 'EC' }), words);
  isBadParameter(() => bringIn(wrappedByNode(pkcs8(ecPair('P-256').privateKey)), { kty: 'RSA-HSM' }), words);
  refuses(wrappedByNode(randomBytes(32)), { kty: 'RSA' });
  for (const kty of ['', 'rsa', 'OKP', 'AKP-HSM', 'constructor']) {
    isBadParameter(() => bringIn(wrappedByNode(randomBytes(32)), { kty }), /^JSON Web Key: kty must be RSA, RSA-HSM, EC/);
  }
});

test('only an RSA key unwraps', async () => {
  const wrapped = wrappedByNode(randomBytes(32));
  for (const spec of [
    { kty: 'EC-HSM', curve: 'P-256' },
    { kty: 'oct-HSM', size: 256 },
  ] as const) {
    const key = await make(spec);
    assert.throws(() => bringIn(wrapped, { kty: 'oct' }, key), TypeError);
  }
});
