// Resource groups, and what is in them: New-/Get-/Set-/Remove-AzResourceGroup, Get-AzResource, Get-AzLocation.

import { allItems, apiVersions, call, completed, type Place, resourceManager, segment } from '../client.ts';
import { removedHsms, tagTable } from '../managed-hsms.ts';
import { at, textAt } from '../read.ts';
import { shape } from '../value.ts';
import {
  type Context,
  day,
  define,
  forceParameter,
  hasWildcard,
  matches,
  resourceIdParts,
  subscriptionOf,
  subscriptionParameter,
  tagParameter,
  tagsOf,
} from './define.ts';

const nameParameter = { type: 'string', aliases: ['ResourceGroupName'], position: 0, fromPipeline: { property: true } } as const;
const idParameter = { type: 'string', aliases: ['ResourceGroupId', 'ResourceId'], fromPipeline: { property: true } } as const;

export const newResourceGroup = define({
  name: 'New-AzResourceGroup',
  synopsis: 'Creates a resource group: a container for managed HSMs, in a location.',
  parameters: {
    Name: { ...nameParameter, mandatory: true, help: 'Up to 90 letters, digits, and - _ . ( ).' },
    Location: {
      type: 'string',
      mandatory: true,
      position: 1,
      fromPipeline: { property: true },
      help: 'e.g. norwayeast; see Get-AzLocation.',
    },
    Tag: tagParameter,
    Force: forceParameter,
    SubscriptionId: subscriptionParameter,
  },
  changes: true,
  examples: [{ code: 'New-AzResourceGroup -Name "myResourceGroup" -Location "norwayeast"', text: 'Creates it.' }],
  outputs: 'PSResourceGroup',
  async run(context, args) {
    const { place, path } = await groupPlace(context, args.SubscriptionId, args.Name);
    const exists = (await call(context, place, 'GET', path, { allow: [404] })).status !== 404;
    if (exists && !args.Force) {
      const question = 'Provided resource group already exists. Are you sure you want to update it?';
      if (!(await context.shouldContinue(question, `Resource group '${args.Name}'`))) return undefined;
    }
    if (!(await context.shouldProcess(exists ? 'Replacing resource group …' : 'Create resource group', args.Name))) return undefined;
    const tags = tagsOf(args.Tag);
    const answer = await call(context, place, 'PUT', path, { body: { location: args.Location, ...(tags === undefined ? {} : { tags }) } });
    return groupShape(answer.json);
  },
});

export const getResourceGroup = define({
  name: 'Get-AzResourceGroup',
  synopsis: 'Resource groups of the subscription; a name may hold * and ?.',
  parameters: {
    Name: nameParameter,
    Location: { type: 'string', position: 1, fromPipeline: { property: true }, help: 'Only those in this location.' },
    Id: { ...idParameter, mandatory: ['GetByResourceGroupId'] },
    SubscriptionId: subscriptionParameter,
  },
  parameterSets: {
    default: 'GetByResourceGroupName',
    sets: { GetByResourceGroupName: ['Name', 'Location'], GetByResourceGroupId: ['Id'] },
  },
  outputs: 'PSResourceGroup',
  async run(context, args) {
    const name = args.Id === undefined ? args.Name : groupOfId(args.Id);
    if (name !== undefined && !hasWildcard(name)) {
      const { place, path } = await groupPlace(context, args.SubscriptionId, name);
      return groupShape((await call(context, place, 'GET', path)).json);
    }
    const { place, path } = await groupPlace(context, args.SubscriptionId, undefined);
    const location = args.Location?.replaceAll(' ', '').toLowerCase();
    return (await allItems(context, place, path))
      .filter((group) => name === undefined || matches(name, textAt(group, 'name') ?? ''))
      .filter((group) => location === undefined || textAt(group, 'location') === location)
      .map(groupShape);
  },
});

export const setResourceGroup = define({
  name: 'Set-AzResourceGroup',
  synopsis: "Replaces a resource group's tags.",
  parameters: {
    Name: { ...nameParameter, mandatory: ['SetByResourceGroupName'] },
    Id: { ...idParameter, mandatory: ['SetByResourceGroupId'] },
    Tag: { ...tagParameter, mandatory: true, position: 1, allowEmpty: true },
    SubscriptionId: subscriptionParameter,
  },
  parameterSets: { default: 'SetByResourceGroupName', sets: { SetByResourceGroupName: ['Name'], SetByResourceGroupId: ['Id'] } },
  changes: true,
  outputs: 'PSResourceGroup',
  async run(context, args) {
    const name = groupNamed(args.Name, args.Id);
    const { place, path } = await groupPlace(context, args.SubscriptionId, name);
    if (!(await context.shouldProcess('Update resource group tags', name))) return undefined;
    return groupShape((await call(context, place, 'PATCH', path, { body: { tags: tagsOf(args.Tag) } })).json);
  },
});

