// Which keys from elsewhere are let in, however they came: of the service's sizes and exponents, whole, and consistent. Knows no encoding of keys.

import { badParameter } from '../core/errors-keyvault.ts';
import type { NativeKey } from './libcrypto.ts';
import { isConsistent } from './native-keys.ts';
import { type AsymmetricMaterial, type PlainKey, takeOut } from './plain-key.ts';

const RSA_BITS: readonly number[] = [2048, 3072, 4096];
/** 3 and 65537 in base64url. */
const EXPONENTS: readonly string[] = ['Aw', 'AQAB'];
const LONGEST_SECRET = 64;
/** The smallest key of AES; a shorter one would protect nothing as an HMAC key either (NIST SP 800-131A section 10). */
const SHORTEST_SECRET = 16;

/**
 * Moves a key out of native memory, which it leaves in any case, once it is certain that it may come in. Throws BadParameter; `refusal` is what is said of
 * numbers that do not belong together. Looking at the numbers tries the primes, so the size comes first.
 */
export function admit(key: NativeKey, describe: (key: NativeKey) => AsymmetricMaterial, refusal: string): PlainKey {
  return takeOut(key, () => {
    const material = describe(key);
    if (material.kty === 'RSA-HSM' && !RSA_BITS.includes(material.size)) throw badParameter(`Invalid key size: '${material.size}'`);
    if (material.kty === 'RSA-HSM' && !EXPONENTS.includes(material.e)) {
      throw badParameter('JSON Web Key: e property of RSA key must be 3 or 65537');
    }
    if (!isConsistent(key)) throw badParameter(refusal);
    return material;
  });
}

/** A secret key that may come in, or BadParameter and zeros. */
export function admitSecret(plain: Buffer): PlainKey {
  if (plain.length >= SHORTEST_SECRET && plain.length <= LONGEST_SECRET) {
    return { plain, material: { kty: 'oct-HSM', size: plain.length * 8 } };
  }
  plain.fill(0);
  if (plain.length < SHORTEST_SECRET) throw badParameter(`Invalid key size: '${plain.length * 8}'`);
  throw badParameter(`JSON Web Key: k property of oct key is too large, maximum size is ${LONGEST_SECRET}`);
}
