// ECDSA signatures in their two spellings: r‖s of fixed width on the wire (RFC 7518 section 3.4), DER inside OpenSSL (RFC 3279 section 2.2.3).
// Knows bytes only; whether a signature is right is not decided here.

const SEQUENCE = 0x30;
const INTEGER = 0x02;

/** The DER form of r‖s, or undefined when the length is not twice the width. */
export function derFromRaw(raw: Uint8Array, width: number): Buffer | undefined {
  if (raw.length !== 2 * width) return undefined;
  const r = derInteger(raw.subarray(0, width));
  const s = derInteger(raw.subarray(width));
  return Buffer.concat([derHeader(SEQUENCE, r.length + s.length), r, s]);
}

/** r‖s of a signature that OpenSSL itself made. Throws when it is not the DER of two integers that fit the width. */
export function rawFromDer(der: Uint8Array, width: number): Buffer {
  const sequence = derValue(der, SEQUENCE);
  const r = derValue(sequence.value, INTEGER);
  const s = derValue(sequence.rest, INTEGER, r.rest);
  const raw = Buffer.alloc(2 * width);
  putNumber(raw, r.value, width);
  putNumber(raw, s.value, 2 * width);
  return raw;
}
