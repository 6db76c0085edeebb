// Every algorithm of the data plane, one row each: whose it is, what it may do, and the facts that the operations need.
// A name from the wire is looked up here once; past that point only its row is handed on.
// Source: data-plane algorithms of the Key Vault REST reference (JsonWebKeyEncryptionAlgorithm, JsonWebKeySignatureAlgorithm); RFC 7518.

import { badParameter } from '../core/errors-keyvault.ts';
import type { AesSize, Curve, KeyMaterial, MlDsaSet } from './types.ts';

export type KeyOperation = 'encrypt' | 'decrypt' | 'sign' | 'verify' | 'wrapKey' | 'unwrapKey' | 'secureWrapKey' | 'secureUnwrapKey';
export type Digest = 'sha1' | 'sha256' | 'sha384' | 'sha512';

export type Algorithm = RsaEncryption | RsaSignature | EcSignature | MlDsaSignature | AesGcm | AesCbc | AesKeyWrap | Hmac;
export type EncryptionAlgorithm = RsaEncryption | AesGcm | AesCbc | AesKeyWrap;
export type SignatureAlgorithm = RsaSignature | EcSignature | MlDsaSignature | Hmac;

interface Row {
  readonly name: string;
  readonly operations: readonly KeyOperation[];
}

export interface RsaEncryption extends Row {
  readonly kind: 'rsa-encryption';
  readonly kty: 'RSA-HSM';
  readonly padding: 'pkcs1' | 'oaep';
  /** OAEP: the hash of the label and of MGF1. */
  readonly digest: Digest | undefined;
  /** Bytes of the modulus that the padding takes: the longest plaintext is the modulus less this. */
  readonly overhead: number;
}

export interface RsaSignature extends Row {
  readonly kind: 'rsa-signature';
  readonly kty: 'RSA-HSM';
  readonly padding: 'pkcs1' | 'pss';
  /** undefined: RSNULL, the padding without a DigestInfo. */
  readonly digest: Digest | undefined;
  /** Exact bytes of the value to sign; RSNULL has no such rule. */
  readonly valueBytes: number | undefined;
}

export interface EcSignature extends Row {
  readonly kind: 'ec-signature';
  readonly kty: 'EC-HSM';
  readonly curve: Curve;
  readonly valueBytes: number;
  /** Bytes of r and of s. */
  readonly width: number;
}

export interface MlDsaSignature extends Row {
  readonly kind: 'ml-dsa';
  readonly kty: 'AKP-HSM';
  readonly name: MlDsaSet;
}

interface AesRow extends Row {
  readonly kty: 'oct-HSM';
  /** undefined: any AES key. */
  readonly keyBits: AesSize | undefined;
}

export interface AesGcm extends AesRow {
  readonly kind: 'aes-gcm';
}

export interface AesCbc extends AesRow {
  readonly kind: 'aes-cbc';
  readonly padded: boolean;
}

export interface AesKeyWrap extends AesRow {
  readonly kind: 'aes-kw';
  readonly padded: boolean;
}

export interface Hmac extends Row {
  readonly kind: 'hmac';
  readonly kty: 'oct-HSM';
  readonly digest: Digest;
}

const crypt: readonly KeyOperation[] = ['encrypt', 'decrypt'];
const secure: readonly KeyOperation[] = ['secureWrapKey', 'secureUnwrapKey'];
const wrap: readonly KeyOperation[] = ['wrapKey', 'unwrapKey', ...secure];
const both: readonly KeyOperation[] = ['encrypt', 'decrypt', 'wrapKey', 'unwrapKey'];
const all: readonly KeyOperation[] = [...both, ...secure];
const signature: readonly KeyOperation[] = ['sign', 'verify'];

// biome-ignore format: a table reads by its columns
const rows: readonly Algorithm[] = [
  rsaEncryption('RSA1_5',               both,      'pkcs1', undefined, 11),
  rsaEncryption('RSA-OAEP',             both,      'oaep',  'sha1',    42),
  rsaEncryption('RSA-OAEP-256',         all,       'oaep',  'sha256',  66),

  rsaSignature('RS256',                 signature, 'pkcs1', 'sha256',  32),
  rsaSignature('RS384',                 signature, 'pkcs1', 'sha384',  48),
  rsaSignature('RS512',                 signature, 'pkcs1', 'sha512',  64),
  rsaSignature('PS256',                 signature, 'pss',   'sha256',  32),
  rsaSignature('PS384',                 signature, 'pss',   'sha384',  48),
  rsaSignature('PS512',                 signature, 'pss',   'sha512',  64),
  rsaSignature('RSNULL',                signature, 'pkcs1', undefined, undefined),

  ecSignature('ES256',                  signature, 'P-256',  32, 32),
  ecSignature('ES256K',                 signature, 'P-256K', 32, 32),
  ecSignature('ES384',                  signature, 'P-384',  48, 48),
  ecSignature('ES512',                  signature, 'P-521',  64, 66),

  mlDsa('ML-DSA-44',                    signature),
  mlDsa('ML-DSA-65',                    signature),
  mlDsa('ML-DSA-87',                    signature),

  aesKeyWrap('A128KW',                  wrap,      128,       false),
  aesKeyWrap('A192KW',                  wrap,      192,       false),
  aesKeyWrap('A256KW',                  wrap,      256,       false),
  aesKeyWrap('CKM_AES_KEY_WRAP',        wrap,      undefined, false),
  aesKeyWrap('CKM_AES_KEY_WRAP_PAD',    wrap,      undefined, true),

  aesKeyWrap('A128KWPAD',               secure,    128,       true),
  aesKeyWrap('A192KWPAD',               secure,    192,       true),
  aesKeyWrap('A256KWPAD',               secure,    256,       true),

  aesGcm('A128GCM',                     crypt,     128),
  aesGcm('A192GCM',                     crypt,     192),
  aesGcm('A256GCM',                     crypt,     256),

  aesCbc('A128CBC',                     crypt,     128,       false),
  aesCbc('A192CBC',                     crypt,     192,       false),
  aesCbc('A256CBC',                     crypt,     256,       false),
  aesCbc('A128CBCPAD',                  crypt,     128,       true),
  aesCbc('A192CBCPAD',                  crypt,     192,       true),
  aesCbc('A256CBCPAD',                  crypt,     256,       true),

  hmac('HS256',                         signature, 'sha256'),
  hmac('HS384',                         signature, 'sha384'),
  hmac('HS512',                         signature, 'sha512'),
];

