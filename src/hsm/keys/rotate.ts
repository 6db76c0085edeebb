// POST /keys/{name}/rotate, and the rotation that a policy has fall due: a new version of the same kind, made before the transaction that adds it.

import * as v from 'valibot';
import { badParameter, keyNotFound } from '../../core/errors-keyvault.ts';
import { Failure } from '../../core/failure.ts';
import { operation } from '../../core/route.ts';
import type { AesSize, KeyMaterial, KeySpec, RsaSize } from '../../crypto/types.ts';
import type { Reader } from '../../store/store.ts';
import { activeHsm } from '../pool.ts';
import type { ActiveWrites, Hsm, HsmWriteParts } from '../world.ts';
import { insertVersion, type NewVersion } from './add-version.ts';
import { keyBundle } from './bundles.ts';
import { readVersion } from './cache.ts';
import type { KeyVersion } from './key-version.ts';
import { KeyPath, keyAddress, nameKey, newVersion } from './names.ts';
import { duration, policyOf, type RotationPolicy } from './rotation-policy.ts';

export const rotateKey = operation(
  { path: KeyPath, query: v.unknown(), body: v.unknown() },
  async (world: ActiveWrites, { path, apiVersion }) => {
    const { hsm, read, write, clock } = world;
    const key = await readVersion(read, hsm, path.name, undefined);
    // Doubled in the live service's words too.
    if (key === undefined) throw keyNotFound(`Key not found: ${keyAddress(hsm, path.name)}`);
    const policy = await policyOf(read, hsm, key.name);
    if (policy === undefined) throw badParameter('The key has no rotation policy. Set one first, then rotate.');
    const next = await nextVersion(world, key, policy);
    return keyBundle(hsm, await write((writer) => insertVersion(writer, hsm, clock, next)), apiVersion);
  },
);

/** Makes the material of the version that follows: same type, size, operations, tags and release policy. */
async function nextVersion(
  { hsm, crypto }: { readonly hsm: Hsm } & Pick<ActiveWrites, 'crypto'>,
  key: KeyVersion,
  policy: RotationPolicy,
): Promise<NewVersion> {
  const version = newVersion();
  const { material, terms } = key.atRest;
  const made = await crypto.generate(hsm.domain, { hsmId: hsm.id, name: nameKey(key.name), version }, specOf(material), terms.release);
  const expiresAfter = policy.expiryTime === undefined ? undefined : duration(policy.expiryTime, 'expiryTime');
  return { name: key.name, version, made, keyOps: key.keyOps, attributes: {}, tags: key.tags, release: key.release, expiresAfter };
}

const RSA_SIZES: readonly RsaSize[] = [2048, 3072, 4096];
const AES_SIZES: readonly AesSize[] = [128, 192, 256];

function specOf(material: KeyMaterial): KeySpec {
  if (material.kty === 'AKP-HSM') return { kty: 'AKP-HSM', alg: material.alg };
  if (material.kty === 'EC-HSM') return { kty: 'EC-HSM', curve: material.crv };
  if (material.kty === 'RSA-HSM') {
    const size = RSA_SIZES.find((known) => known === material.size);
    if (size !== undefined) return { kty: 'RSA-HSM', size, exponent: material.e === 'Aw' ? 3 : 65537 };
  } else {
    const size = AES_SIZES.find((known) => known === material.size);
    if (size !== undefined) return { kty: 'oct-HSM', size };
  }
  throw badParameter(`A key of ${material.size} bits was imported and cannot be made here, so it cannot be rotated.`);
}

/** At a time; the rest waits for the next round. */
const BATCH = 20;

/** Rotates what has fallen due, also while the service was not running: once, however long ago that was. */
export async function rotateDue(parts: HsmWriteParts): Promise<void> {
  const { read, write, clock } = parts;
  const due = await dueKeys(read, clock.now()).limit(BATCH).execute();
  for (const { hsm_id, name } of due) {
    const hsm = await activeHsm(parts, hsm_id);
    if (hsm === undefined) continue;
    try {
      await rotateOne(parts, hsm, name);
    } catch (error) {
      if (!(error instanceof Failure) || error.status >= 500) throw error;
      // The limit of versions, or a size that cannot be made: trying again would not help until somebody changes the policy.
      await write(async (writer) => {
        const { numUpdatedRows } = await writer
          .updateTable('rotation_policies')
          .set({ due_at: null })
          .where('hsm_id', '=', hsm_id)
          .where('name_key', '=', nameKey(name))
          // A policy that was set since has a moment of its own.
          .where('due_at', '<=', clock.now())
          .executeTakeFirst();
        if (numUpdatedRows > 0n) writer.note({ operation: 'KeyRotateIfDueFailed', hsm: hsm.name, key: name });
      });
    }
  }
}

/** Live keys of HSMs that answer. A deleted HSM's keys wait for its recovery, and must not fill the rounds of everybody else meanwhile. */
function dueKeys(read: Reader, now: number) {
  return read
    .selectFrom('rotation_policies')
    .innerJoin('hsms', 'hsms.id', 'rotation_policies.hsm_id')
    .innerJoin('keys', (join) =>
      join.onRef('keys.hsm_id', '=', 'rotation_policies.hsm_id').onRef('keys.name_key', '=', 'rotation_policies.name_key'),
    )
    .select(['rotation_policies.hsm_id', 'keys.name'])
    .where('rotation_policies.due_at', '<=', now)
    .where('keys.deleted_at', 'is', null)
    .where('hsms.deleted', '=', 0)
    .where('hsms.state', '=', 'active');
}

async function rotateOne(parts: HsmWriteParts, hsm: Hsm, name: string): Promise<void> {
  const { read, write, clock, crypto } = parts;
  const key = await readVersion(read, hsm, name, undefined);
  const policy = await policyOf(read, hsm, name);
  if (key === undefined || policy === undefined) return;
  const next = await nextVersion({ hsm, crypto }, key, policy);
  await write(async (writer) => {
    // Asked again: it may have been rotated by hand, deleted with its HSM or without, or given another policy while the key was made.
    const still = await dueKeys(writer, clock.now())
      .where('keys.hsm_id', '=', hsm.id)
      .where('keys.name_key', '=', nameKey(name))
      .executeTakeFirst();
    const latest = await readVersion(writer, hsm, name, undefined);
    if (still === undefined || latest?.version !== key.version) return;
    await insertVersion(writer, hsm, clock, next);
    writer.note({ operation: 'KeyRotateIfDue', hsm: hsm.name, key: key.name });
  });
}
