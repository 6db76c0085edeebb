// Managed HSMs on the resource manager's side: New-/Get-/Update-AzKeyVaultManagedHsm and Test-AzKeyVaultManagedHsmNameAvailability.

import { allItems, call, completed, segment } from '../client.ts';
import { ShellError } from '../errors.ts';
import {
  findHsm,
  hsmPath,
  managedHsmShape,
  managedHsms,
  missingHsm,
  readHsm,
  removedHints,
  removedHsm,
  removedHsms,
  requireHsm,
} from '../managed-hsms.ts';
import { aclsOfRuleSet } from '../network-rules.ts';
import { userId } from '../principals.ts';
import { at, textAt } from '../read.ts';
import { type Hashtable, member, shape } from '../value.ts';
import {
  type Context,
  define,
  hasWildcard,
  matches,
  resourceIdParts,
  subscriptionOf,
  subscriptionParameter,
  tagParameter,
  tagsOf,
  textOf,
} from './define.ts';

const property = { property: true } as const;

const identityParameter = {
  type: 'string[]',
  allowEmpty: true,
  help: 'Resource id of a user-assigned managed identity, with which the HSM goes to its backup storage.',
} as const;

export const newManagedHsm = define({
  name: 'New-AzKeyVaultManagedHsm',
  aliases: ['New-AzManagedHsm'],
  synopsis: 'Creates a managed HSM. It does nothing until its security domain is exported.',
  parameters: {
    Name: {
      type: 'string',
      aliases: ['HsmName'],
      mandatory: true,
      position: 0,
      fromPipeline: property,
      help: '3 to 24 letters, digits and hyphens; unique.',
    },
    ResourceGroupName: { type: 'string', mandatory: true, position: 1, fromPipeline: property },
    Location: { type: 'string', mandatory: true, position: 2, fromPipeline: property, help: 'e.g. norwayeast; see Get-AzLocation.' },
    Administrator: {
      type: 'string[]',
      mandatory: true,
      position: 3,
      fromPipeline: property,
      help: 'Object ids of who may activate it; sign-in names do too.',
    },
    SoftDeleteRetentionInDays: {
      type: 'int',
      mandatory: true,
      range: [7, 90],
      help: 'How long it is kept after it was deleted; 7 to 90, for ever the same.',
    },
    Sku: { type: 'string', suggestions: ['StandardB1', 'CustomB32'], fromPipeline: property, help: 'StandardB1 when not given.' },
    PublicNetworkAccess: { type: 'string', values: ['Enabled', 'Disabled'] },
    NetworkRuleSet: { type: 'object', help: 'From New-AzKeyVaultManagedHsmNetworkRuleSetObject.' },
    EnablePurgeProtection: { type: 'switch', help: 'Nobody can purge it before its time. Cannot be undone.' },
    Tag: tagParameter,
    UserAssignedIdentity: identityParameter,
    SubscriptionId: subscriptionParameter,
  },
  changes: true,
  examples: [
    {
      code: 'New-AzKeyVaultManagedHsm -Name "contoso" -ResourceGroupName "myResourceGroup" -Location "norwayeast" -Administrator $id -SoftDeleteRetentionInDays 7',
      text: 'Creates it; $id is the Id of a user.',
    },
  ],
  outputs: 'PSManagedHsm',
  async run(context, args) {
    const subscription = await subscriptionOf(context, args.SubscriptionId);
    if ((await findHsm(context, subscription, args.Name)) !== undefined) {
      throw new ShellError('The specified HSM already exists.', {
        category: 'conflict',
        hints: [`see it with: Get-AzKeyVaultManagedHsm -Name ${args.Name}`, 'change it with: Update-AzKeyVaultManagedHsm'],
      });
    }
    const initialAdminObjectIds: string[] = [];
    for (const given of args.Administrator) initialAdminObjectIds.push(given.includes('@') ? await userId(context, given) : given);
    if (!(await context.shouldProcess('Create managed HSM', args.Name))) return undefined;
    const tags = tagsOf(args.Tag);
    const place = await managedHsms(context);
    const path = hsmPath(subscription, args.ResourceGroupName, args.Name);
    const started = await call(context, place, 'PUT', path, {
      body: {
        location: args.Location,
        sku: skuOf(args.Sku),
        ...(tags === undefined ? {} : { tags }),
        ...identityOf(args.UserAssignedIdentity),
        properties: {
          tenantId: (await context.session.connection()).tenantId,
          initialAdminObjectIds,
          enableSoftDelete: true,
          softDeleteRetentionInDays: args.SoftDeleteRetentionInDays,
          ...(args.EnablePurgeProtection ? { enablePurgeProtection: true } : {}),
          ...networkAccess(args.PublicNetworkAccess),
          ...(args.NetworkRuleSet === undefined ? {} : { networkAcls: aclsOfRuleSet(args.NetworkRuleSet) }),
        },
      },
    });
    await completed(context, place, started, `creating managed HSM '${args.Name}'`);
    return managedHsmShape((await call(context, place, 'GET', path)).json);
  },
});

