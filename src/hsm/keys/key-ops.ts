// The operations that a key may be made for, and which it gets when nobody says.

import * as v from 'valibot';
import { badParameter } from '../../core/errors-keyvault.ts';
import type { KeyType } from '../../crypto/types.ts';

const KEY_OPS = [
  'encrypt',
  'decrypt',
  'sign',
  'verify',
  'wrapKey',
  'unwrapKey',
  'import',
  'export',
  'deriveKey',
  'secureWrapKey',
  'secureUnwrapKey',
] as const;

export type KeyOp = (typeof KEY_OPS)[number];

export const KeyOps = v.nullish(v.array(v.picklist(KEY_OPS, `Property key_ops is not valid. The operations are ${KEY_OPS.join(', ')}.`)));

/** What new keys are for. Source: recordings of the live service, 2024 and later. */
const DEFAULTS: Readonly<Record<KeyType, readonly KeyOp[]>> = {
  'RSA-HSM': ['encrypt', 'decrypt', 'sign', 'verify', 'wrapKey', 'unwrapKey'],
  'EC-HSM': ['sign', 'verify', 'deriveKey'],
  'AKP-HSM': ['sign', 'verify'],
  'oct-HSM': ['encrypt', 'decrypt', 'sign', 'verify', 'wrapKey', 'unwrapKey', 'deriveKey'],
};

/**
 * The operations of a key of this type: those that were asked for, once each, or the usual ones. An empty list asks for nothing: the Azure SDK for Java sends
 * one with every import. Throws BadParameter for a mixture that cannot be.
 */
export function keyOpsFor(kty: KeyType, asked: readonly KeyOp[] | null | undefined): readonly KeyOp[] {
  if (asked === undefined || asked === null || asked.length === 0) return DEFAULTS[kty];
  const ops = [...new Set(asked)];
  if (ops.includes('import')) {
    // A key exchange key must do nothing else, or whoever may use it could unwrap what is on its way in.
    if (kty !== 'RSA-HSM') throw badParameter("Property key_ops is not valid. 'import' is for RSA-HSM keys alone.");
    if (ops.length > 1) throw badParameter("Property key_ops is not valid. 'import' cannot be combined with other operations.");
  }
  if (ops.some((op) => SECURE.has(op))) {
    if (kty !== 'RSA-HSM' && kty !== 'oct-HSM')
      throw badParameter("Property key_ops is not valid. 'secureWrapKey' and 'secureUnwrapKey' are for RSA-HSM and oct-HSM keys.");
    // Whoever might unwrap in the ordinary way would need no attestation.
    if (!isSecure(ops))
      throw badParameter("Property key_ops is not valid. 'secureWrapKey' and 'secureUnwrapKey' cannot be combined with other operations.");
  }
  return ops;
}

const SECURE: ReadonlySet<KeyOp> = new Set(['secureWrapKey', 'secureUnwrapKey']);

/** Whether a key is made for wrapping keys that attested targets alone may have. */
export function isSecure(ops: readonly KeyOp[]): boolean {
  return ops.length > 0 && ops.every((op) => SECURE.has(op));
}
