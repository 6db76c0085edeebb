// The security-domain file and the restore blob: written as the service writes them, read strictly, opened with the custodians' keys.
// What the blobs contain is none of its business.

import { type KeyObject, randomBytes } from 'node:crypto';
import * as v from 'valibot';
import { fromBase64url } from '../../core/encoding.ts';
import { badParameter, cryptographicFailure } from '../../core/errors-keyvault.ts';
import { MAX_CERTIFICATES, MAX_QUORUM, MIN_CERTIFICATES, MIN_QUORUM, thumbprint, type WrappingCertificate } from './certificate.ts';
import { openDirect, openWithKey, sealDirect, sealToKey } from './jwe.ts';
import { deriveKey } from './kdf.ts';
import { isShare, recoverSecret, splitSecret } from './shamir.ts';

export const MASTER_KEY_LENGTH = 32;
const KDF = 'sp108_kdf';
const SHARING = 'shamir_share';

const Tag = v.pipe(v.string(), v.regex(/^[\x21-\x7e]+$/));
const Thumbprint = v.pipe(
  v.string(),
  v.check((text) => fromBase64url(text)?.length === 32),
);
const EncData = v.strictObject({
  data: v.pipe(
    v.array(v.strictObject({ compact_jwe: v.string(), tag: Tag })),
    v.minLength(1),
    v.check((data) => new Set(data.map((item) => item.tag)).size === data.length),
  ),
  kdf: v.literal(KDF),
});
const SharedKeys = v.pipe(
  v.strictObject({
    enc_shares: v.pipe(
      v.array(v.strictObject({ enc_key: v.string(), x5t_256: Thumbprint })),
      v.minLength(MIN_CERTIFICATES),
      v.maxLength(MAX_CERTIFICATES),
      v.check((shares) => new Set(shares.map((share) => share.x5t_256)).size === shares.length),
    ),
    key_algorithm: v.literal(SHARING),
    required: v.pipe(v.number(), v.integer(), v.minValue(MIN_QUORUM), v.maxValue(MAX_QUORUM)),
  }),
  v.check(({ enc_shares, required }) => required <= enc_shares.length),
);
const SecurityDomain = v.strictObject({ EncData, SharedKeys, version: v.literal(2) });
const RestoreBlob = v.strictObject({ EncData, WrappedKey: v.strictObject({ enc_key: v.string(), x5t_256: Thumbprint }) });

/** A security-domain file, version 2, whose form is right. Whether it opens is another matter. */
export type SecurityDomainFile = v.InferOutput<typeof SecurityDomain>;
type SealedBlobs = v.InferOutput<typeof EncData>;

export interface DomainBlob {
  readonly tag: string;
  readonly plain: Uint8Array;
}

/** A custodian at the restore: the private key, and the certificate that their share was sealed to. */
export interface CustodianKey {
  readonly privateKey: KeyObject;
  readonly certificateDer: Uint8Array;
}

/** The exchange key of an HSM that waits for a security domain. */
export interface ExchangeKey {
  readonly privateKey: KeyObject;
  readonly certificateDer: Uint8Array;
}

/**
 * Seals the blobs under a fresh master key and shares that key among the certificates, in their order.
 * @returns the file: compact JSON in ASCII, members in the service's (alphabetical) order.
 */
export function writeSecurityDomain(domain: {
  readonly blobs: readonly DomainBlob[];
  readonly certificates: readonly WrappingCertificate[];
  readonly quorum: number;
}): string {
  const { blobs, certificates, quorum } = domain;
  const masterKey = randomBytes(MASTER_KEY_LENGTH);
  const shares = splitSecret(masterKey, certificates.length, quorum);
  try {
    const sealedShares = certificates.map((certificate, index) => ({
      enc_key: sealToKey(shares[index] ?? missingShare(), certificate.publicKey),
      x5t_256: certificate.x5t256,
    }));
    const file: SecurityDomainFile = {
      EncData: sealBlobs(blobs, masterKey),
      SharedKeys: { enc_shares: sealedShares, key_algorithm: SHARING, required: quorum },
      version: 2,
    };
    return JSON.stringify(v.parse(SecurityDomain, file));
  } finally {
    zero([masterKey, ...shares]);
  }
}

/** Reads the text of a security-domain file. Throws BadParameter when its form is wrong in any way. */
export function readSecurityDomain(text: string): SecurityDomainFile {
  return readJson(SecurityDomain, text, 'The text is not a security domain file of version 2.');
}

