// The other side of every algorithm, by node:crypto: what it seals the HSM has to open, what it signs the HSM has to verify, and the other way round. Knows the
// algorithm table's rows and keys of its own; knows no HTTP. A new kind of algorithm does not compile until it has its other side here.

import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  type KeyObject,
  privateDecrypt,
  privateEncrypt,
  publicDecrypt,
  publicEncrypt,
  randomBytes,
  sign,
  verify,
} from 'node:crypto';
import type { EncryptionAlgorithm, SignatureAlgorithm } from '../../src/crypto/algorithms.ts';

/** A key that both sides have; of an ML-DSA key, which the HSM makes, this side has the public half alone. */
export interface Held {
  /** Its name in the HSM. */
  readonly name: string;
  readonly kty: 'RSA-HSM' | 'EC-HSM' | 'oct-HSM' | 'AKP-HSM';
  /** RSA and oct. */
  readonly bits?: number;
  /** EC: its curve; AKP: its set. */
  readonly group?: string;
  readonly secret?: Buffer;
  readonly privateKey?: KeyObject;
  readonly publicKey?: KeyObject;
}

export interface Sealed {
  readonly value: Buffer;
  readonly iv?: Buffer;
  readonly aad?: Buffer;
  readonly tag?: Buffer;
}

export interface Lengths {
  readonly taken: readonly number[];
  readonly refused: readonly number[];
}

/** Whether the table has this algorithm for such a key. */
export function fits(row: EncryptionAlgorithm | SignatureAlgorithm, { kty, bits = 0, group }: Held): boolean {
  if (row.kty !== kty) return false;
  if (row.kind === 'ec-signature') return row.curve === group;
  if (row.kind === 'ml-dsa') return row.name === group;
  if (row.kind === 'aes-gcm' || row.kind === 'aes-cbc' || row.kind === 'aes-kw')
    return row.keyBits === undefined ? bits <= 256 : row.keyBits === bits;
  return true;
}

export function isSigning(row: EncryptionAlgorithm | SignatureAlgorithm): row is SignatureAlgorithm {
  return row.operations.includes('sign');
}

/** Those that only wrap for attested targets are not: what they wrap nobody chooses. */
export function isSealing(row: EncryptionAlgorithm | SignatureAlgorithm): row is EncryptionAlgorithm {
  return row.operations.includes('encrypt') || row.operations.includes('wrapKey');
}

// --- encryption and wrapping ---

const AAD = Buffer.from('about it');

export function seal(row: EncryptionAlgorithm, held: Held, plain: Buffer): Sealed {
  switch (row.kind) {
    case 'rsa-encryption':
      return { value: publicEncrypt({ key: publicOf(held), ...rsaPadding(row) }, plain) };
    case 'aes-gcm': {
      const iv = randomBytes(12);
      const cipher = createCipheriv(`aes-${row.keyBits as 128 | 192 | 256}-gcm`, secretOf(held), iv).setAAD(AAD);
      return { value: Buffer.concat([cipher.update(plain), cipher.final()]), iv, aad: AAD, tag: cipher.getAuthTag() };
    }
    case 'aes-cbc': {
      const iv = randomBytes(16);
      const cipher = createCipheriv(`aes-${row.keyBits}-cbc`, secretOf(held), iv).setAutoPadding(row.padded);
      return { value: Buffer.concat([cipher.update(plain), cipher.final()]), iv };
    }
    case 'aes-kw': {
      const cipher = createCipheriv(...wrapping(held, row.padded));
      return { value: Buffer.concat([cipher.update(plain), cipher.final()]) };
    }
  }
}

export function open(row: EncryptionAlgorithm, held: Held, { value, iv = NOTHING, aad = NOTHING, tag = NOTHING }: Sealed): Buffer {
  switch (row.kind) {
    case 'rsa-encryption':
      return privateDecrypt({ key: privateOf(held), ...rsaPadding(row) }, value);
    case 'aes-gcm': {
      const decipher = createDecipheriv(`aes-${row.keyBits as 128 | 192 | 256}-gcm`, secretOf(held), iv)
        .setAAD(aad)
        .setAuthTag(tag);
      return Buffer.concat([decipher.update(value), decipher.final()]);
    }
    case 'aes-cbc': {
      const decipher = createDecipheriv(`aes-${row.keyBits}-cbc`, secretOf(held), iv).setAutoPadding(row.padded);
      return Buffer.concat([decipher.update(value), decipher.final()]);
    }
    case 'aes-kw': {
      const decipher = createDecipheriv(...wrapping(held, row.padded));
      return Buffer.concat([decipher.update(value), decipher.final()]);
    }
  }
}

/** What a request has to bring besides the value, for the HSM to seal. */
export function parametersOf(row: EncryptionAlgorithm): { readonly iv?: Buffer; readonly aad?: Buffer } {
  if (row.kind === 'aes-gcm') return { aad: AAD };
  return row.kind === 'aes-cbc' ? { iv: randomBytes(16) } : {};
}

/** Whether a change anywhere is found: CBC has nothing to find it with, and PKCS#1 v1.5 is answered with other bytes, so that nobody learns of the padding. */
export function isAuthenticated(row: EncryptionAlgorithm): boolean {
  return row.kind === 'aes-gcm' || row.kind === 'aes-kw' || (row.kind === 'rsa-encryption' && row.padding === 'oaep');
}

