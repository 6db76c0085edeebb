// Private keys in the files that other programs write: PEM, PKCS#8 and PKCS#12. For commands that run on a user's machine; the service reads no such file.

import { createPrivateKey, type KeyObject } from 'node:crypto';

/** A PKCS#12 file carries a chain of certificates beside the key. */
const LONGEST = 1 << 20;

// RFC 7292 section 4.2 and RFC 5652 section 4.
const KEY_BAG = '1.2.840.113549.1.12.10.1.1';
const SHROUDED_KEY_BAG = '1.2.840.113549.1.12.10.1.2';
const DATA = '1.2.840.113549.1.7.1';

/** In UTF-8 when it is bytes; undefined when there is none. */
type Password = string | Buffer | undefined;

/** Why a file gave no key. `protected`: it wants a password and got none. */
export class KeyFileError extends Error {
  override readonly name = 'KeyFileError';
  readonly reason: 'protected' | 'wrong password' | 'unreadable';

  constructor(reason: 'protected' | 'wrong password' | 'unreadable', message: string) {
    super(message);
    this.reason = reason;
  }
}

/** The one private key of the file. Throws KeyFileError, with words that can follow the file's name. */
export async function openKeyFile(file: Uint8Array, password: Password): Promise<KeyObject> {
  if (file.length > LONGEST) throw unreadable('it is too long for a key');
  if (Buffer.from(file.buffer, file.byteOffset, file.length).includes('-----BEGIN '))
    return openKey({ key: file, format: 'pem' }, password);
  if (isPkcs12(file)) return openPkcs12(file, password);
  return openKey({ key: file, format: 'der', type: 'pkcs8' }, password);
}

type EncodedKey =
  | { readonly key: Uint8Array; readonly format: 'pem' }
  | { readonly key: Uint8Array; readonly format: 'der'; readonly type: 'pkcs8' };

function openKey(encoded: EncodedKey, password: Password): KeyObject {
  try {
    return nodeKey(encoded, password);
  } catch (error) {
    if (wantsPassword(error)) throw isProtected();
    if (password !== undefined && isEncrypted(encoded)) throw new KeyFileError('wrong password', 'the password does not open it');
    throw unreadable('it is no private key in PEM, PKCS#8 or PKCS#12 that can be read');
  }
}

function nodeKey({ key, ...encoding }: EncodedKey, password: Password): KeyObject {
  return createPrivateKey({ key: Buffer.from(key), ...encoding, ...(password === undefined ? {} : { passphrase: password }) });
}

/** Asked without a password: under a wrong one, one file in 256 decrypts to something, which is then no key for many reasons. */
function isEncrypted(encoded: EncodedKey): boolean {
  try {
    nodeKey(encoded, undefined);
    return false;
  } catch (error) {
    return wantsPassword(error);
  }
}

function wantsPassword(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ERR_MISSING_PASSPHRASE' || code === 'ERR_OSSL_CRYPTO_INTERRUPTED_OR_CANCELLED';
}

function isProtected(): KeyFileError {
  return new KeyFileError('protected', 'it is protected by a password');
}

function unreadable(message: string): KeyFileError {
  return new KeyFileError('unreadable', message);
}

/** PFX is a SEQUENCE that begins with the version 3, where PKCS#8 has 0 or 1. */
function isPkcs12(file: Uint8Array): boolean {
  const [tag, length = 0] = file;
  const head = length > 0x80 ? 2 + (length & 0x7f) : 2;
  return tag === 0x30 && file[head] === 0x02 && file[head + 1] === 1 && file[head + 2] === 3;
}

/**
 * Only the key is taken out, and OpenSSL opens it: PBES2 and the older PKCS#12 schemes with 3DES. The certificates, which some programs still encrypt
 * with RC2, are not looked at; and the file's MAC is not checked, since a key that was changed is refused for what it is.
 */
async function openPkcs12(file: Uint8Array, password: Password): Promise<KeyObject> {
  const bags = await keyBags(file);
  const [bag] = bags;
  if (bag === undefined || bags.length > 1) {
    throw unreadable(
      bag === undefined ? 'it holds no private key that can be read' : `it holds ${bags.length} private keys, and one is wanted`,
    );
  }
  try {
    // Without a password many programs take the empty one.
    return openKey({ key: bag, format: 'der', type: 'pkcs8' }, password ?? '');
  } catch (error) {
    if (password === undefined && error instanceof KeyFileError && error.reason === 'wrong password') throw isProtected();
    throw error;
  }
}

/** The PKCS#8 of each key, encrypted or not. */
async function keyBags(file: Uint8Array): Promise<Uint8Array[]> {
  const [{ AsnConvert, OctetString }, { AuthenticatedSafe, PFX, SafeContents }] = await Promise.all([
    import('@peculiar/asn1-schema'),
    import('@peculiar/asn1-pfx'),
  ]);
  try {
    const { authSafe } = AsnConvert.parse(file, PFX);
    const parts = AsnConvert.parse(AsnConvert.parse(authSafe.content, OctetString), AuthenticatedSafe);
    return parts
      .filter(({ contentType }) => contentType === DATA)
      .flatMap(({ content }) => [...AsnConvert.parse(AsnConvert.parse(content, OctetString), SafeContents)])
      .filter(({ bagId }) => bagId === KEY_BAG || bagId === SHROUDED_KEY_BAG)
      .map(({ bagValue }) => new Uint8Array(bagValue));
  } catch {
    throw unreadable('it is no PKCS#12 file that can be read');
  }
}
