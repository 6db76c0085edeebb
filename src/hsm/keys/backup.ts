// POST /keys/{name}/backup and /keys/restore: one key with all its versions, attributes and its rotation policy, for any HSM of the same security domain.
// Inside the blob every version stays sealed as it is in the store; restoring seals it for its new place.

import * as v from 'valibot';
import { toBase64url } from '../../core/encoding.ts';
import { badParameter, conflict, deletedButRecoverable, keyNotFound, malformedBackupBlob } from '../../core/errors-keyvault.ts';
import { operation } from '../../core/route.ts';
import { asSealedKey, type KeyMaterial } from '../../crypto/types.ts';
import type { Writer } from '../../store/store.ts';
import type { ActiveReads, ActiveWrites, Hsm } from '../world.ts';
import { Base64url } from './base64url.ts';
import { keyBundle } from './bundles.ts';
import { keyTermsOf, keyVersionOf, type VersionRow } from './key-version.ts';
import { refuseFull } from './limit.ts';
import { KeyPath, keyAddress, keyTag, nameKey } from './names.ts';
import { schedule } from './rotation-policy.ts';

const FORMAT = 1;
/** A hundred versions of RSA-4096 make about half of this. */
const LONGEST = 760 << 10;

interface Backup {
  readonly format: number;
  /** Where the versions were sealed for. */
  readonly hsmId: string;
  readonly name: string;
  readonly versions: readonly (Omit<VersionRow, 'hsm_id' | 'name_key' | 'sealed'> & { readonly sealed: string })[];
  readonly policy: { readonly policy_json: string; readonly created: number; readonly updated: number } | undefined;
}

export const backupKey = operation(
  { path: KeyPath, query: v.unknown(), body: v.unknown() },
  async ({ hsm, read, crypto }: ActiveReads, { path }) => {
    const place = { hsm_id: hsm.id, name_key: nameKey(path.name) };
    const key = await read
      .selectFrom('keys')
      .select('name')
      .where('hsm_id', '=', place.hsm_id)
      .where('name_key', '=', place.name_key)
      .where('deleted_at', 'is', null)
      .executeTakeFirst();
    if (key === undefined) throw keyNotFound(keyAddress(hsm, path.name));
    const [rows, policy] = await Promise.all([
      read
        .selectFrom('key_versions')
        .selectAll()
        .where('hsm_id', '=', place.hsm_id)
        .where('name_key', '=', place.name_key)
        .orderBy('sequence')
        .execute(),
      read
        .selectFrom('rotation_policies')
        .select(['policy_json', 'created', 'updated'])
        .where('hsm_id', '=', place.hsm_id)
        .where('name_key', '=', place.name_key)
        .executeTakeFirst(),
    ]);
    const versions = rows.map(({ hsm_id: _hsm, name_key: _name, sealed, ...row }) => ({ ...row, sealed: toBase64url(sealed) }));
    const backup: Backup = { format: FORMAT, hsmId: hsm.id, name: key.name, versions, policy };
    const blob = crypto.sealBackup(hsm.domain, Buffer.from(JSON.stringify(backup)));
    return { value: toBase64url(Buffer.from(blob, 'ascii')) };
  },
);

export const restoreKey = operation(
  { path: v.unknown(), query: v.unknown(), body: v.object({ value: Base64url('value', LONGEST) }) },
  ({ hsm, write, crypto }: ActiveWrites, { body, apiVersion }) => {
    const { hsmId, name, versions, policy } = opened(crypto, hsm, body.value);
    const place = { hsm_id: hsm.id, name_key: nameKey(name) };
    const rows = versions.map((version): VersionRow => {
      const material: KeyMaterial = JSON.parse(version.material_json);
      const made = { material, terms: keyTermsOf(version), sealed: asSealedKey(Buffer.from(version.sealed, 'base64url')) };
      const identity = { name: place.name_key, version: version.version };
      return { ...version, ...place, sealed: crypto.adopt(hsm.domain, made, { hsmId, ...identity }, { hsmId: hsm.id, ...identity }) };
    });
    return write(async (writer) => {
      await refuseTaken(writer, hsm, name);
      await writer
        .insertInto('keys')
        .values({ ...place, name, deleted_at: null, scheduled_purge_at: null })
        .execute();
      for (const row of rows) await writer.insertInto('key_versions').values(row).execute();
      if (policy !== undefined)
        await writer
          .insertInto('rotation_policies')
          .values({ ...place, ...policy, due_at: null })
          .execute();
      await schedule(writer, hsm, name);
      writer.touch(keyTag(hsm.id, name));
      const latest = rows.at(-1);
      if (latest === undefined) throw malformedBackupBlob();
      return keyBundle(hsm, keyVersionOf(hsm, name, latest), apiVersion);
    });
  },
);

/** What opens was made by an HSM of this domain, so its shape is what we wrote. */
function opened(crypto: ActiveWrites['crypto'], hsm: Hsm, blob: Buffer): Backup {
  let backup: Backup;
  try {
    backup = JSON.parse(crypto.openBackup(hsm.domain, blob.toString('latin1')).toString());
  } catch (cause) {
    throw malformedBackupBlob(cause);
  }
  if (backup.format !== FORMAT) throw badParameter(`The backup has format ${backup.format}, and this version reads ${FORMAT}.`);
  return backup;
}

async function refuseTaken(writer: Writer, hsm: Hsm, name: string): Promise<void> {
  const known = await writer
    .selectFrom('keys')
    .select(['name', 'deleted_at'])
    .where('hsm_id', '=', hsm.id)
    .where('name_key', '=', nameKey(name))
    .executeTakeFirst();
  if (known !== undefined && known.deleted_at !== null) throw deletedButRecoverable(known.name);
  if (known !== undefined)
    throw conflict(`There is a key with the name '${known.name}' already. A backup is restored where no key has its name.`);
  await refuseFull(writer, hsm.id);
}
