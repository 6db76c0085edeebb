// sign and verify: of a digest, as the service has it; of any bytes for HMAC and ML-DSA.

import * as v from 'valibot';
import { toBase64url } from '../../core/encoding.ts';
import { badParameter } from '../../core/errors-keyvault.ts';
import { operation } from '../../core/route.ts';
import { checkMlDsaVersion } from '../api-version.ts';
import type { ActiveReads } from '../world.ts';
import { Base64url } from './base64url.ts';
import type { KeyVersion } from './key-version.ts';
import { usableKey } from './lookup.ts';
import { VersionPath } from './names.ts';

/** ML-DSA: the representative of a message (µ of FIPS 204) in the place of `alg` and the message, or a context beside them. */
const MlDsa = { external_mu: v.nullish(Base64url('external_mu')), context: v.nullish(Base64url('context')) };

const SignBody = v.object({ alg: v.nullish(v.string()), value: v.nullish(Base64url('value')), ...MlDsa });

export const sign = operation(
  { path: VersionPath, query: v.unknown(), body: SignBody },
  async (world: ActiveReads, { path, body, apiVersion }) => {
    const key = await usableKey(world, path, 'sign');
    const { alg, algorithm, value, parameters } = asked(world, key, 'sign', { ...body, message: body.value, member: 'value' }, apiVersion);
    return { alg, kid: key.kid, value: toBase64url(world.crypto.sign(key.atRest, algorithm, value, parameters)) };
  },
  { whenDegraded: true },
);

/** `value` is the signature. */
const VerifyBody = v.object({ alg: v.nullish(v.string()), digest: v.nullish(Base64url('digest')), value: Base64url('value'), ...MlDsa });

export const verify = operation(
  { path: VersionPath, query: v.unknown(), body: VerifyBody },
  async (world: ActiveReads, { path, body, apiVersion }) => {
    const key = await usableKey(world, path, 'verify');
    const { alg, algorithm, value, parameters } = asked(
      world,
      key,
      'verify',
      { ...body, message: body.digest, member: 'digest' },
      apiVersion,
    );
    return { alg, kid: key.kid, value: world.crypto.verify(key.atRest, algorithm, value, body.value, parameters) };
  },
  { whenDegraded: true },
);

interface Asked {
  readonly alg?: string | null | undefined;
  readonly message: Buffer | null | undefined;
  /** What the message is called here. */
  readonly member: 'value' | 'digest';
  readonly external_mu?: Buffer | null | undefined;
  readonly context?: Buffer | null | undefined;
}

/** What is signed, and how. Throws BadParameter for members that are missing or exclude each other. */
function asked(
  { crypto }: ActiveReads,
  { atRest: { material } }: KeyVersion,
  operation: 'sign' | 'verify',
  { alg, message, member, external_mu, context }: Asked,
  apiVersion: string | undefined,
) {
  if (material.kty === 'AKP-HSM') checkMlDsaVersion(apiVersion);
  if (external_mu) {
    if (alg || message || context) throw badParameter(`Property external_mu excludes alg, ${member} and context.`);
    if (material.kty !== 'AKP-HSM') throw badParameter('Property external_mu is for keys of type AKP-HSM alone.');
    const algorithm = crypto.algorithm(material.alg, operation, material);
    return { alg: material.alg, algorithm, value: external_mu, parameters: { isMu: true } };
  }
  if (!alg) throw badParameter('Property alg is required.');
  if (!message) throw badParameter(`Property ${member} is required.`);
  const algorithm = crypto.algorithm(alg, operation, material);
  return { alg, algorithm, value: message, parameters: { context: context ?? undefined } };
}
