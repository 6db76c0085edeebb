// What the service says of its keys to those who do not take its word: signed by each HSM under a chain of certificates that the service made for itself.
// One authority signs what is released, another what is attested; both stand under one root, whose own key is thrown away as soon as they are made.

import { createPrivateKey, generateKeyPair, generateKeyPairSync, type KeyObject, randomUUID, X509Certificate } from 'node:crypto';
import { promisify } from 'node:util';
import { CompactSign } from 'jose';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../core/clock.ts';
import { certificatesIn, loadX509, serialNumber, validity } from '../core/x509.ts';
import type { CryptoModule } from './module.ts';

export type EvidencePurpose = 'release' | 'attestation';

export interface EvidenceAuthority {
  readonly purpose: EvidencePurpose;
  /** PEM: its own certificate, then the root's. */
  readonly chain: string;
  readonly sealed: Uint8Array;
}

/** An HSM's key for one purpose. */
export interface EvidenceSigner {
  readonly purpose: EvidencePurpose;
  readonly kid: string;
  /** PEM: its own certificate first, the root's last. */
  readonly chain: string;
  readonly sealed: Uint8Array;
}

export interface Evidence {
  /** Both authorities under a new root. */
  makeAuthorities(): Promise<readonly EvidenceAuthority[]>;
  /** A new key for the HSM at this host (no port), certified by the authority until `expires` (milliseconds). */
  issueSigner(authority: EvidenceAuthority, host: string): Promise<{ readonly signer: EvidenceSigner; readonly expires: number }>;
  /** A compact JWS (RFC 7515) with the signer's chain in its header; `typ` is left out when it is undefined. */
  sign(signer: EvidenceSigner, payload: unknown, typ: string | undefined): Promise<string>;
}

const AUTHORITY_CURVE = { name: 'ECDSA', namedCurve: 'P-384' } as const;
const AUTHORITY_SIGNATURE = { name: 'ECDSA', hash: 'SHA-384' } as const;
const AUTHORITY_DAYS = 7305;
/** Two years and a quarter: what was attested is looked at long afterwards, at the time when it was signed. */
const SIGNER_DAYS = 825;
/** RFC 5280 appendix A.1, ub-common-name. */
const LONGEST_NAME = 64;
const OPENED = 256;

interface Kind {
  readonly name: string;
  readonly alg: 'RS256' | 'ES256';
  readonly algorithm: { readonly name: string; readonly hash?: string; readonly namedCurve?: string };
  readonly make: () => Promise<{ readonly publicKey: KeyObject; readonly privateKey: KeyObject }>;
}

const generate = promisify(generateKeyPair);

const KINDS: Readonly<Record<EvidencePurpose, Kind>> = {
  release: {
    name: 'Strongroom key release',
    // The live service's, and what its clients expect.
    alg: 'RS256',
    algorithm: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
    make: () => generate('rsa', { modulusLength: 2048 }),
  },
  attestation: {
    name: 'Strongroom key attestation',
    alg: 'ES256',
    algorithm: { name: 'ECDSA', namedCurve: 'P-256' },
    make: () => generate('ec', { namedCurve: 'P-256' }),
  },
};

