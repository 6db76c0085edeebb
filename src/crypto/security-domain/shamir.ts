// Secret sharing over the integers mod 257, byte by byte, as the security-domain file has it: a share is one 16-bit word for each byte of the secret.
// Knows numbers only: not what the secret is for, nor how a share travels.

import { randomBytes } from 'node:crypto';
import { cryptographicFailure } from '../../core/errors-keyvault.ts';

const PRIME = 257;
/** A word keeps the x-coordinate above the 9 bits of the value; the scheme ends at 126 shares. */
const VALUE_BITS = 9;
const VALUE_MASK = (1 << VALUE_BITS) - 1;
const MAX_SHARES = 126;

/** Where random bytes come from; a test brings recorded ones. */
export type RandomBytes = (size: number) => Buffer;

/** The residue of any integer, 0 to 256. */
export function mod257(value: number): number {
  return ((value % PRIME) + PRIME) % PRIME;
}

/** The multiplicative inverse of a non-zero element: a to the power of 255 (Fermat), by square and multiply. */
export function inverse257(value: number): number {
  let result = 1;
  let square = mod257(value);
  for (let exponent = PRIME - 2; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result = mod257(result * square);
    square = mod257(square * square);
  }
  return result;
}

/**
 * Splits a secret into `count` shares of which any `quorum` recover it. Share i (from 0) has x-coordinate i + 1.
 * Every byte gets coefficients of its own: shared ones would leave only 257 guesses to the holder of a single share.
 * @returns shares of two bytes (little-endian words) for each byte of the secret; the caller zeroes them.
 */
export function splitSecret(secret: Uint8Array, count: number, quorum: number, random: RandomBytes = randomBytes): Buffer[] {
  if (!(quorum >= 2 && quorum <= count && count <= MAX_SHARES))
    throw new RangeError('a quorum is at least 2 and at most the count of shares');
  const shares = Array.from({ length: count }, () => Buffer.alloc(secret.length * 2));
  const coefficients = new Uint16Array(quorum - 1);
  for (const [position, byte] of secret.entries()) {
    for (let power = 0; power < coefficients.length; power++) coefficients[power] = uniform257(random);
    for (const [index, share] of shares.entries()) {
      const x = index + 1;
      let value = 0;
      for (const coefficient of coefficients) value = mod257(value * x + coefficient);
      value = mod257(value * x + byte);
      share.writeUInt16LE((x << VALUE_BITS) | value, position * 2);
    }
  }
  coefficients.fill(0);
  return shares;
}

/** Uniform in 0..256: of the 16-bit numbers the last one is thrown away, because 65535 = 255 · 257. */
function uniform257(random: RandomBytes): number {
  for (;;) {
    const bytes = random(2);
    const drawn = bytes.readUInt16BE(0);
    bytes.fill(0);
    if (drawn !== 0xffff) return drawn % PRIME;
  }
}

interface Point {
  readonly x: number;
  /** One value for each byte of the secret, 0 to 256. */
  readonly values: Uint16Array;
}

/**
 * Recovers the secret from at least `quorum` shares, in any order; the caller zeroes it.
 * Refuses (one error for all) shares that are malformed, that repeat an x-coordinate, that do not lie on one polynomial of the declared degree,
 * or that were made carelessly: fewer than the quorum would do, or all bytes share their coefficients.
 */
export function recoverSecret(shares: readonly Uint8Array[], quorum: number): Buffer {
  const points: Point[] = [];
  try {
    for (const share of shares) points.push(readShare(share));
    return interpolateSecret(points, quorum);
  } finally {
    for (const point of points) point.values.fill(0);
  }
}

function interpolateSecret(points: readonly Point[], quorum: number): Buffer {
  const distinct = new Set(points.map((point) => point.x)).size === points.length;
  const sameLength = points.every((point) => point.values.length === points[0]?.values.length);
  if (quorum < 2 || points.length < quorum || !distinct || !sameLength) throw cryptographicFailure();

  const base = points.slice(0, quorum);
  const values = valuesAt(base, 0);
  const tooFew = valuesAt(base.slice(0, -1), 0);
  try {
    const sound =
      values.every((value) => value <= 0xff) &&
      points.slice(quorum).every((extra) => equal(valuesAt(base, extra.x), extra.values)) &&
      (values.length < SMALLEST_JUDGED || (!equal(tooFew, values) && !coefficientsRepeat(base, values)));
    if (!sound) throw cryptographicFailure();
    return Buffer.from(values);
  } finally {
    values.fill(0);
    tooFew.fill(0);
  }
}

/** From this many bytes on, what honest randomness does by chance less often than once in 2^64 counts as a fault. */
const SMALLEST_JUDGED = 16;

/** Whether these bytes have the form of share `index` (from 0) of a secret of this length. */
export function isShare(share: Uint8Array, index: number, secretLength: number): boolean {
  try {
    const { x, values } = readShare(share);
    values.fill(0);
    return x === index + 1 && values.length === secretLength;
  } catch {
    return false;
  }
}

function readShare(share: Uint8Array): Point {
  const words = new DataView(share.buffer, share.byteOffset, share.byteLength);
  if (share.length === 0 || share.length % 2 !== 0) throw cryptographicFailure();
  const x = words.getUint16(0, true) >> VALUE_BITS;
  const values = new Uint16Array(share.length / 2);
  for (let position = 0; position < values.length; position++) {
    const word = words.getUint16(position * 2, true);
    const value = word & VALUE_MASK;
    if (word >> VALUE_BITS !== x || value >= PRIME) throw cryptographicFailure();
    values[position] = value;
  }
  if (x === 0 || x > MAX_SHARES) throw cryptographicFailure();
  return { x, values };
}

/** Lagrange's interpolation: the values at x of the polynomials through the points, for every byte. */
function valuesAt(points: readonly Point[], x: number): Uint16Array {
  const sums = new Uint16Array(points[0]?.values.length ?? 0);
  for (const point of points) {
    let weight = 1;
    for (const other of points) {
      if (other !== point) weight = mod257(weight * mod257(x - other.x) * inverse257(point.x - other.x));
    }
    for (const [position, value] of point.values.entries()) sums[position] = mod257((sums[position] ?? 0) + weight * value);
  }
  return sums;
}

/** Whether the part above the constant is the same for every byte. */
function coefficientsRepeat(points: readonly Point[], secret: Uint16Array): boolean {
  return points.every(({ values }) => {
    const first = mod257((values[0] ?? 0) - (secret[0] ?? 0));
    return values.every((value, position) => mod257(value - (secret[position] ?? 0)) === first);
  });
}

function equal(left: Uint16Array, right: Uint16Array): boolean {
  return left.length === right.length && left.every((value, position) => value === right[position]);
}
