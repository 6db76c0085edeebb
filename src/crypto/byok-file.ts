// Makes a key transfer blob, the .byok file: a key wrapped for a key exchange key, after the checks that it meets again when it comes in.
// For the command that does so on a user's machine; knows neither arguments nor paths.

import { KeyObject } from 'node:crypto';
import { toBase64url } from '../core/encoding.ts';
import { badParameter } from '../core/errors-keyvault.ts';
import { admitSecret } from './admission.ts';
import { readPkcs8 } from './pkcs8.ts';
import type { PlainKey } from './plain-key.ts';
import { wrapInTransit } from './rsa-aes-key-wrap.ts';
import type { KeyMaterial } from './types.ts';

export interface ByokFile {
  /** JSON, ending with a line end. */
  readonly text: string;
  readonly material: KeyMaterial;
}

/**
 * `key` is a private key, or the bytes of a secret one, which are zeroed. `kek` is the public half of the key that `kid` names.
 * Throws BadParameter for a key that the service would not let in.
 */
export function makeByokFile(key: KeyObject | Buffer, kek: KeyObject, kid: string): ByokFile {
  const { plain, material } = key instanceof KeyObject ? privateKey(key) : admitSecret(key);
  try {
    const file = {
      schema_version: '1.0.0',
      header: { kid, alg: 'dir', enc: 'CKM_RSA_AES_KEY_WRAP' },
      ciphertext: toBase64url(wrapInTransit(kek, plain)),
      generator: 'strongroom byok wrap',
    };
    return { text: `${JSON.stringify(file, null, 2)}\n`, material };
  } finally {
    plain.fill(0);
  }
}

function privateKey(key: KeyObject): PlainKey {
  const der = key.export({ type: 'pkcs8', format: 'der' });
  try {
    const read = readPkcs8(der);
    if (read !== undefined) return read;
    throw badParameter('The key is neither an RSA key nor one on P-256, P-256K, P-384 or P-521');
  } finally {
    der.fill(0);
  }
}
