// Keys that are there: Get-/Update-/Remove-AzKeyVaultKey and Undo-AzKeyVaultKeyRemoval.

import { hsmPlace, items } from '../client.ts';
import { ShellError } from '../errors.ts';
import { hsmNamed, hsmNameRow, keyNamed } from '../hsm-names.ts';
import { callKey, keyItemShape, keyPath, keyShape, readKey } from '../keys.ts';
import { day, define, forceParameter, hasWildcard, matches, passThruParameter, tagParameter, tagsOf } from './define.ts';
import {
  dateParameters,
  dates,
  hsmIdParameter,
  hsmObjectParameter,
  keyNameParameter,
  keyObjectParameter,
  keyOps,
  releaseParameters,
  releasePolicy,
  versionParameter,
  writePublicKey,
} from './key-rows.ts';

const oneVersion = ['HsmByKeyName', 'HsmByInputObjectKeyName', 'HsmByResourceIdKeyName'];
const allVersions = ['HsmByKeyVersions', 'HsmByInputObjectKeyVersions', 'HsmByResourceIdKeyVersions'];

export const getKey = define({
  name: 'Get-AzKeyVaultKey',
  aliases: ['Get-AzManagedHsmKey'],
  synopsis: 'Keys of a managed HSM: all, one, one version, all versions, or the deleted ones.',
  parameters: {
    HsmName: { ...hsmNameRow, mandatory: ['HsmByVaultName', 'HsmByKeyName', 'HsmByKeyVersions'], position: 0 },
    HsmObject: {
      ...hsmObjectParameter,
      mandatory: ['HsmByInputObjectVaultName', 'HsmByInputObjectKeyName', 'HsmByInputObjectKeyVersions'],
      position: 0,
    },
    HsmResourceId: {
      ...hsmIdParameter,
      mandatory: ['HsmByResourceIdVaultName', 'HsmByResourceIdKeyName', 'HsmByResourceIdKeyVersions'],
    },
    Name: { ...keyNameParameter, mandatory: [...oneVersion, ...allVersions], help: 'May hold * and ?.' },
    Version: { ...versionParameter, mandatory: oneVersion },
    IncludeVersions: { type: 'switch', mandatory: allVersions, help: 'All versions of the key.' },
    InRemovedState: { type: 'switch', help: 'Those that were deleted and not yet purged.' },
    OutFile: { type: 'string', help: 'Writes the public key there, in PEM.' },
  },
  parameterSets: {
    default: 'HsmByVaultName',
    sets: {
      HsmByVaultName: ['HsmName', 'Name', 'InRemovedState'],
      HsmByKeyName: ['HsmName', 'Name', 'Version'],
      HsmByKeyVersions: ['HsmName', 'Name', 'IncludeVersions'],
      HsmByInputObjectVaultName: ['HsmObject', 'Name', 'InRemovedState'],
      HsmByInputObjectKeyName: ['HsmObject', 'Name', 'Version'],
      HsmByInputObjectKeyVersions: ['HsmObject', 'Name', 'IncludeVersions'],
      HsmByResourceIdVaultName: ['HsmResourceId', 'Name', 'InRemovedState'],
      HsmByResourceIdKeyName: ['HsmResourceId', 'Name', 'Version'],
      HsmByResourceIdKeyVersions: ['HsmResourceId', 'Name', 'IncludeVersions'],
    },
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
  synopsis: "Changes a key's attributes: enabled, dates, operations, tags, release policy. What is not given stays.",
  parameters: {
    HsmName: { ...hsmNameRow, mandatory: ['HsmInteractive'], position: 0 },
    Name: { ...keyNameParameter, mandatory: ['HsmInteractive'] },
    InputObject: { ...keyObjectParameter, mandatory: ['InputObject'] },
    Version: versionParameter,
    Enable: { type: 'bool', help: '$true or $false.' },
    ...dateParameters,
    KeyOps: { type: 'string[]', values: keyOps, help: 'What the key may be used for.' },
    Tag: { ...tagParameter, allowEmpty: true },
    ...releaseParameters,
    PassThru: passThruParameter,
  },
  parameterSets: { default: 'HsmInteractive', sets: { HsmInteractive: ['HsmName', 'Name'], InputObject: ['InputObject'] } },
  changes: true,
  outputs: 'PSKeyVaultKey',
  async run(context, args) {
    const { hsm, name, version } = keyNamed(args);
    const tags = tagsOf(args.Tag);
    const attributes = { ...(args.Enable === undefined ? {} : { enabled: args.Enable }), ...dates(args) };
    const body = {
      ...(Object.keys(attributes).length === 0 ? {} : { attributes }),
      ...(args.KeyOps === undefined ? {} : { key_ops: args.KeyOps }),
      ...(tags === undefined ? {} : { tags }),
      ...(await releasePolicy(context, args)),
    };
    if (!(await context.shouldProcess('Update key', name))) return undefined;
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
    Name: { ...keyNameParameter, mandatory: ['HsmByVaultName'] },
    InputObject: {
      ...keyObjectParameter,
      mandatory: ['ByInputObject'],
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
    const { hsm, name } = keyNamed(args);
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
    Name: { ...keyNameParameter, mandatory: ['HsmInteractive'] },
    InputObject: {
      ...keyObjectParameter,
      mandatory: ['InputObject'],
      fromPipeline: { value: ['PSDeletedKeyVaultKey', 'PSDeletedKeyVaultKeyIdentityItem'] },
    },
  },
  parameterSets: { default: 'HsmInteractive', sets: { HsmInteractive: ['HsmName', 'Name'], InputObject: ['InputObject'] } },
  changes: true,
  outputs: 'PSKeyVaultKey',
  async run(context, args) {
    const { hsm, name } = keyNamed(args);
    if (!(await context.shouldProcess('Recover key', name))) return undefined;
    return keyShape(await callKey(context, hsm, 'POST', `${keyPath('deletedkeys', name)}/recover`));
  },
});
