// What can be said of a backup by whoever has it: without a key whether all of it is there as its manifest says, and with the domain whether it is genuine.

import type { Clock } from '../../core/clock.ts';
import type { CryptoModule } from '../../crypto/module.ts';
import { checkChunk, chunkName, LARGEST_MANIFEST, MANIFEST, type Manifest, readManifest } from './format.ts';
import { openStorage } from './open-storage.ts';
import type { BackupSettings } from './place.ts';
import type { Place, StorageAccess } from './storage.ts';
import { type Counts, type Order, openBackupWork } from './work.ts';

export interface Looked {
  readonly place: Place;
  readonly folder: string;
  readonly access: StorageAccess;
  readonly settings: BackupSettings;
}

/** Every file is there, in order, with the length and the sum that the manifest says. Throws a job's failure. */
export async function checkStructure({ place, folder, access, settings }: Looked): Promise<Manifest> {
  const storage = await openStorage(place, folder, access, settings);
  try {
    const { manifest } = readManifest(await storage.get(MANIFEST, LARGEST_MANIFEST));
    for (const [number, { bytes }] of manifest.chunks.entries()) checkChunk(manifest, number, await storage.get(chunkName(number), bytes));
    return manifest;
  } finally {
    storage.close();
  }
}

/** An HSM of this domain wrote all of it, and every key in it opens. Throws a job's failure. */
export async function checkAll(
  looked: Looked,
  domain: Pick<Order['hsm'], 'domainId' | 'domain'> & { readonly crypto: CryptoModule },
  clock: Clock,
): Promise<Counts> {
  const { crypto, domainId } = domain;
  const hsm = { id: domain.domain.hsmId, name: 'offline', domainId, domain: domain.domain };
  const jobId = 'offline';
  const { token } = looked.access;
  const sealedToken = token === undefined ? null : crypto.sealSecret('backup-token', jobId, Buffer.from(token));
  const work = openBackupWork({
    crypto,
    clock,
    settings: looked.settings,
    snapshot: () => Promise.reject(new Error('nothing is backed up here')),
    keep: () => Promise.reject(new Error('nothing is restored here')),
    isOurs: () => Promise.reject(new Error('nothing is backed up here')),
    identityToken: looked.access.identityToken,
  });
  return work.verify({ jobId, hsm, place: looked.place, folder: looked.folder, sealedToken });
}
