// Keys of a managed HSM: Add-/Get-/Update-/Remove-AzKeyVaultKey and Undo-AzKeyVaultKeyRemoval.

import { hsmPlace, items } from '../client.ts';
import { ShellError } from '../errors.ts';
import { hsmIdRow, hsmNamed, hsmNameRow, hsmObjectRow } from '../hsm-names.ts';
import { callKey, keyItemShape, keyPath, keyShape, readKey } from '../keys.ts';
import { publicKeyPem } from '../public-key.ts';
import { at } from '../read.ts';
import {
  type Context,
  day,
  define,
  forceParameter,
  hasWildcard,
  matches,
  passThruParameter,
  tagParameter,
  tagsOf,
  textOf,
} from './define.ts';

const keyOps = ['encrypt', 'decrypt', 'sign', 'verify', 'wrapKey', 'unwrapKey', 'deriveKey', 'import', 'export'] as const;
const nameRow = { type: 'string', aliases: ['KeyName'], position: 1, help: "The key's name: letters, digits and hyphens." } as const;
const versionRow = { type: 'string', aliases: ['KeyVersion'], position: 2, help: 'The newest when not given.' } as const;
const datesRows = {
  Expires: { type: 'datetime', help: 'After it the key no longer encrypts, wraps or signs.' },
  NotBefore: { type: 'datetime', help: 'Before it the key does not yet encrypt, wrap or sign.' },
} as const;

export const addKey = define({
  name: 'Add-AzKeyVaultKey',
  aliases: ['Add-AzManagedHsmKey'],
  synopsis: 'Creates a key in a managed HSM, or a new version of it.',
  parameters: {
    HsmName: { ...hsmNameRow, mandatory: ['HsmInteractiveCreate'], position: 0 },
    HsmObject: { ...hsmObjectRow, mandatory: ['HsmInputObjectCreate'], position: 0 },
    HsmResourceId: { ...hsmIdRow, mandatory: ['HsmResourceIdCreate'] },
    Name: { ...nameRow, mandatory: true },
    KeyType: {
      type: 'string',
      mandatory: true,
      values: ['RSA', 'RSA-HSM', 'EC', 'EC-HSM', 'oct', 'oct-HSM'],
      help: 'Always kept as -HSM.',
    },
    Size: { type: 'int', help: 'Bits: 2048, 3072 or 4096 for RSA, 128, 192 or 256 for oct.' },
    CurveName: { type: 'string', values: ['P-256', 'P-256K', 'P-384', 'P-521'] },
    KeyOps: { type: 'string[]', values: keyOps, help: 'What the key may be used for.' },
    Disable: { type: 'switch', help: 'It cannot be used until it is enabled.' },
    ...datesRows,
    Tag: tagParameter,
    OutFile: { type: 'string', help: 'Writes the public key there, in PEM.' },
  },
  parameterSets: {
    default: 'HsmInteractiveCreate',
    sets: { HsmInteractiveCreate: ['HsmName'], HsmInputObjectCreate: ['HsmObject'], HsmResourceIdCreate: ['HsmResourceId'] },
  },
  changes: true,
  examples: [{ code: 'Add-AzKeyVaultKey -HsmName contoso -Name signing -KeyType RSA -Size 3072', text: 'Creates an RSA key.' }],
  outputs: 'PSKeyVaultKey',
  async run(context, args) {
    const hsm = hsmNamed(args);
    if (!(await context.shouldProcess('Add key', args.Name))) return undefined;
    const tags = tagsOf(args.Tag);
    const body = {
      kty: args.KeyType,
      ...(args.Size === undefined ? {} : { key_size: args.Size }),
      ...(args.CurveName === undefined ? {} : { crv: args.CurveName }),
      ...(args.KeyOps === undefined ? {} : { key_ops: args.KeyOps }),
      attributes: { enabled: !args.Disable, ...dates(args) },
      ...(tags === undefined ? {} : { tags }),
    };
    const bundle = await callKey(context, hsm, 'POST', `${keyPath('keys', args.Name)}/create`, { body });
    if (args.OutFile !== undefined) await writePublicKey(context, bundle, args.OutFile);
    return keyShape(bundle);
  },
});

/** The wire counts seconds since 1970. */
function dates(args: { readonly Expires: Date | undefined; readonly NotBefore: Date | undefined }): { exp?: number; nbf?: number } {
  return {
    ...(args.Expires === undefined ? {} : { exp: Math.floor(args.Expires.getTime() / 1000) }),
    ...(args.NotBefore === undefined ? {} : { nbf: Math.floor(args.NotBefore.getTime() / 1000) }),
  };
}

