// PUT /keys/{name}: a key from elsewhere, as a JSON Web Key or wrapped for transfer. The crypto module takes it in only when it is one consistent key.

import * as v from 'valibot';
import { badParameter } from '../../core/errors-keyvault.ts';
import { operation } from '../../core/route.ts';
import type { KeyIdentity, MadeKey, ReleaseTerms } from '../../crypto/types.ts';
import type { ActiveWrites } from '../world.ts';
import { addVersion } from './add-version.ts';
import { Attributes, Tags } from './attributes.ts';
import { keyBundle } from './bundles.ts';
import { keyExchangeKey, readByok } from './byok.ts';
import { KeyOps, keyOpsFor } from './key-ops.ts';
import { KeyPath, nameKey, newVersion } from './names.ts';
import { newRelease, ReleasePolicyBody, termsOf } from './release-policy.ts';

/** Some clients write `null` where they mean nothing. */
const Member = v.pipe(
  v.nullish(v.string()),
  v.transform((text) => text ?? undefined),
);

const Key = v.object({
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
});

const ImportBody = v.object({
  key: Key,
  Hsm: v.nullish(v.boolean()),
  attributes: Attributes,
  tags: Tags,
  release_policy: ReleasePolicyBody,
});

export const importKey = operation(
  { path: KeyPath, query: v.unknown(), body: ImportBody },
  async (world: ActiveWrites, { path, body, apiVersion }) => {
    const { hsm } = world;
    const { key_ops, ...members } = body.key;
    const { attributes, tags, release_policy } = body;
    const release = newRelease(attributes?.exportable, key_ops ?? [], release_policy);
    const version = newVersion();
    const made = await bringIn(world, { hsmId: hsm.id, name: nameKey(path.name), version }, members, termsOf(release));
    const keyOps = keyOpsFor(made.material.kty, key_ops);
    const key = await addVersion(world, { name: path.name, version, made, keyOps, attributes: attributes ?? {}, tags, release });
    return keyBundle(hsm, key, apiVersion);
  },
);

type Members = Omit<v.InferOutput<typeof Key>, 'key_ops'>;

/** Throws BadParameter, and Forbidden for a key exchange key that may not be used now. */
async function bringIn(
  world: ActiveWrites,
  identity: KeyIdentity,
  { key_hsm, ...jwk }: Members,
  release: ReleaseTerms | undefined,
): Promise<MadeKey> {
  const { hsm, crypto } = world;
  if (key_hsm === undefined) return crypto.import(hsm.domain, identity, jwk, release);
  const { kty, crv, ...rest } = jwk;
  if (Object.values(rest).some((member) => member !== undefined)) {
    throw badParameter('Property key_hsm holds the whole key: only kty, crv and key_ops may stand beside it.');
  }
  const { kek, ciphertext } = readByok(hsm, key_hsm);
  const { atRest } = await keyExchangeKey(world, kek);
  return crypto.importWrapped(hsm.domain, identity, atRest, ciphertext, { kty, crv }, release);
}
