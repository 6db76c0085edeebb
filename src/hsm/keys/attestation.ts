// GET /keys/{name}/{version}/attestation: the key with what its HSM says of it, signed under the service's own root. It says nothing that the seal does not
// hold, and that this is software.

import * as v from 'valibot';
import { seconds } from '../../core/clock.ts';
import { toBase64url } from '../../core/encoding.ts';
import {
  ATTESTATION_VERSION,
  type PrivateStatement,
  type PublicStatement,
  publicJwk,
  sha256,
  thumbprint,
} from '../../core/key-attestation.ts';
import { operation } from '../../core/route.ts';
import type { ActiveReads } from '../world.ts';
import { keyBundle } from './bundles.ts';
import type { KeyVersion } from './key-version.ts';
import { VersionPath } from './names.ts';

export const attestKey = operation(
  { path: VersionPath, query: v.unknown(), body: v.unknown() },
  async (world: ActiveReads, { path, apiVersion }) => {
    const { hsm, crypto, clock } = world;
    const key = await world.keys.find(hsm, path.name, path.version);
    crypto.check(key.atRest);
    const bundle = keyBundle(hsm, key, apiVersion);
    const jwk = publicJwk(bundle.key);
    const signer = await world.signers(hsm, 'attestation');
    const signed = async (statement: PublicStatement | PrivateStatement) =>
      toBase64url(Buffer.from(await signer.sign(statement, ATTESTATION_VERSION), 'ascii'));
    const common = {
      version: ATTESTATION_VERSION,
      iat: seconds(clock.now()),
      hsm: new URL(hsm.origin).hostname,
      kid: key.kid,
    } as const;
    const attestation = {
      certificatePemFile: toBase64url(Buffer.from(signer.chain, 'ascii')),
      privateKeyAttestation: await signed({ ...common, ...privateStatement(key, jwk) }),
      ...(jwk === undefined ? {} : { publicKeyAttestation: await signed({ ...common, statement: 'public key', jwk }) }),
      version: ATTESTATION_VERSION,
    };
    return { ...bundle, attributes: { attestation, ...bundle.attributes } };
  },
);

/** What was sealed with the key, so that a changed row cannot make the HSM say something else. */
function privateStatement({ atRest: { material, terms }, release: { policy } }: KeyVersion, jwk: ReturnType<typeof publicJwk>) {
  const { origin = 'unknown', release } = terms;
  const ways = { exportable: 'exportable', secure: 'secure wrapping' } as const;
  return {
    statement: 'private key',
    kty: material.kty,
    ...(jwk === undefined ? {} : { jkt: thumbprint(jwk) }),
    protection: 'software',
    hardware: false,
    fips: false,
    origin,
    release: release === undefined ? 'never' : ways[release.kind],
    ...(policy === undefined
      ? {}
      : {
          release_policy_sha256: sha256(Buffer.from(policy.data, 'base64url')),
          release_policy_immutable: policy.immutable,
        }),
  } as const;
}
