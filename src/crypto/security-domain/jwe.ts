// The two kinds of JWE in a security-domain file: RFC 7516 compact, A256CBC-HS512 (RFC 7518 section 5.2.5), with `dir` or RSA-OAEP-256.
// Opening is strict and has one error. The file's own clients skip the MAC when the tag is not 32 bytes long; this does not.

import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHmac,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import * as v from 'valibot';
import { fromBase64url, toBase64url } from '../../core/encoding.ts';
import { cryptographicFailure } from '../../core/errors-keyvault.ts';
import type { RandomBytes } from './shamir.ts';

const ENCRYPTION = 'A256CBC-HS512';
/** Content encryption key: 32 bytes for the MAC, then 32 for AES. */
const CEK_LENGTH = 64;
const IV_LENGTH = 16;
const TAG_LENGTH = 32;
const BLOCK_LENGTH = 16;

const Header = v.strictObject({ alg: v.picklist(['dir', 'RSA-OAEP-256']), enc: v.literal(ENCRYPTION), kid: v.string() });
type Header = v.InferOutput<typeof Header>;

interface Jwe {
  readonly header: Header;
  /** The header as it was received, which is what the MAC covers. */
  readonly headerText: string;
  readonly encryptedKey: Buffer;
  readonly iv: Buffer;
  readonly ciphertext: Buffer;
  readonly tag: Buffer;
}

/** RSA-OAEP with SHA-256 for both the hash and MGF1, and an empty label. */
function oaep(key: KeyObject) {
  return { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' };
}

/** Seals under a key that both sides have: 64 bytes. `kid` names what is inside. */
export function sealDirect(plain: Uint8Array, cek: Uint8Array, kid: string, random: RandomBytes = randomBytes): string {
  return seal({ alg: 'dir', enc: ENCRYPTION, kid }, Buffer.alloc(0), cek, plain, random);
}

/** Seals to the holder of an RSA key, under a fresh key. Nobody reads the `kid`; the service has written "not used" there. */
export function sealToKey(plain: Uint8Array, publicKey: KeyObject, random: RandomBytes = randomBytes): string {
  const cek = random(CEK_LENGTH);
  try {
    return seal({ alg: 'RSA-OAEP-256', enc: ENCRYPTION, kid: 'not used' }, publicEncrypt(oaep(publicKey), cek), cek, plain, random);
  } finally {
    cek.fill(0);
  }
}

/** Opens what `sealDirect` made under this key with this `kid`. The caller zeroes the result. */
export function openDirect(text: string, cek: Uint8Array, kid: string): Buffer {
  const jwe = parse(text);
  if (jwe.header.alg !== 'dir' || jwe.header.kid !== kid || jwe.encryptedKey.length !== 0) throw cryptographicFailure();
  return open(jwe, cek);
}

/** Opens what `sealToKey` made for the holder of this RSA private key. The caller zeroes the result. */
export function openWithKey(text: string, privateKey: KeyObject): Buffer {
  const jwe = parse(text);
  if (jwe.header.alg !== 'RSA-OAEP-256') throw cryptographicFailure();
  const cek = decryptedCek(privateKey, jwe.encryptedKey);
  try {
    return open(jwe, cek);
  } finally {
    cek.fill(0);
  }
}

/** What does not decrypt is replaced by a random key, so that the MAC refuses it in the same place as everything else (RFC 7516 section 11.5). */
function decryptedCek(privateKey: KeyObject, encryptedKey: Buffer): Buffer {
  const substitute = randomBytes(CEK_LENGTH);
  try {
    const cek = privateDecrypt(oaep(privateKey), encryptedKey);
    if (cek.length === CEK_LENGTH) return cek;
    cek.fill(0);
    return substitute;
  } catch {
    return substitute;
  }
}

function seal(header: Header, encryptedKey: Buffer, cek: Uint8Array, plain: Uint8Array, random: RandomBytes): string {
  if (cek.length !== CEK_LENGTH) throw new RangeError('a content encryption key has 64 bytes');
  const headerText = toBase64url(Buffer.from(JSON.stringify(header)));
  const iv = random(IV_LENGTH);
  const cipher = createCipheriv('aes-256-cbc', cek.subarray(32), iv);
  const ciphertext = Buffer.concat([cipher.update(plain), cipher.final()]);
  const tag = authenticationTag(cek, headerText, iv, ciphertext);
  return [headerText, ...[encryptedKey, iv, ciphertext, tag].map(toBase64url)].join('.');
}

function open(jwe: Jwe, cek: Uint8Array): Buffer {
  if (cek.length !== CEK_LENGTH) throw cryptographicFailure();
  const tag = authenticationTag(cek, jwe.headerText, jwe.iv, jwe.ciphertext);
  if (!timingSafeEqual(tag, jwe.tag)) throw cryptographicFailure();
  const decipher = createDecipheriv('aes-256-cbc', cek.subarray(32), jwe.iv);
  const pieces: Buffer[] = [];
  try {
    pieces.push(decipher.update(jwe.ciphertext));
    pieces.push(decipher.final());
    return Buffer.concat(pieces);
  } catch {
    throw cryptographicFailure();
  } finally {
    for (const piece of pieces) piece.fill(0);
  }
}

function authenticationTag(cek: Uint8Array, headerText: string, iv: Buffer, ciphertext: Buffer): Buffer {
  const headerBits = Buffer.alloc(8);
  headerBits.writeBigUInt64BE(BigInt(headerText.length) * 8n);
  const mac = createHmac('sha512', cek.subarray(0, 32))
    .update(headerText, 'ascii')
    .update(iv)
    .update(ciphertext)
    .update(headerBits)
    .digest();
  return mac.subarray(0, TAG_LENGTH);
}

function parse(text: string): Jwe {
  const parts = text.split('.');
  if (parts.length !== 5) throw cryptographicFailure();
  const [headerText] = parts;
  const [header, encryptedKey, iv, ciphertext, tag] = parts.map(fromBase64url);
  const wellFormed =
    headerText !== undefined &&
    header !== undefined &&
    encryptedKey !== undefined &&
    iv?.length === IV_LENGTH &&
    ciphertext !== undefined &&
    ciphertext.length > 0 &&
    ciphertext.length % BLOCK_LENGTH === 0 &&
    tag?.length === TAG_LENGTH;
  if (!wellFormed) throw cryptographicFailure();
  return { header: parseHeader(header), headerText, encryptedKey, iv, ciphertext, tag };
}

function parseHeader(bytes: Buffer): Header {
  try {
    return v.parse(Header, JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  } catch {
    throw cryptographicFailure();
  }
}
