// Managed HSMs as the resource manager knows them: their objects in the pipeline, and how one is found by name.

import { allItems, apiVersions, type ClientContext, call, type Place, quoted, resourceManager, segment } from './client.ts';
import { ShellError } from './errors.ts';
import { ruleSetShape } from './network-rules.ts';
import { at, dateAt, flagAt, listAt, numberAt, textAt, textsAt } from './read.ts';
import { type Hashtable, hashtable, isRecord, shape } from './value.ts';

export interface DeletedManagedHsm {
  readonly Name: string;
  readonly Location: string;
  readonly DeletionDate: Date | undefined;
  readonly ScheduledPurgeDate: Date | undefined;
  readonly EnablePurgeProtection: boolean;
  readonly ResourceGroupName: string;
}

export function managedHsms(context: ClientContext): Promise<Place> {
  return resourceManager(context, apiVersions.managedHsms);
}

export function hsmPath(subscription: string, group: string, name: string): string {
  return `/subscriptions/${subscription}/resourceGroups/${segment(group)}/providers/Microsoft.KeyVault/managedHSMs/${segment(name)}`;
}

/** The resource id of an HSM of that name anywhere in the subscription, or undefined. */
export async function findHsm(context: ClientContext, subscription: string, name: string): Promise<string | undefined> {
  const filter = encodeURIComponent(`resourceType eq ${quoted('Microsoft.KeyVault/managedHSMs')}`);
  const place = await resourceManager(context, apiVersions.resources);
  const found = await allItems(context, place, `/subscriptions/${subscription}/resources?$filter=${filter}`);
  const hit = found.find((item) => textAt(item, 'name')?.toLowerCase() === name.toLowerCase());
  return textAt(hit, 'id');
}

/** The resource, read with its properties, or undefined when it is not there. */
export async function readHsm(context: ClientContext, path: string): Promise<unknown> {
  const answer = await call(context, await managedHsms(context), 'GET', path, { allow: [404] });
  return answer.status === 200 ? answer.json : undefined;
}

/** Path of an HSM named with or without its group. Throws when it is not there, saying so when it is soft-deleted. */
export async function requireHsm(context: ClientContext, subscription: string, group: string | undefined, name: string): Promise<string> {
  if (group !== undefined) return hsmPath(subscription, group, name);
  const found = await findHsm(context, subscription, name);
  if (found !== undefined) return found;
  throw await missingHsm(context, subscription, name);
}

export async function missingHsm(context: ClientContext, subscription: string, name: string): Promise<ShellError> {
  const removed = await removedHsm(context, subscription, name);
  return new ShellError(`there is no managed HSM '${name}' in this subscription`, {
    category: 'not-found',
    hints: removed === undefined ? ['see all with: Get-AzKeyVaultManagedHsm'] : removedHints(removed),
  });
}

export function removedHints(hsm: DeletedManagedHsm): string[] {
  return [
    `it is soft-deleted; bring it back with: Undo-AzKeyVaultManagedHsmRemoval -Name ${hsm.Name} -ResourceGroupName ${hsm.ResourceGroupName} -Location ${hsm.Location}`,
  ];
}

/** All soft-deleted HSMs of the subscription. */
export async function removedHsms(context: ClientContext, subscription: string): Promise<DeletedManagedHsm[]> {
  const found = await allItems(
    context,
    await managedHsms(context),
    `/subscriptions/${subscription}/providers/Microsoft.KeyVault/deletedManagedHSMs`,
  );
  return found.map(deletedHsmShape);
}

export async function removedHsm(context: ClientContext, subscription: string, name: string): Promise<DeletedManagedHsm | undefined> {
  return (await removedHsms(context, subscription)).find((hsm) => hsm.Name.toLowerCase() === name.toLowerCase());
}

export function managedHsmShape(resource: unknown): object {
  const property = (...path: string[]) => at(resource, 'properties', ...path);
  const id = textAt(resource, 'id') ?? '';
  const tags = tagTable(at(resource, 'tags'));
  return shape(
    'PSManagedHsm',
    {
      Name: textAt(resource, 'name'),
      ResourceGroupName: groupIn(id),
      Location: textAt(resource, 'location'),
      ResourceId: id,
      Tags: tags,
      Sku: textAt(resource, 'sku', 'name')?.replace('_', ''),
      TenantId: property('tenantId'),
      InitialAdminObjectIds: textsAt(resource, 'properties', 'initialAdminObjectIds'),
      HsmUri: property('hsmUri'),
      EnableSoftDelete: property('enableSoftDelete'),
      SoftDeleteRetentionInDays: numberAt(resource, 'properties', 'softDeleteRetentionInDays'),
      EnablePurgeProtection: flagAt(resource, 'properties', 'enablePurgeProtection') ?? false,
      PublicNetworkAccess: property('publicNetworkAccess'),
      NetworkRuleSet: ruleSetShape(property('networkAcls')),
      ProvisioningState: property('provisioningState'),
      StatusMessage: property('statusMessage'),
      SecurityDomain: shape('PSManagedHsmSecurityDomain', {
        ActivationStatus: property('securityDomainProperties', 'activationStatus'),
        ActivationStatusMessage: property('securityDomainProperties', 'activationStatusMessage'),
      }),
      Regions: listAt(resource, 'properties', 'regions').map((region) => textAt(region, 'name')),
      IdentityType: textAt(resource, 'identity', 'type'),
      UserAssignedIdentities: Object.keys(Object(at(resource, 'identity', 'userAssignedIdentities'))),
      VaultName: textAt(resource, 'name'),
      TagsTable: tags,
      OriginalManagedHsm: resource,
    },
    ['VaultName', 'TagsTable', 'OriginalManagedHsm'],
  );
}

export function deletedHsmShape(resource: unknown): DeletedManagedHsm {
  const id = textAt(resource, 'properties', 'mhsmId') ?? '';
  const name = textAt(resource, 'name') ?? '';
  return shape(
    'PSDeletedManagedHsm',
    {
      Name: name,
      Location: textAt(resource, 'properties', 'location') ?? '',
      DeletionDate: dateAt(resource, 'properties', 'deletionDate'),
      ScheduledPurgeDate: dateAt(resource, 'properties', 'scheduledPurgeDate'),
      EnablePurgeProtection: flagAt(resource, 'properties', 'purgeProtectionEnabled') ?? false,
      ResourceGroupName: groupIn(id),
      ResourceId: id,
      VaultName: name,
      Tags: tagTable(at(resource, 'properties', 'tags')),
    },
    ['ResourceGroupName', 'ResourceId', 'VaultName'],
  );
}

/** Tags as the user sees them. */
export function tagTable(tags: unknown): Hashtable {
  return hashtable(isRecord(tags) ? Object.entries(tags) : []);
}

function groupIn(id: string): string {
  return /\/resourceGroups\/([^/]+)/i.exec(id)?.[1] ?? '';
}
