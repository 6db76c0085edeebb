// The backup schedule of an HSM: Get-, Set- and Remove-StrongroomBackupSchedule. The genuine module has none.

import { storageOf, storageRows, storageSets } from '../backups.ts';
import { type ClientContext, call, hsmPlace, refusal } from '../client.ts';
import { ShellError } from '../errors.ts';
import { hsmNamed, hsmNameRow, hsmObjectRow } from '../hsm-names.ts';
import { flagAt, numberAt, secondsAt, textAt } from '../read.ts';
import { shape } from '../value.ts';
import { type Context, define, passThruParameter } from './define.ts';

const PATH = '/strongroom/backupschedule';

const whichHsm = {
  HsmName: { ...hsmNameRow, position: 0, mandatory: ['ByName'] },
  HsmObject: { ...hsmObjectRow, mandatory: ['ByObject'] },
} as const;

const bySets = { default: 'ByName', sets: { ByName: ['HsmName'], ByObject: ['HsmObject'] } } as const;

export const getBackupSchedule = define({
  name: 'Get-StrongroomBackupSchedule',
  synopsis: 'When and where a managed HSM is backed up by itself, and how that went.',
  parameters: whichHsm,
  parameterSets: bySets,
  outputs: 'StrongroomBackupSchedule',
  async run(context, args) {
    const hsm = hsmNamed(args);
    const found = await schedule(context, hsm);
    if (found === undefined) context.warn(`'${hsm}' has no backup schedule`);
    return found;
  },
});

export const setBackupSchedule = define({
  name: 'Set-StrongroomBackupSchedule',
  synopsis: 'Has a managed HSM backed up by itself, again and again.',
  description:
    'The first backup is made at once. Of those that the schedule made, the last ones stay and older ones are removed. The token is kept sealed by the service; leave it out to change the rest.',
  parameters: {
    ...storageRows,
    EveryHours: { type: 'int', range: [1, 8760], default: 24, help: 'Hours from one backup to the next.' },
    Keep: { type: 'int', range: [1, 1000], default: 7, help: 'How many of its backups stay.' },
    PassThru: passThruParameter,
  },
  parameterSets: storageSets('EveryHours', 'Keep', 'PassThru'),
  changes: true,
  examples: [
    {
      code: 'Set-StrongroomBackupSchedule -HsmName contoso -StorageContainerUri "https://account.blob.core.windows.net/backups" -SasToken $sas -EveryHours 24 -Keep 30',
      text: 'A backup every day, and the last thirty stay.',
    },
  ],
  outputs: 'StrongroomBackupSchedule',
  async run(context, args) {
    const hsm = hsmNamed(args);
    const storage = storageOf(args, 'kept');
    if (!(await context.shouldProcess(`Back up every ${args.EveryHours} hours into ${storage.storageResourceUri}`, hsm))) return undefined;
    const place = await hsmPlace(context, hsm);
    const answer = await call(context, place, 'PUT', PATH, { body: { ...storage, everyHours: args.EveryHours, keep: args.Keep } });
    return args.PassThru ? scheduleShape(hsm, answer.json) : undefined;
  },
});

export const removeBackupSchedule = define({
  name: 'Remove-StrongroomBackupSchedule',
  synopsis: 'Ends the backups that a managed HSM makes by itself. Those that there are stay.',
  parameters: { ...whichHsm, PassThru: passThruParameter },
  parameterSets: { default: 'ByName', sets: { ByName: ['HsmName', 'PassThru'], ByObject: ['HsmObject', 'PassThru'] } },
  changes: true,
  outputs: 'Boolean',
  async run(context, args) {
    const hsm = hsmNamed(args);
    if ((await schedule(context, hsm)) === undefined) throw new ShellError(`'${hsm}' has no backup schedule`, { category: 'not-found' });
    if (!(await context.shouldProcess('Remove the backup schedule', hsm))) return undefined;
    await call(context, await hsmPlace(context, hsm), 'DELETE', PATH);
    return args.PassThru ? true : undefined;
  },
});

async function schedule(context: Context & ClientContext, hsm: string): Promise<object | undefined> {
  const place = await hsmPlace(context, hsm);
  const answer = await call(context, place, 'GET', PATH, { allow: [404] });
  if (answer.status !== 404) return scheduleShape(hsm, answer.json);
  if (/backup schedule/.test(textAt(answer.json, 'error', 'message') ?? '')) return undefined;
  throw await refusal(context, place, answer.status, answer.text);
}

function scheduleShape(hsm: string, json: unknown): object {
  return shape('StrongroomBackupSchedule', {
    HsmName: hsm,
    StorageContainerUri: textAt(json, 'storageResourceUri'),
    UseUserManagedIdentity: flagAt(json, 'useManagedIdentity') ?? false,
    EveryHours: numberAt(json, 'everyHours'),
    Keep: numberAt(json, 'keep'),
    NextBackup: secondsAt(json, 'nextTime'),
    LastBackup: secondsAt(json, 'lastBackup', 'endTime'),
    LastBackupFolder: textAt(json, 'lastBackup', 'folder'),
    Trouble: textAt(json, 'trouble'),
  });
}
