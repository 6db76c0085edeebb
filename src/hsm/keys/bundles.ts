// Keys as the wire shows them: bundles, list items and their deleted forms. Members in alphabetical order, as the service writes them.

import { seconds } from '../../core/clock.ts';
import type { KeyMaterial } from '../../crypto/types.ts';
import type { Hsm } from '../world.ts';
import type { KeyVersion, ListedVersion } from './key-version.ts';
import { deletedKeyAddress, keyAddress } from './names.ts';
import { olderPolicy } from './policy-grammar.ts';
import { conditionsOf } from './release-policy.ts';

/** When a deleted key was deleted and when it will be gone, in milliseconds since 1970. */
export interface Deletion {
  readonly deletedAt: number;
  readonly scheduledPurgeAt: number;
}

export function keyBundle(hsm: Hsm, key: KeyVersion, apiVersion: string | undefined) {
  const { material } = key.atRest;
  return {
    attributes: {
      ...attributesOf(hsm, key),
      ...(showsKeySize(apiVersion) && material.kty === 'oct-HSM' ? { key_size: material.size } : {}),
    },
    key: { ...publicPart(material), key_ops: key.keyOps, kid: key.kid, kty: material.kty },
    ...releasePolicyOf(key, apiVersion),
    ...tagsOf(key),
  };
}

/** `versioned`: as an item of the versions of one key. */
export function keyItem(hsm: Hsm, key: ListedVersion, versioned: boolean) {
  return { attributes: attributesOf(hsm, key), kid: versioned ? key.kid : keyAddress(hsm, key.name), ...tagsOf(key) };
}

export function deletedKeyBundle(hsm: Hsm, key: KeyVersion, deletion: Deletion) {
  return { ...keyBundle(hsm, key, undefined), ...deletedMembers(hsm, key, deletion) };
}

export function deletedKeyItem(hsm: Hsm, key: ListedVersion, deletion: Deletion) {
  return { ...keyItem(hsm, key, false), ...deletedMembers(hsm, key, deletion) };
}

function deletedMembers(hsm: Hsm, key: ListedVersion, { deletedAt, scheduledPurgeAt }: Deletion) {
  return {
    deletedDate: seconds(deletedAt),
    recoveryId: deletedKeyAddress(hsm, key.name),
    scheduledPurgeDate: seconds(scheduledPurgeAt),
  };
}

/** Since 2026-01-01-preview. */
function showsKeySize(apiVersion: string | undefined): boolean {
  return apiVersion?.startsWith('2026') ?? false;
}

export function attributesOf(hsm: Hsm, { created, enabled, exp, release, nbf, updated }: ListedVersion) {
  return {
    created,
    enabled,
    ...(exp === undefined ? {} : { exp }),
    exportable: release.exportable,
    ...(nbf === undefined ? {} : { nbf }),
    recoverableDays: hsm.retentionDays,
    recoveryLevel: recoveryLevel(hsm),
    updated,
  };
}

function recoveryLevel({ retentionDays, purgeProtection }: Hsm): string {
  return `${retentionDays === 90 ? 'Recoverable' : 'CustomizedRecoverable'}${purgeProtection ? '' : '+Purgeable'}`;
}

function publicPart(material: KeyMaterial): Readonly<Record<string, string>> {
  if (material.kty === 'RSA-HSM') return { e: material.e, n: material.n };
  if (material.kty === 'AKP-HSM') return { alg: material.alg, pub: material.pub };
  if (material.kty === 'EC-HSM') return { crv: material.crv, x: material.x, y: material.y };
  return {};
}

function releasePolicyOf({ release: { policy } }: KeyVersion, apiVersion: string | undefined) {
  if (policy === undefined) return {};
  return { release_policy: showsOlderPolicy(apiVersion) ? olderPolicy(conditionsOf(policy)) : policy };
}

/** These predate the policies of today; the live service answers them in an older language. */
function showsOlderPolicy(apiVersion: string | undefined): boolean {
  return apiVersion !== undefined && /^7\.[01](?:-|$)/.test(apiVersion);
}

function tagsOf({ tags }: ListedVersion) {
  return tags === undefined ? {} : { tags };
}
