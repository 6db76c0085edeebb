// Where the backups of an HSM go, as cmdlets are told: an account and a container, or the container's address; with a SAS token or the HSM's identity.

import type { ParameterRow } from './cmdlet.ts';
import { ShellError } from './errors.ts';
import { hsmNameRow, hsmObjectRow } from './hsm-names.ts';
import type { SecureString } from './value.ts';

/** The public cloud's; any other storage is named by the container's address. */
const STORAGE_SUFFIX = 'core.windows.net';

const byName = ['InteractiveStorageName', 'InputObjectStorageName'] as const;
const byUri = ['InteractiveStorageUri', 'InputObjectStorageUri'] as const;

/** The parameters that all cmdlets about backups share. */
export const storageRows = {
  HsmName: { ...hsmNameRow, position: 1, mandatory: ['InteractiveStorageName', 'InteractiveStorageUri'] },
  HsmObject: { ...hsmObjectRow, mandatory: ['InputObjectStorageName', 'InputObjectStorageUri'] },
  StorageAccountName: { type: 'string', mandatory: byName, help: 'An account of Azure Storage.' },
  StorageContainerName: { type: 'string', mandatory: byName, help: "The account's container." },
  StorageContainerUri: {
    type: 'uri',
    mandatory: byUri,
    help: "The container's address; or file:///FOLDER, inside the folder that the service was started with.",
  },
  SasToken: { type: 'securestring', help: 'What grants access to the container: to create, write, read and delete.' },
  UseUserManagedIdentity: { type: 'switch', help: 'Access is granted to the identity of the HSM, without a token.' },
} as const satisfies Readonly<Record<string, ParameterRow>>;

/** The sets that these parameters come in. `more` are in all of them. */
export function storageSets<More extends string>(
  ...more: readonly More[]
): { readonly default: string; readonly sets: Readonly<Record<string, readonly (keyof typeof storageRows | More)[]>> } {
  const access: readonly (keyof typeof storageRows | More)[] = ['SasToken', 'UseUserManagedIdentity', ...more];
  return {
    default: 'InteractiveStorageName',
    sets: {
      InteractiveStorageName: ['HsmName', 'StorageAccountName', 'StorageContainerName', ...access],
      InteractiveStorageUri: ['HsmName', 'StorageContainerUri', ...access],
      InputObjectStorageName: ['HsmObject', 'StorageAccountName', 'StorageContainerName', ...access],
      InputObjectStorageUri: ['HsmObject', 'StorageContainerUri', ...access],
    },
  };
}

interface StorageArguments {
  readonly StorageAccountName?: string | undefined;
  readonly StorageContainerName?: string | undefined;
  readonly StorageContainerUri?: string | undefined;
  readonly SasToken?: SecureString | undefined;
  readonly UseUserManagedIdentity: boolean;
}

/** As the service takes it. `kept`: the service may have the token already. */
export function storageOf(
  args: StorageArguments,
  token: 'wanted' | 'kept' = 'wanted',
): {
  readonly storageResourceUri: string;
  readonly token?: string;
  readonly useManagedIdentity?: true;
} {
  const uri = args.StorageContainerUri ?? `https://${args.StorageAccountName}.blob.${STORAGE_SUFFIX}/${args.StorageContainerName}`;
  if (args.UseUserManagedIdentity && args.SasToken !== undefined) {
    throw new ShellError('give -SasToken or -UseUserManagedIdentity, not both', { category: 'binding' });
  }
  if (args.UseUserManagedIdentity) return { storageResourceUri: uri, useManagedIdentity: true };
  if (token === 'wanted' && args.SasToken === undefined && !/^file:/i.test(uri)) {
    throw new ShellError('the storage wants a token: -SasToken, or -UseUserManagedIdentity', {
      category: 'binding',
      hints: ['make one secure with: $sas = ConvertTo-SecureString -String "…" -AsPlainText -Force'],
    });
  }
  return { storageResourceUri: uri, ...(args.SasToken === undefined ? {} : { token: args.SasToken.reveal().replace(/^\?/, '') }) };
}
