// Looking at keys: one version, the list of keys, the list of one key's versions.

import * as v from 'valibot';
import { badParameter } from '../../core/errors-keyvault.ts';
import { operation } from '../../core/route.ts';
import type { Reader } from '../../store/store.ts';
import type { ActiveReads, Hsm } from '../world.ts';
import { keyBundle, keyItem } from './bundles.ts';
import { type KeyVersion, keyVersionOf } from './key-version.ts';
import { KeyPath, keyAddress, nameKey, VersionPath } from './names.ts';
import { type Page, PageQuery, pageOf, startOf } from './paging.ts';

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
    const versions = await versionsAfter(read, hsm, path.name, Number(start), query.maxresults + 1);
    return pageOf(
      `${keyAddress(hsm, versions[0]?.key.name ?? path.name)}/versions`,
      query,
      versions,
      ({ key }) => keyItem(hsm, key, true),
      ({ sequence }) => String(sequence),
    );
  },
);

/** Versions of a live key in the order in which they were made, from behind the one with that sequence; none when there is no such key. */
export async function versionsAfter(
  read: Reader,
  hsm: Hsm,
  name: string,
  sequence: number,
  limit: number,
): Promise<readonly { readonly key: KeyVersion; readonly sequence: number }[]> {
  const key = await read
    .selectFrom('keys')
    .select('name')
    .where('hsm_id', '=', hsm.id)
    .where('name_key', '=', nameKey(name))
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  if (key === undefined) return [];
  const rows = await read
    .selectFrom('key_versions')
    .selectAll()
    .where('hsm_id', '=', hsm.id)
    .where('name_key', '=', nameKey(name))
    .where('sequence', '>', sequence)
    .orderBy('sequence')
    .limit(limit)
    .execute();
  return rows.map((row) => ({ key: keyVersionOf(hsm, key.name, row), sequence: row.sequence }));
}

export interface ListedKey {
  readonly key: KeyVersion;
  readonly deletedAt: number;
  readonly scheduledPurgeAt: number;
}

/** The latest version of each key, in the order of names, one more than the page has. */
export async function latestVersions(read: Reader, hsm: Hsm, which: 'live' | 'deleted', page: Page): Promise<readonly ListedKey[]> {
  const rows = await read
    .selectFrom('keys')
    .innerJoin('key_versions', (join) =>
      join.onRef('key_versions.hsm_id', '=', 'keys.hsm_id').onRef('key_versions.name_key', '=', 'keys.name_key'),
    )
    .selectAll('key_versions')
    .select(['keys.name', 'keys.deleted_at', 'keys.scheduled_purge_at'])
    .where('keys.hsm_id', '=', hsm.id)
    .where('keys.deleted_at', which === 'live' ? 'is' : 'is not', null)
    .where('keys.name_key', '>', startOf(page))
    .where('key_versions.sequence', '=', (of) =>
      of
        .selectFrom('key_versions as other')
        .select((inner) => inner.fn.max('other.sequence').as('latest'))
        .whereRef('other.hsm_id', '=', 'keys.hsm_id')
        .whereRef('other.name_key', '=', 'keys.name_key'),
    )
    .orderBy('keys.name_key')
    .limit(page.maxresults + 1)
    .execute();
  return rows.map((row) => ({
    key: keyVersionOf(hsm, row.name, row),
    deletedAt: row.deleted_at ?? 0,
    scheduledPurgeAt: row.scheduled_purge_at ?? 0,
  }));
}
