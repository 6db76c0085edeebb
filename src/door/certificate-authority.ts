// The house's own certificate authority: its key and certificate in the data folder, short-lived server certificates for our names, and the bundle
// that clients are pointed to. It certifies what it is asked for; `isOurName` says what may be asked.

import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { getCACertificates, rootCertificates } from 'node:tls';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../core/clock.ts';
import { type Lifetime, loadX509, serialNumber, validity } from '../core/x509.ts';
import { CERTIFICATE_FILE, finishInstalling, installAuthority, KEY_FILE, readIfThere, writeWhole } from './authority-files.ts';
import { leafFile } from './kept-leaf.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const AUTHORITY_DAYS = 3653;
const LEAF_DAYS = 90;
/** A leaf is replaced at this age, while it still has a month to live. */
const RENEWAL_DAYS = 60;
/** Strangers choose the names they ask for, so the memory for them has an end. */
const MAX_LEAVES = 512;

const EC = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** A server certificate with its key, both PEM; `cert` is the chain, leaf first. `renewAt`: from this time (milliseconds) on `leaf` makes a new one. */
export interface Leaf {
  readonly key: string;
  readonly cert: string;
  readonly renewAt: number;
}

export interface Authority {
  /** The authority's own certificate, PEM. */
  readonly certificate: string;
  readonly caFile: string;
  readonly caBundleFile: string;
  /** A certificate for these DNS names and IP addresses: the same until `renewAt`, then a new one with a new key. */
  leaf(names: readonly string[]): Promise<Leaf>;
  /** Brings `caBundleFile` up to date: ours, and the public authorities that this machine trusts now. PEM. */
  refreshBundle(): Promise<void>;
}

/**
 * Opens the certificate authority of a data folder, and makes it when the folder has none.
 * Throws an Error for the operator when one of its two files is missing, unreadable, expired or not the other's.
 */
export async function openAuthority(dataDir: string, clock: Clock): Promise<Authority> {
  const keyFile = join(dataDir, KEY_FILE);
  const caFile = join(dataDir, CERTIFICATE_FILE);
  const caBundleFile = join(dataDir, 'ca-bundle.pem');

  await finishInstalling(keyFile, caFile);
  const [keyText, certificateText] = await Promise.all([readIfThere(keyFile), readIfThere(caFile)]);
  const kept =
    keyText === undefined && certificateText === undefined ? undefined : checkedPair(keyFile, keyText, caFile, certificateText, clock);
  const { key, certificate } = kept ?? (await createAuthority(clock));
  if (kept === undefined)
    await installAuthority(dataDir, { key: key.export({ type: 'pkcs8', format: 'pem' }).toString(), certificate: certificate.toString() });
  const bundled = await readIfThere(caBundleFile);
  if (bundled?.startsWith(certificate.toString().trim()) !== true) await writeWhole(caBundleFile, bundleWith(certificate), 0o644);

  async function refreshBundle(): Promise<void> {
    const bundle = bundleWith(certificate);
    if ((await readIfThere(caBundleFile)) !== bundle) await writeWhole(caBundleFile, bundle, 0o644);
  }

  const file = leafFile(dataDir, certificate, { read: readIfThere, write: (path, text) => writeWhole(path, text, 0o600) });
  /** Only the fixed names are several, and only their leaf is kept: whoever connects chooses the other names. */
  async function keptOrNew(names: readonly string[], make: () => Promise<Leaf>): Promise<Leaf> {
    if (names.length < 2) return make();
    const kept = await file.read(names);
    if (kept !== undefined && clock.now() < kept.renewAt) return kept;
    const made = await make();
    // It saves the next start a moment. A disk that does not take it is said to be so by what cannot do without.
    await file.write(names, made).catch(() => undefined);
    return made;
  }

  const leaves = new LRUCache<string, { renewAt: number; readonly made: Promise<Leaf> }>({ max: MAX_LEAVES });
  async function leaf(names: readonly string[]): Promise<Leaf> {
    const place = names.join(' ');
    const known = leaves.get(place);
    if (known !== undefined && clock.now() < known.renewAt) return known.made;
    const lifetime = validity(clock, LEAF_DAYS, certificate.validToDate);
    const renewAt = Math.min(clock.now() + RENEWAL_DAYS * DAY, lifetime.notAfter.getTime());
    const made = keptOrNew(names, async () => ({ ...(await issueLeaf(names, key, certificate, lifetime)), renewAt }));
    const entry = { renewAt, made };
    leaves.set(place, entry);
    made.then(
      // One that was kept is older.
      (leaf) => {
        entry.renewAt = leaf.renewAt;
      },
      () => leaves.peek(place) === entry && leaves.delete(place),
    );
    return made;
  }

  return { certificate: certificate.toString(), caFile, caBundleFile, leaf, refreshBundle };
}

const HSM_NAME = /^(?=.{3,24}$)[a-z](?:[a-z0-9]|-[a-z0-9])+$/;

