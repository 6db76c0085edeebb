// Looking at keys: one version, the list of keys, the list of one key's versions.

import * as v from 'valibot';
import { badParameter } from '../../core/errors-keyvault.ts';
import { operation } from '../../core/route.ts';
import { prepared } from '../../store/prepared.ts';
import type { Reader } from '../../store/store.ts';
import type { ActiveReads, Hsm } from '../world.ts';
import { keyBundle, keyItem } from './bundles.ts';
import { LISTED, type ListedVersion, listedVersionOf } from './key-version.ts';
import { KeyPath, type KeyPlace, keyAddress, nameKey, placeOf, VersionPath } from './names.ts';
import { LARGEST_PAGE, type Page, PageQuery, pageOf, startOf } from './paging.ts';

export const getKey = operation(
  { path: VersionPath, query: v.unknown(), body: v.unknown() },
  async ({ hsm, keys }: ActiveReads, { path, apiVersion }) => keyBundle(hsm, await keys.find(hsm, path.name, path.version), apiVersion),
  { steady: true },
);

export const listKeys = operation(
  { path: v.unknown(), query: PageQuery, body: v.unknown() },
  async ({ hsm, read }: ActiveReads, { query }) => {
    const rows = await latestVersions(read, hsm, 'live', query);
    return pageOf(
      `${hsm.origin}/keys`,
      query,
      rows,
      ({ key }) => keyItem(hsm, key, false),
      ({ key }) => nameKey(key.name),
    );
  },
);

/** A key that is not there has no versions, and that is no error. */
export const listVersions = operation(
  { path: KeyPath, query: PageQuery, body: v.unknown() },
  async ({ hsm, read }: ActiveReads, { path, query }) => {
    const start = startOf(query);
    if (!/^\d{0,9}$/.test(start)) throw badParameter('$skiptoken is not valid: take it from nextLink as it is.');
    const versions = await versionsAfter(read, hsm, path.name, Number(start));
    return pageOf(
      `${keyAddress(hsm, versions[0]?.key.name ?? path.name)}/versions`,
      query,
      versions,
      ({ key }) => keyItem(hsm, key, true),
      ({ sequence }) => String(sequence),
    );
  },
);

// One more than the largest page has: a page that is smaller leaves the rest.
const ROWS = LARGEST_PAGE + 1;

/** Versions of a live key in the order in which they were made, from behind the one with that sequence, more than a page; none when there is no such key. */
export async function versionsAfter(
  read: Reader,
  hsm: Hsm,
  name: string,
  sequence: number,
): Promise<readonly { readonly key: ListedVersion; readonly sequence: number }[]> {
  const at = placeOf(hsm, name);
  const [key] = await liveKey(read, at);
  if (key === undefined) return [];
  const rows = await versionsOf(read, { ...at, sequence });
  return rows.map((row) => ({ key: listedVersionOf(hsm, key.name, row), sequence: row.sequence }));
}

const liveKey = prepared((read: Reader, { hsmId, nameKey }: KeyPlace) =>
  read.selectFrom('keys').select('name').where('hsm_id', '=', hsmId).where('name_key', '=', nameKey).where('deleted_at', 'is', null),
);

const versionsOf = prepared((read: Reader, { hsmId, nameKey, sequence }: KeyPlace & { readonly sequence: number }) =>
  read
    .selectFrom('key_versions')
    .select([...LISTED, 'sequence'])
    .where('hsm_id', '=', hsmId)
    .where('name_key', '=', nameKey)
    .where('sequence', '>', sequence)
    .orderBy('sequence')
    .limit(ROWS),
);

export interface ListedKey<Version = ListedVersion> {
  readonly key: Version;
  readonly deletedAt: number;
  readonly scheduledPurgeAt: number;
}

/** The latest version of each key, in the order of names, from behind that name, more than a page. */
export async function latestVersions(read: Reader, hsm: Hsm, which: 'live' | 'deleted', page: Page): Promise<readonly ListedKey[]> {
  const rows = await LATEST[which](read, { hsmId: hsm.id, after: startOf(page) });
  return rows.map((row) => ({
    key: listedVersionOf(hsm, row.name, row),
    deletedAt: row.deleted_at ?? 0,
    scheduledPurgeAt: row.scheduled_purge_at ?? 0,
  }));
}

const LATEST = { live: latestOf('is'), deleted: latestOf('is not') };

function latestOf(deletion: 'is' | 'is not') {
  return prepared((read: Reader, { hsmId, after }: { readonly hsmId: string; readonly after: string }) =>
    read
      .selectFrom('keys')
      .innerJoin('key_versions', (join) =>
        join.onRef('key_versions.hsm_id', '=', 'keys.hsm_id').onRef('key_versions.name_key', '=', 'keys.name_key'),
      )
      .select(LISTED)
      .select(['keys.name', 'keys.deleted_at', 'keys.scheduled_purge_at'])
      .where('keys.hsm_id', '=', hsmId)
      .where('keys.deleted_at', deletion, null)
      .where('keys.name_key', '>', after)
      .where('key_versions.sequence', '=', (of) =>
        of
          .selectFrom('key_versions as other')
          .select((inner) => inner.fn.max('other.sequence').as('latest'))
          .whereRef('other.hsm_id', '=', 'keys.hsm_id')
          .whereRef('other.name_key', '=', 'keys.name_key'),
      )
      .orderBy('keys.name_key')
      .limit(ROWS),
  );
}
