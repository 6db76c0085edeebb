// Secrets and certificates as the directory shows them: when they begin and end and what they are called, never what they are.

import { X509Certificate } from 'node:crypto';
import type { Reader } from '../store/store.ts';
import { graphTime } from './times.ts';

export interface CredentialsShown {
  readonly keyCredentials: readonly object[];
  readonly passwordCredentials: readonly object[];
}

/** Far enough in the future for a credential without an end. */
const NO_END = '2299-12-31T00:00:00Z';

/** By object id; an object without any has no entry. */
export async function credentialsShown(read: Reader, objectIds: readonly string[]): Promise<ReadonlyMap<string, CredentialsShown>> {
  const rows = await read
    .selectFrom('credentials')
    .selectAll()
    .where('object_id', 'in', objectIds)
    .where('kind', 'in', ['secret', 'certificate', 'header'])
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  const shown = new Map<string, { keyCredentials: object[]; passwordCredentials: object[] }>();
  for (const row of rows) {
    const of = shown.get(row.object_id) ?? { keyCredentials: [], passwordCredentials: [] };
    shown.set(row.object_id, of);
    const common = {
      displayName: row.display_name,
      endDateTime: row.expires_at === null ? NO_END : graphTime(row.expires_at),
      keyId: row.id,
      startDateTime: graphTime(row.not_before),
    };
    // The headers of a managed identity are among its secrets: they are removed in the same way.
    if (row.kind !== 'certificate') of.passwordCredentials.push({ customKeyIdentifier: null, ...common, hint: null, secretText: null });
    else
      of.keyCredentials.push({ customKeyIdentifier: thumbprint(row.verifier), ...common, key: null, type: CERTIFICATE, usage: 'Verify' });
  }
  return shown;
}

/** What `type` says of a certificate. */
export const CERTIFICATE = 'AsymmetricX509Cert';

function thumbprint(pem: string): string {
  return new X509Certificate(pem).fingerprint.replaceAll(':', '');
}