/** `StandardB1` and `Standard_B1` are the same; the family is the letter. */
function skuOf(name: string | undefined): { name: string; family: string } {
  const [, kind, family, size] = /^(standard|custom)_?([a-z])(\d+)$/i.exec(name ?? 'Standard_B1') ?? [];
  if (kind === undefined || family === undefined) return { name: name ?? '', family: 'B' };
  const word = kind.charAt(0).toUpperCase() + kind.slice(1).toLowerCase();
  return { name: `${word}_${family.toUpperCase()}${size}`, family: family.toUpperCase() };
}

/** An empty list takes the identity away. */
function identityOf(ids: readonly string[] | undefined): object {
  if (ids === undefined) return {};
  if (ids.length === 0) return { identity: { type: 'None' } };
  return { identity: { type: 'UserAssigned', userAssignedIdentities: Object.fromEntries(ids.map((id) => [id, {}])) } };
}

function networkAccess(given: 'Enabled' | 'Disabled' | undefined): object {
  if (given === undefined) return {};
  const networkAcls = { bypass: 'AzureServices', defaultAction: given === 'Disabled' ? 'Deny' : 'Allow' };
  return { publicNetworkAccess: given, networkAcls };
}

export const getManagedHsm = define({
  name: 'Get-AzKeyVaultManagedHsm',
  aliases: ['Get-AzManagedHsm'],
  synopsis: 'Managed HSMs, by name, group or tag; with -InRemovedState the soft-deleted ones.',
  parameters: {
    Name: { type: 'string', aliases: ['HsmName'], position: 0, fromPipeline: property, help: 'May hold * and ?.' },
    ResourceGroupName: { type: 'string', position: 1, fromPipeline: property, help: 'May hold * and ?.' },
    InRemovedState: { type: 'switch', mandatory: ['DeletedManagedHsms'], help: 'Those that were deleted and not yet purged.' },
    Location: { type: 'string', position: 1, fromPipeline: property, help: 'Only those in this location.' },
    Tag: { type: 'hashtable', fromPipeline: property, help: "Only those with this tag: @{team='payments'}." },
    SubscriptionId: subscriptionParameter,
  },
  parameterSets: {
    default: 'GetManagedHsm',
    sets: {
      GetManagedHsm: ['Name', 'ResourceGroupName', 'Tag', 'SubscriptionId'],
      DeletedManagedHsms: ['Name', 'InRemovedState', 'Location', 'Tag', 'SubscriptionId'],
    },
  },
  examples: [
    { code: 'Get-AzKeyVaultManagedHsm -Name "contoso"', text: 'Shows one.' },
    { code: 'Get-AzKeyVaultManagedHsm -InRemovedState', text: 'Shows what can still be brought back or purged.' },
  ],
  outputs: 'PSManagedHsm',
  async run(context, args) {
    const subscription = await subscriptionOf(context, args.SubscriptionId);
    if (args.InRemovedState) {
      const location = args.Location?.replaceAll(' ', '').toLowerCase();
      return (await removedHsms(context, subscription))
        .filter((hsm) => args.Name === undefined || matches(args.Name, hsm.Name))
        .filter((hsm) => location === undefined || hsm.Location.toLowerCase() === location)
        .filter((hsm) => hasTag(args.Tag, member(hsm, 'Tags')));
    }
    const found = await hsmsWhere(context, subscription, args.Name, args.ResourceGroupName);
    return found.filter((resource) => hasTag(args.Tag, at(resource, 'tags'))).map(managedHsmShape);
  },
});

async function hsmsWhere(context: Context, subscription: string, name: string | undefined, group: string | undefined): Promise<unknown[]> {
  if (name !== undefined && !hasWildcard(name) && !hasWildcard(group)) {
    const path = group === undefined ? await findHsm(context, subscription, name) : hsmPath(subscription, group, name);
    const resource = path === undefined ? undefined : await readHsm(context, path);
    if (resource === undefined) await sayNotFound(context, subscription, name);
    return resource === undefined ? [] : [resource];
  }
  const inGroup = group === undefined || hasWildcard(group) ? '' : `/resourceGroups/${segment(group)}`;
  const path = `/subscriptions/${subscription}${inGroup}/providers/Microsoft.KeyVault/managedHSMs`;
  return (await allItems(context, await managedHsms(context), path))
    .filter((item) => name === undefined || matches(name, textAt(item, 'name') ?? ''))
    .filter((item) => !hasWildcard(group) || matches(group ?? '*', resourceIdParts(textAt(item, 'id') ?? '').group ?? ''));
}

