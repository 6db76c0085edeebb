// POST /keys/{name}/{version}/release: an exportable key leaves for an environment that was attested, as its policy says, encrypted to the key of that
// environment, in an answer that the HSM signs.

import * as v from 'valibot';
import { toBase64url } from '../../core/encoding.ts';
import { keyDisabled, operationNotPermitted } from '../../core/errors-keyvault.ts';
import { operation } from '../../core/route.ts';
import type { KeyMaterial, ReleaseEncryption } from '../../crypto/types.ts';
import { NEWEST } from '../api-version.ts';
import type { ActiveReads } from '../world.ts';
import { keyBundle } from './bundles.ts';
import type { KeyVersion } from './key-version.ts';
import type { KeyRef } from './lookup.ts';
import { keyAddress, VersionPath } from './names.ts';
import { keyForTarget, LONGEST_TOKEN } from './target.ts';

const ENCRYPTIONS: readonly ReleaseEncryption[] = ['CKM_RSA_AES_KEY_WRAP', 'RSA_AES_KEY_WRAP_256', 'RSA_AES_KEY_WRAP_384'];
const LONGEST_NONCE = 1024;

/** A token for any target: what it says is looked at later. */
export const TargetToken = v.pipe(
  v.string(),
  v.minLength(1, 'Property target is required.'),
  v.maxLength(LONGEST_TOKEN, 'Property target is too long.'),
);

const ReleaseBody = v.object({
  target: TargetToken,
  nonce: v.nullish(v.pipe(v.string(), v.maxLength(LONGEST_NONCE, `Property nonce is longer than ${LONGEST_NONCE} characters.`))),
  enc: v.nullish(v.picklist(ENCRYPTIONS, `Property enc is not valid. The algorithms are ${ENCRYPTIONS.join(', ')}.`)),
});

export const releaseKey = operation(
  { path: VersionPath, query: v.unknown(), body: ReleaseBody },
  async (world: ActiveReads, { path, body, apiVersion = NEWEST }) => {
    const { hsm, crypto } = world;
    const { key, target } = await keyForTarget(world, path, body.target, releasableKey);
    const enc = body.enc ?? 'CKM_RSA_AES_KEY_WRAP';
    const ciphertext = toBase64url(crypto.release(key.atRest, target.key, enc));
    const transfer = { ciphertext, header: { alg: 'dir', enc, kid: target.kid }, schema_version: '1.0' };
    const key_hsm = toBase64url(Buffer.from(JSON.stringify(transfer)));
    const bundle = keyBundle(hsm, key, apiVersion);
    const payload = {
      request: {
        'api-version': apiVersion,
        enc,
        kid: path.version === undefined ? keyAddress(hsm, path.name) : `${keyAddress(hsm, path.name)}/${path.version}`,
        ...(body.nonce === undefined || body.nonce === null ? {} : { nonce: body.nonce }),
      },
      response: {
        key: {
          attributes: bundle.attributes,
          key: { ...bundle.key, key_hsm, kty: plainType(key.atRest.material) },
          release_policy: key.release.policy,
        },
      },
    };
    const signer = await world.signers(hsm, 'release');
    return { value: await signer.sign(payload, undefined) };
  },
);

/** Whatever its time: what was encrypted with it can still be read by whom it is released to. */
async function releasableKey({ hsm, keys }: ActiveReads, { name, version }: KeyRef): Promise<KeyVersion> {
  const key = await keys.find(hsm, name, version);
  if (!key.enabled) throw keyDisabled('release');
  if (!key.release.exportable) throw operationNotPermitted('release');
  return key;
}

/** A key on its way out is no longer in an HSM. */
function plainType({ kty }: KeyMaterial): string {
  return kty.replace(/-HSM$/, '');
}
