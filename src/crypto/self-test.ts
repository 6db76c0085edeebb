// The self-test that runs before the service answers anyone: every algorithm must give its known answers, or the start is refused.
// It goes through the same functions as the safe, with test keys of its own.

import { createHash, createSecretKey } from 'node:crypto';
import { type Algorithm, algorithms, type MlDsaSignature } from './algorithms.ts';
import { EC_TEST_KEYS, implicitRejection, type KnownAnswer, knownAnswers, RSA_TEST_KEY } from './known-answers.ts';
import { hasPendingErrors, type NativeKey } from './libcrypto.ts';
import { mlDsaPkcs8, mlDsaPublicBytes } from './ml-dsa.ts';
import { publicOctets } from './native-keys.ts';
import { mlDsaSign } from './openssl.ts';
import { decryptWith, encryptWith, signWith, verifyWith } from './operations.ts';
import type { UsableKey } from './plain-key.ts';
import { readPrivateKey } from './private-key.ts';

/** What the tests expect; other than the known answers only to see the self-test refuse. */
export interface Expected {
  readonly answers: readonly KnownAnswer[];
  readonly rejection: { readonly ciphertext: string; readonly plain: string };
}

/** Throws an error that names the algorithm at fault. */
export function runSelfTests(expected: Expected = { answers: knownAnswers, rejection: implicitRejection }): void {
  const keys = new Map<string, NativeKey>();
  try {
    const tested = new Set<string>();
    for (const answer of expected.answers) {
      const algorithm = algorithms.find((row) => row.name === answer.algorithm);
      if (algorithm === undefined) throw failed(answer.algorithm, 'it is not in the table of algorithms');
      watch(algorithm, () => testAnswer(testKey(algorithm, answer.key, keys), algorithm, answer));
      tested.add(algorithm.name);
    }
    for (const algorithm of algorithms) {
      if (!tested.has(algorithm.name)) throw failed(algorithm.name, 'it has no known answer');
      if (algorithm.kind !== 'rsa-encryption' || algorithm.padding !== 'pkcs1') continue;
      watch(algorithm, () => testImplicitRejection(testKey(algorithm, undefined, keys), algorithm, expected.rejection));
    }
  } finally {
    for (const key of keys.values()) key.free();
  }
}

function watch(algorithm: Algorithm, test: () => void): void {
  try {
    test();
  } catch (cause) {
    throw cause instanceof SelfTestFailure ? cause : failed(algorithm.name, 'it did not work at all', cause);
  }
  expect(algorithm, !hasPendingErrors(), 'it left an error behind in OpenSSL');
}

/** The first use of a native key costs as much as another signature, so each is read once. */
function testKey(algorithm: Algorithm, secret: string | undefined, keys: Map<string, NativeKey>): UsableKey {
  if (secret !== undefined && algorithm.kind !== 'ml-dsa') return { kind: 'secret', key: createSecretKey(secret, 'hex') };
  const der = testDer(algorithm, secret);
  const key = keys.get(der) ?? readPrivateKey(Buffer.from(der, 'hex'));
  if (key === undefined) throw failed(algorithm.name, 'its test key cannot be read');
  keys.set(der, key);
  return { kind: 'native', key };
}

function testDer(algorithm: Algorithm, seed = ''): string {
  if (algorithm.kind === 'ml-dsa') return mlDsaPkcs8(algorithm.name).toString('hex').slice(0, -seed.length) + seed;
  return algorithm.kind === 'ec-signature' ? EC_TEST_KEYS[algorithm.curve] : RSA_TEST_KEY;
}

function testAnswer(key: UsableKey, algorithm: Algorithm, answer: KnownAnswer): void {
  if (algorithm.kind === 'ml-dsa' && key.kind === 'native') testMlDsa(key, algorithm, answer);
  else if (algorithm.operations.includes('sign')) testSignature(key, algorithm, answer);
  else testEncryption(key, algorithm, answer);
}

function testSignature(key: UsableKey, algorithm: Algorithm, { value, answer }: KnownAnswer): void {
  const data = Buffer.from(value, 'hex');
  const signature = Buffer.from(answer, 'hex');
  expect(algorithm, verifyWith(key, algorithm, data, signature), 'it does not know a right signature');
  expect(algorithm, !verifyWith(key, algorithm, data, altered(signature)), 'it accepts a wrong signature');
  const own = signWith(key, algorithm, data);
  expect(algorithm, verifyWith(key, algorithm, data, own), 'it does not know its own signature');
  expect(algorithm, !isDeterministic(algorithm) || own.equals(signature), 'it makes another signature than the known one');
}

