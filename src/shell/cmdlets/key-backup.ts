// Backup- and Restore-AzKeyVaultKey: one key as a file that only an HSM of the same security domain can open.

import { fromBase64, toBase64url } from '../base64.ts';
import { ShellError } from '../errors.ts';
import { hsmNamed, hsmNameRow, keyNamed } from '../hsm-names.ts';
import { callKey, keyPath, keyShape } from '../keys.ts';
import { textAt } from '../read.ts';
import { define, forceParameter } from './define.ts';
import { hsmIdParameter, hsmObjectParameter, keyNameParameter, keyObjectParameter } from './key-rows.ts';

export const backupKey = define({
  name: 'Backup-AzKeyVaultKey',
  synopsis: 'Backs up a key with all its versions into a file.',
  description: 'Only an HSM of the same security domain can restore it.',
  parameters: {
    HsmName: { ...hsmNameRow, mandatory: ['HsmByKeyName'], position: 0 },
    Name: { ...keyNameParameter, mandatory: ['HsmByKeyName'] },
    InputObject: { ...keyObjectParameter, aliases: ['Key'], mandatory: ['ByKey'] },
    OutputFile: { type: 'string', position: 2, help: 'The file to write; named after the HSM, the key and the time when not given.' },
    Force: { ...forceParameter, help: 'Replaces an existing file without asking.' },
  },
  parameterSets: { default: 'HsmByKeyName', sets: { HsmByKeyName: ['HsmName', 'Name'], ByKey: ['InputObject'] } },
  changes: true,
  examples: [{ code: 'Backup-AzKeyVaultKey -HsmName contoso -Name signing -OutputFile signing.backup', text: 'Backs up a key.' }],
  outputs: 'String',
  async run(context, args) {
    const { hsm, name } = keyNamed(args);
    const file = args.OutputFile ?? `${hsm}-${name}-${context.host.now() / 1000}`;
    if (!(await context.shouldProcess('Back up key', name))) return undefined;
    if (!args.Force && (await context.host.exists(file))) {
      const question = `Overwrite existing file at '${context.host.resolve(file)}' ?`;
      if (!(await context.shouldContinue(question, 'Overwrite file'))) return undefined;
    }
    const blob = fromBase64(textAt(await callKey(context, hsm, 'POST', `${keyPath('keys', name)}/backup`), 'value') ?? '');
    if (blob === undefined || blob.length === 0) throw new ShellError('the service answered without a backup', { category: 'operation' });
    await context.host.writeBytes(file, blob, { mode: 0o600 });
    return context.host.resolve(file);
  },
});

export const restoreKey = define({
  name: 'Restore-AzKeyVaultKey',
  synopsis: 'Restores a key with all its versions from a file, under the name that it had.',
  parameters: {
    HsmName: { ...hsmNameRow, mandatory: ['HsmByVaultName'], position: 0 },
    HsmObject: { ...hsmObjectParameter, mandatory: ['HsmByInputObject'], position: 0 },
    HsmResourceId: { ...hsmIdParameter, mandatory: ['HsmByResourceId'] },
    InputFile: { type: 'string', mandatory: true, position: 1, help: 'The file that Backup-AzKeyVaultKey wrote.' },
  },
  parameterSets: {
    default: 'HsmByVaultName',
    sets: { HsmByVaultName: ['HsmName'], HsmByInputObject: ['HsmObject'], HsmByResourceId: ['HsmResourceId'] },
  },
  changes: true,
  examples: [{ code: 'Restore-AzKeyVaultKey -HsmName contoso -InputFile signing.backup', text: 'Restores a key.' }],
  outputs: 'PSKeyVaultKey',
  async run(context, args) {
    const hsm = hsmNamed(args);
    const value = toBase64url(await context.host.readBytes(args.InputFile));
    if (!(await context.shouldProcess('Restore key', args.InputFile))) return undefined;
    return keyShape(await callKey(context, hsm, 'POST', '/keys/restore', { body: { value } }));
  },
});
