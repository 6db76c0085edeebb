// Hexadecimal for secrets, from buffer to buffer: Node's own passes through strings, which cannot be zeroed.

const DIGITS = Buffer.from('0123456789abcdef', 'ascii');

/** Writes two lower-case digits for each byte into `text`. */
export function putHex(text: Buffer, at: number, bytes: Uint8Array): void {
  for (const [index, byte] of bytes.entries()) {
    text[at + 2 * index] = DIGITS[byte >> 4] ?? 0;
    text[at + 2 * index + 1] = DIGITS[byte & 15] ?? 0;
  }
}

/** `length` bytes from their digits. Anything that is no digit counts as 0: compare with what `putHex` writes. The caller zeroes the result. */
export function fromHex(text: Buffer, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let index = 0; index < length; index += 1) bytes[index] = 16 * nibble(text[at + 2 * index]) + nibble(text[at + 2 * index + 1]);
  return bytes;
}

function nibble(character: number | undefined): number {
  return character === undefined ? 0 : Math.max(0, DIGITS.indexOf(character));
}
