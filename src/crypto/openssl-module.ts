// The safe on OpenSSL: keeps keys usable in native memory for as long as they are asked for, and everything else sealed.
// One per thread. Knows seals, keys and algorithms; no rows, no wire, no permissions.

import { createPrivateKey, generateKeyPair, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { LRUCache } from 'lru-cache';
import { selfSigned } from '../core/self-signed.ts';
import { type Algorithm, algorithmFor, type KeyOperation } from './algorithms.ts';
import { DOMAIN_KEY_LENGTH, openDomainKey, sealDomainKey } from './domain.ts';
import type { CryptoModule, DecryptParameters, Encrypted, EncryptParameters, SealedExchangeKey, SignParameters } from './module.ts';
import { decryptWith, encryptWith, mismatch, signWith, verifyWith } from './operations.ts';
import { bringIn, makeKey, type PlainKey, type UsableKey } from './plain-key.ts';
import { readPrivateJwk } from './private-jwk.ts';
import { unwrapForTarget, wrapForRelease, wrapFreshKey } from './release.ts';
import { RootKeys } from './root-keys.ts';
import { open, seal, subkey } from './seal.ts';
import { type Custodians, readCustodians } from './security-domain/certificate.ts';
import { exportSecurityDomain, recoverSecurityDomain } from './security-domain/content.ts';
import { openDirect, sealDirect } from './security-domain/jwe.ts';
import {
  asSealedKey,
  type DomainAtRest,
  type KeyAtRest,
  type KeyIdentity,
  type KeyMaterial,
  type KeySpec,
  type KeyTerms,
  type MadeKey,
  type PrivateJwk,
  type ReleaseEncryption,
  type ReleaseTerms,
  type SealedDomainKey,
  type SealedKey,
  type SecretPurpose,
  type WrappedKeySpec,
} from './types.ts';
import { readWrappedKey } from './wrapped-key.ts';

export interface OpenSslOptions {
  /** 32 bytes, copied, so the caller zeroes its own; or what threads share, which the caller closes after the last module. */
  readonly rootKey: Uint8Array | RootKeys;
  /** Keys kept in native memory by this thread, about 9 KB each for RSA-2048. As many as one HSM may hold, unless told otherwise. */
  readonly cacheSize?: number;
}

const EXCHANGE_PURPOSE = 'exchange-key';
/** As the live service's. */
const EXCHANGE_KEY_BITS = 4096;
const EXCHANGE_KEY_DAYS = 365;
const generateKeyPairLater = promisify(generateKeyPair);
/** As the live service names the key of its backups. */
const BACKUP_KID = 'backup-protection-key';
/** A256CBC-HS512, RFC 7518 section 5.2.5. */
const BACKUP_KEY_LENGTH = 64;
/** Backups that are sealed or opened at the same time, with some to spare: an HSM has one job at a time. */
const BACKUPS = 64;
const KEYS_PER_HSM = 5000;

interface OpenDomain {
  readonly sealed: Buffer;
  /** The subkey for keys alone; the domain key itself is zeroed as soon as this is derived. */
  readonly subkey: Buffer;
}

/** Opens the safe for this thread. */
export function openCryptoModule(options: OpenSslOptions): CryptoModule {
  return new OpenSslModule(options);
}

class OpenSslModule implements CryptoModule {
  readonly #rootKeys: RootKeys;
  readonly #ownsRootKeys: boolean;
  readonly #keys: LRUCache<string, UsableKey>;
  /** Which versions of a key have a place in the cache, so that a changed key is freed without walking through all of them. */
  readonly #cachedVersions = new Map<string, Set<string>>();
  readonly #domains = new Map<string, OpenDomain>();
  readonly #backups = new LRUCache<string, Buffer>({ max: BACKUPS, dispose: (key) => key.fill(0) });
  #closed = false;

  constructor({ rootKey, cacheSize = KEYS_PER_HSM }: OpenSslOptions) {
    this.#ownsRootKeys = rootKey instanceof Uint8Array;
    this.#rootKeys = rootKey instanceof Uint8Array ? RootKeys.of(rootKey) : rootKey;
    this.#keys = new LRUCache<string, UsableKey>({
      max: cacheSize,
      dispose: (usable, name) => {
        freeNative(usable);
        this.#forgetVersion(name);
      },
    });
  }

  createDomain(hsmId: string): SealedDomainKey {
    const domainKey = randomBytes(DOMAIN_KEY_LENGTH);
    try {
      return sealDomainKey(this.#rootKey, hsmId, domainKey);
    } finally {
      domainKey.fill(0);
    }
  }

  readCustodians(certificates: unknown, required: unknown): Custodians {
    return readCustodians(certificates, required);
  }

  exportSecurityDomain(domain: DomainAtRest, domainId: string, custodians: Custodians): string {
    const domainKey = this.#openDomainKey(domain);
    try {
      return exportSecurityDomain({ domainId, domainKey }, custodians.certificates, custodians.quorum);
    } finally {
      domainKey.fill(0);
    }
  }

  async createExchangeKey(hsmId: string, commonName: string, now: number): Promise<SealedExchangeKey> {
    this.#refuseWhenClosed();
    const { publicKey, privateKey } = await generateKeyPairLater('rsa', { modulusLength: EXCHANGE_KEY_BITS });
    const plain = privateKey.export({ type: 'pkcs8', format: 'der' });
    try {
      const certificate = selfSigned(publicKey, privateKey, commonName, now, EXCHANGE_KEY_DAYS).raw;
      return { certificate, sealed: this.sealSecret(EXCHANGE_PURPOSE, hsmId, plain) };
    } finally {
      plain.fill(0);
    }
  }

  adoptDomain(hsmId: string, restoreBlob: string, { certificate, sealed }: SealedExchangeKey) {
    const plain = this.openSecret(EXCHANGE_PURPOSE, hsmId, sealed);
    try {
      const privateKey = createPrivateKey({ key: plain, type: 'pkcs8', format: 'der' });
      const { domainId, domainKey } = recoverSecurityDomain(restoreBlob, { privateKey, certificateDer: certificate });
      try {
        return { domainId, sealed: sealDomainKey(this.#rootKey, hsmId, domainKey) };
      } finally {
        domainKey.fill(0);
      }
    } finally {
      plain.fill(0);
    }
  }

  sealBackup(domain: DomainAtRest, plain: Uint8Array): string {
    return this.#withBackupKey(domain, (cek) => sealDirect(plain, cek, BACKUP_KID));
  }

  openBackup(domain: DomainAtRest, jwe: string): Buffer {
    return this.#withBackupKey(domain, (cek) => openDirect(jwe, cek, BACKUP_KID));
  }

  adopt(domain: DomainAtRest, key: MadeKey, from: KeyIdentity, to: KeyIdentity, terms: KeyTerms = key.terms): SealedKey {
    const { sealed, material } = key;
    const plain = open(this.#domainSubkey(domain), 'key', placeOf(from, material, key.terms), sealed);
    return this.#seal(domain, to, { plain, material }, terms).sealed;
  }

  sealBackupPart(domain: DomainAtRest, backupId: string, part: readonly string[], plain: Uint8Array): Buffer {
    return seal(this.#fullBackupKey(domain, backupId), 'full backup', [backupId, ...part], plain);
  }

  openBackupPart(domain: DomainAtRest, backupId: string, part: readonly string[], sealed: Uint8Array): Buffer {
    return open(this.#fullBackupKey(domain, backupId), 'full backup', [backupId, ...part], sealed);
  }

  async generate(domain: DomainAtRest, identity: KeyIdentity, spec: KeySpec, release?: ReleaseTerms): Promise<MadeKey> {
    this.#refuseWhenClosed();
    const made = await makeKey(spec);
    return this.#seal(domain, identity, made, { origin: 'generated', release });
  }

  import(domain: DomainAtRest, identity: KeyIdentity, jwk: PrivateJwk, release?: ReleaseTerms): MadeKey {
    return this.#seal(domain, identity, readPrivateJwk(jwk), { origin: 'imported', release });
  }

  importWrapped(
    domain: DomainAtRest,
    identity: KeyIdentity,
    kek: KeyAtRest,
    wrapped: Uint8Array,
    spec: WrappedKeySpec,
    release?: ReleaseTerms,
  ): MadeKey {
    const usable = this.#opened(kek);
    if (usable.kind !== 'native' || kek.material.kty !== 'RSA-HSM') throw new TypeError('a key exchange key is an RSA key');
    return this.#seal(domain, identity, readWrappedKey(usable.key, wrapped, spec), { origin: 'imported', release });
  }

  algorithm(name: string, operation: KeyOperation, material: KeyMaterial): Algorithm {
    return algorithmFor(name, operation, material);
  }

  encrypt(key: KeyAtRest, algorithm: Algorithm, value: Uint8Array, parameters: EncryptParameters = {}): Encrypted {
    return encryptWith(this.#usable(key, algorithm), algorithm, value, parameters);
  }

  decrypt(key: KeyAtRest, algorithm: Algorithm, value: Uint8Array, parameters: DecryptParameters = {}): Buffer {
    return decryptWith(this.#usable(key, algorithm), algorithm, value, parameters);
  }

  sign(key: KeyAtRest, algorithm: Algorithm, value: Uint8Array, parameters?: SignParameters): Buffer {
    return signWith(this.#usable(key, algorithm), algorithm, value, parameters);
  }

  verify(key: KeyAtRest, algorithm: Algorithm, value: Uint8Array, signature: Uint8Array, parameters?: SignParameters): boolean {
    return verifyWith(this.#usable(key, algorithm), algorithm, value, signature, parameters);
  }

  secureWrap(key: KeyAtRest, algorithm: Algorithm): Buffer {
    return this.#withSecureKey(key, algorithm, (usable) => wrapFreshKey(usable, algorithm));
  }

  secureUnwrap(key: KeyAtRest, algorithm: Algorithm, value: Uint8Array, target: KeyObject): Buffer {
    return this.#withSecureKey(key, algorithm, (usable) => unwrapForTarget(usable, algorithm, value, target));
  }

  release(key: KeyAtRest, target: KeyObject, encryption: ReleaseEncryption): Buffer {
    if (key.terms.release?.kind !== 'exportable') throw new TypeError('this key was not sealed as one that may leave');
    const plain = this.#plain(key);
    try {
      return wrapForRelease(target, plain, encryption);
    } finally {
      plain.fill(0);
    }
  }

  check(key: KeyAtRest): void {
    const plain = this.#plain(key);
    try {
      freeNative(bringIn(plain, key.material));
    } finally {
      plain.fill(0);
    }
  }

  randomBytes(count: number): Buffer {
    return randomBytes(count);
  }

  sealSecret(purpose: SecretPurpose, name: string, plain: Uint8Array): Uint8Array {
    return withSecretSubkey(this.#rootKey, (key) => seal(key, 'secret', [purpose, name], plain));
  }

  openSecret(purpose: SecretPurpose, name: string, sealed: Uint8Array): Buffer {
    return this.#underRootKey((rootKey) => openSecretUnder(rootKey, purpose, name, sealed));
  }

  resealDomain(domain: DomainAtRest): SealedDomainKey | undefined {
    if (opens(() => openDomainKey(this.#rootKey, domain))) return undefined;
    const domainKey = this.#openDomainKey(domain);
    try {
      return sealDomainKey(this.#rootKey, domain.hsmId, domainKey);
    } finally {
      domainKey.fill(0);
    }
  }

  resealSecret(purpose: SecretPurpose, name: string, sealed: Uint8Array): Uint8Array | undefined {
    if (opens(() => openSecretUnder(this.#rootKey, purpose, name, sealed))) return undefined;
    const plain = this.openSecret(purpose, name, sealed);
    try {
      return this.sealSecret(purpose, name, plain);
    } finally {
      plain.fill(0);
    }
  }

  drop(identity: KeyIdentity): void {
    this.#keys.delete(cacheName(identity));
  }

  dropKey(hsmId: string, name: string): void {
    for (const version of [...(this.#cachedVersions.get(hsmId + SEPARATOR + name) ?? [])]) this.drop({ hsmId, name, version });
  }

  dropDomain(hsmId: string): void {
    this.#domains.get(hsmId)?.subkey.fill(0);
    this.#domains.delete(hsmId);
    const prefix = hsmId + SEPARATOR;
    for (const name of [...this.#keys.keys()]) if (name.startsWith(prefix)) this.#keys.delete(name);
  }

  close(): void {
    this.#closed = true;
    this.#keys.clear();
    for (const { subkey: key } of this.#domains.values()) key.fill(0);
    this.#domains.clear();
    this.#backups.clear();
    if (this.#ownsRootKeys) this.#rootKeys.close();
  }

  #usable(key: KeyAtRest, algorithm: Algorithm): UsableKey {
    if (!fits(algorithm, key.material)) throw mismatch(algorithm, key.material.kty);
    return this.#opened(key);
  }

  /** The key in its native form: from the cache, or unsealed now. Throws when the row was changed or belongs elsewhere. */
  #opened(key: KeyAtRest): UsableKey {
    if (key.terms.release?.kind === 'secure') throw new TypeError('a key for secure wrapping does nothing else');
    const name = cacheName(key.identity);
    const cached = this.#keys.get(name);
    if (cached !== undefined) return cached;
    const plain = this.#plain(key);
    try {
      const usable = bringIn(plain, key.material);
      this.#keys.set(name, usable);
      this.#noteVersion(key.identity);
      return usable;
    } finally {
      plain.fill(0);
    }
  }

  /** Keys for secure wrapping are opened each time and never cached, so that the row's terms are held against the seal with every use. */
  #withSecureKey(key: KeyAtRest, algorithm: Algorithm, use: (usable: UsableKey) => Buffer): Buffer {
    if (key.terms.release?.kind !== 'secure') throw new TypeError('this key was not sealed for secure wrapping');
    if (!fits(algorithm, key.material)) throw mismatch(algorithm, key.material.kty);
    const plain = this.#plain(key);
    try {
      const usable = bringIn(plain, key.material);
      try {
        return use(usable);
      } finally {
        freeNative(usable);
      }
    } finally {
      plain.fill(0);
    }
  }

  /** The caller zeroes it. */
  #plain({ domain, identity, material, terms, sealed }: KeyAtRest): Buffer {
    return open(this.#domainSubkey(domain), 'key', placeOf(identity, material, terms), sealed);
  }

  #noteVersion({ hsmId, name, version }: KeyIdentity): void {
    const place = hsmId + SEPARATOR + name;
    const versions = this.#cachedVersions.get(place);
    if (versions === undefined) this.#cachedVersions.set(place, new Set([version]));
    else versions.add(version);
  }

  #forgetVersion(cached: string): void {
    const end = cached.lastIndexOf(SEPARATOR);
    const place = cached.slice(0, end);
    const versions = this.#cachedVersions.get(place);
    versions?.delete(cached.slice(end + 1));
    if (versions?.size === 0) this.#cachedVersions.delete(place);
  }

  #seal(domain: DomainAtRest, identity: KeyIdentity, { plain, material }: PlainKey, terms: KeyTerms): MadeKey {
    try {
      const sealed = seal(this.#domainSubkey(domain), 'key', placeOf(identity, material, terms), plain);
      return { sealed: asSealedKey(sealed), material, terms };
    } finally {
      plain.fill(0);
    }
  }

  /**
   * The subkey that this HSM's keys are sealed under. A row with another sealed domain key than last time is the same domain sealed anew, or another
   * one: then nothing of the old one may be used any more.
   */
  #domainSubkey(domain: DomainAtRest): Buffer {
    const known = this.#domains.get(domain.hsmId);
    if (known?.sealed.equals(domain.sealed)) return known.subkey;
    const domainKey = this.#openDomainKey(domain);
    try {
      const opened = { sealed: Buffer.from(domain.sealed), subkey: subkey(domainKey, 'key') };
      if (known !== undefined && timingSafeEqual(known.subkey, opened.subkey)) known.subkey.fill(0);
      else if (known !== undefined) this.dropDomain(domain.hsmId);
      this.#domains.set(domain.hsmId, opened);
      return opened.subkey;
    } finally {
      domainKey.fill(0);
    }
  }

  #withBackupKey<Result>(domain: DomainAtRest, use: (cek: Buffer) => Result): Result {
    const domainKey = this.#openDomainKey(domain);
    const cek = subkey(domainKey, 'backup', BACKUP_KEY_LENGTH);
    try {
      return use(cek);
    } finally {
      cek.fill(0);
      domainKey.fill(0);
    }
  }

  /**
   * Each backup has a subkey of its own, so that random nonces never meet under one key however many backups there are. Kept from its first part to the
   * last: the root key may change in between.
   */
  #fullBackupKey(domain: DomainAtRest, backupId: string): Buffer {
    this.#refuseWhenClosed();
    const place = domain.hsmId + SEPARATOR + backupId;
    const known = this.#backups.get(place);
    if (known !== undefined) return known;
    const domainKey = this.#openDomainKey(domain);
    try {
      const key = subkey(domainKey, 'full backup', undefined, backupId);
      this.#backups.set(place, key);
      return key;
    } finally {
      domainKey.fill(0);
    }
  }

  #openDomainKey(domain: DomainAtRest): Buffer {
    return this.#underRootKey((rootKey) => openDomainKey(rootKey, domain));
  }

  /** Opens with the current root key, or with the one beside it while the root key is being changed. */
  #underRootKey(openUnder: (rootKey: Uint8Array) => Buffer): Buffer {
    this.#refuseWhenClosed();
    const [current, ...others] = this.#rootKeys.accepted;
    try {
      return openUnder(current ?? this.#rootKey);
    } catch (failure) {
      for (const other of others) {
        try {
          return openUnder(other);
        } catch {
          // The first refusal is the one that counts.
        }
      }
      throw failure;
    }
  }

  /** What seals now. After `close` nothing may be sealed. */
  get #rootKey(): Uint8Array {
    this.#refuseWhenClosed();
    return this.#rootKeys.current;
  }

  #refuseWhenClosed(): void {
    if (this.#closed) throw new Error('the crypto module is closed');
  }
}

function openSecretUnder(rootKey: Uint8Array, purpose: SecretPurpose, name: string, sealed: Uint8Array): Buffer {
  return withSecretSubkey(rootKey, (key) => open(key, 'secret', [purpose, name], sealed));
}

function withSecretSubkey<Result>(rootKey: Uint8Array, use: (key: Buffer) => Result): Result {
  const key = subkey(rootKey, 'secret');
  try {
    return use(key);
  } finally {
    key.fill(0);
  }
}

/** Whether it opens; what it opened is zeroed. */
function opens(attempt: () => Buffer): boolean {
  try {
    attempt().fill(0);
    return true;
  } catch {
    return false;
  }
}

/** No part of an identity contains it. */
const SEPARATOR = '\0';

function cacheName({ hsmId, name, version }: KeyIdentity): string {
  return hsmId + SEPARATOR + name + SEPARATOR + version;
}

/**
 * Where a sealed key belongs, as what, and under which terms: a row whose type or curve was changed, or to whom the key may be given, opens no more
 * than one that was moved.
 */
function placeOf({ hsmId, name, version }: KeyIdentity, material: KeyMaterial, { origin, release }: KeyTerms): readonly string[] {
  const kind = kindOf(material);
  const terms = [...(origin === undefined ? [] : [origin]), ...(release === undefined ? [] : [release.kind, release.policy])];
  return [hsmId, name, version, kind, ...terms];
}

function kindOf(material: KeyMaterial): string {
  if (material.kty === 'EC-HSM') return material.crv;
  return material.kty === 'AKP-HSM' ? material.alg : material.kty;
}

function freeNative(usable: UsableKey): void {
  if (usable.kind === 'native') usable.key.free();
}

/** What `algorithmFor` has seen to already: asked again, because a mistake here would answer with weaker cryptography than was asked for. */
function fits(algorithm: Algorithm, material: KeyMaterial): boolean {
  switch (algorithm.kind) {
    case 'rsa-encryption':
    case 'rsa-signature':
      return material.kty === 'RSA-HSM';
    case 'ec-signature':
      return material.kty === 'EC-HSM' && material.crv === algorithm.curve;
    case 'ml-dsa':
      return material.kty === 'AKP-HSM' && material.alg === algorithm.name;
    case 'hmac':
      return material.kty === 'oct-HSM';
    case 'aes-gcm':
    case 'aes-cbc':
    case 'aes-kw':
      return material.kty === 'oct-HSM' && (algorithm.keyBits === undefined || algorithm.keyBits === material.size);
  }
}
