// The custodians' keys from their files, put to work on a security-domain file: what cmdlets and commands share. Knows files' bytes; not where they lie.

import type { KeyObject } from 'node:crypto';
import { Failure } from '../core/failure.ts';
import { KeyFileError, openKeyFile } from '../core/key-file.ts';
import { wrappingCertificate } from '../crypto/security-domain/certificate.ts';
import { type CustodianKey, openSecurityDomain, readSecurityDomain } from '../crypto/security-domain/file.ts';
import { checkShare, inspect, rewrap } from '../crypto/security-domain/offline.ts';
import type { Custody, CustodyKey } from '../shell/custody.ts';

export const custody: Custody = {
  inspect: (securityDomain) => inspect(readSecurityDomain(securityDomain)),
  check: async (securityDomain, key) => checkShare(readSecurityDomain(securityDomain), await custodianFrom(key)).result,
  opens: async (securityDomain, keys) => {
    const custodians = await custodiansFrom(keys);
    try {
      for (const plain of openSecurityDomain(readSecurityDomain(securityDomain), custodians).values()) plain.fill(0);
      return true;
    } catch (error) {
      if (error instanceof Failure) return false;
      throw error;
    }
  },
  restoreBlob: async (securityDomain, keys, exchange) => {
    const file = readSecurityDomain(securityDomain);
    const certificate = wrappingCertificate(exchange, 'The exchange key');
    return rewrap(file, await custodiansFrom(keys), certificate);
  },
};

/** One after another: each may ask for a passphrase. */
async function custodiansFrom(keys: readonly CustodyKey[]): Promise<CustodianKey[]> {
  const custodians: CustodianKey[] = [];
  for (const key of keys) custodians.push(await custodianFrom(key));
  return custodians;
}

/** A custodian's key and certificate, found to belong together. Throws an Error that names the file. */
export async function custodianFrom({ name, certificate, privateKey, password }: CustodyKey): Promise<CustodianKey> {
  const { der } = wrappingCertificate(certificate, `The certificate of '${name}'`);
  return { certificateDer: der, privateKey: await openKey(name, privateKey, password) };
}

async function openKey(name: string, file: Uint8Array, password: CustodyKey['password']): Promise<KeyObject> {
  try {
    return await openKeyFile(file, undefined).catch(async (error: unknown) => {
      if (!(error instanceof KeyFileError) || error.reason !== 'protected') throw error;
      return openKeyFile(file, await password());
    });
  } catch (error) {
    if (error instanceof KeyFileError) throw new Error(`cannot take the key from '${name}': ${error.message}`);
    throw error;
  }
}