/** A script may ask whether an HSM is there, so its absence is no error; a person still wants to know. */
async function sayNotFound(context: Context, subscription: string, name: string): Promise<void> {
  const removed = await removedHsm(context, subscription, name);
  const rest = removed === undefined ? [] : removedHints(removed);
  context.warn([`there is no managed HSM '${name}' here`, ...rest].join('; '));
}

/** `@{Name='team'; Value='payments'}` and `@{team='payments'}` both name one tag; without a value any value does. */
function hasTag(wanted: Hashtable | undefined, tags: unknown): boolean {
  if (wanted === undefined) return true;
  const named = textOf(wanted, 'Name');
  const pairs: [string, unknown][] = named === undefined ? Object.entries(wanted) : [[named, member(wanted, 'Value')]];
  return pairs.every(([name, value]) => {
    const found = member(tags, name);
    return found !== undefined && (value === undefined || value === null || String(value) === String(found));
  });
}

export const updateManagedHsm = define({
  name: 'Update-AzKeyVaultManagedHsm',
  aliases: ['Update-AzManagedHsm'],
  synopsis: "Changes a managed HSM's tags, purge protection or network access.",
  parameters: {
    Name: { type: 'string', aliases: ['HsmName'], mandatory: ['UpdateByNameParameterSet'], position: 0 },
    ResourceGroupName: { type: 'string', position: 1, help: 'Looked up when not given.' },
    InputObject: { type: 'object', mandatory: ['UpdateByInputObjectParameterSet'], fromPipeline: { value: 'PSManagedHsm' } },
    ResourceId: { type: 'string', mandatory: ['UpdateByResourceIdParameterSet'], fromPipeline: property },
    Tag: { ...tagParameter, allowEmpty: true },
    EnablePurgeProtection: { type: 'switch', help: 'Cannot be undone.' },
    PublicNetworkAccess: { type: 'string', values: ['Enabled', 'Disabled'] },
    UserAssignedIdentity: identityParameter,
    SubscriptionId: subscriptionParameter,
  },
  parameterSets: {
    default: 'UpdateByNameParameterSet',
    sets: {
      UpdateByNameParameterSet: ['Name', 'ResourceGroupName'],
      UpdateByInputObjectParameterSet: ['InputObject'],
      UpdateByResourceIdParameterSet: ['ResourceId'],
    },
  },
  changes: true,
  outputs: 'PSManagedHsm',
  async run(context, args) {
    const subscription = await subscriptionOf(context, args.SubscriptionId);
    const path =
      args.ResourceId ??
      textOf(args.InputObject, 'ResourceId') ??
      (await requireHsm(context, subscription, args.ResourceGroupName, args.Name ?? ''));
    const { name, group } = resourceIdParts(path);
    const before = await readHsm(context, path);
    if (before === undefined) throw await missingHsm(context, subscription, name);
    if (!(await context.shouldProcess(`Updating managed HSM '${name}' in resource group '${group}'.`, name))) return undefined;
    const tags = tagsOf(args.Tag);
    const properties = {
      ...(args.EnablePurgeProtection ? { enablePurgeProtection: true } : {}),
      ...networkAccess(args.PublicNetworkAccess),
    };
    const place = await managedHsms(context);
    const started = await call(context, place, 'PATCH', path, {
      body: {
        ...(tags === undefined ? {} : { tags }),
        ...identityOf(args.UserAssignedIdentity),
        ...(Object.keys(properties).length === 0 ? {} : { properties }),
      },
    });
    await completed(context, place, started, `updating managed HSM '${name}'`);
    return managedHsmShape((await call(context, place, 'GET', path)).json);
  },
});

export const testNameAvailability = define({
  name: 'Test-AzKeyVaultManagedHsmNameAvailability',
  synopsis: 'Whether a name is free for a new managed HSM.',
  parameters: { Name: { type: 'string', mandatory: true, position: 0 }, SubscriptionId: subscriptionParameter },
  outputs: 'MhsmNameAvailabilityResult',
  async run(context, args) {
    const subscription = await subscriptionOf(context, args.SubscriptionId);
    const path = `/subscriptions/${subscription}/providers/Microsoft.KeyVault/checkMhsmNameAvailability`;
    const { json } = await call(context, await managedHsms(context), 'POST', path, { body: { name: args.Name } });
    return shape('MhsmNameAvailabilityResult', {
      Message: textAt(json, 'message'),
      NameAvailable: at(json, 'nameAvailable'),
      Reason: textAt(json, 'reason'),
    });
  },
});
