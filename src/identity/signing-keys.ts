// The keys that sign our tokens: RSA-2048, sealed in the store, known by the SHA-1 thumbprint of their certificate as Entra's are.
// One key signs at a time; those before it verify until their retirement and are then deleted.

import { createPrivateKey, generateKeyPair, type KeyObject, X509Certificate } from 'node:crypto';
import { promisify } from 'node:util';
import type { Clock } from '../core/clock.ts';
import { CoherentCache, type Versions } from '../core/coherence.ts';
import { selfSigned } from '../core/self-signed.ts';
import type { CryptoModule } from '../crypto/module.ts';
import type { Reader, Writer } from '../store/store.ts';
import type { Secrets, TenantParts } from './world.ts';

const SIGNING_KEYS = 'signing-keys';
const PURPOSE = 'token-signing-key';
const CERTIFICATE_DAYS = 1826;

/** Twice the life of a token: whatever was signed before a roll stays good, also when it was signed at the last moment elsewhere. */
const RETIREMENT = 2 * 3_600_000;

/** As JWKS shows it; `kid` and `x5t` are the same, as in Entra's. */
export interface PublicSigningKey {
  readonly kty: 'RSA';
  readonly use: 'sig';
  readonly kid: string;
  readonly x5t: string;
  readonly n: string;
  readonly e: string;
  readonly x5c: readonly string[];
}

export interface SigningKey {
  readonly kid: string;
  readonly privateKey: KeyObject;
}

export interface VerifyingKey {
  readonly publicKey: KeyObject;
  /** Milliseconds; infinite for the key that signs now. */
  readonly retiresAt: number;
}

/** The key that signs now. */
export type CurrentKey = () => Promise<SigningKey>;

/** A key that is made and sealed, but not yet in the store. */
export interface NewSigningKey {
  readonly kid: string;
  readonly sealed: Uint8Array;
  readonly publicJson: string;
  readonly certificate: string;
}

/** Makes a key without blocking this thread. */
export async function newSigningKey(crypto: Secrets, clock: Clock): Promise<NewSigningKey> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
  const certificate = selfSigned(publicKey, privateKey, 'Strongroom token signing', clock.now(), CERTIFICATE_DAYS);
  const kid = thumbprint(certificate);
  const { n, e } = publicKey.export({ format: 'jwk' });
  if (n === undefined || e === undefined) throw new Error('an RSA key has a modulus and an exponent');
  const shown: PublicSigningKey = { kty: 'RSA', use: 'sig', kid, x5t: kid, n, e, x5c: [certificate.raw.toString('base64')] };
  const plain = privateKey.export({ type: 'pkcs8', format: 'der' });
  try {
    return { kid, sealed: crypto.sealSecret(PURPOSE, kid, plain), publicJson: JSON.stringify(shown), certificate: certificate.toString() };
  } finally {
    plain.fill(0);
  }
}

/** SHA-1 of the certificate, base64url: `x5t` of RFC 7515 section 4.1.7. */
export function thumbprint(certificate: X509Certificate): string {
  return Buffer.from(certificate.fingerprint.replaceAll(':', ''), 'hex').toString('base64url');
}

/** SHA-256 of the certificate, base64url: `x5t#S256` of RFC 7515 section 4.1.8. */
export function thumbprint256(certificate: X509Certificate): string {
  return Buffer.from(certificate.fingerprint256.replaceAll(':', ''), 'hex').toString('base64url');
}

/** Puts a new key in charge; the one before it still verifies until `retiresAt`. */
export async function installSigningKey(writer: Writer, clock: Clock, key: NewSigningKey, retiresAt: number): Promise<void> {
  await writer.updateTable('signing_keys').set({ retired_at: retiresAt }).where('retired_at', 'is', null).execute();
  const row = { kid: key.kid, sealed: key.sealed, public_json: key.publicJson, certificate: key.certificate };
  await writer
    .insertInto('signing_keys')
    .values({ ...row, created_at: clock.now(), retired_at: null })
    .execute();
  writer.touch(SIGNING_KEYS);
}

/** Replaces the key that signs tokens. `retirement` (milliseconds): how long the old one still verifies; 0 when it may be known to others. */
export async function rollSigningKey(
  parts: Pick<TenantParts, 'write' | 'crypto' | 'clock'>,
  retirement: number = RETIREMENT,
): Promise<void> {
  const key = await newSigningKey(parts.crypto, parts.clock);
  await parts.write((writer) => installSigningKey(writer, parts.clock, key, parts.clock.now() + retirement));
}

/** The keys, sealed under the root key that is in charge now. The keys themselves stay the same, and so does what threads have unsealed. */
export async function resealSigningKeys(writer: Writer, crypto: Pick<CryptoModule, 'resealSecret'>): Promise<void> {
  for (const { kid, sealed } of await writer.selectFrom('signing_keys').select(['kid', 'sealed']).execute()) {
    const resealed = crypto.resealSecret(PURPOSE, kid, sealed);
    if (resealed !== undefined) await writer.updateTable('signing_keys').set({ sealed: resealed }).where('kid', '=', kid).execute();
  }
}

/** The key that signs now, unsealed once and kept in native memory until a roll. */
export function currentSigningKey(parts: { read: Reader; crypto: Secrets; versions: Versions }): CurrentKey {
  const cache = new CoherentCache<SigningKey>(parts.versions, { max: 1 });
  return () =>
    cache.get('current', SIGNING_KEYS, async () => {
      const row = await parts.read.selectFrom('signing_keys').select(['kid', 'sealed']).where('retired_at', 'is', null).executeTakeFirst();
      if (row === undefined) throw new Error('there is no token signing key; the tenant has not been opened');
      const plain = parts.crypto.openSecret(PURPOSE, row.kid, row.sealed);
      try {
        return { kid: row.kid, privateKey: createPrivateKey({ key: plain, format: 'der', type: 'pkcs8' }) };
      } finally {
        plain.fill(0);
      }
    });
}

export type KeyRing = ReadonlyMap<string, VerifyingKey>;

/** The keys that verify, by kid; each thread keeps them until a roll. A key past its retirement is still listed: compare `retiresAt`. */
export function verifyingKeys(parts: { read: Reader; versions: Versions }): () => Promise<KeyRing> {
  const cache = new CoherentCache<KeyRing>(parts.versions, { max: 1 });
  return () =>
    cache.get('ring', SIGNING_KEYS, async () => {
      const rows = await parts.read.selectFrom('signing_keys').select(['kid', 'certificate', 'retired_at']).execute();
      return new Map(
        rows.map((row) => {
          const { publicKey } = new X509Certificate(row.certificate);
          return [row.kid, { publicKey: publicKey, retiresAt: row.retired_at ?? Number.POSITIVE_INFINITY }];
        }),
      );
    });
}

/** The public keys that clients may still meet, the one in charge first. */
export async function publicSigningKeys(read: Reader, clock: Clock): Promise<readonly PublicSigningKey[]> {
  const rows = await read.selectFrom('signing_keys').select(['public_json', 'retired_at']).orderBy('created_at', 'desc').execute();
  return rows.filter((row) => row.retired_at === null || clock.now() < row.retired_at).map((row) => JSON.parse(row.public_json));
}