/** Symmetric keys have no public half; asking for one is an error, not an empty file. */
async function writePublicKey(context: Context, bundle: unknown, path: string): Promise<void> {
  const pem = publicKeyPem(at(bundle, 'key'));
  if (pem === undefined) throw new ShellError('only RSA and EC keys have a public key that can be exported', { category: 'validation' });
  await context.host.writeText(path, pem);
}

export const getKey = define({
  name: 'Get-AzKeyVaultKey',
  aliases: ['Get-AzManagedHsmKey'],
  synopsis: 'Keys of a managed HSM: all, one, one version, all versions, or the deleted ones.',
  parameters: {
    HsmName: { ...hsmNameRow, mandatory: ['HsmByVaultName'], position: 0 },
    HsmObject: { ...hsmObjectRow, mandatory: ['HsmByInputObject'], position: 0 },
    HsmResourceId: { ...hsmIdRow, mandatory: ['HsmByResourceId'] },
    Name: { ...nameRow, help: 'May hold * and ?.' },
    Version: versionRow,
    IncludeVersions: { type: 'switch', help: 'All versions of the key.' },
    InRemovedState: { type: 'switch', help: 'Those that were deleted and not yet purged.' },
    OutFile: { type: 'string', help: 'Writes the public key there, in PEM.' },
  },
  parameterSets: {
    default: 'HsmByVaultName',
    sets: { HsmByVaultName: ['HsmName'], HsmByInputObject: ['HsmObject'], HsmByResourceId: ['HsmResourceId'] },
  },
  examples: [
    { code: 'Get-AzKeyVaultKey -HsmName contoso', text: 'Lists all keys.' },
    { code: 'Get-AzKeyVaultKey -HsmName contoso -Name signing -OutFile signing.pem', text: 'Exports the public key.' },
  ],
  outputs: 'PSKeyVaultKey',
  async *run(context, args) {
    const hsm = hsmNamed(args);
    const collection = args.InRemovedState ? 'deletedkeys' : 'keys';
    if (args.Name !== undefined && !hasWildcard(args.Name) && !args.IncludeVersions) {
      const bundle = await readKey(context, hsm, keyPath(collection, args.Name, args.Version));
      if (bundle === undefined) {
        context.warn(`'${hsm}' has no ${args.InRemovedState ? 'deleted ' : ''}key '${args.Name}'`);
        return;
      }
      if (args.OutFile !== undefined) await writePublicKey(context, bundle, args.OutFile);
      yield keyShape(bundle, args.InRemovedState);
      return;
    }
    if (args.OutFile !== undefined) throw new ShellError('-OutFile takes one key: name it with -Name', { category: 'binding' });
    const path = args.IncludeVersions ? `${keyPath('keys', args.Name ?? '')}/versions` : `/${collection}`;
    for await (const item of items(context, await hsmPlace(context, hsm), path)) {
      const shown = keyItemShape(item, args.InRemovedState);
      if (args.Name === undefined || args.IncludeVersions || matches(args.Name, shown.Name)) yield shown;
    }
  },
});

export const updateKey = define({
  name: 'Update-AzKeyVaultKey',
  aliases: ['Set-AzKeyVaultKey', 'Update-AzManagedHsmKey'],
  synopsis: "Changes a key's attributes: enabled, dates, operations, tags. What is not given stays.",
  parameters: {
    HsmName: { ...hsmNameRow, mandatory: ['HsmInteractive'], position: 0 },
    Name: { ...nameRow, mandatory: ['HsmInteractive'] },
    InputObject: {
      type: 'object',
      mandatory: ['InputObject'],
      position: 0,
      fromPipeline: { value: ['PSKeyVaultKey', 'PSKeyVaultKeyIdentityItem'] },
    },
    Version: versionRow,
    Enable: { type: 'bool', help: '$true or $false.' },
    ...datesRows,
    KeyOps: { type: 'string[]', values: keyOps },
    Tag: { ...tagParameter, allowEmpty: true },
    PassThru: passThruParameter,
  },
  parameterSets: { default: 'HsmInteractive', sets: { HsmInteractive: ['HsmName', 'Name'], InputObject: ['InputObject'] } },
  changes: true,
  outputs: 'PSKeyVaultKey',
  async run(context, args) {
    const hsm = hsmNamed(args);
    const name = textOf(args.InputObject, 'Name') ?? args.Name ?? '';
    const version = args.Version ?? textOf(args.InputObject, 'Version');
    if (!(await context.shouldProcess('Update key', name))) return undefined;
    const tags = tagsOf(args.Tag);
    const attributes = { ...(args.Enable === undefined ? {} : { enabled: args.Enable }), ...dates(args) };
    const body = {
      ...(Object.keys(attributes).length === 0 ? {} : { attributes }),
      ...(args.KeyOps === undefined ? {} : { key_ops: args.KeyOps }),
      ...(tags === undefined ? {} : { tags }),
    };
    const bundle = await callKey(context, hsm, 'PATCH', `${keyPath('keys', name)}/${version ?? ''}`, { body });
    return args.PassThru ? keyShape(bundle) : undefined;
  },
});