/** One for each thread. Certificates are judged by other machines' clocks, so `clock` is the system's. */
export function openEvidence(secrets: Pick<CryptoModule, 'sealSecret' | 'openSecret'>, clock: Clock): Evidence {
  const opened = new LRUCache<string, KeyObject>({ max: OPENED });

  function sealed(place: 'evidence-authority' | 'evidence-signer', name: string, key: KeyObject): Uint8Array {
    const plain = key.export({ type: 'pkcs8', format: 'der' });
    try {
      return secrets.sealSecret(place, name, plain);
    } finally {
      plain.fill(0);
    }
  }

  function open(place: 'evidence-authority' | 'evidence-signer', name: string, bytes: Uint8Array): KeyObject {
    const key = secrets.openSecret(place, name, bytes);
    try {
      return createPrivateKey({ key, type: 'pkcs8', format: 'der' });
    } finally {
      key.fill(0);
    }
  }

  function keyOf({ kid, sealed: bytes }: EvidenceSigner): KeyObject {
    const known = opened.get(kid) ?? open('evidence-signer', kid, bytes);
    opened.set(kid, known);
    return known;
  }

  return {
    async makeAuthorities() {
      const root = await certifiedAuthority(`Strongroom root ${randomUUID().slice(0, 8)}`, 1, clock, undefined);
      const purposes: readonly EvidencePurpose[] = ['release', 'attestation'];
      return Promise.all(
        purposes.map(async (purpose) => {
          const { certificate, privateKey } = await certifiedAuthority(`${KINDS[purpose].name} authority`, 0, clock, root);
          const chain = certificate.toString() + root.certificate.toString();
          return { purpose, chain, sealed: sealed('evidence-authority', purpose, privateKey) };
        }),
      );
    },

    async issueSigner({ purpose, chain, sealed: bytes }, host) {
      const kid = randomUUID();
      const { publicKey, privateKey } = await KINDS[purpose].make();
      const issuer = { certificate: new X509Certificate(chain), privateKey: open('evidence-authority', purpose, bytes) };
      const certificate = await certifiedSigner(KINDS[purpose], host, publicKey, issuer, clock);
      const signer = { purpose, kid, chain: certificate.toString() + chain, sealed: sealed('evidence-signer', kid, privateKey) };
      return { signer, expires: certificate.validToDate.getTime() };
    },

    sign(signer, payload, typ) {
      const certificates = certificatesIn(signer.chain);
      const header = {
        alg: KINDS[signer.purpose].alg,
        kid: signer.kid,
        ...(typ === undefined ? {} : { typ }),
        x5c: certificates.map(({ raw }) => raw.toString('base64')),
        'x5t#S256': Buffer.from(certificates[0]?.fingerprint256.replaceAll(':', '') ?? '', 'hex').toString('base64url'),
      };
      return new CompactSign(Buffer.from(JSON.stringify(payload))).setProtectedHeader(header).sign(keyOf(signer));
    },
  };
}

interface Certified {
  readonly certificate: X509Certificate;
  readonly privateKey: KeyObject;
}

/** `below`: how many authorities may stand under this one. Without an issuer it signs itself. */
async function certifiedAuthority(name: string, below: number, clock: Clock, issuer: Certified | undefined): Promise<Certified> {
  const x509 = await loadX509();
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: AUTHORITY_CURVE.namedCurve });
  const subject = `CN=${name}`;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject,
    issuer: issuer === undefined ? subject : new x509.X509Certificate(issuer.certificate.raw).subjectName,
    ...validity(clock, AUTHORITY_DAYS, issuer?.certificate.validToDate),
    publicKey: publicKey.toCryptoKey(AUTHORITY_CURVE, true, ['verify']),
    signingKey: (issuer?.privateKey ?? privateKey).toCryptoKey(AUTHORITY_CURVE, false, ['sign']),
    signingAlgorithm: AUTHORITY_SIGNATURE,
    extensions: [
      new x509.BasicConstraintsExtension(true, below, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(publicKey.toCryptoKey(AUTHORITY_CURVE, true, ['verify'])),
      ...(issuer === undefined
        ? []
        : [await x509.AuthorityKeyIdentifierExtension.create(issuer.certificate.publicKey.toCryptoKey(AUTHORITY_CURVE, true, ['verify']))]),
    ],
  });
  return { certificate: new X509Certificate(Buffer.from(certificate.rawData)), privateKey };
}

async function certifiedSigner(kind: Kind, host: string, key: KeyObject, issuer: Certified, clock: Clock): Promise<X509Certificate> {
  const x509 = await loadX509();
  const publicKey = key.toCryptoKey(kind.algorithm, true, ['verify']);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: `CN=${host.length > LONGEST_NAME ? kind.name : host}`,
    issuer: new x509.X509Certificate(issuer.certificate.raw).subjectName,
    ...validity(clock, SIGNER_DAYS, issuer.certificate.validToDate),
    publicKey,
    signingKey: issuer.privateKey.toCryptoKey(AUTHORITY_CURVE, false, ['sign']),
    signingAlgorithm: AUTHORITY_SIGNATURE,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.SubjectAlternativeNameExtension([host, `*.${host}`].map((value) => ({ type: 'dns', value }))),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.certificate.publicKey.toCryptoKey(AUTHORITY_CURVE, true, ['verify'])),
    ],
  });
  return new X509Certificate(Buffer.from(certificate.rawData));
}
