// Custodians for tests: key pairs and certificates made by openssl, as the quickstart makes them.

import { execFileSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type WrappingCertificate, wrappingCertificate } from '../../../src/crypto/security-domain/certificate.ts';
import type { CustodianKey } from '../../../src/crypto/security-domain/file.ts';

export interface Pair {
  readonly pem: string;
  readonly der: Buffer;
}

/** `algorithm` is what `openssl req -newkey` takes. */
export function makePair(name: string, algorithm: readonly string[] = ['rsa:2048'], more: readonly string[] = []): Pair {
  const folder = mkdtempSync(join(tmpdir(), 'custodian-'));
  try {
    const key = join(folder, 'key.pem');
    const out = join(folder, 'certificate.der');
    const request = ['req', '-x509', '-newkey', ...algorithm, '-nodes', '-keyout', key, '-outform', 'DER', '-out', out, '-days', '1'];
    execFileSync('openssl', [...request, '-subj', `/CN=${name}`, ...more], { stdio: 'pipe' });
    return { pem: readFileSync(key, 'utf8'), der: readFileSync(out) };
  } finally {
    rmSync(folder, { recursive: true });
  }
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
