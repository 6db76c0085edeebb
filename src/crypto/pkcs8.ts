// Reads PKCS#8 (RFC 5208 PrivateKeyInfo) as it comes out of a wrapped key or a key file: strictly, and only of the types and named curves that the service has.
// The caller owns the bytes and zeroes them.

import { admit } from './admission.ts';
import type { NativeKey } from './libcrypto.ts';
import { hasMorePrimes, isWrittenAs, readAnyPrivateKey } from './native-keys.ts';
import { describeEc, describeRsa, type PlainKey } from './plain-key.ts';
import { isCurve, pkcs8Kind, readOurWriting } from './private-key.ts';
import type { Curve } from './types.ts';

type Kind = 'RSA' | Curve;

/** undefined when these bytes are no such key at all; throws BadParameter when they are one that may not come in. */
export function readPkcs8(der: Uint8Array): PlainKey | undefined {
  const kind = kindOf(der);
  const key = kind === undefined ? undefined : (readOurWriting(der) ?? readOtherWriting(der, kind));
  if (kind === undefined || key === undefined) return undefined;
  const describe = kind === 'RSA' ? describeRsa : (native: NativeKey) => describeEc(native, kind);
  return admit(key, describe, `The key is not one ${kind === 'RSA' ? 'RSA key' : `EC key on curve ${kind}`}`);
}

/** A key may name another curve inside than outside; what OpenSSL made of it shows when it is written again. */
function readOtherWriting(der: Uint8Array, kind: Kind): NativeKey | undefined {
  const key = readAnyPrivateKey(der);
  if (key === undefined) return undefined;
  if (!(kind === 'RSA' && hasMorePrimes(key)) && isWrittenAs(key, (written) => kindOf(written) === kind)) return key;
  key.free();
  return undefined;
}

function kindOf(der: Uint8Array): Kind | undefined {
  const kind = pkcs8Kind(der);
  return kind === 'RSA' || isCurve(kind) ? kind : undefined;
}
