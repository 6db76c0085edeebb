// One certificate authority for all nodes of a store: sealed in the store under the root key by the first, and put into the data folder of each that comes
// later, so that a client which trusts one node trusts them all.

import { fromBase64url, toBase64url } from '../core/encoding.ts';
import type { CryptoModule } from '../crypto/module.ts';
import { type AuthorityFiles, installAuthority, readAuthority } from '../door/authority-files.ts';
import { readMeta, writeMeta } from '../store/meta.ts';
import type { Store, Writer } from '../store/store.ts';

/** The fact of `meta` that holds it. */
const AUTHORITY = 'certificate-authority';

/** Whether another authority than the folder's is in the folder now, and has to be opened. */
export async function shareAuthority(dataFolder: string, store: Store, crypto: CryptoModule): Promise<boolean> {
  const own = await readAuthority(dataFolder);
  const shared = await store.write(async (writer) => {
    const known = await readMeta(writer, AUTHORITY);
    if (known !== undefined) return known;
    const sealed = toBase64url(crypto.sealSecret(AUTHORITY, AUTHORITY, Buffer.from(JSON.stringify(own))));
    await writeMeta(writer, AUTHORITY, sealed);
    return sealed;
  });
  const plain = crypto.openSecret(AUTHORITY, AUTHORITY, bytesOf(shared));
  try {
    // Our own text, sealed.
    const files = JSON.parse(plain.toString('utf8')) as AuthorityFiles;
    if (files.certificate === own.certificate) return false;
    await installAuthority(dataFolder, files);
    return true;
  } finally {
    plain.fill(0);
  }
}

/** Sealed under the root key that is in charge now. */
export async function resealSharedAuthority(writer: Writer, crypto: Pick<CryptoModule, 'resealSecret'>): Promise<void> {
  const known = await readMeta(writer, AUTHORITY);
  const resealed = known === undefined ? undefined : crypto.resealSecret(AUTHORITY, AUTHORITY, bytesOf(known));
  if (resealed !== undefined) await writeMeta(writer, AUTHORITY, toBase64url(resealed));
}

function bytesOf(text: string): Uint8Array {
  return fromBase64url(text) ?? new Uint8Array();
}
