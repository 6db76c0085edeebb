// What our three blobs contain: a domain's id and its domain key, all that a second HSM needs to become the same domain.
// Clients carry the blobs without looking inside. The records are binary, so that the key never becomes a string that cannot be zeroed.

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { cryptographicFailure } from '../../core/errors-keyvault.ts';
import type { WrappingCertificate } from './certificate.ts';
import { type DomainBlob, type ExchangeKey, openRestoreBlob, writeSecurityDomain, zero } from './file.ts';

/** The tags of the real service's files, in their order. A record's part number is the place of its tag here. */
export const DOMAIN_TAGS = ['hsm_backup', 'base_enclave_backup', 'partition_enclave_backup'] as const;

/** `domainId` is a lower-case GUID, made together with the domain; `domainKey` has 32 bytes. */
export interface Domain {
  readonly domainId: string;
  readonly domainKey: Uint8Array;
}

const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const KEY_LENGTH = 32;

// One record: magic 8 · format version 2 · part 1 · parts 1 · domain id 16 · piece of the domain key 32 · check value 32.
// The domain key is the XOR of the three pieces, so a single blob says nothing about it; the check value is the same in all three.
const MAGIC = Buffer.from('STRONGRM', 'ascii');
const FORMAT_VERSION = 1;
const VERSION_AT = 8;
const PART_AT = 10;
const PARTS_AT = 11;
const ID_AT = 12;
const PIECE_AT = 28;
const CHECK_AT = 60;
const RECORD_LENGTH = 92;

/**
 * Writes the security-domain file of this domain, under a fresh master key that is forgotten at once.
 * The certificates and the quorum are those that `readCustodians` accepted.
 */
export function exportSecurityDomain(domain: Domain, certificates: readonly WrappingCertificate[], quorum: number): string {
  const blobs = encodeDomain(domain);
  try {
    return writeSecurityDomain({ blobs, certificates, quorum });
  } finally {
    zero(blobs.map((blob) => blob.plain));
  }
}

/**
 * The domain in a restore blob that was made for this exchange key; the caller zeroes its key.
 * Throws BadParameter for a blob that is malformed, was made for another HSM, does not open, or is not one whole domain.
 */
export function recoverSecurityDomain(text: string, exchange: ExchangeKey): { domainId: string; domainKey: Buffer } {
  const blobs = openRestoreBlob(text, exchange);
  try {
    return decodeDomain(blobs);
  } finally {
    zero(blobs.values());
  }
}

/** The three blobs of a domain; the caller zeroes them. */
export function encodeDomain({ domainId, domainKey }: Domain): (DomainBlob & { readonly plain: Buffer })[] {
  if (!GUID.test(domainId) || domainKey.length !== KEY_LENGTH)
    throw new RangeError('a domain has a GUID in lower case and a key of 32 bytes');
  const id = Buffer.from(domainId.replaceAll('-', ''), 'hex');
  const check = checkValue(id, domainKey);
  const last = Buffer.from(domainKey);
  try {
    return DOMAIN_TAGS.map((tag, index) => {
      const plain = Buffer.alloc(RECORD_LENGTH);
      MAGIC.copy(plain);
      plain.writeUInt16BE(FORMAT_VERSION, VERSION_AT);
      plain.writeUInt8(index + 1, PART_AT);
      plain.writeUInt8(DOMAIN_TAGS.length, PARTS_AT);
      id.copy(plain, ID_AT);
      check.copy(plain, CHECK_AT);
      const piece = plain.subarray(PIECE_AT, CHECK_AT);
      if (index === DOMAIN_TAGS.length - 1) last.copy(piece);
      else {
        const random = randomBytes(KEY_LENGTH);
        random.copy(piece);
        xorInto(last, random);
        random.fill(0);
      }
      return { tag, plain };
    });
  } finally {
    last.fill(0);
  }
}

/** The domain in its three blobs: each exactly once, all of one domain, and the key the one that they were made for. One error for everything else. */
export function decodeDomain(blobs: ReadonlyMap<string, Buffer>): { domainId: string; domainKey: Buffer } {
  if (blobs.size !== DOMAIN_TAGS.length) throw cryptographicFailure();
  const records = DOMAIN_TAGS.map((tag, index) => {
    const record = blobs.get(tag);
    if (record === undefined || !isRecord(record, index + 1)) throw cryptographicFailure();
    return record;
  });
  const [first] = records;
  if (first === undefined) throw cryptographicFailure();
  const id = first.subarray(ID_AT, PIECE_AT);
  const check = first.subarray(CHECK_AT);
  const domainKey = Buffer.alloc(KEY_LENGTH);
  for (const record of records) xorInto(domainKey, record.subarray(PIECE_AT, CHECK_AT));

  const agree = records.every((record) => record.subarray(ID_AT, PIECE_AT).equals(id) && timingSafeEqual(record.subarray(CHECK_AT), check));
  if (!agree || !timingSafeEqual(checkValue(id, domainKey), check)) {
    domainKey.fill(0);
    throw cryptographicFailure();
  }
  return { domainId: id.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'), domainKey };
}

function isRecord(record: Buffer, part: number): boolean {
  return (
    record.length === RECORD_LENGTH &&
    record.subarray(0, VERSION_AT).equals(MAGIC) &&
    record.readUInt16BE(VERSION_AT) === FORMAT_VERSION &&
    record.readUInt8(PART_AT) === part &&
    record.readUInt8(PARTS_AT) === DOMAIN_TAGS.length
  );
}

/** Proves that the pieces were put together rightly, and binds the key to its domain's id. */
function checkValue(id: Buffer, domainKey: Uint8Array): Buffer {
  return createHmac('sha256', domainKey).update('strongroom security domain 1\0', 'ascii').update(id).digest();
}

function xorInto(target: Buffer, other: Uint8Array): void {
  for (const [index, byte] of other.entries()) target[index] = (target[index] ?? 0) ^ byte;
}
