// What principals prove themselves with: passwords, client secrets and certificates. Secrets are rows of hashes; nobody reads them back.

import { randomUUID, X509Certificate } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import type { Tables } from '../store/schema.ts';
import type { Reader, Writer } from '../store/store.ts';
import { isSecret, pretendToCheck } from './secret-hash.ts';

type Kind = Tables['credentials']['kind'];

/** `verifier` comes from `hashSecret`, which takes too long to be done inside a transaction. */
export async function addSecret(
  writer: Writer,
  clock: Clock,
  principalId: string,
  kind: 'password' | 'secret',
  verifier: string,
  expiresAt: number | null = null,
): Promise<void> {
  await insert(writer, clock, principalId, { kind, verifier, not_before: clock.now(), expires_at: expiresAt });
}

/** Lets a service principal sign in with this certificate's key (PEM), for as long as the certificate is valid. */
export async function addCertificate(writer: Writer, clock: Clock, principalId: string, pem: string): Promise<void> {
  const certificate = new X509Certificate(pem);
  const validity = { not_before: certificate.validFromDate.getTime(), expires_at: certificate.validToDate.getTime() };
  await insert(writer, clock, principalId, { kind: 'certificate', verifier: certificate.toString(), ...validity });
}

async function insert(
  writer: Writer,
  clock: Clock,
  principalId: string,
  credential: Pick<Tables['credentials'], 'kind' | 'verifier' | 'not_before' | 'expires_at'>,
): Promise<void> {
  const row = { id: randomUUID(), object_id: principalId, display_name: null, ...credential, created_at: clock.now() };
  await writer.insertInto('credentials').values(row).execute();
  writer.touch(`principal:${principalId}`);
}

export type SecretCheck = 'right' | 'wrong' | 'expired';

/**
 * Checks a secret against all that these objects have: a user, or a service principal and its application. Without any it takes as long, and
 * is wrong.
 */
export async function checkSecret(
  read: Reader,
  clock: Clock,
  objectIds: readonly string[],
  kind: 'password' | 'secret',
  secret: string,
): Promise<SecretCheck> {
  const rows = await credentialsOf(read, objectIds, kind);
  if (rows.length === 0) return (await pretendToCheck(secret)) ? 'right' : 'wrong';
  let expired = false;
  for (const row of rows) {
    if (!(await isSecret(secret, row.verifier))) continue;
    if (isInForce(row, clock)) return 'right';
    expired = true;
  }
  return expired ? 'expired' : 'wrong';
}

/** The certificates that a service principal (with its application) may sign with today. */
export async function certificatesOf(read: Reader, clock: Clock, objectIds: readonly string[]): Promise<readonly X509Certificate[]> {
  const rows = await credentialsOf(read, objectIds, 'certificate');
  return rows.filter((row) => isInForce(row, clock)).map((row) => new X509Certificate(row.verifier));
}

async function credentialsOf(read: Reader, objectIds: readonly string[], kind: Kind): Promise<Tables['credentials'][]> {
  if (objectIds.length === 0) return [];
  return read.selectFrom('credentials').selectAll().where('object_id', 'in', objectIds).where('kind', '=', kind).execute();
}

function isInForce(row: Tables['credentials'], clock: Clock): boolean {
  const now = clock.now();
  return row.not_before <= now && (row.expires_at === null || now < row.expires_at);
}