/**
 * Opens a security domain with the keys of at least its quorum of custodians. Every key that is given must have its share in the file, and all shares must agree.
 * @returns the plain blobs by tag; the caller zeroes them.
 */
export function openSecurityDomain(file: SecurityDomainFile, custodians: readonly CustodianKey[]): Map<string, Buffer> {
  const { enc_shares, required } = file.SharedKeys;
  if (custodians.length < required) {
    throw badParameter(`The security domain needs the keys of ${required} custodians; ${custodians.length} were given.`);
  }
  const shares: Buffer[] = [];
  let masterKey: Buffer | undefined;
  try {
    for (const custodian of custodians) {
      const x5t256 = thumbprint(custodian.certificateDer);
      const index = enc_shares.findIndex((entry) => entry.x5t_256 === x5t256);
      const sealed = enc_shares[index];
      if (sealed === undefined) throw badParameter(`The security domain has no share for the certificate ${x5t256}.`);
      const share = openWithKey(sealed.enc_key, custodian.privateKey);
      shares.push(share);
      // Shares stand in the order of their numbers: a file in which they do not is not as it was written.
      if (!isShare(share, index, MASTER_KEY_LENGTH)) throw cryptographicFailure();
    }
    masterKey = recoverSecret(shares, required);
    if (masterKey.length !== MASTER_KEY_LENGTH) throw cryptographicFailure();
    return openBlobs(file.EncData, masterKey);
  } finally {
    zero(masterKey === undefined ? shares : [masterKey, ...shares]);
  }
}

/** What a client sends to the HSM that shall become the domain: the blobs under a fresh master key, and that key sealed to the exchange certificate. */
export function makeRestoreBlob(blobs: readonly DomainBlob[], exchange: WrappingCertificate): string {
  const masterKey = randomBytes(MASTER_KEY_LENGTH);
  try {
    const wrapped = { enc_key: sealToKey(masterKey, exchange.publicKey), x5t_256: exchange.x5t256 };
    return JSON.stringify(v.parse(RestoreBlob, { EncData: sealBlobs(blobs, masterKey), WrappedKey: wrapped }));
  } finally {
    masterKey.fill(0);
  }
}

/**
 * Opens a restore blob that was made for this exchange key. Throws BadParameter: one message for the form, one for another HSM's exchange
 * certificate, and one for whatever fails in the cryptography.
 * @returns the plain blobs by tag; the caller zeroes them.
 */
export function openRestoreBlob(text: string, exchange: ExchangeKey): Map<string, Buffer> {
  const { EncData: sealed, WrappedKey: wrapped } = readJson(RestoreBlob, text, 'The value is not a security domain restore blob.');
  if (wrapped.x5t_256 !== thumbprint(exchange.certificateDer)) {
    throw badParameter(
      'The restore blob was made for another exchange certificate; download the exchange key of this HSM and make it again.',
    );
  }
  const masterKey = openWithKey(wrapped.enc_key, exchange.privateKey);
  try {
    if (masterKey.length !== MASTER_KEY_LENGTH) throw cryptographicFailure();
    return openBlobs(sealed, masterKey);
  } finally {
    masterKey.fill(0);
  }
}

function sealBlobs(blobs: readonly DomainBlob[], masterKey: Buffer): SealedBlobs {
  const data = blobs.map(({ tag, plain }) => {
    const cek = deriveKey(masterKey, tag);
    try {
      return { compact_jwe: sealDirect(plain, cek, tag), tag };
    } finally {
      cek.fill(0);
    }
  });
  return { data, kdf: KDF };
}

/** All or nothing: what was opened before a failure is zeroed. */
function openBlobs(sealed: SealedBlobs, masterKey: Buffer): Map<string, Buffer> {
  const plain = new Map<string, Buffer>();
  try {
    for (const { compact_jwe, tag } of sealed.data) {
      const cek = deriveKey(masterKey, tag);
      try {
        plain.set(tag, openDirect(compact_jwe, cek, tag));
      } finally {
        cek.fill(0);
      }
    }
    return plain;
  } catch (failure) {
    zero(plain.values());
    throw failure;
  }
}

function readJson<const Schema extends v.GenericSchema>(schema: Schema, text: string, refusal: string): v.InferOutput<Schema> {
  try {
    return v.parse(schema, JSON.parse(text));
  } catch {
    // The cause is dropped: it would quote the blob.
    throw badParameter(refusal);
  }
}

function missingShare(): never {
  throw new RangeError('every certificate has its share');
}

/** Overwrites secrets that are no longer needed. */
export function zero(secrets: Iterable<Uint8Array>): void {
  for (const secret of secrets) secret.fill(0);
}
