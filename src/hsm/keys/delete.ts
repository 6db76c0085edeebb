// The end of keys: deleted, looked at while deleted, brought back, purged. A key is deleted with all its versions, and comes back with them.

import * as v from 'valibot';
import { keyNotFound, purgeProtected } from '../../core/errors-keyvault.ts';
import { nothing } from '../../core/reply.ts';
import { operation } from '../../core/route.ts';
import type { Reader, Writer } from '../../store/store.ts';
import { accessTag } from '../access/grants.ts';
import type { ActiveReads, ActiveWrites, Hsm } from '../world.ts';
import { deletedKeyBundle, deletedKeyItem, keyBundle } from './bundles.ts';
import { readVersion } from './cache.ts';
import { type KeyVersion, keyVersionOf } from './key-version.ts';
import { deletedKeyAddress, KeyPath, keyAddress, keyTag, nameKey } from './names.ts';
import { PageQuery, pageOf } from './paging.ts';
import { type ListedKey, latestVersions } from './read.ts';

const DAY = 86_400_000;

export const deleteKey = operation(
  { path: KeyPath, query: v.unknown(), body: v.unknown() },
  ({ hsm, write, clock }: ActiveWrites, { path }) =>
    write(async (writer) => {
      const key = await readVersion(writer, hsm, path.name, undefined);
      if (key === undefined) throw keyNotFound(keyAddress(hsm, path.name));
      const deletedAt = clock.now();
      const scheduledPurgeAt = deletedAt + hsm.retentionDays * DAY;
      await writer
        .updateTable('keys')
        .set({ deleted_at: deletedAt, scheduled_purge_at: scheduledPurgeAt })
        .where('hsm_id', '=', hsm.id)
        .where('name_key', '=', nameKey(path.name))
        .execute();
      writer.touch(keyTag(hsm.id, path.name));
      return deletedKeyBundle(hsm, key, { deletedAt, scheduledPurgeAt });
    }),
);

export const getDeletedKey = operation(
  { path: KeyPath, query: v.unknown(), body: v.unknown() },
  async ({ hsm, read }: ActiveReads, { path }) => {
    const deleted = await deletedKey(read, hsm, path.name);
    return deletedKeyBundle(hsm, deleted.key, deleted);
  },
);

export const listDeletedKeys = operation(
  { path: v.unknown(), query: PageQuery, body: v.unknown() },
  async ({ hsm, read }: ActiveReads, { query }) =>
    pageOf(
      `${hsm.origin}/deletedkeys`,
      query,
      await latestVersions(read, hsm, 'deleted', query),
      (listed) => deletedKeyItem(hsm, listed.key, listed),
      ({ key }) => nameKey(key.name),
    ),
);

export const recoverKey = operation(
  { path: KeyPath, query: v.unknown(), body: v.unknown() },
  ({ hsm, write }: ActiveWrites, { path, apiVersion }) =>
    write(async (writer) => {
      const { key } = await deletedKey(writer, hsm, path.name);
      await writer
        .updateTable('keys')
        .set({ deleted_at: null, scheduled_purge_at: null })
        .where('hsm_id', '=', hsm.id)
        .where('name_key', '=', nameKey(path.name))
        .execute();
      writer.touch(keyTag(hsm.id, path.name));
      return keyBundle(hsm, key, apiVersion);
    }),
);

export const purgeKey = operation({ path: KeyPath, query: v.unknown(), body: v.unknown() }, ({ hsm, write }: ActiveWrites, { path }) =>
  write(async (writer) => {
    await deletedKey(writer, hsm, path.name);
    if (hsm.purgeProtection) throw purgeProtected();
    await endKey(writer, hsm.id, nameKey(path.name));
    return nothing();
  }),
);

/** The key, its versions (foreign keys cascade) and the roles at its scope: another key that gets the name later starts with none. */
export async function endKey(writer: Writer, hsmId: string, name: string): Promise<void> {
  await writer.deleteFrom('keys').where('hsm_id', '=', hsmId).where('name_key', '=', name).execute();
  await writer.deleteFrom('role_assignments').where('hsm_id', '=', hsmId).where('scope_key', '=', `/keys/${name}`).execute();
  writer.touch(keyTag(hsmId, name));
  writer.touch(accessTag(hsmId));
}

async function deletedKey(read: Reader, hsm: Hsm, name: string): Promise<ListedKey<KeyVersion>> {
  const key = await read
    .selectFrom('keys')
    .selectAll()
    .where('hsm_id', '=', hsm.id)
    .where('name_key', '=', nameKey(name))
    .where('deleted_at', 'is not', null)
    .executeTakeFirst();
  const row = await read
    .selectFrom('key_versions')
    .selectAll()
    .where('hsm_id', '=', hsm.id)
    .where('name_key', '=', nameKey(name))
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (key === undefined || row === undefined) throw keyNotFound(deletedKeyAddress(hsm, name));
  return { key: keyVersionOf(hsm, key.name, row), deletedAt: key.deleted_at ?? 0, scheduledPurgeAt: key.scheduled_purge_at ?? 0 };
}
