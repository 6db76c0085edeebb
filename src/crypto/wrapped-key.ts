// A key that comes in wrapped under a key exchange key: unwrapped, read as what it was announced to be, and let in like any other import.

import { badParameter, cryptographicFailure } from '../core/errors-keyvault.ts';
import { admitSecret } from './admission.ts';
import type { NativeKey } from './libcrypto.ts';
import { readPkcs8 } from './pkcs8.ts';
import type { PlainKey } from './plain-key.ts';
import { unwrapInTransit } from './rsa-aes-key-wrap.ts';
import type { KeyMaterial, KeyType, WrappedKeySpec } from './types.ts';

const TYPES: ReadonlyMap<string, KeyType> = new Map([
  ['RSA', 'RSA-HSM'],
  ['RSA-HSM', 'RSA-HSM'],
  ['EC', 'EC-HSM'],
  ['EC-HSM', 'EC-HSM'],
  ['oct', 'oct-HSM'],
  ['oct-HSM', 'oct-HSM'],
]);

/** Throws the one cryptographic failure for what does not unwrap to a key, and BadParameter for a key that may not come in. The caller zeroes `plain`. */
export function readWrappedKey(kek: NativeKey, wrapped: Uint8Array, spec: WrappedKeySpec): PlainKey {
  const kty = TYPES.get(spec.kty);
  if (kty === undefined) throw badParameter('JSON Web Key: kty must be RSA, RSA-HSM, EC, EC-HSM, oct or oct-HSM');
  const plain = unwrapInTransit(kek, wrapped);
  if (kty === 'oct-HSM') return admitSecret(plain);
  try {
    const key = readPkcs8(plain);
    if (key === undefined) throw cryptographicFailure();
    refuseOther(key, kty, spec.crv);
    return key;
  } finally {
    plain.fill(0);
  }
}

function refuseOther({ plain, material }: PlainKey, kty: KeyType, crv: string | undefined): void {
  const wrong = differs(material, kty, crv);
  if (wrong === undefined) return;
  plain.fill(0);
  throw badParameter(wrong);
}

function differs(material: KeyMaterial, kty: KeyType, crv: string | undefined): string | undefined {
  if (material.kty !== kty) return `The wrapped key is of type '${material.kty}', and the request says '${kty}'`;
  if (material.kty !== 'EC-HSM' || crv === undefined || crv === material.crv) return undefined;
  return `The wrapped key is on curve '${material.crv}', and the request says another`;
}
