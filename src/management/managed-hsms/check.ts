// What a managed HSM may be asked to be. Every refusal says what is allowed.

import { armBadRequest, invalidResourceName, locationNotAvailable, locationRequired } from '../../core/errors-arm.ts';
import { REGION_DISPLAY_NAMES, regionNamed } from '../../core/regions.ts';
import type { HsmRequest } from './shapes.ts';

const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** The pattern is the one published for the keys of managed HSMs; the length is the documented one. */
const NAME = /^(?=.{3,24}$)[A-Za-z](?:[A-Za-z0-9]|-[A-Za-z0-9])+$/;

export const NAME_RULE =
  '3 to 24 letters, digits and hyphens, beginning with a letter, without a hyphen at its end or two of them in a row';

/** Family and the names in it. Source: REST reference, ManagedHsmSku. */
const SKUS: ReadonlyMap<string, readonly string[]> = new Map([
  ['B', ['Standard_B1', 'Custom_B6', 'Custom_B32']],
  ['C', ['Custom_C10', 'Custom_C42']],
]);

const MIN_RETENTION = 7;
const MAX_RETENTION = 90;

export function isHsmName(name: string): boolean {
  return NAME.test(name);
}

export function checkedHsmName(name: string): string {
  if (isHsmName(name)) return name;
  throw invalidResourceName(`The managed HSM name '${name.slice(0, 80)}' is not valid: ${NAME_RULE}.`);
}

export function checkedLocation(location: string | null | undefined): string {
  if (location === undefined || location === null || location === '') throw locationRequired();
  const region = regionNamed(location);
  if (region === undefined) throw locationNotAvailable(location, 'Microsoft.KeyVault/managedHSMs', REGION_DISPLAY_NAMES);
  return region;
}

export function checkedSku(sku: HsmRequest['sku']): { readonly family: string; readonly name: string } {
  const family = sku?.family ?? '';
  const name = SKUS.get(family.toUpperCase())?.find((known) => known.toLowerCase() === sku?.name?.toLowerCase());
  if (name !== undefined) return { family: family.toUpperCase(), name };
  const known = [...SKUS].map(([letter, names]) => `${letter}: ${names.join(', ')}`).join('; ');
  throw armBadRequest(`The sku is not valid. It needs a family and a name of that family: ${known}.`);
}

export function checkedRetention(days: number | null | undefined): number {
  const wanted = days ?? MAX_RETENTION;
  if (Number.isInteger(wanted) && wanted >= MIN_RETENTION && wanted <= MAX_RETENTION) return wanted;
  throw armBadRequest(
    `The property "softDeleteRetentionInDays" has an invalid value: it is a whole number from ${MIN_RETENTION} to ${MAX_RETENTION}.`,
  );
}

export function checkedAdministrators(ids: readonly string[] | null | undefined): readonly string[] {
  if (ids === undefined || ids === null || ids.length === 0) {
    throw armBadRequest('The property "initialAdminObjectIds" needs at least one object id: nobody else can activate the HSM.');
  }
  for (const id of ids) {
    if (!GUID.test(id))
      throw armBadRequest(`The property "initialAdminObjectIds" has an entry that is not an object id (a GUID): '${id.slice(0, 80)}'.`);
  }
  if (ids.length > 50) throw armBadRequest('The property "initialAdminObjectIds" has more than 50 entries.');
  return ids;
}

export function checkedTenant(tenantId: string | null | undefined, own: string): void {
  if (tenantId !== undefined && tenantId !== null && tenantId.toLowerCase() !== own) {
    throw armBadRequest(`The property "tenantId" must be the tenant of the subscription, '${own}'.`);
  }
}

/** What is not there yet is refused here. */
export function refuseWhatIsNotHere({ properties }: HsmRequest): void {
  if (properties?.enableSoftDelete === false)
    throw armBadRequest('The property "enableSoftDelete" cannot be set to false: soft delete is always on.');
}
