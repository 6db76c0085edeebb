// ECDSA signatures in their two spellings: r‖s of fixed width on the wire (RFC 7518 section 3.4), DER inside OpenSSL (RFC 3279 section 2.2.3).
// Knows bytes only; whether a signature is right is not decided here.

const SEQUENCE = 0x30;
const INTEGER = 0x02;
const ONE_LENGTH_BYTE = 0x81;
const SHORT_LENGTHS = 0x80;

/**
 * The DER form of r‖s, each integer in the fewest bytes; undefined when the length is not twice the width.
 * `width`, in bytes, is that of a curve of ours (at most 66), so the sequence has a length below 256.
 */
export function derFromRaw(raw: Uint8Array, width: number): Buffer | undefined {
  if (raw.length !== 2 * width) return undefined;
  const r = integerStart(raw, 0, width);
  const s = integerStart(raw, width, 2 * width);
  const rLength = integerLength(raw, r, width);
  const sLength = integerLength(raw, s, 2 * width);
  const length = 4 + rLength + sLength;
  const header = length < SHORT_LENGTHS ? 2 : 3;
  const der = Buffer.alloc(header + length);
  der[0] = SEQUENCE;
  if (header === 3) der[1] = ONE_LENGTH_BYTE;
  der[header - 1] = length;
  putInteger(der, header, raw, r, width, rLength);
  putInteger(der, header + 2 + rLength, raw, s, 2 * width, sLength);
  return der;
}

/** Where the number in raw[from..end) begins once its leading zeros are gone; the number zero keeps one. */
function integerStart(raw: Uint8Array, from: number, end: number): number {
  let start = from;
  while (start < end - 1 && raw[start] === 0) start += 1;
  return start;
}

/** DER integers are signed: a number whose first bit is set gets a zero in front. */
function integerLength(raw: Uint8Array, start: number, end: number): number {
  return end - start + (isNegative(raw[start]) ? 1 : 0);
}

function isNegative(first: number | undefined): boolean {
  return first !== undefined && first >= 0x80;
}

function putInteger(der: Buffer, at: number, raw: Uint8Array, start: number, end: number, length: number): void {
  der[at] = INTEGER;
  der[at + 1] = length;
  der.set(raw.subarray(start, end), at + 2 + length - (end - start));
}

/**
 * r‖s of a DER signature, each of `width` bytes.
 * Throws when it is not the one DER spelling of two non-negative integers that fit the width and nothing else.
 */
export function rawFromDer(der: Uint8Array, width: number): Buffer {
  const header = der[1] === ONE_LENGTH_BYTE ? 3 : 2;
  const length = der[header - 1];
  const shortest = length !== undefined && (header === 3) === length >= SHORT_LENGTHS;
  if (der[0] !== SEQUENCE || !shortest || header + length !== der.length) throw notASignature();
  const raw = Buffer.alloc(2 * width);
  const s = takeInteger(der, header, raw, width);
  if (takeInteger(der, s, raw, 2 * width) !== der.length) throw notASignature();
  return raw;
}

/** Copies the integer at `at` so that it ends before raw[end], and returns where the next value begins. */
function takeInteger(der: Uint8Array, at: number, raw: Buffer, end: number): number {
  const length = der[at + 1];
  if (der[at] !== INTEGER || length === undefined || length === 0 || length >= SHORT_LENGTHS) throw notASignature();
  const next = at + 2 + length;
  const first = der[at + 2];
  const padded = first === 0 && length > 1;
  if (next > der.length || isNegative(first) || (padded && !isNegative(der[at + 3]))) throw notASignature();
  const start = padded ? at + 3 : at + 2;
  if (next - start > raw.length / 2) throw notASignature();
  raw.set(der.subarray(start, next), end - (next - start));
  return next;
}

function notASignature(): Error {
  return new Error('not the DER of an ECDSA signature of this curve');
}
