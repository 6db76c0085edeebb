// Sealing: AES-256-GCM under a subkey that serves one purpose, bound to the place where the value belongs, so that a sealed value that was
// changed, or moved to another HSM, key, version or purpose, does not open. Knows bytes and names; not what is in them.

import { createCipheriv, hkdfSync } from 'node:crypto';
import { randomNonce } from './nonce.ts';
import { openAes256Gcm } from './openssl.ts';

// One sealed value: format version 1 · nonce 12 · tag 16 · ciphertext.
const FORMAT_VERSION = 1;
const NONCE_AT = 1;
const TAG_AT = 13;
const TEXT_AT = 29;
const CIPHER = 'aes-256-gcm';
const TAG = { authTagLength: TEXT_AT - TAG_AT } as const;
const SUBKEY_LENGTH = 32;

/** One for each kind of thing that is sealed; its subkey opens nothing else. */
export type Purpose = 'root key' | 'mark' | 'domain key' | 'key' | 'secret' | 'backup' | 'full backup';

/**
 * The subkey of `secret` (32 random bytes) for one purpose: HKDF-SHA256, RFC 5869; 32 bytes unless told otherwise. The caller zeroes it.
 * `salt`: where one purpose has a subkey for each of many things.
 */
export function subkey(secret: Uint8Array, purpose: Purpose, length = SUBKEY_LENGTH, salt = ''): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, salt, `strongroom seal ${FORMAT_VERSION} ${purpose}`, length));
}

/** Seals `plain` for one place: the parts of its name, for a key its HSM, key name and version. The caller zeroes `plain`. */
export function seal(key: Uint8Array, purpose: Purpose, place: readonly string[], plain: Uint8Array): Buffer {
  const nonce = randomNonce();
  const cipher = createCipheriv(CIPHER, key, nonce, TAG).setAAD(associatedData(purpose, place));
  const text = cipher.update(plain);
  cipher.final();
  return Buffer.concat([Buffer.of(FORMAT_VERSION), nonce, cipher.getAuthTag(), text]);
}

/** Opens what `seal` made for this purpose and place; the caller zeroes the result. Throws when anything differs, without saying what. */
export function open(key: Uint8Array, purpose: Purpose, place: readonly string[], sealed: Uint8Array): Buffer {
  if (sealed.length < TEXT_AT || sealed[0] !== FORMAT_VERSION) throw doesNotOpen(purpose);
  const plain = openAes256Gcm(key, {
    nonce: sealed.subarray(NONCE_AT, TAG_AT),
    tag: sealed.subarray(TAG_AT, TEXT_AT),
    associated: associatedData(purpose, place),
    text: sealed.subarray(TEXT_AT),
  });
  if (plain === undefined) throw doesNotOpen(purpose);
  return plain;
}

/** A name as bytes that no other name has: the count of its parts, then each part behind its length. */
function associatedData(purpose: Purpose, place: readonly string[]): Buffer {
  const parts = [purpose, ...place].map((part) => Buffer.from(part, 'utf8'));
  return Buffer.concat([Buffer.of(FORMAT_VERSION), uint32(parts.length), ...parts.flatMap((part) => [uint32(part.length), part])]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function doesNotOpen(purpose: Purpose): Error {
  return new Error(`A sealed ${purpose} does not open: it was changed, was put in another place, or was sealed under another root key.`);
}
