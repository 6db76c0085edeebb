// The key derivation of the security-domain file: SP 800-108 in counter mode with HMAC-SHA-512. Knows labels and lengths, not what they stand for.

import { createHmac } from 'node:crypto';

const BLOCK_BITS = 512;

/**
 * Derives up to one block (512 bits): HMAC-SHA-512(key, counter 1 ‖ label ‖ 00 ‖ context ‖ length in bits), NIST SP 800-108r1 section 4.1.
 * @returns `bits / 8` bytes; the caller zeroes them.
 */
export function deriveKey(key: Uint8Array, label: string, context = '', bits = BLOCK_BITS): Buffer {
  if (bits <= 0 || bits > BLOCK_BITS || bits % 8 !== 0) throw new RangeError('one block gives 8 to 512 bits, in whole bytes');
  const number = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
  };
  const block = createHmac('sha512', key)
    .update(number(1))
    .update(label, 'utf8')
    .update('\0')
    .update(context, 'utf8')
    .update(number(bits))
    .digest();
  block.fill(0, bits / 8);
  return block.subarray(0, bits / 8);
}
