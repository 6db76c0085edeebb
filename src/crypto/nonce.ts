// Nonces for AES-GCM, cut from a block of random bytes: asking OpenSSL for 12 bytes at a time costs as much as the encryption itself.
// Nonces are public, so the block needs no zeroing; nothing secret may be cut from it.

import { randomFillSync } from 'node:crypto';

export const NONCE_LENGTH = 12;
const block = Buffer.alloc(NONCE_LENGTH * 256);
let used = block.length;

/** 12 random bytes in a buffer of their own, never given out before on this thread. */
export function randomNonce(): Buffer {
  if (used === block.length) {
    randomFillSync(block);
    used = 0;
  }
  const nonce = Buffer.from(block.subarray(used, used + NONCE_LENGTH));
  used += NONCE_LENGTH;
  return nonce;
}
