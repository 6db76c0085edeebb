// SoftHSM2 through PKCS#11 in a loop on one thread: the same operations as the crypto module's, with session keys of a token in a folder of its own.
// Run as a process of its own, with $SOFTHSM2_CONF: `node bench/softhsm.ts LIBRARY SECONDS`; prints microseconds of processor time for each, as JSON.

import { randomBytes } from 'node:crypto';
import { type Attributes, CK, gcmParameters, type Mechanism, openSession } from './pkcs11.ts';
import { timed } from './timed.ts';

const [library = '', seconds = '1'] = process.argv.slice(2);
const session = openSession(library, process.env.SOFTHSM2_PIN ?? '');
const figures: Record<string, number> = {};
const digest = randomBytes(32);

/** RFC 8017 section 9.2, note 1: what stands before a SHA-256 digest in a PKCS#1 v1.5 signature. */
const SHA256_INFO = Buffer.from('3031300d060960864801650304020105000420', 'hex');
const SECRET: Attributes = [
  [CK.TOKEN, false],
  [CK.PRIVATE, true],
  [CK.SENSITIVE, true],
];
/** DER of the curves' object identifiers. */
const CURVES = [
  ['ES256', 'P-256', '06082a8648ce3d030107', 32],
  ['ES384', 'P-384', '06052b81040022', 48],
] as const;

for (const size of [2048, 3072, 4096]) {
  const { secret } = session.generatePair(
    { type: CK.RSA_PKCS_KEY_PAIR_GEN },
    [
      [CK.TOKEN, false],
      [CK.VERIFY, true],
      [CK.MODULUS_BITS, size],
      [CK.PUBLIC_EXPONENT, Uint8Array.of(1, 0, 1)],
    ],
    [...SECRET, [CK.SIGN, true]],
  );
  const mechanism: Mechanism = { type: CK.RSA_PKCS };
  const value = Buffer.concat([SHA256_INFO, digest]);
  measure(`RS256 sign, RSA-${size}`, () => session.sign(secret, mechanism, value));
}
for (const [alg, curve, oid, length] of CURVES) {
  const pair = session.generatePair(
    { type: CK.EC_KEY_PAIR_GEN },
    [
      [CK.TOKEN, false],
      [CK.VERIFY, true],
      [CK.EC_PARAMS, Buffer.from(oid, 'hex')],
    ],
    [...SECRET, [CK.SIGN, true]],
  );
  const mechanism: Mechanism = { type: CK.ECDSA };
  const value = randomBytes(length);
  measure(`${alg} sign, ${curve}`, () => session.sign(pair.secret, mechanism, value));
  const signature = Uint8Array.from(session.sign(pair.secret, mechanism, value));
  measure(`${alg} verify, ${curve}`, () => session.verify(pair.open, mechanism, value, signature));
}
const aes = session.generate({ type: CK.AES_KEY_GEN }, [...SECRET, [CK.VALUE_LEN, 32], [CK.ENCRYPT, true]]);
// The module takes the nonce by its address: a new one is written to the same place for each.
const nonce = new Uint8Array(new ArrayBuffer(12));
const gcm: Mechanism = { type: CK.AES_GCM, parameter: gcmParameters(nonce) };
measure('A256GCM encrypt', () => {
  crypto.getRandomValues(nonce);
  return session.encrypt(aes, gcm, digest);
});
const hmac = session.generate({ type: CK.GENERIC_SECRET_KEY_GEN }, [...SECRET, [CK.VALUE_LEN, 32], [CK.SIGN, true]]);
const sha256: Mechanism = { type: CK.SHA256_HMAC };
measure('HS256 sign', () => session.sign(hmac, sha256, digest));
session.close();
console.log(JSON.stringify(figures));

function measure(name: string, operate: () => unknown): void {
  figures[name] = timed(operate, Number(seconds));
}
