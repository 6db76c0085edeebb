// The native boundary: the only file that speaks to OpenSSL's C interface, because node:crypto can neither sign nor verify a digest.
// It calls the EVP functions of the OpenSSL inside the Node binary. It knows keys, paddings and digests; no algorithm names, no seals, no wire.
//
// Rules of this file: a context serves one call (two calls at once on one context corrupt both); whatever is allocated is freed in a
// `finally`; after a refused call the thread's error queue is emptied, or the next TLS read on this thread fails for an innocent client.

import { endianness } from 'node:os';
import * as koffi from 'koffi';
import type { Digest } from './algorithms.ts';
import type { Curve } from './types.ts';

type Pointer = bigint | null;
type Bytes = Uint8Array;
/** A `size_t` or pointer variable whose address is handed to C. */
type Cell = BigUint64Array<ArrayBuffer>;

/** An ArrayBuffer of its own never moves, also while another thread writes to it. */
function cell(value: bigint): Cell {
  const variable = new BigUint64Array(new ArrayBuffer(8));
  variable[0] = value;
  return variable;
}

function read(variable: Cell): bigint {
  return variable[0] ?? 0n;
}

const lib = koffi.load(null);
const P = 'void *';

// Addresses and numbers are written as such a machine has them.
if (koffi.sizeof(P) !== 8 || endianness() !== 'LE') throw new Error('Strongroom runs on little-endian machines with 64 bits');

