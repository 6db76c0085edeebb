// Key files for the Node host: from PEM, PKCS#8 or PKCS#12 to the JSON Web Key that an import carries.

import type { KeyObject } from 'node:crypto';
import { KeyFileError, openKeyFile } from '../core/key-file.ts';
import { table } from '../core/table.ts';
import { ShellError } from './errors.ts';
import type { PrivateKeyJwk } from './host.ts';

/** The service's name for the curve that others call secp256k1. */
const CURVES: Readonly<Record<string, string>> = table({ secp256k1: 'P-256K' });

/** As `Host.readPrivateKey`. */
export async function readPrivateKey(file: Uint8Array, password: () => Promise<string | undefined>): Promise<PrivateKeyJwk> {
  try {
    return jwkOf(await openWith(file, password));
  } catch (cause) {
    if (cause instanceof KeyFileError) throw new ShellError(cause.message, { category: 'validation', cause });
    throw cause;
  }
}

/** The password is asked for only where there is something to open. */
async function openWith(file: Uint8Array, password: () => Promise<string | undefined>): Promise<KeyObject> {
  try {
    return await openKeyFile(file, undefined);
  } catch (error) {
    if (!(error instanceof KeyFileError) || error.reason !== 'protected') throw error;
    return openKeyFile(file, await password());
  }
}

function jwkOf(key: KeyObject): PrivateKeyJwk {
  const { asymmetricKeyType: type } = key;
  if (type !== 'rsa' && type !== 'ec')
    throw new ShellError('it is a key of another kind; only RSA and EC keys can be imported', { category: 'validation' });
  const { kty = '', crv = '', x, y, d, n, e, p, q, dp, dq, qi } = key.export({ format: 'jwk' });
  return type === 'rsa' ? { kty, n, e, d, p, q, dp, dq, qi } : { kty, crv: CURVES[crv] ?? crv, x, y, d };
}
