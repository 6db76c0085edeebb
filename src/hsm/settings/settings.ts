// The settings of an HSM: a table of what there is, each with its type and what it is until somebody sets it.

import * as v from 'valibot';
import { badParameter, invalidSetting } from '../../core/errors-keyvault.ts';
import { operation } from '../../core/route.ts';
import type { Reader } from '../../store/store.ts';
import type { ActiveReads, ActiveWrites } from '../world.ts';

interface Setting {
  readonly name: string;
  readonly type: 'boolean';
  readonly initial: string;
}

/** The live service has this one alone. */
const THROUGH_MANAGER: Setting = { name: 'AllowKeyManagementOperationsThroughARM', type: 'boolean', initial: 'false' };
const SETTINGS: readonly Setting[] = [THROUGH_MANAGER];

const NamePath = v.object({ name: v.string() });

export const listSettings = operation({ path: v.unknown(), query: v.unknown(), body: v.unknown() }, async ({ read, hsm }: ActiveReads) => ({
  settings: await Promise.all(SETTINGS.map((setting) => wireSetting(read, hsm.id, setting))),
}));

export const getSetting = operation({ path: NamePath, query: v.unknown(), body: v.unknown() }, ({ read, hsm }: ActiveReads, { path }) =>
  wireSetting(read, hsm.id, settingNamed(path.name)),
);

export const patchSetting = operation(
  // The SDK for Python sends true where a program says True (azure-keyvault-administration 4.7.2).
  { path: NamePath, query: v.unknown(), body: v.object({ value: v.union([v.string(), v.boolean()]) }) },
  ({ hsm, write }: ActiveWrites, { path, body }) => {
    const setting = settingNamed(path.name);
    const value = String(body.value).toLowerCase();
    if (value !== 'true' && value !== 'false') throw badParameter(`The value of ${setting.name} is 'true' or 'false'.`);
    return write(async (writer) => {
      await writer
        .insertInto('hsm_settings')
        .values({ hsm_id: hsm.id, name: setting.name, value })
        .onConflict((row) => row.columns(['hsm_id', 'name']).doUpdateSet({ value }))
        .execute();
      return { name: setting.name, type: setting.type, value };
    });
  },
);

function settingNamed(name: string): Setting {
  const found = SETTINGS.find((setting) => setting.name.toLowerCase() === name.toLowerCase());
  if (found === undefined) throw invalidSetting();
  return found;
}

/** Whether keys of the HSM may be made and seen through the resource manager. Inside a transaction, its own changes count. */
export async function allowsKeysThroughManager(read: Reader, hsmId: string): Promise<boolean> {
  return (await wireSetting(read, hsmId, THROUGH_MANAGER)).value === 'true';
}

async function wireSetting(read: Reader, hsmId: string, { name, type, initial }: Setting) {
  const row = await read.selectFrom('hsm_settings').select('value').where('hsm_id', '=', hsmId).where('name', '=', name).executeTakeFirst();
  return { name, type, value: row?.value ?? initial };
}
