// Every address of an HSM, in two lists: what it answers in any state, and what it answers only when it is active.

import { accessRows } from './access/routes.ts';
import { keyRows } from './keys/routes.ts';
import { type ActiveRow, type EarlyRow, reads, writes } from './rows.ts';
import { securityDomainRows } from './security-domain/routes.ts';
import { getSetting, listSettings, patchSetting } from './settings/settings.ts';

// biome-ignore format: a table reads by its columns
const settingRows: readonly ActiveRow[] = [
  reads ('GET',   '/settings',       'settings/read/action',  listSettings),
  reads ('GET',   '/settings/:name', 'settings/read/action',  getSetting),
  writes('PATCH', '/settings/:name', 'settings/write/action', patchSetting),
];

export const earlyRows: readonly EarlyRow[] = securityDomainRows;
export const activeRows: readonly ActiveRow[] = [...keyRows, ...accessRows, ...settingRows];
