// Reads PKCS#8 (RFC 5208 PrivateKeyInfo) as it comes out of a wrapped key or a key file: strictly, and only of the types and named curves that the service has.
// The caller owns the bytes and zeroes them.

import { admit } from './admission.ts';
import { hasMorePrimes, type NativeKey, readPrivateKey, writePrivateKey } from './openssl.ts';
import { describeEc, describeRsa, type PlainKey } from './plain-key.ts';
import type { Curve } from './types.ts';

type Kind = 'RSA' | Curve;

/** DER of the AlgorithmIdentifier: RFC 3279 section 2.3.1, RFC 5480 section 2.1.1. A curve that is written out has none of these. */
const ALGORITHMS: ReadonlyMap<string, Kind> = new Map([
  ['300d06092a864886f70d0101010500', 'RSA'],
  ['301306072a8648ce3d020106082a8648ce3d030107', 'P-256'],
  ['301006072a8648ce3d020106052b8104000a', 'P-256K'],
  ['301006072a8648ce3d020106052b81040022', 'P-384'],
  ['301006072a8648ce3d020106052b81040023', 'P-521'],
]);

/** undefined when these bytes are no such key at all; throws BadParameter when they are one that may not come in. */
export function readPkcs8(der: Uint8Array): PlainKey | undefined {
  const kind = kindOf(der);
  const key = kind === undefined ? undefined : readPrivateKey(der);
  if (kind === undefined || key === undefined) return undefined;
  if (!isWrittenAs(key, kind)) {
    key.free();
    return undefined;
  }
  const describe = kind === 'RSA' ? describeRsa : (native: NativeKey) => describeEc(native, kind);
  return admit(key, describe, `The key is not one ${kind === 'RSA' ? 'RSA key' : `EC key on curve ${kind}`}`);
}

/** A key may name another curve inside than outside; what OpenSSL made of it shows when it is written again. */
function isWrittenAs(key: NativeKey, kind: Kind): boolean {
  if (kind === 'RSA' && hasMorePrimes(key)) return false;
  const der = writePrivateKey(key);
  try {
    return kindOf(der) === kind;
  } finally {
    der.fill(0);
  }
}

/** From the head of PrivateKeyInfo: SEQUENCE { INTEGER 0 or 1, AlgorithmIdentifier, … }, which must fill the bytes exactly. */
function kindOf(der: Uint8Array): Kind | undefined {
  const head = sequenceHead(der);
  if (head === undefined || der[head] !== 0x02 || der[head + 1] !== 1 || (der[head + 2] ?? 2) > 1) return undefined;
  const at = head + 3;
  return ALGORITHMS.get(Buffer.from(der.subarray(at, at + 2 + (der[at + 1] ?? 0))).toString('hex'));
}

/** Bytes of the head of the one SEQUENCE that these bytes are; undefined when they are something else or something more. */
function sequenceHead(der: Uint8Array): number | undefined {
  const [tag, first = 0, second = 0, third = 0] = der;
  if (tag !== 0x30) return undefined;
  const [head, length] = first < 0x80 ? [2, first] : first === 0x81 ? [3, second] : first === 0x82 ? [4, second * 256 + third] : [0, -1];
  return head + length === der.length ? head : undefined;
}
