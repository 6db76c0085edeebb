// The custodians' wrapping certificates and the quorum of a download request. Liberal about how a certificate is described,
// strict about the key in it. Everything is taken from x5c[0]: clients that the real service accepts send wrong or no thumbprints and no modulus.

import { constants, createHash, type KeyObject, publicEncrypt, X509Certificate } from 'node:crypto';
import * as v from 'valibot';
import { toBase64url } from '../../core/encoding.ts';
import { badParameter } from '../../core/errors-keyvault.ts';

export const MIN_CERTIFICATES = 3;
export const MAX_CERTIFICATES = 10;
export const MIN_QUORUM = 2;
export const MAX_QUORUM = 10;
const MIN_RSA_BITS = 2048;

export interface WrappingCertificate {
  readonly der: Buffer;
  readonly publicKey: KeyObject;
  /** `x5t#S256` as the file writes it: base64url of SHA-256 over the DER, 43 characters. Clients find their share by this text. */
  readonly x5t256: string;
}

/** Certificates that may hold a security domain together, with a quorum that they can reach. */
export interface Custodians {
  readonly certificates: readonly WrappingCertificate[];
  readonly quorum: number;
}

const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
const Jwk = v.object({ x5c: v.pipe(v.array(v.unknown()), v.minLength(1)) });

/**
 * Reads the `certificates` and `required` of a download request. Validity dates, issuer and key usage are not looked at, as in the real service.
 * Throws BadParameter that names the certificate at fault (counted from 1) and says what is allowed.
 */
export function readCustodians(certificates: unknown, required: unknown): Custodians {
  if (!Array.isArray(certificates))
    throw badParameter("The request must have a member 'certificates': an array of JSON Web Keys with 'x5c'.");
  refuseCount(certificates.length);
  const quorum = readQuorum(required, certificates.length);
  const read = certificates.map((jwk: unknown, index) => readWrappingCertificate(jwk, `Certificate ${index + 1}`));
  refuseTwins(read);
  return { certificates: read, quorum };
}

/** The same for certificates at hand. */
export function readCustodiansFrom(certificates: readonly WrappingCertificate[], required: number): Custodians {
  refuseCount(certificates.length);
  const quorum = readQuorum(required, certificates.length);
  refuseTwins(certificates);
  return { certificates, quorum };
}

function refuseCount(count: number): void {
  if (count >= MIN_CERTIFICATES && count <= MAX_CERTIFICATES) return;
  throw badParameter(
    `The number of wrapping certificates must be in the range [${MIN_CERTIFICATES}, ${MAX_CERTIFICATES}]; ${count} were sent.`,
  );
}

function readQuorum(required: unknown, count: number): number {
  const quorum = required === undefined ? MIN_QUORUM : required;
  if (typeof quorum !== 'number' || !Number.isInteger(quorum) || quorum < MIN_QUORUM || quorum > MAX_QUORUM) {
    throw badParameter(`The quorum ('required') must be an integer in the range [${MIN_QUORUM}, ${MAX_QUORUM}].`);
  }
  if (quorum > count) {
    throw badParameter(`The quorum ('required') is ${quorum}, but only ${count} certificates were sent; it must not exceed their number.`);
  }
  return quorum;
}

function refuseTwins(certificates: readonly WrappingCertificate[]): void {
  const places = new Map<string, number>();
  const keys = new Map<string, number>();
  for (const [index, { publicKey, x5t256 }] of certificates.entries()) {
    const key = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
    const sameCertificate = places.get(x5t256);
    const sameKey = keys.get(key);
    if (sameCertificate !== undefined) {
      throw badParameter(
        `Certificates ${sameCertificate + 1} and ${index + 1} are the same; each custodian needs a certificate of their own.`,
      );
    }
    if (sameKey !== undefined) {
      throw badParameter(`Certificates ${sameKey + 1} and ${index + 1} have the same public key; each custodian needs a key of their own.`);
    }
    places.set(x5t256, index);
    keys.set(key, index);
  }
}

/**
 * Reads one JSON Web Key by its `x5c[0]`: base64 of a DER certificate, white space allowed. `subject` begins the message of a refusal.
 * Throws BadParameter when it is missing, is no certificate, or its key is not RSA of at least 2048 bits that can encrypt.
 */
export function readWrappingCertificate(jwk: unknown, subject: string): WrappingCertificate {
  const parsed = v.safeParse(Jwk, jwk);
  const [first] = parsed.success ? parsed.output.x5c : [];
  const text = typeof first === 'string' ? first.replace(/\s/g, '') : '';
  if (!BASE64.test(text)) throw badParameter(`${subject} must have a member 'x5c' whose first element is the base64 of a DER certificate.`);
  return wrappingCertificate(Buffer.from(text, 'base64'), subject);
}

/** The same for a certificate at hand: DER, or PEM text as bytes. */
export function wrappingCertificate(bytes: Uint8Array, subject: string): WrappingCertificate {
  const { der, publicKey } = parseCertificate(bytes, subject);
  const { modulusLength = 0, publicExponent = 0n } = publicKey.asymmetricKeyDetails ?? {};
  if (publicKey.asymmetricKeyType !== 'rsa' || modulusLength < MIN_RSA_BITS) {
    const found = publicKey.asymmetricKeyType === 'rsa' ? `an RSA key of ${modulusLength} bits` : 'a key of another type';
    throw badParameter(`${subject} has ${found}; only RSA keys of at least ${MIN_RSA_BITS} bits are supported.`);
  }
  // An exponent of 1 would leave the share readable to everyone; the trial shows the other ways in which a modulus can be unusable.
  if (publicExponent < 3n || publicExponent % 2n === 0n || !canEncrypt(publicKey)) {
    throw badParameter(`${subject} has an RSA key that cannot be used for encryption.`);
  }
  return { der, publicKey, x5t256: thumbprint(der) };
}

/** `x5t#S256` of a certificate in DER. */
export function thumbprint(der: Uint8Array): string {
  return toBase64url(createHash('sha256').update(der).digest());
}

function parseCertificate(bytes: Uint8Array, subject: string): { der: Buffer; publicKey: KeyObject } {
  try {
    const certificate = new X509Certificate(bytes);
    return { der: certificate.raw, publicKey: certificate.publicKey };
  } catch (cause) {
    throw badParameter(`${subject} is not an X.509 certificate that can be read.`, cause);
  }
}

function canEncrypt(key: KeyObject): boolean {
  try {
    publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }, Buffer.alloc(64));
    return true;
  } catch {
    return false;
  }
}
