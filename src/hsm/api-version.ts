// Where an api-version counts: one implementation serves them all, with a condition exactly where a version differs.

import { badParameter } from '../core/errors-keyvault.ts';

/** What a request without one means. */
export const NEWEST = '2026-04-01';

/** Whether a dated version, `2026-05-01` say, or its preview has come by the time of this one. None given is the newest; 7.x came before all dated ones. */
export function isSince(date: string, apiVersion: string | undefined): boolean {
  if (apiVersion === undefined) return true;
  return /^\d{4}-/.test(apiVersion) && apiVersion.slice(0, date.length) >= date;
}

/** Making and using ML-DSA keys. Throws BadParameter for a version that came before them. */
export function checkMlDsaVersion(apiVersion: string | undefined): void {
  if (!isSince('2026-05-01', apiVersion))
    throw badParameter('Keys of type AKP-HSM (ML-DSA) are made and used with api-version 2026-05-01-preview or a later one.');
}
