// The certificate around a key that is known by its certificate's thumbprint: a token signing key, an exchange key. It certifies nothing, so it is the
// smallest that RFC 5280 section 4.1 allows, written out here rather than by a library that would take longer to load than everything else at start.

import { type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto';
import { INTEGER, NULL, SEQUENCE, tlv } from './der.ts';

const DAY = 86_400_000;

const SET = 0x31;
const BIT_STRING = 0x03;
const UTF8_STRING = 0x0c;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
const VERSION = 0xa0;

const COMMON_NAME = Buffer.from('0603550403', 'hex');
const SHA256_WITH_RSA = tlv(SEQUENCE, Buffer.from('06092a864886f70d01010b', 'hex'), NULL);

/** A self-signed certificate (version 3, RSA with SHA-256) named `commonName`, valid for `days` from `now` in milliseconds. */
export function selfSigned(publicKey: KeyObject, privateKey: KeyObject, commonName: string, now: number, days: number): X509Certificate {
  const name = tlv(SEQUENCE, tlv(SET, tlv(SEQUENCE, COMMON_NAME, tlv(UTF8_STRING, Buffer.from(commonName, 'utf8')))));
  const serial = randomBytes(16);
  // A leading 01 keeps the number positive and of fixed length.
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  const toBeSigned = tlv(
    SEQUENCE,
    tlv(VERSION, tlv(INTEGER, Buffer.from([2]))),
    tlv(INTEGER, serial),
    SHA256_WITH_RSA,
    name,
    tlv(SEQUENCE, time(now), time(now + days * DAY)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
  );
  const signature = sign('sha256', toBeSigned, privateKey);
  return new X509Certificate(tlv(SEQUENCE, toBeSigned, SHA256_WITH_RSA, tlv(BIT_STRING, Buffer.from([0]), signature)));
}

/** RFC 5280 section 4.1.2.5: UTCTime with two digits for the year until 2049, GeneralizedTime from 2050. */
function time(milliseconds: number): Buffer {
  const digits = new Date(milliseconds).toISOString().replace(/[-:T]|\.\d+/g, '');
  return Number(digits.slice(0, 4)) < 2050
    ? tlv(UTC_TIME, Buffer.from(digits.slice(2), 'latin1'))
    : tlv(GENERALIZED_TIME, Buffer.from(digits, 'latin1'));
}
