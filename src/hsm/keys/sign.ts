// sign and verify: of a digest, as the service has it; of any bytes for HMAC.

import * as v from 'valibot';
import { toBase64url } from '../../core/encoding.ts';
import { operation } from '../../core/route.ts';
import type { ActiveReads } from '../world.ts';
import { Base64url } from './base64url.ts';
import { usableKey } from './lookup.ts';
import { VersionPath } from './names.ts';

const SignBody = v.object({ alg: v.string(), value: Base64url('value') });

export const sign = operation({ path: VersionPath, query: v.unknown(), body: SignBody }, async (world: ActiveReads, { path, body }) => {
  const { crypto } = world;
  const key = await usableKey(world, path, 'sign');
  const algorithm = crypto.algorithm(body.alg, 'sign', key.atRest.material);
  return { alg: body.alg, kid: key.kid, value: toBase64url(crypto.sign(key.atRest, algorithm, body.value)) };
});

/** `value` is the signature. */
const VerifyBody = v.object({ alg: v.string(), digest: Base64url('digest'), value: Base64url('value') });

export const verify = operation({ path: VersionPath, query: v.unknown(), body: VerifyBody }, async (world: ActiveReads, { path, body }) => {
  const { crypto } = world;
  const key = await usableKey(world, path, 'verify');
  const algorithm = crypto.algorithm(body.alg, 'verify', key.atRest.material);
  return { alg: body.alg, kid: key.kid, value: crypto.verify(key.atRest, algorithm, body.digest, body.value) };
});
