// The words of the safe: what a key is asked for, what of it may be shown, and the sealed forms in which a row may keep it.
// Other rooms import these types (and nothing else that touches key bytes); only crypto/ makes or opens a sealed value.

export type Curve = 'P-256' | 'P-256K' | 'P-384' | 'P-521';
export type RsaSize = 2048 | 3072 | 4096;
export type AesSize = 128 | 192 | 256;
/** Parameter sets of FIPS 204. */
export type MlDsaSet = 'ML-DSA-44' | 'ML-DSA-65' | 'ML-DSA-87';

/** What a new key is asked to be. Sizes in bits. */
export type KeySpec =
  | { readonly kty: 'RSA-HSM'; readonly size: RsaSize; readonly exponent: 3 | 65537 }
  | { readonly kty: 'EC-HSM'; readonly curve: Curve }
  | { readonly kty: 'oct-HSM'; readonly size: AesSize }
  | { readonly kty: 'AKP-HSM'; readonly alg: MlDsaSet };

/**
 * The public description of one key version: stored as JSON in its row and shown in its bundle.
 * `n`, `e`, `x`, `y` are base64url, big-endian; `x` and `y` have the curve's full width, `e` is minimal. `pub` is base64url. Sizes in bits.
 */
export type KeyMaterial =
  | { readonly kty: 'RSA-HSM'; readonly size: number; readonly n: string; readonly e: string }
  | { readonly kty: 'EC-HSM'; readonly crv: Curve; readonly x: string; readonly y: string }
  | { readonly kty: 'oct-HSM'; readonly size: number }
  | { readonly kty: 'AKP-HSM'; readonly alg: MlDsaSet; readonly pub: string };

export type KeyType = KeyMaterial['kty'];

declare const brand: unique symbol;

/** A private or secret key, sealed under its HSM's domain key and bound to its HSM, name and version. */
export type SealedKey = Uint8Array & { readonly [brand]: 'SealedKey' };

/** An HSM's domain key, sealed under the root key and bound to the HSM's id. */
export type SealedDomainKey = Uint8Array & { readonly [brand]: 'SealedDomainKey' };

/**
 * What the service seals under the root key besides domain keys. Each must be sealed anew when the root key changes: `operator/reseal.ts` has a row for each,
 * and a purpose without one does not compile.
 */
export type SecretPurpose =
  | 'token-signing-key'
  | 'first-account'
  | 'exchange-key'
  | 'audit-signing-key'
  | 'evidence-authority'
  | 'evidence-signer'
  | 'backup-token'
  | 'certificate-authority'
  | 'sign-in form'
  | 'root-key';

/** Which key version this is, and so the associated data of its seal. `name` arrives lower-cased. */
export interface KeyIdentity {
  readonly hsmId: string;
  readonly name: string;
  readonly version: string;
}

/** To whom a key may be given, as one text that the rooms understand and the safe does not. */
export interface ReleaseTerms {
  /** `exportable`: the key itself leaves. `secure`: what it wraps is unwrapped for a target that was attested, and it does nothing else. */
  readonly kind: 'exportable' | 'secure';
  readonly policy: string;
}

/** How a released key travels to its target: RSA-OAEP with SHA-1, SHA-256 or SHA-384, and AES key wrap with padding. */
export type ReleaseEncryption = 'CKM_RSA_AES_KEY_WRAP' | 'RSA_AES_KEY_WRAP_256' | 'RSA_AES_KEY_WRAP_384';

/** What is part of a key version's seal beside its place: a row that was changed in these opens nothing. */
export interface KeyTerms {
  /** Undefined for keys that were sealed before this was kept. */
  readonly origin: 'generated' | 'imported' | undefined;
  /** Undefined: it never leaves. */
  readonly release: ReleaseTerms | undefined;
}

export interface DomainAtRest {
  readonly hsmId: string;
  readonly sealed: SealedDomainKey;
}

/** A key version as the store has it. `sealed` is read only when the native key is not cached, so a getter may load it late. */
export interface KeyAtRest {
  readonly domain: DomainAtRest;
  readonly identity: KeyIdentity;
  readonly material: KeyMaterial;
  readonly terms: KeyTerms;
  readonly sealed: SealedKey;
}

export interface MadeKey {
  readonly sealed: SealedKey;
  readonly material: KeyMaterial;
  readonly terms: KeyTerms;
}

/** A private key as an import brings it: a JSON Web Key whose members are still base64url text. */
export interface PrivateJwk {
  readonly kty: string;
  readonly crv?: string | undefined;
  readonly n?: string | undefined;
  readonly e?: string | undefined;
  readonly d?: string | undefined;
  readonly p?: string | undefined;
  readonly q?: string | undefined;
  readonly dp?: string | undefined;
  readonly dq?: string | undefined;
  readonly qi?: string | undefined;
  readonly x?: string | undefined;
  readonly y?: string | undefined;
  readonly k?: string | undefined;
}

/** What a wrapped key is announced to be, in the words of the request. Without a curve it may be on any that the service has. */
export interface WrappedKeySpec {
  readonly kty: string;
  readonly crv?: string | undefined;
}

/** For the code that reads a row: these bytes are a sealed key. Whether that is true shows when it is opened. */
export function asSealedKey(bytes: Uint8Array): SealedKey {
  return bytes as SealedKey;
}

/** For the code that reads a row: these bytes are a sealed domain key. Whether that is true shows when it is opened. */
export function asSealedDomainKey(bytes: Uint8Array): SealedDomainKey {
  return bytes as SealedDomainKey;
}
