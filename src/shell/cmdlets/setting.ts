// Settings of one HSM: Get-/Update-AzKeyVaultSetting.

import { call, hsmPlace, segment } from '../client.ts';
import { hsmIdRow, hsmNamed, hsmNameRow, hsmObjectRow } from '../hsm-names.ts';
import { listAt, textAt } from '../read.ts';
import { shape } from '../value.ts';
import { define, passThruParameter, textOf } from './define.ts';

const hsm = { ...hsmNameRow, position: 0 } as const;

export const getSetting = define({
  name: 'Get-AzKeyVaultSetting',
  synopsis: 'The settings of a managed HSM.',
  parameters: {
    HsmName: { ...hsm, mandatory: ['GetSettingViaFlattenParameters'] },
    HsmObject: { ...hsmObjectRow, position: 0, mandatory: ['GetSettingViaHsmObject'] },
    HsmId: { ...hsmIdRow, position: 0, mandatory: ['GetSettingViaHsmId'] },
    Name: { type: 'string', position: 1, help: 'Of one setting.' },
  },
  parameterSets: {
    default: 'GetSettingViaFlattenParameters',
    sets: {
      GetSettingViaFlattenParameters: ['HsmName', 'Name'],
      GetSettingViaHsmObject: ['HsmObject', 'Name'],
      GetSettingViaHsmId: ['HsmId', 'Name'],
    },
  },
  outputs: 'PSKeyVaultSetting',
  async run(context, args) {
    const name = hsmNamed({ ...args, HsmResourceId: args.HsmId });
    const place = await hsmPlace(context, name);
    if (args.Name !== undefined) return settingShape(name, (await call(context, place, 'GET', `/settings/${segment(args.Name)}`)).json);
    return listAt((await call(context, place, 'GET', '/settings')).json, 'settings').map((setting) => settingShape(name, setting));
  },
});

export const updateSetting = define({
  name: 'Update-AzKeyVaultSetting',
  synopsis: 'Changes a setting of a managed HSM.',
  parameters: {
    HsmName: { ...hsm, mandatory: ['UpdateSettingViaFlattenValues'] },
    HsmObject: { ...hsmObjectRow, position: 0, mandatory: ['UpdateSettingViaHsmObject'] },
    HsmId: { ...hsmIdRow, position: 0, mandatory: ['UpdateSettingViaHsmId'] },
    InputObject: { type: 'object', position: 1, mandatory: ['UpdateSettingViaInputObject'], fromPipeline: { value: 'PSKeyVaultSetting' } },
    Name: {
      type: 'string',
      position: 1,
      mandatory: ['UpdateSettingViaFlattenValues', 'UpdateSettingViaHsmObject', 'UpdateSettingViaHsmId'],
      suggestions: ['AllowKeyManagementOperationsThroughARM'],
    },
    Value: { type: 'string', position: 2, mandatory: true, help: 'true or false.' },
    PassThru: passThruParameter,
  },
  parameterSets: {
    default: 'UpdateSettingViaFlattenValues',
    sets: {
      UpdateSettingViaFlattenValues: ['HsmName', 'Name', 'Value'],
      UpdateSettingViaHsmObject: ['HsmObject', 'Name', 'Value'],
      UpdateSettingViaHsmId: ['HsmId', 'Name', 'Value'],
      UpdateSettingViaInputObject: ['InputObject', 'Value'],
    },
  },
  changes: true,
  outputs: 'PSKeyVaultSetting',
  async run(context, args) {
    const hsmName =
      textOf(args.InputObject, 'HsmName') ?? hsmNamed({ HsmName: args.HsmName, HsmObject: args.HsmObject, HsmResourceId: args.HsmId });
    const name = textOf(args.InputObject, 'Name') ?? args.Name ?? '';
    const place = await hsmPlace(context, hsmName);
    if (!(await context.shouldProcess(`Set ${name} to '${args.Value}'`, hsmName))) return undefined;
    const changed = await call(context, place, 'PATCH', `/settings/${segment(name)}`, { body: { value: args.Value } });
    return args.PassThru ? settingShape(hsmName, changed.json) : undefined;
  },
});

function settingShape(hsmName: string, setting: unknown): object {
  return shape('PSKeyVaultSetting', {
    Name: textAt(setting, 'name'),
    Value: textAt(setting, 'value'),
    Type: textAt(setting, 'type'),
    HsmName: hsmName,
  });
}
