// The custodians of a download request: which descriptions of a certificate are taken, and which sets are refused in which words.

import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { before, test } from 'node:test';
import { readCustodians } from '../../../src/crypto/security-domain/certificate.ts';
import { rsaPair } from '../../rsa-pairs.ts';
import { certifyAgain, jwk, makeNewPair, makePair, type Pair } from './ceremony.ts';
import { skip, theVectors } from './vectors.ts';

let pairs: Pair[];
let three: { x5c: string[] }[];

before(() => {
  pairs = ['zero', 'one', 'two'].map((name) => makePair(name));
  three = pairs.map(jwk);
});

function refuses(certificates: unknown, required: unknown, message: RegExp): void {
  assert.throws(() => readCustodians(certificates, required), { code: 'BadParameter', status: 400, message });
}

test('three certificates with quorum two are custodians, in their order, with the thumbprints that clients look for', () => {
  const { certificates, quorum } = readCustodians(three, 2);
  assert.equal(quorum, 2);
  for (const [index, certificate] of certificates.entries()) {
    const der = pairs[index]?.der ?? Buffer.alloc(0);
    assert.deepEqual(certificate.der, der);
    assert.equal(certificate.x5t256, createHash('sha256').update(der).digest('base64url'));
    assert.equal(certificate.publicKey.asymmetricKeyType, 'rsa');
  }
  assert.equal(certificates.length, 3);
});

test('a request without a quorum means two', () => {
  assert.equal(readCustodians(three, undefined).quorum, 2);
});

test('the description of a certificate may be wrong, padded, wrapped or missing: only x5c counts', () => {
  const [first = '', second = '', third = ''] = three.map((one) => one.x5c[0]);
  const liberal = [
    { kty: 'RSA-HSM', key_ops: [''], 'x5t#S256': 'd3Jvbmc=', x5c: [first.replace(/(.{64})/g, '$1\r\n')] },
    { n: 'AA==', e: 'AQAB', kid: null, x5c: [`  ${second}\n`, 'ignored'] },
    { x5c: [third] },
  ];
  assert.deepEqual(
    readCustodians(liberal, 3).certificates.map((one) => one.der),
    pairs.map((pair) => pair.der),
  );
});

test('the recorded certificates are read, whatever day it is', { skip }, () => {
  const recorded = theVectors().security_domain.wrapping;
  const { certificates } = readCustodians(
    recorded.map((one) => ({ x5c: [one.cert_der_b64] })),
    2,
  );
  assert.deepEqual(
    certificates.map((one) => one.x5t256),
    recorded.map((one) => one['x5t#S256']),
  );
});

test('a certificate that has expired is still a custodian', () => {
  // The two dates of a real certificate are moved; nobody checks the signature.
  const der = Buffer.from(pairs[2]?.der ?? []);
  const validity = der.indexOf(Buffer.from('301e170d', 'hex'));
  assert.ok(validity > 0);
  der.write('200101000000Z', validity + 4, 'ascii');
  der.write('210101000000Z', validity + 19, 'ascii');
  assert.equal(new X509Certificate(der).validToDate.getUTCFullYear(), 2021);
  assert.deepEqual(readCustodians([three[0], three[1], { x5c: [der.toString('base64')] }], 2).certificates[2]?.der, der);
});

test('fewer than three or more than ten certificates are refused, with the range', () => {
  refuses(three.slice(0, 2), 2, /range \[3, 10\]; 2 were sent/);
  refuses(Array(11).fill(three[0]), 2, /range \[3, 10\]; 11 were sent/);
  refuses([], 2, /0 were sent/);
});

test('a request without certificates is refused', () => {
  for (const missing of [undefined, null, {}, 'certificates']) refuses(missing, 2, /must have a member 'certificates'/);
});

test('a quorum that is no integer from 2 to 10, or above the count, is refused, with what is allowed', () => {
  for (const wrong of [0, 1, 11, -2, 2.5, '2', null, true, {}, Number.NaN]) refuses(three, wrong, /integer in the range \[2, 10\]/);
  refuses(three, 4, /is 4, but only 3 certificates were sent/);
});

test('the same certificate twice is refused, and so is the same key in two certificates', () => {
  refuses([three[0], three[1], three[0]], 2, /Certificates 1 and 3 are the same/);
  const [, second] = pairs;
  assert.ok(second);
  refuses([...three, jwk(certifyAgain(second, 'again'))], 2, /Certificates 2 and 4 have the same public key/);
});

test('what is no certificate is refused by its place', () => {
  const bad: [unknown, RegExp][] = [
    [{}, /^Certificate 3 must have a member 'x5c'/],
    [null, /^Certificate 3 must have a member 'x5c'/],
    ['text', /^Certificate 3 must have a member 'x5c'/],
    [{ x5c: [] }, /^Certificate 3 must have a member 'x5c'/],
    [{ x5c: [7] }, /^Certificate 3 must have a member 'x5c'/],
    [{ x5c: 'AAAA' }, /^Certificate 3 must have a member 'x5c'/],
    [{ x5c: ['not base64!'] }, /^Certificate 3 must have a member 'x5c'/],
    [{ x5c: ['AAAA'] }, /^Certificate 3 is not an X\.509 certificate/],
    [{ x5c: [pairs[2]?.der.subarray(0, 300).toString('base64')] }, /^Certificate 3 is not an X\.509 certificate/],
  ];
  for (const [wrong, message] of bad) refuses([three[0], three[1], wrong], 2, message);
});

test('keys that are not RSA, or shorter than 2048 bits, are refused', () => {
  const curve = makeNewPair('curve', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']);
  refuses([three[0], three[1], jwk(curve)], 2, /^Certificate 3 has a key of another type; only RSA keys of at least 2048 bits/);
  const pss = makeNewPair('pss', ['rsa-pss', '-pkeyopt', 'rsa_keygen_bits:2048']);
  refuses([three[0], jwk(pss), three[2]], 2, /^Certificate 2 has a key of another type/);
  const short = makeNewPair('short', ['rsa:1024']);
  refuses([jwk(short), three[1], three[2]], 2, /^Certificate 1 has an RSA key of 1024 bits/);
});

test('a key that would not hide its share is refused', () => {
  // The exponent of a real certificate is exchanged; nobody checks the signature.
  const { der } = pairs[2] ?? { der: Buffer.alloc(0) };
  const at = der.lastIndexOf(Buffer.from('0203010001', 'hex'));
  assert.ok(at > 0);
  for (const exponent of ['000001', '000002', '010000']) {
    const weak = Buffer.from(der);
    weak.write(exponent, at + 2, 'hex');
    const details = new X509Certificate(weak).publicKey.asymmetricKeyDetails;
    assert.equal(details?.publicExponent, BigInt(`0x${exponent}`));
    refuses(
      [three[0], three[1], { x5c: [weak.toString('base64')] }],
      2,
      /^Certificate 3 has an RSA key that cannot be used for encryption/,
    );
  }
});

test('nothing of a private key is taken for a certificate', () => {
  const { privateKey } = rsaPair(2048);
  const der = privateKey.export({ type: 'pkcs8', format: 'der' });
  refuses([three[0], three[1], { x5c: [der.toString('base64')] }], 2, /^Certificate 3 is not an X\.509 certificate that can be read\.$/);
});
