// Reads certificate files, PEM or DER, far enough to send them and to refuse what the service would refuse, before anything is activated.
// A walk over the few fields needed (RFC 5280 section 4.1); it judges no signature, date or issuer, as the service does not either.

import { fromBase64, toBase64, toBase64url } from './base64.ts';
import { type ErrorCategory, ShellError } from './errors.ts';

export interface WrappingCertificate {
  readonly der: Uint8Array<ArrayBuffer>;
  /** The subject's common name, or `''`. */
  readonly commonName: string;
  readonly notAfter: Date | undefined;
  /** RSA modulus and exponent, big-endian without leading zeros. */
  readonly modulus: Uint8Array;
  readonly exponent: Uint8Array;
  readonly bits: number;
}

const minimumBits = 2048;
const category: ErrorCategory = 'validation';

/** The bytes of a certificate file. `subject` begins the message of a refusal, e.g. `Certificate 1 (cert_0.cer)`. */
export function readCertificate(bytes: Uint8Array, subject: string): WrappingCertificate {
  const der = derOf(bytes, subject);
  let found: ReturnType<typeof fieldsOf>;
  try {
    found = fieldsOf(der);
  } catch (cause) {
    throw new ShellError(`${subject} is not an X.509 certificate that can be read.`, { category, cause });
  }
  if (found.rsa === undefined) {
    throw new ShellError(`${subject} has a key of another type; only RSA keys of at least ${minimumBits} bits are supported.`, {
      category,
      hints: [newPair],
    });
  }
  const { modulus, exponent } = found.rsa;
  const bits = modulus.length * 8 + 24 - Math.clz32(modulus[0] ?? 0);
  if (bits < minimumBits) {
    throw new ShellError(`${subject} has an RSA key of ${bits} bits; only RSA keys of at least ${minimumBits} bits are supported.`, {
      category,
      hints: [newPair],
    });
  }
  return { der, commonName: found.commonName, notAfter: found.notAfter, modulus, exponent, bits };
}

const newPair = 'make a key pair with: openssl req -newkey rsa:2048 -nodes -keyout cert_0.key -x509 -days 365 -out cert_0.cer';

/** The first certificate of a PEM file, or the bytes themselves when they are DER. */
function derOf(bytes: Uint8Array, subject: string): Uint8Array<ArrayBuffer> {
  if (bytes[0] === 0x30) return Uint8Array.from(bytes);
  const text = new TextDecoder().decode(bytes);
  const found = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----([\s\S]*?)-----END/.exec(text)?.[1];
  const der = found === undefined ? undefined : fromBase64(found);
  if (der !== undefined) return der;
  const other = /-----BEGIN ([A-Z0-9 ]+)-----/.exec(text)?.[1];
  const hints =
    other?.includes('PRIVATE KEY') === true
      ? ['a private key stays with its custodian; give the certificate (.cer) that belongs to it']
      : [];
  throw new ShellError(
    other === undefined || found !== undefined
      ? `${subject} is not an X.509 certificate that can be read.`
      : `${subject} holds a ${other.toLowerCase()}, not a certificate.`,
    { category, hints },
  );
}

interface Element {
  readonly tag: number;
  readonly content: Uint8Array;
  /** Where the next element of the same level begins. */
  readonly end: number;
}

/** One element at an offset. Throws RangeError when it does not fit. */
function elementAt(bytes: Uint8Array, offset: number): Element {
  const tag = byteAt(bytes, offset);
  let length = byteAt(bytes, offset + 1);
  let begin = offset + 2;
  if (length > 0x80) {
    const count = length & 0x7f;
    if (count > 4) throw new RangeError('length of more than four bytes');
    length = 0;
    for (let index = 0; index < count; index++) length = length * 256 + byteAt(bytes, begin + index);
    begin += count;
  } else if (length === 0x80) throw new RangeError('indefinite length');
  const end = begin + length;
  if (end > bytes.length) throw new RangeError('element beyond the end');
  return { tag, content: bytes.subarray(begin, end), end };
}

function byteAt(bytes: Uint8Array, offset: number): number {
  const byte = bytes[offset];
  if (byte === undefined) throw new RangeError('end of data');
  return byte;
}

function children(bytes: Uint8Array): Element[] {
  const found: Element[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const element = elementAt(bytes, offset);
    found.push(element);
    offset = element.end;
  }
  return found;
}

function child(elements: readonly Element[], index: number, tag: number): Element {
  const element = elements[index];
  if (element === undefined || element.tag !== tag) throw new RangeError('another structure');
  return element;
}

const sequence = 0x30;
const integer = 0x02;
const objectId = 0x06;
const bitString = 0x03;
const explicit0 = 0xa0;
const rsaEncryption = '2a864886f70d010101';
const commonNameId = '550403';

