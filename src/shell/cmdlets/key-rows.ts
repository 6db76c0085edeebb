// What the cmdlets about keys have in common: parameters, the dates and release policies of requests, the public key as a file.

import { toBase64url } from '../base64.ts';
import { ShellError } from '../errors.ts';
import { hsmIdRow, hsmObjectRow } from '../hsm-names.ts';
import { publicKeyPem } from '../public-key.ts';
import { at, parseJson } from '../read.ts';
import type { Context } from './define.ts';

export const keyOps = [
  ...(['encrypt', 'decrypt', 'sign', 'verify', 'wrapKey', 'unwrapKey', 'deriveKey', 'import', 'export'] as const),
  ...(['secureWrapKey', 'secureUnwrapKey'] as const),
] as const;

/** `-InputObject` and `-ResourceId` mean key vaults in the genuine module; here they mean the HSM, as `-VaultName` does. */
export const hsmObjectParameter = { ...hsmObjectRow, aliases: ['InputObject'] } as const;
export const hsmIdParameter = { ...hsmIdRow, aliases: ['ResourceId'] } as const;

export const keyNameParameter = {
  type: 'string',
  aliases: ['KeyName'],
  position: 1,
  help: "The key's name: letters, digits and hyphens.",
} as const;
export const versionParameter = { type: 'string', aliases: ['KeyVersion'], position: 2, help: 'The newest when not given.' } as const;
export const keyObjectParameter = {
  type: 'object',
  position: 0,
  fromPipeline: { value: ['PSKeyVaultKey', 'PSKeyVaultKeyIdentityItem'] },
  help: 'From Get-AzKeyVaultKey.',
} as const;
export const dateParameters = {
  Expires: { type: 'datetime', help: 'After it the key no longer encrypts, wraps or signs.' },
  NotBefore: { type: 'datetime', help: 'Before it the key does not yet encrypt, wrap or sign.' },
} as const;
export const releaseParameters = {
  ReleasePolicyPath: { type: 'string', help: 'The file with the policy that says to whom the key may be released.' },
  Immutable: { type: 'switch', help: 'The policy can never be changed again.' },
} as const;

export const targetParameters = {
  TargetFile: { type: 'string', help: 'The file with the attestation token of the environment that is to have it.' },
} as const;

/** The token in that file, as it goes out. */
export async function targetToken(context: Context, path: string | undefined): Promise<string> {
  if (path === undefined)
    throw new ShellError('for whom? give the attestation token of the environment with -TargetFile', { category: 'binding' });
  const token = (await context.host.readText(path)).trim();
  if (/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return token;
  throw new ShellError(`'${path}' is not an attestation token (a signed JSON Web Token)`, { category: 'validation' });
}

/** The wire counts seconds since 1970. */
export function dates(args: { readonly Expires: Date | undefined; readonly NotBefore: Date | undefined }): { exp?: number; nbf?: number } {
  return {
    ...(args.Expires === undefined ? {} : { exp: Math.floor(args.Expires.getTime() / 1000) }),
    ...(args.NotBefore === undefined ? {} : { nbf: Math.floor(args.NotBefore.getTime() / 1000) }),
  };
}

/** The member `release_policy` of a request, or nothing. */
export async function releasePolicy(
  context: Context,
  { ReleasePolicyPath: path, Immutable }: { readonly ReleasePolicyPath: string | undefined; readonly Immutable: boolean },
): Promise<{ release_policy?: object }> {
  const immutable = Immutable ? { immutable: true } : {};
  if (path === undefined) return Immutable ? { release_policy: immutable } : {};
  const bytes = await context.host.readBytes(path);
  if (parseJson(new TextDecoder().decode(bytes)) === undefined)
    throw new ShellError(`'${path}' is not a JSON document`, { category: 'validation' });
  return { release_policy: { contentType: 'application/json; charset=utf-8', data: toBase64url(bytes), ...immutable } };
}

/** Symmetric keys have no public half; asking for one is an error, not an empty file. */
export async function writePublicKey(context: Context, bundle: unknown, path: string): Promise<void> {
  const pem = publicKeyPem(at(bundle, 'key'));
  if (pem === undefined) throw new ShellError('a symmetric key has no public key that could be exported', { category: 'validation' });
  await context.host.writeText(path, pem);
}
