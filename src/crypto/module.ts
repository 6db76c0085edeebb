// What the safe can do, whoever does it: OpenSSL inside Node today, a PKCS#11 token beside it. Callers hand in keys as the store has them
// and get back public descriptions, sealed bytes and results; no key bytes ever leave through here.

import type { KeyObject } from 'node:crypto';
import type { Algorithm, KeyOperation } from './algorithms.ts';
import type { Custodians } from './security-domain/certificate.ts';
import type {
  DomainAtRest,
  KeyAtRest,
  KeyIdentity,
  KeyMaterial,
  KeySpec,
  KeyTerms,
  MadeKey,
  PrivateJwk,
  ReleaseEncryption,
  ReleaseTerms,
  SealedDomainKey,
  SealedKey,
  SecretPurpose,
  WrappedKeySpec,
} from './types.ts';

export interface EncryptParameters {
  /** CBC: 16 bytes, required. GCM makes its own. */
  readonly iv?: Uint8Array | undefined;
  /** GCM only. */
  readonly aad?: Uint8Array | undefined;
}

export interface DecryptParameters extends EncryptParameters {
  /** GCM: 16 bytes, required. */
  readonly tag?: Uint8Array | undefined;
}

/** For ML-DSA alone. */
export interface SignParameters {
  /** FIPS 204 section 5.2: at most 255 bytes, and none is the same as empty. */
  readonly context?: Uint8Array | undefined;
  /** The value is not the message but its representative of 64 bytes, made outside (FIPS 204 section 6.2, µ). */
  readonly isMu?: boolean | undefined;
}

export interface Encrypted {
  readonly value: Buffer;
  readonly iv?: Buffer;
  readonly tag?: Buffer;
}

/** The key to which custodians encrypt a security domain for its new HSM. */
export interface SealedExchangeKey {
  /** DER. */
  readonly certificate: Uint8Array;
  readonly sealed: Uint8Array;
}

export interface CryptoModule {
  /** A fresh random domain key, sealed under the root key and bound to this HSM. */
  createDomain(hsmId: string): SealedDomainKey;

  /**
   * Reads the `certificates` and `required` of a security-domain download. Throws BadParameter that names the certificate at fault and says
   * what is allowed.
   */
  readCustodians(certificates: unknown, required: unknown): Custodians;

  /**
   * The security-domain file of this HSM (compact JSON) under a fresh master key shared among the custodians: whoever opens it with a quorum
   * of their keys holds the domain. `domainId` is the lower-case GUID that was made together with the domain.
   */
  exportSecurityDomain(domain: DomainAtRest, domainId: string, custodians: Custodians): string;

  /**
   * A fresh RSA-4096 exchange key for an HSM that waits for a security domain: its self-signed certificate, valid from `now` (milliseconds) for a year,
   * and the private half sealed under the root key and bound to the HSM.
   */
  createExchangeKey(hsmId: string, commonName: string, now: number): Promise<SealedExchangeKey>;

  /** The domain in a restore blob that was made for this exchange key, sealed for this HSM. Throws BadParameter for any other text. */
  adoptDomain(
    hsmId: string,
    restoreBlob: string,
    exchange: SealedExchangeKey,
  ): { readonly domainId: string; readonly sealed: SealedDomainKey };

  /** A backup of keys as a compact JWE (RFC 7516, `dir`, A256CBC-HS512) that whoever holds this domain opens. `plain` has sealed keys alone. */
  sealBackup(domain: DomainAtRest, plain: Uint8Array): string;

  /** What `sealBackup` sealed, on any HSM of the same domain. Throws the one cryptographic failure for everything else. */
  openBackup(domain: DomainAtRest, jwe: string): Buffer;

  /**
   * A sealed key that belonged to another place in the same domain, sealed for this one, under other terms if they are given. Throws when it did not
   * belong there.
   */
  adopt(domain: DomainAtRest, key: MadeKey, from: KeyIdentity, to: KeyIdentity, terms?: KeyTerms): SealedKey;

  /**
   * One part of a backup of the whole HSM, sealed for whoever holds this domain. `part` is its name and place within the backup: a part that is moved, or
   * put into another backup, does not open. `plain` has sealed keys alone.
   */
  sealBackupPart(domain: DomainAtRest, backupId: string, part: readonly string[], plain: Uint8Array): Buffer;

  /** What `sealBackupPart` sealed, on any HSM of the same domain. Throws when anything differs, without saying what. */
  openBackupPart(domain: DomainAtRest, backupId: string, part: readonly string[], sealed: Uint8Array): Buffer;

  /** Makes a key without blocking the calling thread for longer than a symmetric key takes. */
  generate(domain: DomainAtRest, identity: KeyIdentity, spec: KeySpec, release?: ReleaseTerms): Promise<MadeKey>;

