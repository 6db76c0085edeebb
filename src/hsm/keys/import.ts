// PUT /keys/{name}: a key from elsewhere, as a JSON Web Key. The crypto module takes it in only when it is one consistent key.

import * as v from 'valibot';
import { notSupported } from '../../core/errors-keyvault.ts';
import { operation } from '../../core/route.ts';
import type { ActiveWrites } from '../world.ts';
import { addVersion } from './add-version.ts';
import { Attributes, Tags } from './attributes.ts';
import { keyBundle } from './bundles.ts';
import { KeyOps, keyOpsFor } from './key-ops.ts';
import { KeyPath, nameKey, newVersion } from './names.ts';
import { newRelease, ReleasePolicyBody, termsOf } from './release-policy.ts';

const Member = v.nullish(v.string());

const ImportBody = v.object({
  key: v.object({
    kty: v.string(),
    crv: Member,
    n: Member,
    e: Member,
    d: Member,
    p: Member,
    q: Member,
    dp: Member,
    dq: Member,
    qi: Member,
    x: Member,
    y: Member,
    k: Member,
    key_hsm: Member,
    key_ops: KeyOps,
  }),
  Hsm: v.nullish(v.boolean()),
  attributes: Attributes,
  tags: Tags,
  release_policy: ReleasePolicyBody,
});

export const importKey = operation(
  { path: KeyPath, query: v.unknown(), body: ImportBody },
  async (world: ActiveWrites, { path, body, apiVersion }) => {
    const { hsm, crypto } = world;
    const { key_ops, key_hsm, ...members } = body.key;
    if (key_hsm !== undefined && key_hsm !== null)
      throw notSupported('Import of a key wrapped for transfer (key_hsm) is not in this version.');
    const version = newVersion();
    const jwk = Object.fromEntries(Object.entries(members).filter(([, value]) => value !== null));
    const { attributes, tags, release_policy } = body;
    const release = newRelease(attributes?.exportable, key_ops ?? [], release_policy);
    const identity = { hsmId: hsm.id, name: nameKey(path.name), version };
    const made = crypto.import(hsm.domain, identity, { ...jwk, kty: members.kty }, termsOf(release));
    const keyOps = keyOpsFor(made.material.kty, key_ops);
    const key = await addVersion(world, { name: path.name, version, made, keyOps, attributes: attributes ?? {}, tags, release });
    return keyBundle(hsm, key, apiVersion);
  },
);
