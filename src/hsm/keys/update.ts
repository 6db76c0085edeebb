// PATCH /keys/{name}/{version}: what may be changed about a version. Its material never is.

import * as v from 'valibot';
import { seconds } from '../../core/clock.ts';
import { badParameter, keyNotFound } from '../../core/errors-keyvault.ts';
import { operation } from '../../core/route.ts';
import type { ActiveWrites } from '../world.ts';
import { Attributes, ReleasePolicy, refuseExportable, Tags } from './attributes.ts';
import { keyBundle } from './bundles.ts';
import { readVersion } from './cache.ts';
import { KeyOps, keyOpsFor } from './key-ops.ts';
import { keyAddress, keyTag, nameKey, VersionPath } from './names.ts';

const UpdateBody = v.object({ key_ops: KeyOps, attributes: Attributes, tags: Tags, release_policy: ReleasePolicy });

/** Members that are left out stay as they are; tags are replaced as a whole. */
export const updateKey = operation(
  { path: VersionPath, query: v.unknown(), body: UpdateBody },
  ({ hsm, write, clock }: ActiveWrites, { path, body: { key_ops, attributes, tags, release_policy }, apiVersion }) =>
    write(async (writer) => {
      const key = await readVersion(writer, hsm, path.name, path.version);
      if (key === undefined) throw keyNotFound(keyAddress(hsm, path.name));
      const { exportable, enabled, nbf, exp } = attributes ?? {};
      if (exportable !== undefined && exportable !== null && exportable !== key.exportable) {
        throw badParameter('Cannot modify the exportable state of a key');
      }
      refuseExportable(key.exportable, release_policy);
      const changes = {
        ...(key_ops ? { key_ops_json: JSON.stringify(keyOpsFor(key.atRest.material.kty, key_ops)) } : {}),
        ...(tags ? { tags_json: JSON.stringify(tags) } : {}),
        ...(enabled === undefined || enabled === null ? {} : { enabled: enabled ? 1 : 0 }),
        ...(nbf === undefined || nbf === null ? {} : { nbf }),
        ...(exp === undefined || exp === null ? {} : { exp }),
        updated: seconds(clock.now()),
      };
      await writer
        .updateTable('key_versions')
        .set(changes)
        .where('hsm_id', '=', hsm.id)
        .where('name_key', '=', nameKey(path.name))
        .where('version', '=', key.version)
        .execute();
      writer.touch(keyTag(hsm.id, path.name));
      const changed = await readVersion(writer, hsm, path.name, key.version);
      return keyBundle(hsm, changed ?? key, apiVersion);
    }),
);
