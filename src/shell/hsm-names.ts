// Which HSM a cmdlet means: by name, by the object of Get-AzKeyVaultManagedHsm, or by resource id. And what its key ids are made of.

import type { ParameterRow } from './cmdlet.ts';
import { ShellError } from './errors.ts';
import { member } from './value.ts';

/** `-VaultName` is what many type for an HSM; here it means the same. */
export const hsmNameRow = {
  type: 'string',
  aliases: ['VaultName'],
  help: 'The managed HSM.',
} as const satisfies ParameterRow;

export const hsmObjectRow = {
  type: 'object',
  fromPipeline: { value: 'PSManagedHsm' },
  help: 'From Get-AzKeyVaultManagedHsm.',
} as const satisfies ParameterRow;

export const hsmIdRow = {
  type: 'string',
  fromPipeline: { property: true },
  help: "The HSM's resource id.",
} as const satisfies ParameterRow;

interface HsmArguments {
  readonly HsmName?: string | undefined;
  readonly HsmObject?: unknown;
  readonly HsmResourceId?: string | undefined;
  readonly InputObject?: unknown;
}

/** Throws when none of the parameters says which HSM. */
export function hsmNamed(args: HsmArguments): string {
  const named = [
    args.HsmName,
    member(args.HsmObject, 'Name'),
    args.HsmResourceId?.replace(/\/$/, '').split('/').pop(),
    member(args.InputObject, 'HsmName'),
    member(args.InputObject, 'VaultName'),
    member(args.InputObject, 'Name'),
  ].find((name) => typeof name === 'string' && name !== '');
  if (/\/vaults\/[^/]+\/?$/i.test(args.HsmResourceId ?? '')) {
    throw new ShellError(`'${args.HsmResourceId}' is a key vault, and this service has managed HSMs alone`, { category: 'unsupported' });
  }
  if (typeof named === 'string') return named;
  throw new ShellError('it is not clear which managed HSM is meant', { category: 'binding', hints: ['name it with -HsmName'] });
}

interface KeyArguments extends HsmArguments {
  readonly Name?: string | undefined;
  readonly Version?: string | undefined;
}

/** Which key of which HSM: as named, or as an object that came down the pipeline. */
export function keyNamed(args: KeyArguments): { readonly hsm: string; readonly name: string; readonly version: string | undefined } {
  const text = (property: string): string | undefined => {
    const found = member(args.InputObject, property);
    return typeof found === 'string' && found !== '' ? found : undefined;
  };
  const name = text('Name') ?? args.Name;
  if (name === undefined)
    throw new ShellError('it is not clear which key is meant', { category: 'binding', hints: ['name it with -Name'] });
  return { hsm: hsmNamed(args), name, version: args.Version ?? text('Version') };
}

export interface KeyId {
  readonly hsm: string;
  readonly name: string;
  readonly version: string | undefined;
}

/** `https://contoso.managedhsm.localhost:8443/keys/k1/VERSION`, or `/deletedkeys/k1`, taken apart. */
export function keyIdParts(id: string): KeyId {
  const url = URL.canParse(id) ? new URL(id) : undefined;
  const [, kind, name, version] = url?.pathname.split('/') ?? [];
  if (url === undefined || name === undefined || (kind !== 'keys' && kind !== 'deletedkeys')) {
    throw new ShellError(`'${id}' is not the id of a key`, { category: 'validation' });
  }
  return { hsm: url.hostname.split('.')[0] ?? '', name, version: version === '' ? undefined : version };
}