function rsaEncryption(
  name: string,
  operations: readonly KeyOperation[],
  padding: 'pkcs1' | 'oaep',
  digest: Digest | undefined,
  overhead: number,
): RsaEncryption {
  return { kind: 'rsa-encryption', kty: 'RSA-HSM', name, operations, padding, digest, overhead };
}

function rsaSignature(
  name: string,
  operations: readonly KeyOperation[],
  padding: 'pkcs1' | 'pss',
  digest: Digest | undefined,
  valueBytes: number | undefined,
): RsaSignature {
  return { kind: 'rsa-signature', kty: 'RSA-HSM', name, operations, padding, digest, valueBytes };
}

function ecSignature(name: string, operations: readonly KeyOperation[], curve: Curve, valueBytes: number, width: number): EcSignature {
  return { kind: 'ec-signature', kty: 'EC-HSM', name, operations, curve, valueBytes, width };
}

function mlDsa(name: MlDsaSet, operations: readonly KeyOperation[]): MlDsaSignature {
  return { kind: 'ml-dsa', kty: 'AKP-HSM', name, operations };
}

function aesKeyWrap(name: string, operations: readonly KeyOperation[], keyBits: AesSize | undefined, padded: boolean): AesKeyWrap {
  return { kind: 'aes-kw', kty: 'oct-HSM', name, operations, keyBits, padded };
}

function aesGcm(name: string, operations: readonly KeyOperation[], keyBits: AesSize): AesGcm {
  return { kind: 'aes-gcm', kty: 'oct-HSM', name, operations, keyBits };
}

function aesCbc(name: string, operations: readonly KeyOperation[], keyBits: AesSize, padded: boolean): AesCbc {
  return { kind: 'aes-cbc', kty: 'oct-HSM', name, operations, keyBits, padded };
}

function hmac(name: string, operations: readonly KeyOperation[], digest: Digest): Hmac {
  return { kind: 'hmac', kty: 'oct-HSM', name, operations, digest };
}

const byName: ReadonlyMap<string, Algorithm> = new Map(rows.map((row) => [row.name, row]));

/** Every row, in the order of the table. */
export const algorithms: readonly Algorithm[] = rows;

/**
 * The row of a name from the wire, once it is certain that this key can do this operation with it.
 * Throws BadParameter for an unknown name, and for a name that does not fit the operation, the key type, the curve or the key size.
 */
export function algorithmFor(name: string, operation: KeyOperation, material: KeyMaterial): Algorithm {
  const algorithm = byName.get(name);
  if (algorithm === undefined) throw badParameter(`Algorithm '${name}' is not supported`);
  if (!algorithm.operations.includes(operation)) throw badParameter(`Algorithm '${name}' cannot be used for operation '${operation}'`);
  if (algorithm.kty !== material.kty) {
    throw badParameter(`Algorithm '${name}' requires a key of type '${algorithm.kty}', and this key is of type '${material.kty}'`);
  }
  if (algorithm.kind === 'ec-signature' && material.kty === 'EC-HSM' && algorithm.curve !== material.crv) {
    throw badParameter(`Algorithm '${name}' requires a key on curve '${algorithm.curve}', and this key is on curve '${material.crv}'`);
  }
  if (algorithm.kind === 'ml-dsa' && material.kty === 'AKP-HSM' && algorithm.name !== material.alg) {
    throw badParameter(`Algorithm '${name}' requires a key of that parameter set, and this key is of '${material.alg}'`);
  }
  if (isAes(algorithm) && material.kty === 'oct-HSM' && !fits(algorithm.keyBits, material.size)) {
    throw badParameter(
      `Algorithm '${name}' requires a key of ${algorithm.keyBits ?? '128, 192 or 256'} bits, and this key has ${material.size}`,
    );
  }
  return algorithm;
}

function isAes(algorithm: Algorithm): algorithm is AesGcm | AesCbc | AesKeyWrap {
  return algorithm.kind === 'aes-gcm' || algorithm.kind === 'aes-cbc' || algorithm.kind === 'aes-kw';
}

function fits(required: AesSize | undefined, size: number): boolean {
  return required === undefined ? size === 128 || size === 192 || size === 256 : size === required;
}
