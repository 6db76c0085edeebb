// One version of a key as the operations see it, and how it is read from its row.

import type { Selectable } from 'kysely';
import { asSealedKey, type KeyAtRest } from '../../crypto/types.ts';
import type { Tables } from '../../store/schema.ts';
import type { Hsm } from '../world.ts';
import type { KeyOp } from './key-ops.ts';

export interface KeyVersion {
  /** As it was written when the key was made. */
  readonly name: string;
  readonly version: string;
  /** Full address with the version. */
  readonly kid: string;
  readonly keyOps: readonly KeyOp[];
  readonly enabled: boolean;
  /** Unix seconds, as are the other times. */
  readonly nbf: number | undefined;
  readonly exp: number | undefined;
  readonly exportable: boolean;
  readonly tags: Readonly<Record<string, string>> | undefined;
  readonly created: number;
  readonly updated: number;
  /** What the crypto module takes. */
  readonly atRest: KeyAtRest;
}

export type VersionRow = Selectable<Tables['key_versions']>;

/** `name` is the key's own spelling; the rows of versions have the one for look-ups. */
export function keyVersionOf(hsm: Hsm, name: string, row: VersionRow): KeyVersion {
  return {
    name,
    version: row.version,
    kid: `${hsm.origin}/keys/${name}/${row.version}`,
    keyOps: JSON.parse(row.key_ops_json),
    enabled: row.enabled === 1,
    nbf: row.nbf ?? undefined,
    exp: row.exp ?? undefined,
    exportable: row.exportable === 1,
    tags: row.tags_json === null ? undefined : JSON.parse(row.tags_json),
    created: row.created,
    updated: row.updated,
    atRest: {
      domain: hsm.domain,
      identity: { hsmId: hsm.id, name: row.name_key, version: row.version },
      material: JSON.parse(row.material_json),
      sealed: asSealedKey(row.sealed),
    },
  };
}
