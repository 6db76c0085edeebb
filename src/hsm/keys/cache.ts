// Keys that were looked up a moment ago: the hot path of every cryptographic operation, without the store. A commit that touches a key makes every
// thread forget it before the change is answered.

import { CoherentCache } from '../../core/coherence.ts';
import { keyNotFound } from '../../core/errors-keyvault.ts';
import type { Reader } from '../../store/store.ts';
import type { Hsm, HsmParts } from '../world.ts';
import { type KeyVersion, keyVersionOf } from './key-version.ts';
import { keyAddress, keyTag, nameKey } from './names.ts';

/** As many as one HSM may hold, twice over: a key may be asked for by version and as the latest. */
const KEYS = 10_000;

export interface KeyCache {
  /** The version, or the latest when it is undefined. Throws KeyNotFound when there is none or the key is deleted. */
  find(hsm: Hsm, name: string, version: string | undefined): Promise<KeyVersion>;
}

export function openKeyCache({ read, versions }: Pick<HsmParts, 'read' | 'versions'>): KeyCache {
  const cache = new CoherentCache<KeyVersion>(versions, { max: KEYS });

  // Throws for a key that is not there, so that made-up names take no place from keys in use.
  async function load(hsm: Hsm, name: string, version: string | undefined): Promise<KeyVersion> {
    const key = await readVersion(read, hsm, name, version);
    if (key === undefined) throw keyNotFound(keyAddress(hsm, name));
    return key;
  }

  return {
    find: (hsm, name, version) => {
      const tag = keyTag(hsm.id, name);
      return cache.get(`${tag}/${version ?? ''}`, tag, () => load(hsm, name, version));
    },
  };
}

/** Reads one version of a key that is not deleted, from wherever the reader reads: inside a transaction, its own changes too. */
export async function readVersion(
  read: Pick<Reader, 'selectFrom'>,
  hsm: Hsm,
  name: string,
  version: string | undefined,
): Promise<KeyVersion | undefined> {
  let rows = read
    .selectFrom('keys')
    .innerJoin('key_versions', (join) =>
      join.onRef('key_versions.hsm_id', '=', 'keys.hsm_id').onRef('key_versions.name_key', '=', 'keys.name_key'),
    )
    .selectAll('key_versions')
    .select('keys.name')
    .where('keys.hsm_id', '=', hsm.id)
    .where('keys.name_key', '=', nameKey(name))
    .where('keys.deleted_at', 'is', null);
  if (version !== undefined) rows = rows.where('key_versions.version', '=', version);
  const row = await rows.orderBy('key_versions.sequence', 'desc').limit(1).executeTakeFirst();
  return row === undefined ? undefined : keyVersionOf(hsm, row.name, row);
}
