// Keys as an HSM's data plane gives them: their objects in the pipeline, and the calls that several cmdlets make.

import { table } from '../core/table.ts';
import { type CallOptions, type ClientContext, call, hsmPlace, refusal, segment } from './client.ts';
import { keyIdParts } from './hsm-names.ts';
import { tagTable } from './managed-hsms.ts';
import { at, flagAt, numberAt, secondsAt, textAt, textsAt } from './read.ts';
import { shape } from './value.ts';

/** `/keys/NAME`, `/keys/NAME/VERSION`, `/deletedkeys/NAME`. */
export function keyPath(collection: 'keys' | 'deletedkeys', name: string, version?: string): string {
  return `/${collection}/${segment(name)}${version === undefined ? '' : `/${segment(version)}`}`;
}

/** One key, or undefined when it is not there. Any other 404, such as that of an HSM that does not exist, is an error. */
export async function readKey(context: ClientContext, hsm: string, path: string): Promise<unknown> {
  const place = await hsmPlace(context, hsm);
  const answer = await call(context, place, 'GET', path, { allow: [404] });
  if (answer.status !== 404) return answer.json;
  if (textAt(answer.json, 'error', 'code') === 'KeyNotFound') return undefined;
  throw await refusal(context, place, answer.status, answer.text);
}

export async function callKey(context: ClientContext, hsm: string, method: string, path: string, options?: CallOptions): Promise<unknown> {
  return (await call(context, await hsmPlace(context, hsm), method, path, options)).json;
}

const bitsOfCurve: Readonly<Record<string, number>> = table({ 'P-256': 256, 'P-256K': 256, 'P-384': 384, 'P-521': 521 });

/** A whole key: its public half, or only its kind when it is symmetric. */
export function keyShape(bundle: unknown, deleted = false) {
  const jwk = at(bundle, 'key');
  const id = textAt(jwk, 'kid') ?? '';
  const curve = textAt(jwk, 'crv');
  const modulus = textAt(jwk, 'n');
  const size = curve === undefined ? (modulus === undefined ? undefined : Math.floor((modulus.length * 6) / 8) * 8) : bitsOfCurve[curve];
  return shape(
    deleted ? 'PSDeletedKeyVaultKey' : 'PSKeyVaultKey',
    {
      ...identity(id),
      KeyType: textAt(jwk, 'kty'),
      KeySize: size ?? numberAt(bundle, 'attributes', 'key_size'),
      CurveName: curve,
      ...attributes(bundle),
      ...(deleted ? removal(bundle) : {}),
      Tags: tagTable(at(bundle, 'tags')),
      KeyOps: textsAt(jwk, 'key_ops'),
      Key: shape('JsonWebKey', { ...Object(jwk) }),
      HsmName: keyIdParts(id).hsm,
    },
    ['KeyOps', 'Key', 'HsmName'],
  );
}

/** A key in a list: everything but its kind. */
export function keyItemShape(item: unknown, deleted = false) {
  const id = textAt(item, 'kid') ?? '';
  return shape(
    deleted ? 'PSDeletedKeyVaultKeyIdentityItem' : 'PSKeyVaultKeyIdentityItem',
    {
      ...identity(id),
      ...attributes(item),
      ...(deleted ? removal(item) : {}),
      Tags: tagTable(at(item, 'tags')),
      HsmName: keyIdParts(id).hsm,
    },
    ['HsmName'],
  );
}

function identity(id: string) {
  const { hsm, name, version } = keyIdParts(id);
  return { VaultName: hsm, Name: name, Version: version, Id: id };
}

function attributes(bundle: unknown) {
  return {
    Enabled: flagAt(bundle, 'attributes', 'enabled') ?? true,
    Expires: secondsAt(bundle, 'attributes', 'exp'),
    NotBefore: secondsAt(bundle, 'attributes', 'nbf'),
    Created: secondsAt(bundle, 'attributes', 'created'),
    Updated: secondsAt(bundle, 'attributes', 'updated'),
    RecoveryLevel: textAt(bundle, 'attributes', 'recoveryLevel'),
  };
}

function removal(bundle: unknown) {
  return {
    DeletedDate: secondsAt(bundle, 'deletedDate'),
    ScheduledPurgeDate: secondsAt(bundle, 'scheduledPurgeDate'),
    RecoveryId: textAt(bundle, 'recoveryId'),
  };
}
