// The native boundary: OpenSSL's C interface, as far as it is called, and what every call of it needs. node:crypto can neither sign nor verify a digest, and
// cannot leave its copies of a key zeroed. These are the functions of the OpenSSL inside the Node binary; only native-keys.ts and openssl.ts call them.
//
// Rules of the three files: a context serves one call (two calls at once on one context corrupt both); whatever is allocated is freed in a
// `finally`; after a refused call the thread's error queue is emptied, or the next TLS read on this thread fails for an innocent client.

import { endianness } from 'node:os';
import * as koffi from 'koffi';
import type { Digest } from './algorithms.ts';

export type Pointer = bigint | null;
type Bytes = Uint8Array;
/** A `size_t` or pointer variable whose address is handed to C. */
export type Cell = BigUint64Array<ArrayBuffer>;

/** An ArrayBuffer of its own never moves, also while another thread writes to it. */
export function cell(value: bigint): Cell {
  const variable = new BigUint64Array(new ArrayBuffer(8));
  variable[0] = value;
  return variable;
}

export function read(variable: Cell): bigint {
  return variable[0] ?? 0n;
}

/** Where C finds these bytes, for as long as they are there. */
export function addressOf(bytes: NodeJS.ArrayBufferView): bigint {
  return koffi.address(bytes);
}

const lib = koffi.load(null);
const P = 'void *';

// Addresses and numbers are written as such a machine has them.
if (koffi.sizeof(P) !== 8 || endianness() !== 'LE') throw new Error('Strongroom runs on little-endian machines with 64 bits');

// biome-ignore format: a table reads by its columns
export const openssl = {
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

  keyParts:        lib.func('EVP_PKEY_get_params', 'int', [P, P]) as (key: Pointer, parameters: Bytes) => number,
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

export type Transform = (context: Pointer, out: Bytes, outLength: Cell, value: Bytes, valueLength: number) => number;

interface Asynchronous<Parameters extends unknown[], Result> {
  (...parameters: Parameters): Result;
  async(...parameters: [...Parameters, (error: unknown, result: Result) => void]): void;
}

// Method descriptions are static data of the library; they are fetched once and never freed.
export const digests: Readonly<Record<Digest, Pointer>> = {
  sha1: lib.func('EVP_sha1', P, [])() as Pointer,
  sha256: lib.func('EVP_sha256', P, [])() as Pointer,
  sha384: lib.func('EVP_sha384', P, [])() as Pointer,
  sha512: lib.func('EVP_sha512', P, [])() as Pointer,
};

export const aes256Gcm = lib.func('EVP_aes_256_gcm', P, [])() as Pointer;

/** A call that cannot fail did: memory, or a library that is not the one this file was written for. Becomes a 500. */
export class NativeFailure extends Error {
  override readonly name = 'NativeFailure';
}

export function refused(call: string): NativeFailure {
  openssl.errClear();
  return new NativeFailure(`OpenSSL refused ${call}`);
}

/** 1 is success throughout EVP; 0 and negative numbers are two kinds of failure. */
export function must(result: number, call: string): void {
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

/** One use of a key, in a context of its own. */
export function withContext<Result>(key: NativeKey, use: (context: Pointer) => Result): Result {
  const context = openssl.contextForKey(key.pointer, null);
  if (context === null) throw refused('EVP_PKEY_CTX_new');
  try {
    return use(context);
  } finally {
    openssl.contextFree(context);
  }
}

/** Whether this thread's error queue holds anything: after a function of the other two files it must not. */
export function hasPendingErrors(): boolean {
  return BigInt(openssl.errPeek()) !== 0n;
}

/** For example `OpenSSL 3.5.8 …`. */
export function libraryVersion(): string {
  return openssl.version(0);
}
