// PATCH /keys/{name}/{version}: what may be changed about a version. Its material never is.

import * as v from 'valibot';
import { seconds } from '../../core/clock.ts';
import { badParameter, keyNotFound } from '../../core/errors-keyvault.ts';
import { operation } from '../../core/route.ts';
import type { ActiveWrites } from '../world.ts';
import { Attributes, isGiven, Tags } from './attributes.ts';
import { keyBundle } from './bundles.ts';
import { readVersion } from './cache.ts';
import { isSecure, type KeyOp, KeyOps, keyOpsFor } from './key-ops.ts';
import { type KeyVersion, keyVersionOf } from './key-version.ts';
import { keyAddress, keyTag, nameKey, VersionPath } from './names.ts';
import { changedRelease, ReleasePolicyBody, termsOf } from './release-policy.ts';
import { schedule } from './rotation-policy.ts';

const UpdateBody = v.object({ key_ops: KeyOps, attributes: Attributes, tags: Tags, release_policy: ReleasePolicyBody });

type UpdateRequest = v.InferOutput<typeof UpdateBody>;

/** Members that are left out stay as they are; tags are replaced as a whole. */
export const updateKey = operation(
  { path: VersionPath, query: v.unknown(), body: UpdateBody },
  ({ hsm, write, clock, crypto }: ActiveWrites, { path, body, apiVersion }) =>
    write(async (writer) => {
      const key = await readVersion(writer, hsm, path.name, path.version);
      if (key === undefined) throw keyNotFound(keyAddress(hsm, path.name));
      const changed = await writer
        .updateTable('key_versions')
        .set({ ...changesTo(crypto, key, body), updated: seconds(clock.now()) })
        .where('hsm_id', '=', hsm.id)
        .where('name_key', '=', nameKey(path.name))
        .where('version', '=', key.version)
        .returningAll()
        .executeTakeFirstOrThrow();
      writer.touch(keyTag(hsm.id, path.name));
      await schedule(writer, hsm, path.name);
      return keyBundle(hsm, keyVersionOf(hsm, key.name, changed), apiVersion);
    }),
);

/** The columns that change. Throws BadParameter for what cannot be changed. */
function changesTo(crypto: ActiveWrites['crypto'], key: KeyVersion, { key_ops, attributes, tags, release_policy }: UpdateRequest) {
  const { exportable, enabled, nbf, exp } = attributes ?? {};
  if (isGiven(exportable) && exportable !== key.release.exportable) throw badParameter('Cannot modify the exportable state of a key');
  // An empty list leaves them as they are: the Azure SDK for Java sends one whenever it changes something else.
  const isAsked = isGiven(key_ops) && key_ops.length > 0;
  const keyOps = isAsked ? keyOpsFor(key.atRest.material.kty, key_ops) : key.keyOps;
  // As a key for decrypting, a key exchange key would open what was wrapped for it on the way here.
  if (keyOps.includes('import') !== key.keyOps.includes('import')) throw badParameter("Cannot modify whether a key is for 'import'");
  if (isSecure(keyOps) !== isSecure(key.keyOps)) throw badParameter('Cannot modify whether a key is for secureWrapKey and secureUnwrapKey');
  return {
    ...(isAsked ? { key_ops_json: JSON.stringify(keyOps) } : {}),
    ...releaseChange(crypto, key, keyOps, release_policy),
    ...(isGiven(tags) ? { tags_json: JSON.stringify(tags) } : {}),
    ...(isGiven(enabled) ? { enabled: enabled ? 1 : 0 } : {}),
    ...(isGiven(nbf) ? { nbf } : {}),
    ...(isGiven(exp) ? { exp } : {}),
  };
}

/** The policy is part of the key's seal, so the key is sealed anew with it. */
function releaseChange(
  crypto: ActiveWrites['crypto'],
  { atRest, release }: KeyVersion,
  keyOps: readonly KeyOp[],
  asked: UpdateRequest['release_policy'],
) {
  const changed = changedRelease(release, keyOps, asked);
  if (!isGiven(asked)) return {};
  const { domain, identity, terms } = atRest;
  const sealed = crypto.adopt(domain, atRest, identity, identity, { origin: terms.origin, release: termsOf(changed) });
  return { sealed, release_policy_json: JSON.stringify(changed.policy) };
}