/**
 * Whether a host name (no port, no brackets, any case) is one that this service answers for and so may have a certificate:
 * the loopback names, the domain with its `management`, `login`, `graph` and `managedhsm` names, and every well-formed HSM name.
 */
export function isOurName(host: string, domain: string): boolean {
  const name = host.toLowerCase();
  const base = domain.toLowerCase();
  const fixed = [
    'localhost',
    '127.0.0.1',
    '::1',
    base,
    ...['management', 'login', 'graph', 'managedhsm'].map((first) => `${first}.${base}`),
  ];
  if (fixed.includes(name)) return true;
  const suffix = `.managedhsm.${base}`;
  return name.endsWith(suffix) && HSM_NAME.test(name.slice(0, -suffix.length));
}

interface Pair {
  readonly key: KeyObject;
  readonly certificate: X509Certificate;
}

function checkedPair(
  keyFile: string,
  keyText: string | undefined,
  caFile: string,
  certificateText: string | undefined,
  clock: Clock,
): Pair {
  const remedy = `restore both files from a copy, or remove ${keyFile} and ${caFile} to start with a new authority that every client must trust anew`;
  const refuse = (what: string, cause?: unknown) => new Error(`the certificate authority cannot be used: ${what}; ${remedy}`, { cause });
  if (keyText === undefined) throw refuse(`${keyFile} is missing`);
  if (certificateText === undefined) throw refuse(`${caFile} is missing`);

  const key = parsed(
    () => createPrivateKey(keyText),
    () => refuse(`${keyFile} is not a private key`),
  );
  const certificate = parsed(
    () => new X509Certificate(certificateText),
    (cause) => refuse(`${caFile} is not a certificate`, cause),
  );
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw refuse(`${keyFile} is not a P-256 key`);
  if (!certificate.checkPrivateKey(key)) throw refuse(`${keyFile} and ${caFile} do not belong together`);
  if (!certificate.ca) throw refuse(`${caFile} is not the certificate of an authority`);
  if (certificate.validToDate.getTime() <= clock.now()) throw refuse(`${caFile} has expired`);
  return { key, certificate };
}

function parsed<Value>(read: () => Value, refusal: (cause: unknown) => Error): Value {
  try {
    return read();
  } catch (cause) {
    throw refusal(cause);
  }
}

/**
 * Makes the authority. Its certificate has no name constraints: they would have to list the domain, the IP addresses and whatever `--domain` comes
 * later, they cannot be changed without a new trust anchor, and clients disagree about them on a root (some ignore them, some refuse IP subtrees).
 * What keeps the authority to our names is that its key stays in the data folder and `isOurName` stands before it.
 */
async function createAuthority(clock: Clock): Promise<Pair> {
  const x509 = await loadX509();
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: EC.namedCurve });
  const publicCryptoKey = publicKey.toCryptoKey(EC, true, ['verify']);
  const name = `CN=Strongroom local CA ${randomBytes(4).toString('hex')}`;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: name,
    issuer: name,
    ...validity(clock, AUTHORITY_DAYS),
    publicKey: publicCryptoKey,
    signingKey: privateKey.toCryptoKey(EC, false, ['sign']),
    signingAlgorithm: SIGNATURE,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(publicCryptoKey),
    ],
  });
  return { key: privateKey, certificate: new X509Certificate(Buffer.from(certificate.rawData)) };
}

async function issueLeaf(
  names: readonly string[],
  signingKey: KeyObject,
  authority: X509Certificate,
  lifetime: Lifetime,
): Promise<{ key: string; cert: string }> {
  if (names.length === 0) throw new RangeError('a server certificate needs a name');
  const x509 = await loadX509();
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: EC.namedCurve });
  const publicCryptoKey = publicKey.toCryptoKey(EC, true, ['verify']);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    // Names belong into the alternative names alone (RFC 9525 section 2); a common name ends at 64 characters, ours may be longer.
    subject: 'CN=Strongroom',
    issuer: new x509.X509Certificate(authority.raw).subjectName,
    ...lifetime,
    publicKey: publicCryptoKey,
    signingKey: signingKey.toCryptoKey(EC, false, ['sign']),
    signingAlgorithm: SIGNATURE,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value }))),
      await x509.SubjectKeyIdentifierExtension.create(publicCryptoKey),
      await x509.AuthorityKeyIdentifierExtension.create(authority.publicKey.toCryptoKey(EC, true, ['verify'])),
    ],
  });
  const leaf = new X509Certificate(Buffer.from(certificate.rawData));
  return { key: privateKey.export({ type: 'pkcs8', format: 'pem' }), cert: leaf.toString() + authority.toString() };
}

/** Clients replace their own list by this file (REQUESTS_CA_BUNDLE, SSL_CERT_FILE), so it must not take the public authorities from them. */
function bundleWith(certificate: X509Certificate): string {
  const system = getCACertificates('system');
  const known = system.length > 0 ? system : rootCertificates;
  return [certificate.toString(), ...known].map((pem) => `${pem.trim()}\n`).join('');
}
