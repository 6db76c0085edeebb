// Custodians for tests: key pairs and certificates made by openssl, as the quickstart makes them.

import { execFileSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type WrappingCertificate, wrappingCertificate } from '../../../src/crypto/security-domain/certificate.ts';
import type { CustodianKey } from '../../../src/crypto/security-domain/file.ts';
import { keepFile } from '../../keep-file.ts';
import { CACHE } from '../../tools.ts';

export interface Pair {
  readonly pem: string;
  readonly der: Buffer;
}

/** Days; of what is kept from one run to the next. */
const VALID = '30';

/**
 * A key pair and its certificate. Those with an RSA key of 2048 bits and nothing special are kept for each name in the tests' cache: nearly every file needs
 * three custodians, and each takes a search for primes.
 */
export function makePair(name: string): Pair {
  const kept = join(CACHE, 'custodians', `${name}.json`);
  return readKept(kept) ?? keep(kept, makeNewPair(name));
}

/** `algorithm` is what `openssl req -newkey` takes. */
export function makeNewPair(name: string, algorithm: readonly string[] = ['rsa:2048'], more: readonly string[] = []): Pair {
  const folder = mkdtempSync(join(tmpdir(), 'custodian-'));
  try {
    const key = join(folder, 'key.pem');
    const out = join(folder, 'certificate.der');
    const request = ['req', '-x509', '-newkey', ...algorithm, '-nodes', '-keyout', key, '-outform', 'DER', '-out', out, '-days', VALID];
    execFileSync('openssl', [...request, '-subj', `/CN=${name}`, ...more], { stdio: 'pipe' });
    return { pem: readFileSync(key, 'utf8'), der: readFileSync(out) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function readKept(file: string): Pair | undefined {
  if (!existsSync(file)) return undefined;
  const { pem, der } = JSON.parse(readFileSync(file, 'utf8')) as { pem: string; der: string };
  const pair = { pem, der: Buffer.from(der, 'base64') };
  const aDay = 86_400_000;
  return new X509Certificate(pair.der).validToDate.getTime() > Date.now() + aDay ? pair : undefined;
}

function keep(file: string, pair: Pair): Pair {
  keepFile(file, JSON.stringify({ pem: pair.pem, der: pair.der.toString('base64') }));
  return pair;
}

/** Another certificate for the same key. */
export function certifyAgain(pair: Pair, name: string): Pair {
  const folder = mkdtempSync(join(tmpdir(), 'custodian-'));
  try {
    const key = join(folder, 'key.pem');
    const out = join(folder, 'certificate.der');
    writeFileSync(key, pair.pem, { mode: 0o600 });
    const request = ['req', '-x509', '-key', key, '-outform', 'DER', '-out', out, '-days', '1', '-subj', `/CN=${name}`];
    execFileSync('openssl', request, { stdio: 'pipe' });
    return { pem: pair.pem, der: readFileSync(out) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export function jwk(pair: Pair): { x5c: string[] } {
  return { x5c: [pair.der.toString('base64')] };
}

export function certificateOf(pair: Pair): WrappingCertificate {
  return wrappingCertificate(pair.der, 'The certificate');
}

export function custodianOf(pair: Pair): CustodianKey {
  return { privateKey: createPrivateKey(pair.pem), certificateDer: pair.der };
}
