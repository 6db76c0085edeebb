// A key to import, from the file that the user has: a private key in PEM, PKCS#8 or PKCS#12, a .byok file, or the bytes of a symmetric key.
// What is read here goes to the HSM and nowhere else: not into a message, a variable or a file.

import { toBase64url } from './base64.ts';
import type { CmdletContext } from './cmdlet.ts';
import { messageOf, ShellError } from './errors.ts';
import { parseJson, textAt } from './read.ts';
import type { SecureString } from './value.ts';

interface KeyFile {
  readonly path: string;
  readonly password: SecureString | undefined;
  /** As the user gave it: RSA, EC or oct, with or without -HSM. */
  readonly type: string | undefined;
  readonly curve: string | undefined;
}

/** The member `key` of an import, without its operations. */
export async function keyFromFile({ host, warn }: Pick<CmdletContext, 'host' | 'warn'>, file: KeyFile): Promise<object> {
  const { path, type, curve } = file;
  const bytes = await host.readBytes(path);
  const crv = curve === undefined ? {} : { crv: curve };
  // The genuine cmdlet takes a .byok file for an RSA key unless it is told otherwise.
  if (isByok(bytes)) return { kty: wireType(type ?? 'RSA'), ...crv, key_hsm: toBase64url(bytes) };
  if (type !== undefined && wireType(type) === 'oct-HSM') {
    if (isText(bytes)) warn(`every byte of '${path}' is a character; a key in hexadecimal or base64 is not the key itself`);
    return { kty: 'oct-HSM', k: toBase64url(bytes) };
  }
  const jwk = await host
    .readPrivateKey(bytes, () => passwordOf(host, file))
    .catch((cause) => {
      throw new ShellError(`cannot take the key from '${path}': ${messageOf(cause)}`, { category: 'validation', cause });
    });
  const kty = wireType(jwk.kty ?? '');
  if (type !== undefined && wireType(type) !== kty) throw differs(path, 'KeyType', jwk.kty);
  if (curve !== undefined && curve !== jwk.crv) throw differs(path, 'CurveName', jwk.crv ?? 'none');
  return { ...jwk, kty };
}

async function passwordOf(host: CmdletContext['host'], { path, password }: KeyFile): Promise<string> {
  const text = password?.reveal() ?? (await host.readSecret(`password of '${path}': `));
  if (text !== undefined) return text;
  throw new ShellError('it is protected; give -KeyFilePassword', { category: 'binding' });
}

function isByok(bytes: Uint8Array): boolean {
  return textAt(parseJson(new TextDecoder().decode(bytes)), 'ciphertext') !== undefined;
}

/** Whether a symmetric key looks like something that was written down: a key in hexadecimal or base64 is not the key itself. */
export function isText(key: Uint8Array): boolean {
  return key.every((byte) => (byte >= 0x20 && byte < 0x7f) || byte === 0x0a || byte === 0x0d);
}

function wireType(type: string): string {
  return type.endsWith('-HSM') ? type : `${type}-HSM`;
}

function differs(path: string, parameter: string, found: string | undefined): ShellError {
  return new ShellError(`the key in '${path}' is another one than -${parameter} says: ${found}`, { category: 'validation' });
}