// biome-ignore format: a table reads by its columns
const openssl = {
  errClear:        lib.func('ERR_clear_error', 'void', []) as () => void,
  errPeek:         lib.func('ERR_peek_error', 'ulong', []) as () => number | bigint,
  version:         lib.func('OpenSSL_version', 'str', ['int']) as (what: number) => string,

  keyFree:         lib.func('EVP_PKEY_free', 'void', [P]) as (key: Pointer) => void,
  keySize:         lib.func('EVP_PKEY_get_size', 'int', [P]) as (key: Pointer) => number,
  keyBigNumber:    lib.func('EVP_PKEY_get_bn_param', 'int', [P, 'str', P]) as (key: Pointer, name: string, out: Cell) => number,
  keyOctets:       lib.func('EVP_PKEY_get_octet_string_param', 'int', [P, 'str', P, 'size_t', P]) as
                     (key: Pointer, name: string, out: Bytes, capacity: number, length: Cell) => number,
  keyFromDer:      lib.func('d2i_AutoPrivateKey', P, [P, P, 'long']) as (reuse: null, der: Cell, length: number) => Pointer,
  keyFromPublic:   lib.func('d2i_PUBKEY', P, [P, P, 'long']) as (reuse: null, der: Cell, length: number) => Pointer,
  pkcs8FromKey:    lib.func('EVP_PKEY2PKCS8', P, [P]) as (key: Pointer) => Pointer,
  pkcs8ToDer:      lib.func('i2d_PKCS8_PRIV_KEY_INFO', 'int', [P, P]) as (info: Pointer, out: Cell | null) => number,
  pkcs8Free:       lib.func('PKCS8_PRIV_KEY_INFO_free', 'void', [P]) as (info: Pointer) => void,

  keyPart:         lib.func('EVP_PKEY_get_params', 'int', [P, P]) as (key: Pointer, parameters: Bytes) => number,
  fromDataInit:    lib.func('EVP_PKEY_fromdata_init', 'int', [P]) as (context: Pointer) => number,
  fromData:        lib.func('EVP_PKEY_fromdata', 'int', [P, P, 'int', P]) as
                     (context: Pointer, out: Cell, selection: number, parameters: Bytes) => number,

  bnBits:          lib.func('BN_num_bits', 'int', [P]) as (number: Pointer) => number,
  bnToBytes:       lib.func('BN_bn2binpad', 'int', [P, P, 'int']) as (number: Pointer, out: Bytes, width: number) => number,
  bnFree:          lib.func('BN_free', 'void', [P]) as (number: Pointer) => void,
  bnClearFree:     lib.func('BN_clear_free', 'void', [P]) as (number: Pointer) => void,

  contextForKey:   lib.func('EVP_PKEY_CTX_new', P, [P, P]) as (key: Pointer, engine: null) => Pointer,
  contextForType:  lib.func('EVP_PKEY_CTX_new_from_name', P, [P, 'str', 'str']) as (library: null, type: string, properties: null) => Pointer,
  contextFree:     lib.func('EVP_PKEY_CTX_free', 'void', [P]) as (context: Pointer) => void,
  setText:         lib.func('EVP_PKEY_CTX_ctrl_str', 'int', [P, 'str', 'str']) as (context: Pointer, name: string, value: string) => number,
  setRsaPadding:   lib.func('EVP_PKEY_CTX_set_rsa_padding', 'int', [P, 'int']) as (context: Pointer, padding: number) => number,
  setSignDigest:   lib.func('EVP_PKEY_CTX_set_signature_md', 'int', [P, P]) as (context: Pointer, digest: Pointer) => number,
  setSaltLength:   lib.func('EVP_PKEY_CTX_set_rsa_pss_saltlen', 'int', [P, 'int']) as (context: Pointer, length: number) => number,
  setOaepDigest:   lib.func('EVP_PKEY_CTX_set_rsa_oaep_md', 'int', [P, P]) as (context: Pointer, digest: Pointer) => number,

  check:           lib.func('EVP_PKEY_check', 'int', [P]) as (context: Pointer) => number,
  generateInit:    lib.func('EVP_PKEY_keygen_init', 'int', [P]) as (context: Pointer) => number,
  generate:        lib.func('EVP_PKEY_generate', 'int', [P, P]) as unknown as Asynchronous<[context: Pointer, out: Cell], number>,
  signInit:        lib.func('EVP_PKEY_sign_init', 'int', [P]) as (context: Pointer) => number,
  sign:            lib.func('EVP_PKEY_sign', 'int', [P, P, P, P, 'size_t']) as Transform,
  signMessageInit: lib.func('EVP_PKEY_sign_message_init', 'int', [P, P, P]) as (context: Pointer, method: null, settings: null) => number,
  verifyMessageInit: lib.func('EVP_PKEY_verify_message_init', 'int', [P, P, P]) as (context: Pointer, method: null, settings: null) => number,
  verifyInit:      lib.func('EVP_PKEY_verify_init', 'int', [P]) as (context: Pointer) => number,
  verify:          lib.func('EVP_PKEY_verify', 'int', [P, P, 'size_t', P, 'size_t']) as
                     (context: Pointer, signature: Bytes, signatureLength: number, value: Bytes, valueLength: number) => number,
  encryptInit:     lib.func('EVP_PKEY_encrypt_init', 'int', [P]) as (context: Pointer) => number,
  encrypt:         lib.func('EVP_PKEY_encrypt', 'int', [P, P, P, P, 'size_t']) as Transform,
  decryptInit:     lib.func('EVP_PKEY_decrypt_init', 'int', [P]) as (context: Pointer) => number,
  decrypt:         lib.func('EVP_PKEY_decrypt', 'int', [P, P, P, P, 'size_t']) as Transform,

  cipherNew:       lib.func('EVP_CIPHER_CTX_new', P, []) as () => Pointer,
  cipherFree:      lib.func('EVP_CIPHER_CTX_free', 'void', [P]) as (context: Pointer) => void,
  cipherSet:       lib.func('EVP_CIPHER_CTX_ctrl', 'int', [P, 'int', 'int', P]) as
                     (context: Pointer, what: number, length: number, value: Bytes) => number,
  openInit:        lib.func('EVP_DecryptInit_ex', 'int', [P, P, P, P, P]) as
                     (context: Pointer, cipher: Pointer, engine: null, key: Bytes, nonce: Bytes) => number,
  openUpdate:      lib.func('EVP_DecryptUpdate', 'int', [P, P, P, P, 'int']) as
                     (context: Pointer, out: Bytes | null, outLength: Cell, text: Bytes, length: number) => number,
  openFinal:       lib.func('EVP_DecryptFinal_ex', 'int', [P, P, P]) as (context: Pointer, out: Bytes, outLength: Cell) => number,
};

type Transform = (context: Pointer, out: Bytes, outLength: Cell, value: Bytes, valueLength: number) => number;

interface Asynchronous<Parameters extends unknown[], Result> {
  (...parameters: Parameters): Result;
  async(...parameters: [...Parameters, (error: unknown, result: Result) => void]): void;
}