export const removeResourceGroup = define({
  name: 'Remove-AzResourceGroup',
  synopsis: 'Deletes a resource group and all that is in it. Managed HSMs in it are soft-deleted: kept until their purge date.',
  parameters: {
    Name: { ...nameParameter, mandatory: ['RemoveByResourceGroupName'] },
    Id: { ...idParameter, mandatory: ['RemoveByResourceGroupId'] },
    Force: forceParameter,
    SubscriptionId: subscriptionParameter,
  },
  parameterSets: { default: 'RemoveByResourceGroupName', sets: { RemoveByResourceGroupName: ['Name'], RemoveByResourceGroupId: ['Id'] } },
  changes: true,
  outputs: 'Boolean',
  async run(context, args) {
    const name = groupNamed(args.Name, args.Id);
    const { place, path, subscription } = await groupPlace(context, args.SubscriptionId, name);
    const inside = await allItems(context, place, `${path}/resources`);
    if (!args.Force && !(await context.shouldContinue(removalQuestion(name, inside), 'Remove resource group'))) return undefined;
    if (!(await context.shouldProcess('Removing resource group …', name))) return undefined;
    const doing = `deleting resource group '${name}'`;
    await completed(context, place, await call(context, place, 'DELETE', path), doing);
    const hsms = inside.filter(isManagedHsm).map((item) => (textAt(item, 'name') ?? '').toLowerCase());
    if (hsms.length > 0) await sayWhatIsKept(context, subscription, hsms);
    return true;
  },
});

function removalQuestion(name: string, inside: readonly unknown[]): string {
  const question = `Are you sure you want to remove resource group '${name}'`;
  if (inside.length === 0) return question;
  return `${question} with ${inside.map((item) => `${textAt(item, 'type')?.split('/').pop()} '${textAt(item, 'name')}'`).join(', ')}?`;
}

function isManagedHsm(item: unknown): boolean {
  return textAt(item, 'type')?.toLowerCase() === 'microsoft.keyvault/managedhsms';
}

/** People delete the group and are surprised that the HSM is still there, still counted, and still holds its name. */
async function sayWhatIsKept(context: Context, subscription: string, names: readonly string[]): Promise<void> {
  for (const hsm of await removedHsms(context, subscription)) {
    if (!names.includes(hsm.Name.toLowerCase())) continue;
    context.warn(
      `managed HSM '${hsm.Name}' is soft-deleted: it is kept until ${day(hsm.ScheduledPurgeDate)} and its name stays taken. ${
        hsm.EnablePurgeProtection
          ? 'Purge protection is on, so it cannot be purged before'
          : `Purge it now with: Remove-AzKeyVaultManagedHsm -Name ${hsm.Name} -Location ${hsm.Location} -InRemovedState`
      }`,
    );
  }
}

export const getResource = define({
  name: 'Get-AzResource',
  synopsis: 'Resources of the subscription, of any type.',
  parameters: {
    Name: { type: 'string', aliases: ['ResourceName'], position: 0, help: 'May hold * and ?.' },
    ResourceGroupName: { type: 'string', fromPipeline: { property: true }, help: 'Only those in this group.' },
    ResourceType: { type: 'string', help: 'e.g. Microsoft.KeyVault/managedHSMs.' },
    SubscriptionId: subscriptionParameter,
  },
  outputs: 'PSResource',
  async run(context, args) {
    const subscription = await subscriptionOf(context, args.SubscriptionId);
    const place = await resourceManager(context, apiVersions.resources);
    const group = args.ResourceGroupName === undefined ? '' : `/resourceGroups/${segment(args.ResourceGroupName)}`;
    const filter = args.ResourceType === undefined ? '' : `?$filter=${encodeURIComponent(`resourceType eq '${args.ResourceType}'`)}`;
    return (await allItems(context, place, `/subscriptions/${subscription}${group}/resources${filter}`))
      .filter((item) => args.Name === undefined || matches(args.Name, textAt(item, 'name') ?? ''))
      .map((item) => {
        const id = textAt(item, 'id') ?? '';
        return shape('PSResource', {
          Name: textAt(item, 'name'),
          ResourceGroupName: id === '' ? undefined : resourceIdParts(id).group,
          ResourceType: textAt(item, 'type'),
          Location: textAt(item, 'location'),
          ResourceId: id,
          Tags: tagTable(at(item, 'tags')),
        });
      });
  },
});

export const getLocation = define({
  name: 'Get-AzLocation',
  synopsis: 'The locations that a resource group or managed HSM can be in.',
  parameters: { SubscriptionId: subscriptionParameter },
  outputs: 'PSResourceProviderLocation',
  async run(context, args) {
    const subscription = await subscriptionOf(context, args.SubscriptionId);
    const place = await resourceManager(context, apiVersions.subscriptions);
    return (await allItems(context, place, `/subscriptions/${subscription}/locations`)).map((item) =>
      shape('PSResourceProviderLocation', { Location: textAt(item, 'name'), DisplayName: textAt(item, 'displayName') }),
    );
  },
});

async function groupPlace(
  context: Context,
  given: string | undefined,
  name: string | undefined,
): Promise<{ place: Place; path: string; subscription: string }> {
  const subscription = await subscriptionOf(context, given);
  const place = await resourceManager(context, apiVersions.resources);
  const path = `/subscriptions/${subscription}/resourcegroups${name === undefined ? '' : `/${segment(name)}`}`;
  return { place, path, subscription };
}

function groupNamed(name: string | undefined, id: string | undefined): string {
  return id === undefined ? (name ?? '') : groupOfId(id);
}

/** A group's id has no name of its own after the group's. */
function groupOfId(id: string): string {
  const { group, name } = resourceIdParts(id);
  return group ?? name;
}

function groupShape(group: unknown): object {
  return shape('PSResourceGroup', {
    ResourceGroupName: textAt(group, 'name'),
    Location: textAt(group, 'location'),
    ProvisioningState: textAt(group, 'properties', 'provisioningState'),
    Tags: tagTable(at(group, 'tags')),
    ResourceId: textAt(group, 'id'),
  });
}
