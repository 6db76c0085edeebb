// POST /keys/{name}/create: a new key, or a new version of one.

import * as v from 'valibot';
import { badParameter } from '../../core/errors-keyvault.ts';
import { operation } from '../../core/route.ts';
import type { AesSize, Curve, KeySpec, MlDsaSet, RsaSize } from '../../crypto/types.ts';
import { checkMlDsaVersion } from '../api-version.ts';
import type { ActiveWrites } from '../world.ts';
import { addVersion } from './add-version.ts';
import { Attributes, Tags } from './attributes.ts';
import { keyBundle } from './bundles.ts';
import { KeyOps, keyOpsFor } from './key-ops.ts';
import type { KeyVersion } from './key-version.ts';
import { KeyPath, nameKey, newVersion } from './names.ts';
import { newRelease, ReleasePolicyBody, termsOf } from './release-policy.ts';

const Count = v.nullish(v.pipe(v.number(), v.integer()));

export const CreateBody = v.object({
  kty: v.string(),
  key_size: Count,
  public_exponent: Count,
  crv: v.nullish(v.string()),
  alg: v.nullish(v.string()),
  key_ops: KeyOps,
  attributes: Attributes,
  tags: Tags,
  release_policy: ReleasePolicyBody,
});

export type CreateRequest = v.InferOutput<typeof CreateBody>;

export const createKey = operation(
  { path: KeyPath, query: v.unknown(), body: CreateBody },
  async (world: ActiveWrites, { path, body, apiVersion }) =>
    keyBundle(world.hsm, await newKey(world, path.name, body, apiVersion), apiVersion),
);

/** Makes the material, and then the version in a transaction of its own. */
export async function newKey(
  world: Pick<ActiveWrites, 'hsm' | 'crypto' | 'clock' | 'write'>,
  name: string,
  body: CreateRequest,
  apiVersion: string | undefined,
): Promise<KeyVersion> {
  const { hsm, crypto } = world;
  const spec = specOf(body, apiVersion);
  const keyOps = keyOpsFor(spec.kty, body.key_ops);
  const release = newRelease(body.attributes?.exportable, keyOps, body.release_policy);
  const version = newVersion();
  const made = await crypto.generate(hsm.domain, { hsmId: hsm.id, name: nameKey(name), version }, spec, termsOf(release));
  const { attributes, tags } = body;
  return addVersion(world, { name, version, made, keyOps, attributes: attributes ?? {}, tags, release });
}

/** Every kty becomes the HSM's own kind, as the live service does without a word. Keys of the map are lower case. */
const SPECS: ReadonlyMap<string, (body: CreateRequest) => KeySpec> = new Map([
  ['rsa', rsa],
  ['rsa-hsm', rsa],
  ['ec', ec],
  ['ec-hsm', ec],
  ['oct', oct],
  ['oct-hsm', oct],
  ['aes', oct],
  ['akp', akp],
  ['akp-hsm', akp],
]);

const RSA_SIZES: readonly RsaSize[] = [2048, 3072, 4096];
const AES_SIZES: readonly AesSize[] = [128, 192, 256];
const ML_DSA_SETS: readonly MlDsaSet[] = ['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'];
const CURVES: readonly Curve[] = ['P-256', 'P-256K', 'P-384', 'P-521'];

function specOf(body: CreateRequest, apiVersion: string | undefined): KeySpec {
  const kty = body.kty.toLowerCase();
  const spec = SPECS.get(kty);
  if (spec === undefined)
    throw badParameter(`Property kty is not valid: '${body.kty.slice(0, 40)}'. The types are RSA-HSM, EC-HSM, oct-HSM and AKP-HSM.`);
  if (spec === akp) checkMlDsaVersion(apiVersion);
  return spec(body);
}

function rsa({ key_size, public_exponent }: CreateRequest): KeySpec {
  // 0 is how some clients say nothing.
  const exponent = public_exponent || 65537;
  if (exponent !== 3 && exponent !== 65537) throw badParameter(`Invalid public exponent: '${exponent}'. It is 3 or 65537.`);
  return { kty: 'RSA-HSM', size: oneOf(RSA_SIZES, key_size ?? 2048), exponent };
}

function ec({ crv }: CreateRequest): KeySpec {
  const curve = CURVES.find((known) => known === (crv ?? 'P-256'));
  if (curve === undefined) throw badParameter(`Invalid curve: '${String(crv).slice(0, 40)}'. The curves are ${CURVES.join(', ')}.`);
  return { kty: 'EC-HSM', curve };
}

function oct({ key_size }: CreateRequest): KeySpec {
  return { kty: 'oct-HSM', size: oneOf(AES_SIZES, key_size ?? 256) };
}

function akp({ alg }: CreateRequest): KeySpec {
  const set = ML_DSA_SETS.find((known) => known === alg);
  if (set === undefined) throw badParameter(`Property alg is not valid: a key of type AKP-HSM is of ${ML_DSA_SETS.join(', ')}.`);
  return { kty: 'AKP-HSM', alg: set };
}

function oneOf<Size extends number>(sizes: readonly Size[], asked: number): Size {
  const size = sizes.find((known) => known === asked);
  if (size === undefined) throw badParameter(`Invalid key size: '${asked}'`);
  return size;
}
