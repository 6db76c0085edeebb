// A custodian's key pair: RSA, the private half in PKCS#8 under a passphrase, the public half in a certificate that names its holder. Both are files
// for other programs too: openssl, the Azure CLI and PowerShell read them.

import { createCipheriv, generateKeyPair, type KeyObject, pbkdf2, randomBytes, X509Certificate } from 'node:crypto';
import { promisify } from 'node:util';
import { INTEGER, NULL, OCTET_STRING, SEQUENCE, tlv } from '../../core/der.ts';
import { selfSigned } from '../../core/self-signed.ts';
import { thumbprint } from './certificate.ts';

export interface Custodian {
  /** Encrypted PKCS#8 in PEM; the caller writes it for its holder alone. */
  readonly privateKeyPem: string;
  readonly certificatePem: string;
  /** `x5t#S256` of the certificate, by which a security domain names the share. */
  readonly x5t256: string;
}

export interface CustodianWish {
  /** The common name of the certificate. */
  readonly name: string;
  readonly bits: number;
  readonly days: number;
  /** Milliseconds since 1970, from when the certificate is valid. */
  readonly now: number;
}

/** Each guess costs a noticeable part of a second (OWASP's figure for PBKDF2 with SHA-256); OpenSSL's own default of 2048 would cost nothing. */
const ITERATIONS = 600_000;

const PBES2 = Buffer.from('06092a864886f70d01050d', 'hex');
const PBKDF2 = Buffer.from('06092a864886f70d01050c', 'hex');
const HMAC_SHA256 = Buffer.from('06082a864886f70d0209', 'hex');
const AES_256_CBC = Buffer.from('060960864801650304012a', 'hex');

/** Makes a key pair, without blocking this thread. The caller zeroes the passphrase. */
export async function makeCustodian({ name, bits, days, now }: CustodianWish, passphrase: Uint8Array): Promise<Custodian> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: bits });
  const certificate = selfSigned(publicKey, privateKey, name, now, days);
  return {
    privateKeyPem: await encryptedPkcs8(privateKey, passphrase),
    certificatePem: certificate.toString(),
    x5t256: thumbprint(certificate.raw),
  };
}

/** Whether the certificate is this private key's. */
export function belongTogether(certificateDer: Uint8Array, privateKey: KeyObject): boolean {
  return new X509Certificate(certificateDer).checkPrivateKey(privateKey);
}

/** EncryptedPrivateKeyInfo (RFC 5958) with PBES2: PBKDF2 with HMAC-SHA-256 and AES-256-CBC (RFC 8018). */
async function encryptedPkcs8(privateKey: KeyObject, passphrase: Uint8Array): Promise<string> {
  const [salt, iv] = [randomBytes(16), randomBytes(16)];
  const plain = privateKey.export({ type: 'pkcs8', format: 'der' });
  const key = await promisify(pbkdf2)(passphrase, salt, ITERATIONS, 32, 'sha256');
  try {
    const cipher = createCipheriv('aes-256-cbc', key, iv);
    const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
    const iterations = Buffer.alloc(4);
    iterations.writeUInt32BE(ITERATIONS);
    const derivation = tlv(
      SEQUENCE,
      PBKDF2,
      tlv(SEQUENCE, tlv(OCTET_STRING, salt), tlv(INTEGER, iterations.subarray(1)), tlv(SEQUENCE, HMAC_SHA256, NULL)),
    );
    const scheme = tlv(SEQUENCE, derivation, tlv(SEQUENCE, AES_256_CBC, tlv(OCTET_STRING, iv)));
    return pem('ENCRYPTED PRIVATE KEY', tlv(SEQUENCE, tlv(SEQUENCE, PBES2, scheme), tlv(OCTET_STRING, sealed)));
  } finally {
    plain.fill(0);
    key.fill(0);
  }
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
