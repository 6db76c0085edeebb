// What a key does, by OpenSSL: signatures, RSA encryption, and opening AES-GCM. It knows keys, paddings and digests; no algorithm names, no seals, no wire.

import type { Digest } from './algorithms.ts';
import {
  aes256Gcm,
  cell,
  digests,
  must,
  type NativeKey,
  openssl,
  type Pointer,
  read,
  refused,
  type Transform,
  withContext,
} from './libcrypto.ts';

// openssl/evp.h
const AEAD_SET_TAG = 0x11;

// openssl/rsa.h
const PKCS1_PADDING = 1;
const OAEP_PADDING = 4;
const PSS_PADDING = 6;
const SALT_AS_LONG_AS_DIGEST = -1;

export interface RsaSignatureScheme {
  readonly padding: 'pkcs1' | 'pss';
  /** undefined with pkcs1: the padding alone, without a DigestInfo. */
  readonly digest: Digest | undefined;
}

export interface RsaEncryptionScheme {
  readonly padding: 'pkcs1' | 'oaep';
  readonly digest: Digest | undefined;
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