export const removeKey = define({
  name: 'Remove-AzKeyVaultKey',
  aliases: ['Remove-AzManagedHsmKey'],
  synopsis: 'Deletes a key with all its versions, or with -InRemovedState purges one that was deleted.',
  parameters: {
    HsmName: { ...hsmNameRow, mandatory: ['HsmByVaultName'], position: 0 },
    Name: { ...nameRow, mandatory: ['HsmByVaultName'] },
    InputObject: {
      type: 'object',
      mandatory: ['ByInputObject'],
      position: 0,
      fromPipeline: {
        value: ['PSKeyVaultKey', 'PSKeyVaultKeyIdentityItem', 'PSDeletedKeyVaultKey', 'PSDeletedKeyVaultKeyIdentityItem'],
      },
    },
    InRemovedState: { type: 'switch', help: 'Purges it: it is gone for ever.' },
    Force: forceParameter,
    PassThru: passThruParameter,
  },
  parameterSets: { default: 'HsmByVaultName', sets: { HsmByVaultName: ['HsmName', 'Name'], ByInputObject: ['InputObject'] } },
  changes: true,
  outputs: 'PSDeletedKeyVaultKey',
  async run(context, args) {
    const hsm = hsmNamed(args);
    const name = textOf(args.InputObject, 'Name') ?? args.Name ?? '';
    const verb = args.InRemovedState ? 'purge' : 'remove';
    if (!args.Force && !(await context.shouldContinue(`Are you sure you want to ${verb} key '${name}'?`, `${verb} key`))) return undefined;
    if (!(await context.shouldProcess(args.InRemovedState ? 'Purge key' : 'Remove key', name))) return undefined;
    if (args.InRemovedState) {
      await callKey(context, hsm, 'DELETE', keyPath('deletedkeys', name));
      return undefined;
    }
    const deleted = keyShape(await callKey(context, hsm, 'DELETE', keyPath('keys', name)), true);
    context.warn(
      `key '${name}' is kept until ${day(deleted.ScheduledPurgeDate)} and its name stays taken. Bring it back with: Undo-AzKeyVaultKeyRemoval -HsmName ${hsm} -Name ${name}; purge it now with: Remove-AzKeyVaultKey -HsmName ${hsm} -Name ${name} -InRemovedState`,
    );
    return args.PassThru ? deleted : undefined;
  },
});

export const undoKeyRemoval = define({
  name: 'Undo-AzKeyVaultKeyRemoval',
  aliases: ['Undo-AzManagedHsmKeyRemoval'],
  synopsis: 'Brings a deleted key back, with all its versions.',
  parameters: {
    HsmName: { ...hsmNameRow, mandatory: ['HsmInteractive'], position: 0 },
    Name: { ...nameRow, mandatory: ['HsmInteractive'] },
    InputObject: {
      type: 'object',
      mandatory: ['InputObject'],
      position: 0,
      fromPipeline: { value: ['PSDeletedKeyVaultKey', 'PSDeletedKeyVaultKeyIdentityItem'] },
    },
  },
  parameterSets: { default: 'HsmInteractive', sets: { HsmInteractive: ['HsmName', 'Name'], InputObject: ['InputObject'] } },
  changes: true,
  outputs: 'PSKeyVaultKey',
  async run(context, args) {
    const hsm = hsmNamed(args);
    const name = textOf(args.InputObject, 'Name') ?? args.Name ?? '';
    if (!(await context.shouldProcess('Recover key', name))) return undefined;
    return keyShape(await callKey(context, hsm, 'POST', `${keyPath('deletedkeys', name)}/recover`));
  },
});
