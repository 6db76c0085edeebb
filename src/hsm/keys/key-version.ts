// One version of a key as the operations see it, and how it is read from its row.

import type { Selectable } from 'kysely';
import { asSealedKey, type KeyAtRest, type KeyTerms } from '../../crypto/types.ts';
import type { Tables } from '../../store/schema.ts';
import type { Hsm } from '../world.ts';
import type { KeyOp } from './key-ops.ts';
import { type Release, type ReleasePolicy, termsOf } from './release-policy.ts';

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
  readonly release: Release;
  readonly tags: Readonly<Record<string, string>> | undefined;
  readonly created: number;
  readonly updated: number;
  /** What the crypto module takes. */
  readonly atRest: KeyAtRest;
}

/** What lists show of a version: all but what it is used with. */
export type ListedVersion = Omit<KeyVersion, 'keyOps' | 'atRest'>;

export type VersionRow = Selectable<Tables['key_versions']>;

/** What `listedVersionOf` reads of a row. */
export const LISTED = [
  'version',
  'enabled',
  'nbf',
  'exp',
  'exportable',
  'tags_json',
  'release_policy_json',
  'created',
  'updated',
] as const satisfies readonly (keyof VersionRow)[];

export type ListedRow = Pick<VersionRow, (typeof LISTED)[number]>;

/** `name` is the key's own spelling; the rows of versions have the one for look-ups. */
export function listedVersionOf(hsm: Hsm, name: string, row: ListedRow): ListedVersion {
  return {
    name,
    version: row.version,
    kid: `${hsm.origin}/keys/${name}/${row.version}`,
    enabled: row.enabled === 1,
    nbf: row.nbf ?? undefined,
    exp: row.exp ?? undefined,
    release: releaseOf(row),
    tags: row.tags_json === null ? undefined : JSON.parse(row.tags_json),
    created: row.created,
    updated: row.updated,
  };
}

/** As `listedVersionOf`, with what it is used with. */
export function keyVersionOf(hsm: Hsm, name: string, row: VersionRow): KeyVersion {
  return {
    ...listedVersionOf(hsm, name, row),
    keyOps: JSON.parse(row.key_ops_json),
    atRest: {
      domain: hsm.domain,
      identity: { hsmId: hsm.id, name: row.name_key, version: row.version },
      material: JSON.parse(row.material_json),
      terms: keyTermsOf(row),
      sealed: asSealedKey(row.sealed),
    },
  };
}

type TermsRow = Pick<VersionRow, 'exportable' | 'release_policy_json'> & { readonly origin?: VersionRow['origin'] };

/** What a row's seal was made with beside its place. */
export function keyTermsOf(row: TermsRow): KeyTerms {
  return { origin: row.origin ?? undefined, release: termsOf(releaseOf(row)) };
}

function releaseOf({ exportable, release_policy_json }: TermsRow): Release {
  const policy: ReleasePolicy | undefined = release_policy_json === null ? undefined : JSON.parse(release_policy_json);
  return { exportable: exportable === 1, policy };
}
