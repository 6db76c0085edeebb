// A new version of a key: the row that create and import have in common. The material was made before; this is all that happens inside the transaction.

import { type Clock, seconds } from '../../core/clock.ts';
import { badParameter, deletedButRecoverable } from '../../core/errors-keyvault.ts';
import type { MadeKey } from '../../crypto/types.ts';
import { prepared } from '../../store/prepared.ts';
import type { Tables } from '../../store/schema.ts';
import type { Writer } from '../../store/store.ts';
import type { ActiveWrites, Hsm } from '../world.ts';
import { type Duration, shifted } from './duration.ts';
import type { KeyOp } from './key-ops.ts';
import { type KeyVersion, keyVersionOf, type VersionRow } from './key-version.ts';
import { refuseFull } from './limit.ts';
import { type KeyPlace, keyTag, nameKey, placeOf } from './names.ts';
import type { Release } from './release-policy.ts';
import { schedule } from './rotation-policy.ts';

/** Of a key (Managed HSM service limits). */
const VERSIONS = 100;

export interface NewVersion {
  readonly name: string;
  readonly version: string;
  readonly made: MadeKey;
  readonly keyOps: readonly KeyOp[];
  readonly attributes: {
    readonly enabled?: boolean | null | undefined;
    readonly nbf?: number | null | undefined;
    readonly exp?: number | null | undefined;
  };
  readonly tags: Readonly<Record<string, string>> | null | undefined;
  readonly release: Release;
  /** A rotation policy's life of new versions; it counts before `attributes.exp`. */
  readonly expiresAfter?: Duration | undefined;
}

/** Adds the version in a transaction of its own. */
export function addVersion({ hsm, write, clock }: Pick<ActiveWrites, 'hsm' | 'write' | 'clock'>, version: NewVersion): Promise<KeyVersion> {
  return write((writer) => insertVersion(writer, hsm, clock, version));
}

/** Adds the version, and the key if this is its first. Throws Conflict when the name belongs to a deleted key. */
export async function insertVersion(writer: Writer, hsm: Hsm, clock: Clock, version: NewVersion): Promise<KeyVersion> {
  const { name, isNew } = await nameOf(writer, hsm, version.name);
  const { count, last } = isNew ? NO_VERSIONS : await versionsOf(writer, hsm, name);
  if (count >= VERSIONS) throw badParameter(`The key has ${VERSIONS} versions, which is the limit. Make a key with another name.`);
  const now = seconds(clock.now());
  const { made, attributes, tags, release, expiresAfter } = version;
  const row: VersionRow = {
    hsm_id: hsm.id,
    name_key: nameKey(name),
    version: version.version,
    sequence: last + 1,
    sealed: made.sealed,
    material_json: JSON.stringify(made.material),
    key_ops_json: JSON.stringify(version.keyOps),
    enabled: attributes.enabled === false ? 0 : 1,
    nbf: attributes.nbf ?? null,
    exp: expiresAfter === undefined ? (attributes.exp ?? null) : shifted(now, expiresAfter),
    exportable: release.exportable ? 1 : 0,
    origin: made.terms.origin ?? null,
    tags_json: tags === undefined || tags === null ? null : JSON.stringify(tags),
    release_policy_json: release.policy === undefined ? null : JSON.stringify(release.policy),
    created: now,
    updated: now,
  };
  await addRow(writer, row);
  writer.touch(keyTag(hsm.id, name));
  // A key that was not there has no policy.
  if (!isNew) await schedule(writer, hsm, name);
  return keyVersionOf(hsm, name, row);
}

const addRow = prepared((writer: Writer, row: VersionRow) => writer.insertInto('key_versions').values(row));

/** The key's own spelling of the name; makes the key when there is none. */
async function nameOf(writer: Writer, hsm: Hsm, name: string): Promise<{ readonly name: string; readonly isNew: boolean }> {
  const at = placeOf(hsm, name);
  const [known] = await keyAt(writer, at);
  if (known !== undefined && known.deleted_at !== null) throw deletedButRecoverable(known.name);
  if (known !== undefined) return { name: known.name, isNew: false };
  await refuseFull(writer, hsm.id);
  await addKey(writer, { hsm_id: at.hsmId, name_key: at.nameKey, name, deleted_at: null, scheduled_purge_at: null });
  return { name, isNew: true };
}

interface Versions {
  readonly count: number;
  /** The sequence of the latest. */
  readonly last: number;
}

const NO_VERSIONS: Versions = { count: 0, last: 0 };

const keyAt = prepared((writer: Writer, { hsmId, nameKey }: KeyPlace) =>
  writer.selectFrom('keys').select(['name', 'deleted_at']).where('hsm_id', '=', hsmId).where('name_key', '=', nameKey),
);

const addKey = prepared((writer: Writer, row: Tables['keys']) => writer.insertInto('keys').values(row));

async function versionsOf(writer: Writer, hsm: Hsm, name: string): Promise<Versions> {
  const [found] = await countVersions(writer, placeOf(hsm, name));
  return { count: Number(found?.count), last: Number(found?.last ?? 0) };
}

const countVersions = prepared((writer: Writer, { hsmId, nameKey }: KeyPlace) =>
  writer
    .selectFrom('key_versions')
    .select((of) => [of.fn.countAll<number>().as('count'), of.fn.max('sequence').as('last')])
    .where('hsm_id', '=', hsmId)
    .where('name_key', '=', nameKey),
);
