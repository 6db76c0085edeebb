// Keys in OpenSSL's memory: read, put together of their parts, generated, asked for their numbers and whether they are sound. The file format of a private key
// is private-key.ts.

import { addressOf, cell, must, NativeFailure, NativeKey, openssl, type Pointer, read, refused, withContext } from './libcrypto.ts';
import type { Curve } from './types.ts';

const WHOLE_KEY_PAIR = 0x87; // openssl/evp.h

// openssl/params.h, openssl/core.h: what an OSSL_PARAM points to, and how long one is.
const FORMS = { number: 2, text: 4, octets: 5 } as const;
const PARAMETER_LENGTH = 40;

const curveNames: Readonly<Record<Curve, string>> = {
  'P-256': 'prime256v1',
  'P-256K': 'secp256k1',
  'P-384': 'secp384r1',
  'P-521': 'secp521r1',
};

/**
 * Reads a PKCS#8, PKCS#1 or SEC 1 DER private key; undefined when it is none. The caller zeroes `der`, but OpenSSL has read it through a copy that it gives back
 * to the allocator as it is: what can be read by its parts is not read so.
 */
export function readAnyPrivateKey(der: Uint8Array): NativeKey | undefined {
  const start = cell(addressOf(der));
  return readKey(openssl.keyFromDer(null, start, der.length));
}

/** Reads a DER SubjectPublicKeyInfo; undefined when it is none. */
export function readPublicKey(der: Uint8Array): NativeKey | undefined {
  const start = cell(addressOf(der));
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

/**
 * Numbers of a key, private or not, each big-endian in `width` bytes, which the caller zeroes. Asked for together, because OpenSSL works the coordinates of an EC
 * key out anew with every call.
 */
export function numbersOf<Name extends string>(key: NativeKey, names: readonly Name[], width: number): Readonly<Record<Name, Buffer>> {
  const parts = names.map((name) => ({ name, form: 'number', bytes: Buffer.alloc(width) }) as const);
  const isThere = openssl.keyParts(key.pointer, parameters(parts)) === 1;
  for (const { bytes } of parts) {
    if (isThere) bytes.reverse();
    else bytes.fill(0);
  }
  if (!isThere) throw refused('EVP_PKEY_get_params');
  // One for each name, as was asked.
  return Object.fromEntries(parts.map(({ name, bytes }) => [name, bytes])) as Record<Name, Buffer>;
}

/** An array of OSSL_PARAM that points at these parts, which have to outlive its use. */
function parameters(parts: readonly KeyPart[]): Buffer {
  // The last one, all zeros, is the end.
  const array = Buffer.alloc((parts.length + 1) * PARAMETER_LENGTH);
  for (const [i, { name, form, bytes }] of parts.entries()) {
    const at = i * PARAMETER_LENGTH;
    array.writeBigUInt64LE(addressOf(cString(name)), at);
    array.writeUInt32LE(FORMS[form], at + 8);
    array.writeBigUInt64LE(addressOf(bytes), at + 16);
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

function publicNumber(key: NativeKey, name: 'n' | 'e'): Buffer {
  const found = cell(0n);
  must(openssl.keyBigNumber(key.pointer, name, found), 'EVP_PKEY_get_bn_param');
  const number = read(found);
  try {
    const out = Buffer.alloc(Math.ceil(openssl.bnBits(number) / 8));
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
      const end = cell(addressOf(der));
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
