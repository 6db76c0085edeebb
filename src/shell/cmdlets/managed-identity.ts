// Managed identities: New-/Get-/Remove-AzUserAssignedIdentity, and New-StrongroomIdentityHeader, by which a program of this machine becomes one.

import { allItems, call, directory, type Place, resourceManager, segment } from '../client.ts';
import { ShellError } from '../errors.ts';
import { at, textAt } from '../read.ts';
import { shape } from '../value.ts';
import {
  type Context,
  define,
  passThruParameter,
  resourceIdParts,
  subscriptionOf,
  subscriptionParameter,
  tagParameter,
  tagsOf,
  textOf,
} from './define.ts';

const API_VERSION = '2023-01-31';
const property = { property: true } as const;

export const newIdentity = define({
  name: 'New-AzUserAssignedIdentity',
  synopsis: 'Makes a managed identity: a service principal without any secret, for programs on this machine.',
  parameters: {
    Name: { type: 'string', mandatory: true, position: 1, fromPipeline: property },
    ResourceGroupName: { type: 'string', mandatory: true, position: 0, fromPipeline: property },
    Location: { type: 'string', mandatory: true, fromPipeline: property },
    Tag: tagParameter,
    SubscriptionId: subscriptionParameter,
  },
  changes: true,
  outputs: 'Identity',
  async run(context, args) {
    if (!(await context.shouldProcess('Create managed identity', args.Name))) return undefined;
    const { place, path } = await placeOf(context, args.SubscriptionId, args.ResourceGroupName);
    const body = { location: args.Location, ...(args.Tag === undefined ? {} : { tags: tagsOf(args.Tag) }) };
    return identityShape((await call(context, place, 'PUT', `${path}/${segment(args.Name)}`, { body })).json);
  },
});

export const getIdentity = define({
  name: 'Get-AzUserAssignedIdentity',
  synopsis: 'Managed identities: one, those of a group, or all.',
  parameters: {
    Name: { type: 'string', fromPipeline: property },
    ResourceGroupName: { type: 'string', fromPipeline: property },
    SubscriptionId: subscriptionParameter,
  },
  outputs: 'Identity',
  async run(context, args) {
    const { place, path } = await placeOf(context, args.SubscriptionId, args.ResourceGroupName);
    const found = await allItems(context, place, path);
    const wanted = args.Name?.toLowerCase();
    const shown = found.filter((one) => wanted === undefined || textAt(one, 'name')?.toLowerCase() === wanted);
    if (shown.length === 0 && args.Name !== undefined) context.warn(`there is no managed identity '${args.Name}'`);
    return shown.map(identityShape);
  },
});

export const removeIdentity = define({
  name: 'Remove-AzUserAssignedIdentity',
  synopsis: 'Removes a managed identity; whoever acts as it is refused by the next request.',
  parameters: {
    Name: { type: 'string', position: 1 },
    ResourceGroupName: { type: 'string', position: 0 },
    InputObject: { type: 'object', fromPipeline: { value: 'Identity' } },
    SubscriptionId: subscriptionParameter,
    PassThru: passThruParameter,
  },
  changes: true,
  outputs: 'Boolean',
  async run(context, args) {
    const id = textOf(args.InputObject, 'Id');
    const parts = id === undefined ? undefined : resourceIdParts(id);
    const [name, group] = [args.Name ?? parts?.name, args.ResourceGroupName ?? parts?.group];
    if (name === undefined || group === undefined)
      throw new ShellError('say which managed identity', { category: 'binding', hints: ['-ResourceGroupName and -Name'] });
    if (!(await context.shouldProcess('Remove managed identity', name))) return undefined;
    const { place, path } = await placeOf(context, args.SubscriptionId ?? parts?.subscription, group);
    await call(context, place, 'DELETE', `${path}/${segment(name)}`);
    return args.PassThru ? true : undefined;
  },
});

export const newIdentityHeader = define({
  name: 'New-StrongroomIdentityHeader',
  synopsis: 'Makes a header by which a program on this machine proves that it may act as a managed identity. Shown once.',
  description:
    'Start the program with IDENTITY_ENDPOINT and IDENTITY_HEADER set to what is put out. The service needs --identity-port. Remove-AzADSpCredential takes a header away.',
  parameters: {
    ObjectId: { type: 'string', aliases: ['PrincipalId', 'Id'], help: "The identity's principal id." },
    InputObject: { type: 'object', fromPipeline: { value: 'Identity' } },
    DisplayName: { type: 'string', help: 'Which program it is for.' },
    EndDate: { type: 'datetime', help: 'A year from now unless given.' },
  },
  changes: true,
  examples: [
    {
      code: 'Get-AzUserAssignedIdentity -Name worker | New-StrongroomIdentityHeader -DisplayName nightly-job',
      text: 'What the job is started with.',
    },
  ],
  outputs: 'StrongroomIdentityHeader',
  async run(context, args) {
    const id = args.ObjectId ?? textOf(args.InputObject, 'PrincipalId');
    if (id === undefined)
      throw new ShellError('say which managed identity', { category: 'binding', hints: ['-ObjectId, or Get-AzUserAssignedIdentity … |'] });
    if (!(await context.shouldProcess('Make an identity header', id))) return undefined;
    const body = {
      ...(args.DisplayName === undefined ? {} : { displayName: args.DisplayName }),
      ...(args.EndDate === undefined ? {} : { endDateTime: args.EndDate.toISOString() }),
    };
    const path = `/v1.0/servicePrincipals/${segment(id)}/strongroom.addIdentityHeader`;
    const made = (await call(context, await directory(context), 'POST', path, { body })).json;
    const { identity } = await context.session.connection();
    if (identity === undefined) context.warn('the service has no port for managed identities: start it with --identity-port');
    return shape('StrongroomIdentityHeader', {
      IDENTITY_ENDPOINT: identity === undefined ? undefined : `${identity}msi/token`,
      IDENTITY_HEADER: textAt(made, 'header'),
      KeyId: textAt(made, 'keyId'),
      EndDateTime: textAt(made, 'endDateTime'),
    });
  },
});

async function placeOf(
  context: Context,
  subscription: string | undefined,
  group: string | undefined,
): Promise<{ place: Place; path: string }> {
  const place = await resourceManager(context, API_VERSION);
  const inGroup = group === undefined ? '' : `/resourceGroups/${segment(group)}`;
  const path = `/subscriptions/${await subscriptionOf(context, subscription)}${inGroup}/providers/Microsoft.ManagedIdentity/userAssignedIdentities`;
  return { place, path };
}

function identityShape(identity: unknown): object {
  const id = textAt(identity, 'id') ?? '';
  return shape('Identity', {
    Name: textAt(identity, 'name'),
    ResourceGroupName: resourceIdParts(id).group,
    Location: textAt(identity, 'location'),
    ClientId: textAt(identity, 'properties', 'clientId'),
    PrincipalId: textAt(identity, 'properties', 'principalId'),
    TenantId: textAt(identity, 'properties', 'tenantId'),
    Id: id,
    Tags: at(identity, 'tags'),
  });
}
