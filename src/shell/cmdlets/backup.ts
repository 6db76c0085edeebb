// Backup- and Restore-AzKeyVault: everything that an HSM holds, into a storage and back; or one key of it back.

import { storageOf, storageRows, storageSets } from '../backups.ts';
import { call, completed, hsmPlace, segment } from '../client.ts';
import { hsmNamed } from '../hsm-names.ts';
import { textAt } from '../read.ts';
import { define, passThruParameter } from './define.ts';

export const backupHsm = define({
  name: 'Backup-AzKeyVault',
  aliases: ['Backup-AzManagedHsm'],
  synopsis: 'Backs up everything that a managed HSM holds: keys, roles, settings.',
  description:
    'Only an HSM of the same security domain can restore it. The folder that is put out names the backup for Restore-AzKeyVault.',
  parameters: storageRows,
  parameterSets: storageSets<never>(),
  changes: true,
  examples: [
    {
      code: 'Backup-AzKeyVault -HsmName contoso -StorageContainerUri "https://account.blob.core.windows.net/backups" -SasToken $sas',
      text: 'Backs up an HSM into a container.',
    },
    {
      code: 'Backup-AzKeyVault -HsmName contoso -StorageContainerUri "file:///var/backups/hsm"',
      text: "Into a folder of the service's machine.",
    },
  ],
  outputs: 'String',
  async run(context, args) {
    const hsm = hsmNamed(args);
    const storage = storageOf(args);
    if (!(await context.shouldProcess(`Perform a full backup and stores it in ${storage.storageResourceUri}.`, hsm))) return undefined;
    const place = await hsmPlace(context, hsm);
    const started = await call(context, place, 'POST', '/backup', { body: storage });
    const done = await completed(context, place, started, `backing up '${hsm}'`);
    return textAt(done.json, 'azureStorageBlobContainerUri');
  },
});

export const restoreHsm = define({
  name: 'Restore-AzKeyVault',
  aliases: ['Restore-AzManagedHsm'],
  synopsis: 'Restores a managed HSM from a backup, or one key of it.',
  description:
    'Everything that the HSM holds is replaced, and what is newer than the backup is gone; meanwhile the HSM answers nothing else. With -KeyName one key comes back, if nothing has its name.',
  parameters: {
    ...storageRows,
    BackupFolder: { type: 'string', mandatory: true, help: "The backup's folder, or the address that Backup-AzKeyVault put out." },
    KeyName: { type: 'string', help: 'Of the one key that is to come back.' },
    PassThru: passThruParameter,
  },
  parameterSets: storageSets('BackupFolder', 'KeyName', 'PassThru'),
  changes: true,
  examples: [
    {
      code: 'Restore-AzKeyVault -HsmName contoso -StorageContainerUri "https://account.blob.core.windows.net/backups" -SasToken $sas -BackupFolder "mhsm-contoso-2026010203040506"',
      text: 'Restores an HSM.',
    },
  ],
  outputs: 'Boolean',
  async run(context, args) {
    const hsm = hsmNamed(args);
    const sasTokenParameters = storageOf(args);
    const what = args.KeyName === undefined ? 'Perform a full restore' : `Restore the key '${args.KeyName}'`;
    if (!(await context.shouldProcess(`${what} from ${args.BackupFolder}`, hsm))) return undefined;
    const place = await hsmPlace(context, hsm);
    const started =
      args.KeyName === undefined
        ? await call(context, place, 'PUT', '/restore', { body: { sasTokenParameters, folderToRestore: args.BackupFolder } })
        : await call(context, place, 'PUT', `/keys/${segment(args.KeyName)}/restore`, {
            body: { sasTokenParameters, folder: args.BackupFolder },
          });
    const done = await completed(context, place, started, `restoring ${args.KeyName === undefined ? `'${hsm}'` : `'${args.KeyName}'`}`);
    context.verbose(textAt(done.json, 'statusDetails') ?? '');
    if (args.KeyName !== undefined && / restored: 0,/.test(textAt(done.json, 'statusDetails') ?? '')) {
      context.warn(`'${args.KeyName}' was not restored: a key has that name already, deleted or not; purge it first`);
    }
    return args.PassThru ? true : undefined;
  },
});

export const testBackup = define({
  name: 'Test-StrongroomBackup',
  synopsis: 'Reads a backup from beginning to end, as a restore into this managed HSM would, and changes nothing.',
  description:
    'It says whether an HSM of this security domain wrote all of it, and whether every key in it opens. The HSM goes on answering.',
  parameters: {
    ...storageRows,
    BackupFolder: { type: 'string', mandatory: true, help: "The backup's folder, or the address that Backup-AzKeyVault put out." },
  },
  parameterSets: storageSets('BackupFolder'),
  examples: [
    {
      code: 'Test-StrongroomBackup -HsmName contoso -StorageContainerUri "https://account.blob.core.windows.net/backups" -SasToken $sas -BackupFolder "mhsm-contoso-2026010203040506"',
      text: 'Tries a backup.',
    },
  ],
  outputs: 'String',
  async run(context, args) {
    const hsm = hsmNamed(args);
    const place = await hsmPlace(context, hsm);
    const body = { sasTokenParameters: storageOf(args), folderToRestore: args.BackupFolder };
    const started = await call(context, place, 'PUT', '/prerestore', { body });
    return textAt((await completed(context, place, started, `reading ${args.BackupFolder}`)).json, 'statusDetails');
  },
});
