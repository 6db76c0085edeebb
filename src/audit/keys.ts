// The key that signs segments: Ed25519, made once, sealed in the store, its public half beside the segments for whoever verifies them.

import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import type { Store, Writer } from '../store/store.ts';

/** The part of the crypto module that seals what is the service's own. */
export interface Secrets {
  readonly sealSecret: (purpose: typeof PURPOSE, name: string, plain: Uint8Array) => Uint8Array;
  readonly openSecret: (purpose: typeof PURPOSE, name: string, sealed: Uint8Array) => Buffer;
}

export interface SigningKey {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicPem: string;
}

const PURPOSE = 'audit-signing-key';

/** The key in charge, made when there is none. */
export async function openSigningKey(store: Pick<Store, 'read' | 'write'>, secrets: Secrets, clock: Clock): Promise<SigningKey> {
  const row = await store.read.selectFrom('audit_keys').selectAll().orderBy('created_at', 'desc').limit(1).executeTakeFirst();
  if (row === undefined) return newSigningKey(store, secrets, clock);
  const plain = secrets.openSecret(PURPOSE, row.kid, row.sealed);
  try {
    return { kid: row.kid, publicPem: row.public_pem, privateKey: createPrivateKey({ key: plain, format: 'der', type: 'pkcs8' }) };
  } finally {
    plain.fill(0);
  }
}

async function newSigningKey(store: Pick<Store, 'read' | 'write'>, secrets: Secrets, clock: Clock): Promise<SigningKey> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const kid = keyId(publicKey);
  const publicPem = publicKey.export({ format: 'pem', type: 'spki' }).toString();
  const plain = privateKey.export({ format: 'der', type: 'pkcs8' });
  try {
    const sealed = secrets.sealSecret(PURPOSE, kid, plain);
    const isFirst = await store.write(async (writer) => {
      // Another node may have made one a moment ago.
      if ((await writer.selectFrom('audit_keys').select('kid').executeTakeFirst()) !== undefined) return false;
      await writer.insertInto('audit_keys').values({ kid, sealed, public_pem: publicPem, created_at: clock.now() }).execute();
      return true;
    });
    return isFirst ? { kid, privateKey, publicPem } : openSigningKey(store, secrets, clock);
  } finally {
    plain.fill(0);
  }
}

/** The keys, sealed under the root key that is in charge now. */
export async function resealAuditKeys(
  writer: Writer,
  secrets: { readonly resealSecret: (purpose: typeof PURPOSE, name: string, sealed: Uint8Array) => Uint8Array | undefined },
): Promise<void> {
  for (const { kid, sealed } of await writer.selectFrom('audit_keys').select(['kid', 'sealed']).execute()) {
    const resealed = secrets.resealSecret(PURPOSE, kid, sealed);
    if (resealed !== undefined) await writer.updateTable('audit_keys').set({ sealed: resealed }).where('kid', '=', kid).execute();
  }
}

/** The first half of the SHA-256 of the public key (SPKI), in hex. */
export function keyId(publicKey: KeyObject): string {
  return createHash('sha256')
    .update(publicKey.export({ format: 'der', type: 'spki' }))
    .digest('hex')
    .slice(0, 32);
}

/** `audit-key.{kid}.pem`, for verification on another machine. Take a copy early: whoever changes the records may change this file too. */
export async function exportPublicKey(folder: string, { kid, publicPem }: SigningKey): Promise<void> {
  const file = join(folder, `audit-key.${kid}.pem`);
  await writeFile(file, publicPem, { mode: 0o644, flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
}
