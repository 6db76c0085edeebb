// encrypt and decrypt, wrapkey and unwrapkey: two directions, each under two names with a data action and a key operation of its own.

import * as v from 'valibot';
import { toBase64url } from '../../core/encoding.ts';
import { badParameter } from '../../core/errors-keyvault.ts';
import { operation } from '../../core/route.ts';
import type { Algorithm, KeyOperation } from '../../crypto/algorithms.ts';
import type { ActiveReads } from '../world.ts';
import { Base64url } from './base64url.ts';
import { type KeyRef, usableKey } from './lookup.ts';
import { VersionPath } from './names.ts';

const EncryptBody = v.object({
  alg: v.string(),
  value: Base64url('value'),
  iv: v.nullish(Base64url('iv')),
  aad: v.nullish(Base64url('aad')),
  tag: v.nullish(Base64url('tag')),
});

/** Whatever the operation's name, the algorithm says how. */
export const encrypt = (named: 'encrypt' | 'wrapKey') =>
  operation(
    { path: VersionPath, query: v.unknown(), body: EncryptBody },
    async (world: ActiveReads, { path, body }) => {
      const { key, algorithm } = await chosen(world, path, body, named);
      const { value, iv, tag } = world.crypto.encrypt(key.atRest, algorithm, body.value, {
        iv: body.iv ?? undefined,
        aad: body.aad ?? undefined,
      });
      return {
        ...(tag !== undefined && body.aad ? { aad: toBase64url(body.aad) } : {}),
        alg: body.alg,
        ...(iv === undefined ? {} : { iv: toBase64url(iv) }),
        kid: key.kid,
        ...(tag === undefined ? {} : { tag: toBase64url(tag) }),
        value: toBase64url(value),
      };
    },
    { whenDegraded: true },
  );

export const decrypt = (named: 'decrypt' | 'unwrapKey') =>
  operation(
    { path: VersionPath, query: v.unknown(), body: EncryptBody },
    async (world: ActiveReads, { path, body }) => {
      const { key, algorithm } = await chosen(world, path, body, named);
      const parameters = { iv: body.iv ?? undefined, aad: body.aad ?? undefined, tag: body.tag ?? undefined };
      const plain = world.crypto.decrypt(key.atRest, algorithm, body.value, parameters);
      const answer = { alg: body.alg, kid: key.kid, value: toBase64url(plain) };
      plain.fill(0);
      return answer;
    },
    { whenDegraded: true },
  );

/** The key that may be used so, and the algorithm that fits both. */
async function chosen(world: ActiveReads, ref: KeyRef, { alg, aad }: v.InferOutput<typeof EncryptBody>, named: KeyOperation) {
  const key = await usableKey(world, ref, named);
  const algorithm = world.crypto.algorithm(alg, named, key.atRest.material);
  checkAad(algorithm, aad);
  return { key, algorithm };
}

/** Whoever brings additional data means it to be authenticated. Where nothing is, silence would look like success. */
function checkAad({ kind, name }: Algorithm, aad: Buffer | null | undefined): void {
  if (kind === 'aes-gcm' || aad === undefined || aad === null || aad.length === 0) return;
  throw badParameter(`Algorithm '${name}' authenticates nothing besides the value, so 'aad' cannot be given`);
}