function fieldsOf(der: Uint8Array) {
  const outer = elementAt(der, 0);
  if (outer.tag !== sequence || outer.end !== der.length) throw new RangeError('not one sequence');
  const tbs = children(child(children(outer.content), 0, sequence).content);
  // The version, [0], is there in all but version 1 certificates; after it: serial, algorithm, issuer, validity, subject, key.
  const first = tbs[0]?.tag === explicit0 ? 1 : 0;
  child(tbs, first, integer);
  return {
    notAfter: timeOf(children(child(tbs, first + 3, sequence).content)[1]),
    commonName: commonNameOf(child(tbs, first + 4, sequence).content),
    rsa: rsaKeyOf(children(child(tbs, first + 5, sequence).content)),
  };
}

function rsaKeyOf(info: readonly Element[]): { modulus: Uint8Array; exponent: Uint8Array } | undefined {
  const algorithm = child(children(child(info, 0, sequence).content), 0, objectId);
  if (hex(algorithm.content) !== rsaEncryption) return undefined;
  const key = children(elementAt(child(info, 1, bitString).content.subarray(1), 0).content);
  return { modulus: unsigned(child(key, 0, integer).content), exponent: unsigned(child(key, 1, integer).content) };
}

function unsigned(bytes: Uint8Array): Uint8Array {
  let begin = 0;
  while (begin < bytes.length - 1 && bytes[begin] === 0) begin++;
  return bytes.subarray(begin);
}

function commonNameOf(name: Uint8Array): string {
  for (const set of children(name)) {
    for (const pair of children(set.content)) {
      const [id, value] = children(pair.content);
      if (id !== undefined && value !== undefined && hex(id.content) === commonNameId) return new TextDecoder().decode(value.content);
    }
  }
  return '';
}

/** UTCTime (tag 0x17, two-digit year up to 2049) or GeneralizedTime (0x18). */
function timeOf(element: Element | undefined): Date | undefined {
  const text = new TextDecoder().decode(element?.content ?? new Uint8Array());
  const full = element?.tag === 0x17 ? `${Number(text.slice(0, 2)) < 50 ? '20' : '19'}${text}` : text;
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(full) ?? [];
  return year === undefined ? undefined : new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * Three to ten certificates of different custodians and a quorum they can reach, or the service's own words.
 * `names` are what the user calls them, in the same order.
 */
export function checkCustodians(certificates: readonly WrappingCertificate[], names: readonly string[], quorum: number): void {
  checkCounts(certificates.length, quorum);
  const keys = new Map<string, number>();
  const whole = new Map<string, number>();
  for (const [index, certificate] of certificates.entries()) {
    const place = (other: number) => `Certificates ${other + 1} (${names[other]}) and ${index + 1} (${names[index]})`;
    const same = whole.get(toBase64url(certificate.der));
    if (same !== undefined) {
      throw new ShellError(`${place(same)} are the same; each custodian needs a certificate of their own.`, { category });
    }
    const sameKey = keys.get(toBase64url(certificate.modulus));
    if (sameKey !== undefined) {
      throw new ShellError(`${place(sameKey)} have the same public key; each custodian needs a key of their own.`, { category });
    }
    whole.set(toBase64url(certificate.der), index);
    keys.set(toBase64url(certificate.modulus), index);
  }
}

/** Can be asked before any file is read. */
export function checkCounts(count: number, quorum: number): void {
  if (count < 3 || count > 10) {
    throw new ShellError(`The number of wrapping certificates must be in the range [3, 10]; ${count} were given.`, { category });
  }
  if (quorum > count) {
    throw new ShellError(`The quorum is ${quorum}, but only ${count} certificates were given; it must not exceed their number.`, {
      category,
    });
  }
}

/** A certificate as the download request carries it (RFC 7517; security-domain page, section 3.1). */
export interface CertificateJwk {
  readonly kty: 'RSA';
  readonly key_ops: readonly string[];
  readonly alg: 'RSA-OAEP-256';
  /** The DER in base64 with padding. */
  readonly x5c: readonly [string];
  readonly x5t: string;
  /** The security domain names the holder of a share by this. */
  readonly 'x5t#S256': string;
  readonly n: string;
  readonly e: string;
}

export async function certificateJwk({ der, modulus, exponent }: WrappingCertificate): Promise<CertificateJwk> {
  const thumbprint = async (hash: string) => toBase64url(new Uint8Array(await crypto.subtle.digest(hash, der)));
  return {
    kty: 'RSA',
    key_ops: ['verify', 'encrypt', 'wrapKey'],
    alg: 'RSA-OAEP-256',
    x5c: [toBase64(der)],
    x5t: await thumbprint('SHA-1'),
    'x5t#S256': await thumbprint('SHA-256'),
    n: toBase64url(modulus),
    e: toBase64url(exponent),
  };
}