/** The known signature is made, known again and not mistaken; and the representative of a message stands for the message. */
function testMlDsa(key: Extract<UsableKey, { kind: 'native' }>, algorithm: MlDsaSignature, answer: KnownAnswer): void {
  const data = Buffer.from(answer.value, 'hex');
  const context = Buffer.from(answer.context ?? '', 'hex');
  const signature = mlDsaSign(key.key, data, { context, isDeterministic: true });
  expect(algorithm, sha256(signature).equals(Buffer.from(answer.answer, 'hex')), 'it makes another signature than the known one');
  expect(algorithm, verifyWith(key, algorithm, data, signature, { context }), 'it does not know a right signature');
  expect(algorithm, !verifyWith(key, algorithm, data, altered(signature), { context }), 'it accepts a wrong signature');
  expect(algorithm, !verifyWith(key, algorithm, data, signature, {}), 'it accepts a signature of another context');
  const mu = representative(publicOctets(key.key, mlDsaPublicBytes(algorithm.name)), context, data);
  expect(algorithm, verifyWith(key, algorithm, mu, signature, { isMu: true }), 'it takes the representative for another message');
  const own = signWith(key, algorithm, mu, { isMu: true });
  expect(algorithm, !own.equals(signature), 'it signs without randomness');
  expect(algorithm, verifyWith(key, algorithm, data, own, { context }), 'it does not know its own signature');
}

/** FIPS 204 algorithms 2 and 7: µ = SHAKE256(SHAKE256(public key) ‖ 0 ‖ length of the context ‖ context ‖ message), each of 64 bytes. */
function representative(publicKey: Uint8Array, context: Uint8Array, message: Uint8Array): Buffer {
  const shake = (...parts: readonly Uint8Array[]) => createHash('shake256', { outputLength: 64 }).update(Buffer.concat(parts)).digest();
  return shake(shake(publicKey), Buffer.of(0, context.length), context, message);
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

function testEncryption(key: UsableKey, algorithm: Algorithm, answer: KnownAnswer): void {
  const plain = Buffer.from(answer.value, 'hex');
  const encrypted = Buffer.from(answer.answer, 'hex');
  const [iv, tag, aad] = [answer.iv, answer.tag, answer.aad].map((text) => (text === undefined ? undefined : Buffer.from(text, 'hex')));
  expect(algorithm, decryptWith(key, algorithm, encrypted, { iv, tag, aad }).equals(plain), 'it decrypts to another plaintext');
  expect(algorithm, !isAuthentic(algorithm) || refuses(key, algorithm, altered(encrypted), { iv, tag, aad }), 'it opens what was changed');
  const own = encryptWith(key, algorithm, plain, { iv, aad });
  expect(algorithm, decryptWith(key, algorithm, own.value, { ...own, aad }).equals(plain), 'it does not decrypt what it encrypted');
  expect(algorithm, !isDeterministic(algorithm) || own.value.equals(encrypted), 'it encrypts to another ciphertext');
}

/** Broken PKCS#1 v1.5 padding has to give the one answer of the draft, not an error: see `rsaDecrypt`. */
function testImplicitRejection(key: UsableKey, algorithm: Algorithm, rejection: Expected['rejection']): void {
  const plain = decryptWith(key, algorithm, Buffer.from(rejection.ciphertext, 'hex'), {});
  expect(algorithm, plain.equals(Buffer.from(rejection.plain, 'hex')), 'it does not reject implicitly');
}

/** The same input gives the same output each time. */
function isDeterministic(algorithm: Algorithm): boolean {
  if (algorithm.kind === 'rsa-signature') return algorithm.padding === 'pkcs1';
  return algorithm.kind === 'hmac' || algorithm.kind === 'aes-cbc' || algorithm.kind === 'aes-kw';
}

/** A changed ciphertext is refused (for padded CBC: this one is). */
function isAuthentic(algorithm: Algorithm): boolean {
  if (algorithm.kind === 'rsa-encryption') return algorithm.padding === 'oaep';
  return algorithm.kind !== 'aes-cbc' || algorithm.padded;
}

function refuses(key: UsableKey, algorithm: Algorithm, value: Buffer, parameters: Parameters<typeof decryptWith>[3]): boolean {
  try {
    decryptWith(key, algorithm, value, parameters);
    return false;
  } catch {
    return true;
  }
}

function altered(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  const last = copy.length - 1;
  copy[last] = (copy[last] ?? 0) ^ 1;
  return copy;
}

class SelfTestFailure extends Error {
  override readonly name = 'SelfTestFailure';
}

function expect(algorithm: Algorithm, holds: boolean, otherwise: string): void {
  if (!holds) throw failed(algorithm.name, otherwise);
}

function failed(algorithm: string, reason: string, cause?: unknown): SelfTestFailure {
  return new SelfTestFailure(`The self-test of ${algorithm} failed: ${reason}. The service must not run with this library.`, { cause });
}