// Method descriptions are static data of the library; they are fetched once and never freed.
const digests: Readonly<Record<Digest, Pointer>> = {
  sha1: lib.func('EVP_sha1', P, [])() as Pointer,
  sha256: lib.func('EVP_sha256', P, [])() as Pointer,
  sha384: lib.func('EVP_sha384', P, [])() as Pointer,
  sha512: lib.func('EVP_sha512', P, [])() as Pointer,
};

const aes256Gcm = lib.func('EVP_aes_256_gcm', P, [])() as Pointer;

// openssl/evp.h
const AEAD_SET_TAG = 0x11;
const WHOLE_KEY_PAIR = 0x87;

// openssl/params.h, openssl/core.h: what an OSSL_PARAM points to, and how long one is.
const FORMS = { number: 2, text: 4, octets: 5 } as const;
const PARAMETER_LENGTH = 40;

// openssl/rsa.h
const PKCS1_PADDING = 1;
const OAEP_PADDING = 4;
const PSS_PADDING = 6;
const SALT_AS_LONG_AS_DIGEST = -1;

const curveNames: Readonly<Record<Curve, string>> = {
  'P-256': 'prime256v1',
  'P-256K': 'secp256k1',
  'P-384': 'secp384r1',
  'P-521': 'secp521r1',
};

/** A call that cannot fail did: memory, or a library that is not the one this file was written for. Becomes a 500. */
class NativeFailure extends Error {
  override readonly name = 'NativeFailure';
}

function refused(call: string): NativeFailure {
  openssl.errClear();
  return new NativeFailure(`OpenSSL refused ${call}`);
}

/** 1 is success throughout EVP; 0 and negative numbers are two kinds of failure. */
function must(result: number, call: string): void {
  if (result !== 1) throw refused(call);
}

/**
 * A private or public key in OpenSSL's memory. `free` cleanses it; using it afterwards throws instead of reading freed memory.
 * Belongs to one thread.
 */
export class NativeKey {
  #pointer: Pointer;
  /** RSA: bytes of the modulus. EC: the longest DER signature. */
  readonly size: number;

  constructor(pointer: bigint) {
    this.#pointer = pointer;
    this.size = openssl.keySize(pointer);
  }