  /** Takes a private JWK in after checking that it is one consistent key. Throws BadParameter that names the member at fault. */
  import(domain: DomainAtRest, identity: KeyIdentity, jwk: PrivateJwk, release?: ReleaseTerms): MadeKey;

  /**
   * Takes in a key that was wrapped for `kek` (CKM_RSA_AES_KEY_WRAP; inside PKCS#8, or the bytes of a secret key), after the checks of `import`.
   * Whatever does not unwrap to a key is `cryptographicFailure`.
   */
  importWrapped(
    domain: DomainAtRest,
    identity: KeyIdentity,
    kek: KeyAtRest,
    wrapped: Uint8Array,
    spec: WrappedKeySpec,
    release?: ReleaseTerms,
  ): MadeKey;

  /**
   * The algorithm of this name, once it is certain that such a key can do this operation with it. Throws BadParameter for an unknown name, and for one
   * that does not fit the operation, the key type, the curve or the key size.
   */
  algorithm(name: string, operation: KeyOperation, material: KeyMaterial): Algorithm;

  /**
   * Encrypts or wraps, as the algorithm's row says. `iv` in the answer is the one used (GCM: made here; CBC: the caller's).
   * Throws BadParameter for what the caller can see is wrong (length, iv).
   */
  encrypt(key: KeyAtRest, algorithm: Algorithm, value: Uint8Array, parameters?: EncryptParameters): Encrypted;

  /** Decrypts or unwraps. Whatever depends on the key (padding, tag, integrity) fails as one: `cryptographicFailure`. */
  decrypt(key: KeyAtRest, algorithm: Algorithm, value: Uint8Array, parameters?: DecryptParameters): Buffer;

  /**
   * Signs a digest (RS, PS, ES), raw data (RSNULL) or any bytes (HS, ML-DSA). ES signatures are r‖s, each of the curve's width. Throws BadParameter for a
   * length that the algorithm does not take, and for parameters that it does not have.
   */
  sign(key: KeyAtRest, algorithm: Algorithm, value: Uint8Array, parameters?: SignParameters): Buffer;

  /** Whether the signature is this key's over this value. A malformed signature is simply not: false, never an error. */
  verify(key: KeyAtRest, algorithm: Algorithm, value: Uint8Array, signature: Uint8Array, parameters?: SignParameters): boolean;

  /** A fresh AES-256 key, wrapped by a key that is for secure wrapping and nothing else. */
  secureWrap(key: KeyAtRest, algorithm: Algorithm): Buffer;

  /** What `secureWrap` wrapped, encrypted for the holder of this RSA key (RSA-OAEP with SHA-256). Fails as one, like `decrypt`. */
  secureUnwrap(key: KeyAtRest, algorithm: Algorithm, value: Uint8Array, target: KeyObject): Buffer;

  /**
   * An exportable key, wrapped for the holder of this RSA key: PKCS#8 of an asymmetric one, the bytes themselves of a secret one. Whether the target may
   * have it is the caller's to know; that its terms are those it was sealed with shows when it is opened.
   */
  release(key: KeyAtRest, target: KeyObject, encryption: ReleaseEncryption): Buffer;

  /** Throws unless the sealed key opens, under the terms of its row, and is the private half of what is described. */
  check(key: KeyAtRest): void;

  randomBytes(count: number): Buffer;

  /** Seals a secret of the service's own (a token signing key, say) under the root key, bound to its purpose and name. */
  sealSecret(purpose: SecretPurpose, name: string, plain: Uint8Array): Uint8Array;

  /** Opens what `sealSecret` made; the caller zeroes the result. Throws when purpose, name or bytes are not the sealed ones. */
  openSecret(purpose: SecretPurpose, name: string, sealed: Uint8Array): Buffer;

  /** The same domain key sealed under the root key that is in charge now; undefined when it is already. */
  resealDomain(domain: DomainAtRest): SealedDomainKey | undefined;

  /** The same secret sealed under the root key that is in charge now; undefined when it is already. Throws as `openSecret`. */
  resealSecret(purpose: SecretPurpose, name: string, sealed: Uint8Array): Uint8Array | undefined;

  /** Frees the native form of one key version now, rather than when the cache gets to it. */
  drop(identity: KeyIdentity): void;

  /** Frees the native forms of all versions of a key. `name` arrives lower-cased. */
  dropKey(hsmId: string, name: string): void;

  /** Forgets an HSM's unsealed domain key, and every native key that came from it. */
  dropDomain(hsmId: string): void;

  /** Frees every native key and zeroes every unsealed one. Nothing may be called afterwards. */
  close(): void;
}
