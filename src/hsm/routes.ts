// Every address of an HSM, in three lists: what it answers in any state, when it is active or being restored, and only when it is active.

import { accessRows } from './access/routes.ts';
import { readAudit } from './audit/read.ts';
import { backupRows, backupStatusRows } from './backup/routes.ts';
import { ekmRows } from './ekm/routes.ts';
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

const auditRows: readonly EarlyRow[] = [reads('GET', '/strongroom/audit', 'audit/read/action', readAudit)];

export const earlyRows: readonly EarlyRow[] = [...securityDomainRows, ...auditRows];
/** What an HSM answers when it is active, and while it is being restored too. */
export const restoringRows: readonly EarlyRow[] = backupStatusRows;
export const activeRows: readonly ActiveRow[] = [...keyRows, ...accessRows, ...settingRows, ...backupRows, ...ekmRows];