  get pointer(): bigint {
    if (this.#pointer === null) throw new NativeFailure('this native key was freed');
    return this.#pointer;
  }

  free(): void {
    const pointer = this.#pointer;
    this.#pointer = null;
    if (pointer !== null) openssl.keyFree(pointer);
  }
}

export interface RsaSignatureScheme {
  readonly padding: 'pkcs1' | 'pss';
  /** undefined with pkcs1: the padding alone, without a DigestInfo. */
  readonly digest: Digest | undefined;
}

export interface RsaEncryptionScheme {
  readonly padding: 'pkcs1' | 'oaep';
  readonly digest: Digest | undefined;
}

/**
 * Reads a PKCS#8, PKCS#1 or SEC 1 DER private key; undefined when it is none. The caller zeroes `der`, but OpenSSL has read it through a copy that it gives back
 * to the allocator as it is: what can be read by its parts is not read so.
 */
export function readAnyPrivateKey(der: Uint8Array): NativeKey | undefined {
  const start = cell(koffi.address(der));
  return readKey(openssl.keyFromDer(null, start, der.length));
}

/** Reads a DER SubjectPublicKeyInfo; undefined when it is none. */
export function readPublicKey(der: Uint8Array): NativeKey | undefined {
  const start = cell(koffi.address(der));
  return readKey(openssl.keyFromPublic(null, start, der.length));
}

function readKey(pointer: Pointer): NativeKey | undefined {
  if (pointer !== null) return new NativeKey(pointer);
  openssl.errClear();
  return undefined;
}

/** One part of a key: `number` is not negative and big-endian. Names and forms are those of EVP_PKEY-RSA(7), EVP_PKEY-EC(7) and EVP_PKEY-ML-DSA(7). */
export interface KeyPart {
  readonly name: string;
  readonly form: keyof typeof FORMS;
  readonly bytes: Uint8Array;
}

/** The part of an EC key that says on which curve it is. */
export function curvePart(curve: Curve): KeyPart {
  // OpenSSL reads up to a zero, whatever length it is told.
  return { name: 'group', form: 'text', bytes: cString(curveNames[curve]).subarray(0, -1) };
}

/** A key pair of its parts; undefined when OpenSSL makes none of them. Whether they belong together is another question: `isConsistent`. */
export function keyFromParts(type: string, parts: readonly KeyPart[]): NativeKey | undefined {
  const context = openssl.contextForType(null, type, null);
  if (context === null) throw refused('EVP_PKEY_CTX_new_from_name');
  // OpenSSL wants numbers in the machine's order.
  const given = parts.map((part) => ({ ...part, bytes: part.form === 'number' ? Buffer.from(part.bytes).reverse() : part.bytes }));
  try {
    must(openssl.fromDataInit(context), 'EVP_PKEY_fromdata_init');
    const out = cell(0n);
    if (openssl.fromData(context, out, WHOLE_KEY_PAIR, parameters(given)) === 1) return new NativeKey(read(out));
    openssl.errClear();
    return undefined;
  } finally {
    for (const { form, bytes } of given) if (form === 'number') bytes.fill(0);
    openssl.contextFree(context);
  }
}

/** A number of a key, private or not, big-endian in `width` bytes, which the caller zeroes. */
export function numberOf(key: NativeKey, name: string, width: number): Buffer {
  const bytes = Buffer.alloc(width);
  if (openssl.keyPart(key.pointer, parameters([{ name, form: 'number', bytes }])) === 1) return bytes.reverse();
  bytes.fill(0);
  throw refused('EVP_PKEY_get_params');
}

/** An array of OSSL_PARAM that points at these parts, which have to outlive its use. */
function parameters(parts: readonly KeyPart[]): Buffer {
  // The last one, all zeros, is the end.
  const array = Buffer.alloc((parts.length + 1) * PARAMETER_LENGTH);
  for (const [i, { name, form, bytes }] of parts.entries()) {
    const at = i * PARAMETER_LENGTH;
    array.writeBigUInt64LE(koffi.address(cString(name)), at);
    array.writeUInt32LE(FORMS[form], at + 8);
    array.writeBigUInt64LE(koffi.address(bytes), at + 16);
    array.writeBigUInt64LE(BigInt(bytes.length), at + 24);
  }
  return array;
}

/** Kept for as long as the thread lives: there are a dozen. */
const cStrings = new Map<string, Buffer>();

function cString(text: string): Buffer {
  const known = cStrings.get(text);
  if (known !== undefined) return known;
  const made = Buffer.from(`${text}\0`);
  cStrings.set(text, made);
  return made;
}

/** Modulus and public exponent, big-endian without leading zeros. */
export function rsaPublicNumbers(key: NativeKey): { n: Buffer; e: Buffer } {
  return { n: publicNumber(key, 'n'), e: publicNumber(key, 'e') };
}

/** The public point, each coordinate of `width` bytes. */
export function ecPublicPoint(key: NativeKey, width: number): { x: Buffer; y: Buffer } {
  return { x: publicNumber(key, 'qx', width), y: publicNumber(key, 'qy', width) };
}

function publicNumber(key: NativeKey, name: 'n' | 'e' | 'qx' | 'qy', width?: number): Buffer {
  const found = cell(0n);
  must(openssl.keyBigNumber(key.pointer, name, found), 'EVP_PKEY_get_bn_param');
  const number = read(found);
  try {
    const out = Buffer.alloc(width ?? Math.ceil(openssl.bnBits(number) / 8));
    if (openssl.bnToBytes(number, out, out.length) !== out.length) throw refused('BN_bn2binpad');
    return out;
  } finally {
    openssl.bnFree(number);
  }
}

/** The encoded public key of a key that has no numbers (ML-DSA), `length` bytes. */
export function publicOctets(key: NativeKey, length: number): Buffer {
  const out = Buffer.alloc(length);
  const written = cell(0n);
  must(openssl.keyOctets(key.pointer, 'pub', out, length, written), 'EVP_PKEY_get_octet_string_param');
  if (read(written) !== BigInt(length)) throw refused('EVP_PKEY_get_octet_string_param');
  return out;
}

/** Whether the private key is whole and belongs to its public half: prime factors, exponents and coefficients, or scalar and point. */
export function isConsistent(key: NativeKey): boolean {
  return withContext(key, (context) => {
    if (openssl.check(context) === 1) return true;
    openssl.errClear();
    return false;
  });
}

/**
 * Whether the key would be written with this AlgorithmIdentifier, that is by the name of its curve. OpenSSL writes all of it to tell, and gives that back to
 * the allocator as it is: for keys that it has read itself.
 */
export function isWrittenAs(key: NativeKey, hasKind: (der: Buffer) => boolean): boolean {
  const info = openssl.pkcs8FromKey(key.pointer);
  if (info === null) throw refused('EVP_PKEY2PKCS8');
  try {
    const length = openssl.pkcs8ToDer(info, null);
    if (length <= 0) throw refused('i2d_PKCS8_PRIV_KEY_INFO');
    const der = Buffer.alloc(length);
    try {
      const end = cell(koffi.address(der));
      if (openssl.pkcs8ToDer(info, end) !== length) throw refused('i2d_PKCS8_PRIV_KEY_INFO');
      return hasKind(der);
    } finally {
      der.fill(0);
    }
  } finally {
    openssl.pkcs8Free(info);
  }
}

/** Whether an RSA modulus has more than two prime factors (RFC 8017 section 3.2), for which a JSON Web Key as the service takes it has no place. */
export function hasMorePrimes(key: NativeKey): boolean {
  const found = cell(0n);
  const result = openssl.keyBigNumber(key.pointer, 'rsa-factor3', found);
  openssl.errClear();
  if (result !== 1) return false;
  openssl.bnClearFree(read(found));
  return true;
}

/** Makes an RSA key on a thread of the pool; this thread goes on. */
export function generateRsa(bits: number, exponent: number): Promise<NativeKey> {
  const context = generation('RSA', { rsa_keygen_bits: String(bits), rsa_keygen_pubexp: String(exponent) });
  const out = cell(0n);
  return new Promise<NativeKey>((resolve, reject) => {
    openssl.generate.async(context, out, (error, result) => {
      if (error || result !== 1) reject(new NativeFailure('OpenSSL refused EVP_PKEY_generate', { cause: error }));
      else resolve(new NativeKey(read(out)));
    });
  }).finally(() => openssl.contextFree(context));
}

/** Makes an EC key at once (about 30 µs on P-256, 2 ms on P-521). */
export function generateEc(curve: Curve): NativeKey {
  const context = generation('EC', { ec_paramgen_curve: curveNames[curve] });
  try {
    const out = cell(0n);
    must(openssl.generate(context, out), 'EVP_PKEY_generate');
    return new NativeKey(read(out));
  } finally {
    openssl.contextFree(context);
  }
}

function generation(type: 'RSA' | 'EC', settings: Readonly<Record<string, string>>): Pointer {
  const context = openssl.contextForType(null, type, null);
  if (context === null) throw refused('EVP_PKEY_CTX_new_from_name');
  try {
    must(openssl.generateInit(context), 'EVP_PKEY_keygen_init');
    for (const [name, value] of Object.entries(settings)) must(openssl.setText(context, name, value), name);
    return context;
  } catch (error) {
    openssl.contextFree(context);
    throw error;
  }
}

/** Signs a digest (or, without a digest in the scheme, short raw data). The caller has checked the length. */
export function rsaSign(key: NativeKey, scheme: RsaSignatureScheme, value: Uint8Array): Buffer {
  return withContext(key, (context) => {
    must(openssl.signInit(context), 'EVP_PKEY_sign_init');
    setSignatureScheme(context, scheme);
    const signature = transform(openssl.sign, context, key.size, value);
    if (signature === undefined) throw refused('EVP_PKEY_sign');
    return signature;
  });
}

/** Whether the signature, of any length and content, is this key's. */
export function rsaVerify(key: NativeKey, scheme: RsaSignatureScheme, value: Uint8Array, signature: Uint8Array): boolean {
  return withContext(key, (context) => {
    must(openssl.verifyInit(context), 'EVP_PKEY_verify_init');
    setSignatureScheme(context, scheme);
    return verified(context, value, signature);
  });
}

function setSignatureScheme(context: Pointer, scheme: RsaSignatureScheme): void {
  must(openssl.setRsaPadding(context, scheme.padding === 'pss' ? PSS_PADDING : PKCS1_PADDING), 'EVP_PKEY_CTX_set_rsa_padding');
  if (scheme.digest !== undefined) must(openssl.setSignDigest(context, digests[scheme.digest]), 'EVP_PKEY_CTX_set_signature_md');
  // RFC 7518 section 3.5: the salt is as long as the digest, and nothing else is accepted. MGF1 takes the same digest by default.
  if (scheme.padding === 'pss') must(openssl.setSaltLength(context, SALT_AS_LONG_AS_DIGEST), 'EVP_PKEY_CTX_set_rsa_pss_saltlen');
}

/** ECDSA over a digest; the signature is DER. */
export function ecSign(key: NativeKey, digest: Uint8Array): Buffer {
  return withContext(key, (context) => {
    must(openssl.signInit(context), 'EVP_PKEY_sign_init');
    const signature = transform(openssl.sign, context, key.size, digest);
    if (signature === undefined) throw refused('EVP_PKEY_sign');
    return signature;
  });
}

/** Whether the DER signature is this key's. */
export function ecVerify(key: NativeKey, digest: Uint8Array, signature: Uint8Array): boolean {
  return withContext(key, (context) => {
    must(openssl.verifyInit(context), 'EVP_PKEY_verify_init');
    return verified(context, digest, signature);
  });
}

function verified(context: Pointer, value: Uint8Array, signature: Uint8Array): boolean {
  if (openssl.verify(context, signature, signature.length, value, value.length) === 1) return true;
  openssl.errClear();
  return false;
}

export interface MlDsaScheme {
  /** At most 255 bytes. */
  readonly context?: Uint8Array | undefined;
  /** The value is the representative of a message, 64 bytes. */
  readonly isMu?: boolean | undefined;
  /** For known answers: without the randomness that keeps faults and side channels from telling about the key. */
  readonly isDeterministic?: boolean | undefined;
}

/** Signs a message, or its representative. */
export function mlDsaSign(key: NativeKey, value: Uint8Array, scheme: MlDsaScheme): Buffer {
  return withContext(key, (context) => {
    must(openssl.signMessageInit(context, null, null), 'EVP_PKEY_sign_message_init');
    setMlDsaScheme(context, scheme);
    if (scheme.isDeterministic) must(openssl.setText(context, 'deterministic', '1'), 'deterministic');
    const signature = transform(openssl.sign, context, key.size, value);
    if (signature === undefined) throw refused('EVP_PKEY_sign');
    return signature;
  });
}

/** Whether the signature is this key's. */
export function mlDsaVerify(key: NativeKey, value: Uint8Array, signature: Uint8Array, scheme: MlDsaScheme): boolean {
  return withContext(key, (context) => {
    must(openssl.verifyMessageInit(context, null, null), 'EVP_PKEY_verify_message_init');
    setMlDsaScheme(context, scheme);
    return verified(context, value, signature);
  });
}

function setMlDsaScheme(context: Pointer, scheme: MlDsaScheme): void {
  if (scheme.context !== undefined && scheme.context.length > 0) {
    must(openssl.setText(context, 'hexcontext-string', Buffer.from(scheme.context).toString('hex')), 'context-string');
  }
  if (scheme.isMu) must(openssl.setText(context, 'mu', '1'), 'mu');
}

/** The caller has checked that the value fits the modulus. */
export function rsaEncrypt(key: NativeKey, scheme: RsaEncryptionScheme, value: Uint8Array): Buffer {
  return withContext(key, (context) => {
    must(openssl.encryptInit(context), 'EVP_PKEY_encrypt_init');
    setEncryptionScheme(context, scheme);
    const encrypted = transform(openssl.encrypt, context, key.size, value);
    if (encrypted === undefined) throw refused('EVP_PKEY_encrypt');
    return encrypted;
  });
}

/**
 * The plaintext, or undefined when OpenSSL refused.
 *
 * PKCS#1 v1.5 is decrypted with implicit rejection (OpenSSL 3.2 and newer; draft-irtf-cfrg-rsa-guidance): bad padding is never reported,
 * neither by an error nor by time. The answer is then bytes derived from the key and the ciphertext, the same each time, of a length
 * that says nothing. So nobody who can send ciphertexts here, or to an application that forwards them, has a padding oracle
 * (Bleichenbacher, Marvin). A library without it fails here rather than fall back.
 */
export function rsaDecrypt(key: NativeKey, scheme: RsaEncryptionScheme, value: Uint8Array): Buffer | undefined {
  return withContext(key, (context) => {
    must(openssl.decryptInit(context), 'EVP_PKEY_decrypt_init');
    setEncryptionScheme(context, scheme);
    if (scheme.padding === 'pkcs1') must(openssl.setText(context, 'rsa_pkcs1_implicit_rejection', '1'), 'implicit rejection');
    const plain = transform(openssl.decrypt, context, key.size, value);
    if (plain === undefined) openssl.errClear();
    return plain;
  });
}

function setEncryptionScheme(context: Pointer, scheme: RsaEncryptionScheme): void {
  must(openssl.setRsaPadding(context, scheme.padding === 'oaep' ? OAEP_PADDING : PKCS1_PADDING), 'EVP_PKEY_CTX_set_rsa_padding');
  // MGF1 takes the same digest by default.
  if (scheme.digest !== undefined) must(openssl.setOaepDigest(context, digests[scheme.digest]), 'EVP_PKEY_CTX_set_rsa_oaep_md');
}

/** One for all calls: each ends before the next begins, and each thread has this file to itself. */
const outLength = cell(0n);

/** Where the end of a stream cipher would write, if it wrote anything. */
const nothingMore = Buffer.alloc(16);

/** One EVP call that fills a buffer; undefined when it refused, with the error still in the queue and the buffer zeroed. */
function transform(call: Transform, context: Pointer, capacity: number, value: Uint8Array): Buffer | undefined {
  const out = Buffer.alloc(capacity);
  outLength[0] = BigInt(capacity);
  if (call(context, out, outLength, value, value.length) === 1) return out.subarray(0, Number(read(outLength)));
  out.fill(0);
  return undefined;
}

export interface SealedText {
  readonly nonce: Uint8Array;
  readonly tag: Uint8Array;
  readonly associated: Uint8Array;
  readonly text: Uint8Array;
}

/**
 * Decrypts AES-256-GCM into a buffer that the caller zeroes; undefined, with nothing left, when it does not open. Here because what Node's decipher returns is a
 * copy, and the first one goes back to the allocator as it is.
 */
export function openAes256Gcm(key: Uint8Array, { nonce, tag, associated, text }: SealedText): Buffer | undefined {
  if (key.length !== 32 || nonce.length !== 12 || tag.length !== 16) throw new RangeError('a key of 32 bytes, a nonce of 12, a tag of 16');
  const context = openssl.cipherNew();
  if (context === null) throw refused('EVP_CIPHER_CTX_new');
  const plain = Buffer.alloc(text.length);
  let isWhole = false;
  try {
    must(openssl.openInit(context, aes256Gcm, null, key, nonce), 'EVP_DecryptInit_ex');
    must(openssl.openUpdate(context, null, outLength, associated, associated.length), 'EVP_DecryptUpdate');
    if (text.length > 0) must(openssl.openUpdate(context, plain, outLength, text, text.length), 'EVP_DecryptUpdate');
    must(openssl.cipherSet(context, AEAD_SET_TAG, tag.length, tag), 'EVP_CIPHER_CTX_ctrl');
    isWhole = openssl.openFinal(context, nothingMore, outLength) === 1;
    if (!isWhole) openssl.errClear();
  } finally {
    openssl.cipherFree(context);
    if (!isWhole) plain.fill(0);
  }
  return isWhole ? plain : undefined;
}

function withContext<Result>(key: NativeKey, use: (context: Pointer) => Result): Result {
  const context = openssl.contextForKey(key.pointer, null);
  if (context === null) throw refused('EVP_PKEY_CTX_new');
  try {
    return use(context);
  } finally {
    openssl.contextFree(context);
  }
}

/** Whether this thread's error queue holds anything: after any function of this file it must not. */
export function hasPendingErrors(): boolean {
  return BigInt(openssl.errPeek()) !== 0n;
}

/** For example `OpenSSL 3.5.8 …`. */
export function libraryVersion(): string {
  return openssl.version(0);
}
