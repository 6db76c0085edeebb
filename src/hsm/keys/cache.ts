// Keys that were looked up a moment ago: the hot path of every cryptographic operation, without the store. A commit that touches a key makes every
// thread forget it before the change is answered.

import { CoherentCache } from '../../core/coherence.ts';
import { keyNotFound } from '../../core/errors-keyvault.ts';
import { prepared } from '../../store/prepared.ts';
import type { Reader } from '../../store/store.ts';
import type { Hsm, HsmParts } from '../world.ts';
import { type KeyVersion, keyVersionOf } from './key-version.ts';
import { type KeyPlace, keyAddress, keyTag, placeOf } from './names.ts';

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
export async function readVersion(read: Reader, hsm: Hsm, name: string, version: string | undefined): Promise<KeyVersion | undefined> {
  const at = placeOf(hsm, name);
  const [row] = version === undefined ? await latestOf(read, at) : await versionOf(read, { ...at, version });
  return row === undefined ? undefined : keyVersionOf(hsm, row.name, row);
}

const latestOf = prepared((read: Reader, at: KeyPlace) => versionsAt(read, at).orderBy('key_versions.sequence', 'desc').limit(1));

const versionOf = prepared((read: Reader, { version, ...at }: KeyPlace & { readonly version: string }) =>
  versionsAt(read, at).where('key_versions.version', '=', version),
);

function versionsAt(read: Reader, { hsmId, nameKey }: KeyPlace) {
  return read
    .selectFrom('keys')
    .innerJoin('key_versions', (join) =>
      join.onRef('key_versions.hsm_id', '=', 'keys.hsm_id').onRef('key_versions.name_key', '=', 'keys.name_key'),
    )
    .selectAll('key_versions')
    .select('keys.name')
    .where('keys.hsm_id', '=', hsmId)
    .where('keys.name_key', '=', nameKey)
    .where('keys.deleted_at', 'is', null);
}