/** Lengths of what can be sealed, in bytes. */
export function sealable(row: EncryptionAlgorithm, { bits = 0 }: Held): Lengths {
  switch (row.kind) {
    case 'rsa-encryption': {
      const longest = bits / 8 - (row.padding === 'pkcs1' ? 11 : row.digest === 'sha1' ? 42 : 66);
      return { taken: [0, 1, longest], refused: [longest + 1, bits / 8, bits / 8 + 1] };
    }
    case 'aes-gcm':
      return { taken: [0, 1, 15, 16, 1000], refused: [] };
    case 'aes-cbc':
      return row.padded ? { taken: [0, 1, 15, 16, 17, 1000], refused: [] } : { taken: [16, 48, 1600], refused: [0, 1, 15, 17] };
    case 'aes-kw':
      return row.padded ? { taken: [1, 7, 8, 9, 33, 1000], refused: [0] } : { taken: [16, 24, 40, 1000], refused: [0, 8, 15, 17, 31] };
  }
}

function rsaPadding({ padding, digest }: Extract<EncryptionAlgorithm, { kind: 'rsa-encryption' }>) {
  if (padding === 'pkcs1') return { padding: constants.RSA_PKCS1_PADDING };
  return { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: digest };
}

function wrapping({ bits = 0, ...held }: Held, padded: boolean): [string, Buffer, Buffer] {
  // The initial values of RFC 3394 section 2.2.3.1 and RFC 5649 section 3.
  const initial = padded ? Buffer.from('a65959a6', 'hex') : Buffer.alloc(8, 0xa6);
  return [`id-aes${bits}-wrap${padded ? '-pad' : ''}`, secretOf(held), initial];
}

// --- signatures ---

const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };

/** What is handed to the HSM for a message: its digest, or itself. */
export function signable(row: SignatureAlgorithm, message: Buffer): Buffer {
  const hash = hashOf(row);
  return hash === undefined || row.kind === 'hmac' ? message : createHash(hash).update(message).digest();
}

/** undefined: this side has no private half. */
export function signature(row: SignatureAlgorithm, held: Held, message: Buffer): Buffer | undefined {
  const hash = hashOf(row);
  switch (row.kind) {
    case 'rsa-signature':
      if (hash === undefined) return privateEncrypt({ key: privateOf(held), padding: constants.RSA_PKCS1_PADDING }, message);
      return sign(hash, message, { key: privateOf(held), ...(row.padding === 'pss' ? PSS : {}) });
    case 'ec-signature':
      return sign(hash, message, { key: privateOf(held), dsaEncoding: 'ieee-p1363' });
    case 'hmac':
      return createHmac(row.digest, secretOf(held)).update(message).digest();
    case 'ml-dsa':
      return undefined;
  }
}

export function isRight(row: SignatureAlgorithm, held: Held, message: Buffer, signed: Buffer): boolean {
  const hash = hashOf(row);
  switch (row.kind) {
    case 'rsa-signature':
      if (hash === undefined) return publicDecrypt({ key: publicOf(held), padding: constants.RSA_PKCS1_PADDING }, signed).equals(message);
      return verify(hash, message, { key: publicOf(held), ...(row.padding === 'pss' ? PSS : {}) }, signed);
    case 'ec-signature':
      return verify(hash, message, { key: publicOf(held), dsaEncoding: 'ieee-p1363' }, signed);
    case 'hmac':
      return createHmac(row.digest, secretOf(held)).update(message).digest().equals(signed);
    case 'ml-dsa':
      return verify(null, message, publicOf(held), signed);
  }
}

/** Lengths of what can be handed to the HSM to sign, in bytes. */
export function signableLengths(row: SignatureAlgorithm, { bits = 0 }: Held): Lengths {
  if (row.kind === 'hmac' || row.kind === 'ml-dsa') return { taken: [0, 1, 1000], refused: [] };
  if (row.kind === 'rsa-signature' && row.digest === undefined) return { taken: [1, bits / 8 - 11], refused: [0, bits / 8 - 10, bits / 8] };
  const exact = signable(row, NOTHING).length;
  return { taken: [exact], refused: [0, exact - 1, exact + 1, 20, 2 * exact] };
}

function hashOf(row: SignatureAlgorithm): string | undefined {
  switch (row.kind) {
    case 'rsa-signature':
    case 'hmac':
      return row.digest;
    case 'ec-signature':
      // RFC 7518 section 3.4, RFC 8812 section 3.2.
      return { ES256: 'sha256', ES256K: 'sha256', ES384: 'sha384', ES512: 'sha512' }[row.name];
    case 'ml-dsa':
      return undefined;
  }
}

const NOTHING = Buffer.alloc(0);

function secretOf({ secret }: Pick<Held, 'secret'>): Buffer {
  if (secret === undefined) throw new TypeError('this key has no secret here');
  return secret;
}

function privateOf({ name, privateKey }: Held): KeyObject {
  if (privateKey === undefined) throw new TypeError(`${name} has no private half here`);
  return privateKey;
}

function publicOf({ name, publicKey }: Held): KeyObject {
  if (publicKey === undefined) throw new TypeError(`${name} has no public half here`);
  return publicKey;
}
