// securewrapkey and secureunwrapkey: a fresh AES-256 key that leaves the HSM wrapped, and is unwrapped for an environment that was attested as the wrapping
// key's policy says, encrypted to the key of that environment.

import * as v from 'valibot';
import { toBase64url } from '../../core/encoding.ts';
import { attestationRefused, badParameter } from '../../core/errors-keyvault.ts';
import { withoutSlash } from '../../core/issuer-keys.ts';
import { operation } from '../../core/route.ts';
import { isSince } from '../api-version.ts';
import type { ActiveReads } from '../world.ts';
import { Base64url } from './base64url.ts';
import { type KeyRef, usableKey } from './lookup.ts';
import { VersionPath } from './names.ts';
import { TargetToken } from './release.ts';
import { keyForTarget } from './target.ts';

export const secureWrapKey = operation(
  { path: VersionPath, query: v.unknown(), body: v.object({ alg: v.string() }) },
  async (world: ActiveReads, { path, body }) => {
    const { crypto } = world;
    const key = await usableKey(world, path, 'secureWrapKey');
    const algorithm = crypto.algorithm(body.alg, 'secureWrapKey', key.atRest.material);
    return { alg: body.alg, kid: key.kid, value: toBase64url(crypto.secureWrap(key.atRest, algorithm)) };
  },
);

const UnwrapBody = v.object({
  alg: v.string(),
  value: Base64url('value'),
  target: TargetToken,
  applicationTrustedIssuer: v.nullish(v.string()),
});

export const secureUnwrapKey = operation(
  { path: VersionPath, query: v.unknown(), body: UnwrapBody },
  async (world: ActiveReads, { path, body, apiVersion }) => {
    const { crypto } = world;
    const trusted = body.applicationTrustedIssuer ?? undefined;
    if (trusted === undefined && isSince('2026-07-01', apiVersion)) throw badParameter('Property applicationTrustedIssuer is required.');
    const { key, target } = await keyForTarget(world, path, body.target, unwrappingKey);
    const algorithm = crypto.algorithm(body.alg, 'secureUnwrapKey', key.atRest.material);
    // The policy's word is not enough for an application that trusts one of its authorities alone.
    if (trusted !== undefined && withoutSlash(trusted) !== target.issuer)
      throw attestationRefused(new Error('the application does not trust the issuer'));
    return { alg: body.alg, kid: key.kid, value: toBase64url(crypto.secureUnwrap(key.atRest, algorithm, body.value, target.key)) };
  },
);

function unwrappingKey(world: ActiveReads, ref: KeyRef) {
  return usableKey(world, ref, 'secureUnwrapKey');
}
