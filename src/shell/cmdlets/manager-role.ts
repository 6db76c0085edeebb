// Roles of the resource manager: New-/Get-/Remove-AzRoleAssignment and Get-AzRoleDefinition. They say who may manage HSMs, and nothing about keys.

import { allItems, apiVersions, call, type Place, quoted, resourceManager, segment } from '../client.ts';
import type { ParameterRow } from '../cmdlet.ts';
import { ShellError } from '../errors.ts';
import { type Principal, principalNamed, principalsById } from '../principals.ts';
import { listAt, textAt, textsAt } from '../read.ts';
import { lastPart, sameText } from '../roles.ts';
import { shape } from '../value.ts';
import { type Context, define, matches, passThruParameter, subscriptionOf, subscriptionParameter, textOf } from './define.ts';

const AUTH = 'providers/Microsoft.Authorization';
const property = { property: true } as const;

const whoRows = {
  SignInName: { type: 'string', aliases: ['Email', 'UserPrincipalName'], fromPipeline: property, help: 'The name the user signs in with.' },
  ObjectId: {
    type: 'string',
    aliases: ['Id', 'PrincipalId'],
    fromPipeline: property,
    help: 'The id of a user, group or service principal.',
  },
  ApplicationId: {
    type: 'string',
    aliases: ['SPN', 'ServicePrincipalName'],
    fromPipeline: property,
    help: 'The application id of a service principal.',
  },
} as const satisfies Readonly<Record<string, ParameterRow>>;

const roleRows = {
  RoleDefinitionName: { type: 'string', fromPipeline: property, help: 'Owner, Contributor, Reader, Managed HSM contributor.' },
  RoleDefinitionId: { type: 'guid', fromPipeline: property },
} as const satisfies Readonly<Record<string, ParameterRow>>;

const whereRows = {
  Scope: { type: 'string', fromPipeline: property, help: 'A resource id; the subscription when nothing is given.' },
  ResourceGroupName: { type: 'string', fromPipeline: property },
  ResourceName: { type: 'string', fromPipeline: property, help: 'With -ResourceType, inside the group.' },
  ResourceType: { type: 'string', fromPipeline: property, help: 'Microsoft.KeyVault/managedHSMs.' },
  SubscriptionId: subscriptionParameter,
} as const satisfies Readonly<Record<string, ParameterRow>>;

export const getArmRoleDefinition = define({
  name: 'Get-AzRoleDefinition',
  synopsis: 'The roles of the resource manager and what each may do.',
  parameters: {
    Name: { type: 'string', position: 0, fromPipeline: property, help: 'May hold * and ?.' },
    Id: { type: 'guid', fromPipeline: property },
    Scope: { type: 'string', fromPipeline: property },
    Custom: { type: 'switch', help: 'There are none here.' },
    SubscriptionId: subscriptionParameter,
  },
  outputs: 'PSRoleDefinition',
  async run(context, args) {
    const place = await manager(context);
    const scope = args.Scope ?? `/subscriptions/${await subscriptionOf(context, args.SubscriptionId)}`;
    const roles = await allItems(context, place, `${scope}/${AUTH}/roleDefinitions`);
    return roles
      .filter((role) => args.Name === undefined || matches(args.Name, textAt(role, 'properties', 'roleName') ?? ''))
      .filter((role) => args.Id === undefined || sameText(textAt(role, 'name'), args.Id))
      .filter((role) => !args.Custom || textAt(role, 'properties', 'type') === 'CustomRole')
      .map(roleShape);
  },
});

export const newArmRoleAssignment = define({
  name: 'New-AzRoleAssignment',
  synopsis: 'Gives a user, group or service principal a role at a subscription, a group or one HSM.',
  parameters: {
    ...whoRows,
    ...roleRows,
    ...whereRows,
    ObjectType: { type: 'string', aliases: ['PrincipalType'], fromPipeline: property, suggestions: ['User', 'Group', 'ServicePrincipal'] },
    Description: { type: 'string', fromPipeline: property },
  },
  changes: true,
  examples: [
    {
      code: 'New-AzRoleAssignment -SignInName alice@contoso.localhost -RoleDefinitionName "Managed HSM contributor" -ResourceGroupName myResourceGroup',
      text: 'Lets Alice manage the HSMs of the group. Their keys are another matter: New-AzKeyVaultRoleAssignment.',
    },
  ],
  outputs: 'PSRoleAssignment',
  async run(context, args) {
    const place = await manager(context);
    const scope = await scopeFor(context, args);
    const principalId = await principalNamed(context, args);
    if (principalId === undefined)
      throw new ShellError('say who gets the role', { category: 'binding', hints: ['-SignInName, -ObjectId or -ApplicationId'] });
    const role = await roleFor(context, place, args);
    const roleName = textAt(role, 'properties', 'roleName');
    const who = args.SignInName ?? args.ApplicationId ?? principalId;
    if (!(await context.shouldProcess(`Assign role '${roleName}' to '${who}' at scope '${scope}'`, scope))) return undefined;
    const properties = {
      roleDefinitionId: textAt(role, 'id'),
      principalId,
      ...(args.ObjectType === undefined ? {} : { principalType: args.ObjectType }),
      ...(args.Description === undefined ? {} : { description: args.Description }),
    };
    const made = await call(context, place, 'PUT', `${scope}/${AUTH}/roleAssignments/${context.host.newGuid()}`, { body: { properties } });
    return assignmentShape(made.json, [role], await principalsById(context, [principalId]));
  },
});

export const getArmRoleAssignment = define({
  name: 'Get-AzRoleAssignment',
  synopsis: 'Who has which role of the resource manager, at the subscription, a group or one HSM.',
  parameters: {
    ...whoRows,
    ...roleRows,
    ...whereRows,
    ExpandPrincipalGroups: { type: 'switch', help: 'Also the roles of the groups that the principal is in.' },
  },
  outputs: 'PSRoleAssignment',
  async run(context, args) {
    const place = await manager(context);
    const scope = await scopeFor(context, args);
    const { found, roles } = await assignmentsWhere(context, place, scope, args);
    const names = await principalsById(
      context,
      found.map((item) => textAt(item, 'properties', 'principalId') ?? ''),
    );
    return found.map((item) => assignmentShape(item, roles, names));
  },
});

export const removeArmRoleAssignment = define({
  name: 'Remove-AzRoleAssignment',
  synopsis: 'Takes a role of the resource manager away again.',
  parameters: {
    ...whoRows,
    ...roleRows,
    ...whereRows,
    InputObject: { type: 'object', mandatory: ['InputObject'], fromPipeline: { value: 'PSRoleAssignment' } },
    PassThru: passThruParameter,
  },
  parameterSets: {
    default: 'ByFilter',
    sets: {
      ByFilter: [
        'SignInName',
        'ObjectId',
        'ApplicationId',
        'RoleDefinitionName',
        'RoleDefinitionId',
        'Scope',
        'ResourceGroupName',
        'ResourceName',
        'ResourceType',
      ],
      InputObject: ['InputObject'],
    },
  },
  changes: true,
  outputs: 'PSRoleAssignment',
  async run(context, args) {
    const place = await manager(context);
    const object = args.InputObject;
    const wanted = object === undefined ? args : ofObject(object);
    const role = wanted.RoleDefinitionName ?? wanted.RoleDefinitionId;
    const principal = wanted.SignInName ?? wanted.ObjectId ?? wanted.ApplicationId;
    if (role === undefined || principal === undefined)
      throw new ShellError('say whose role to take away and which', {
        category: 'binding',
        hints: ['-SignInName, -ObjectId or -ApplicationId, with -RoleDefinitionName or -RoleDefinitionId'],
      });
    const scope = await scopeFor(context, { ...wanted, SubscriptionId: args.SubscriptionId });
    const { found, roles } = await assignmentsWhere(context, place, scope, { ...wanted, ExpandPrincipalGroups: false });
    const here = found.filter((item) => sameText(textAt(item, 'properties', 'scope'), scope));
    if (here.length === 0)
      throw new ShellError(`no role assignment fits at '${scope}'`, {
        category: 'not-found',
        hints: ['see all with: Get-AzRoleAssignment'],
      });
    const removed: object[] = [];
    for (const item of here) {
      const shown = assignmentShape(item, roles, new Map());
      if (!(await context.shouldProcess(`Remove role '${textOf(shown, 'RoleDefinitionName')}' at scope '${scope}'`, scope))) continue;
      await call(context, place, 'DELETE', textAt(item, 'id') ?? '');
      removed.push(shown);
    }
    return args.PassThru ? removed : undefined;
  },
});

interface Wanted {
  readonly SignInName: string | undefined;
  readonly ObjectId: string | undefined;
  readonly ApplicationId: string | undefined;
  readonly RoleDefinitionName: string | undefined;
  readonly RoleDefinitionId: string | undefined;
}

interface Where {
  readonly Scope: string | undefined;
  readonly ResourceGroupName: string | undefined;
  readonly ResourceName: string | undefined;
  readonly ResourceType: string | undefined;
  readonly SubscriptionId: string | undefined;
}

/** One row of Get-AzRoleAssignment, as the filter that finds it again. */
function ofObject(object: unknown): Wanted & Omit<Where, 'SubscriptionId'> {
  return {
    SignInName: undefined,
    ObjectId: textOf(object, 'ObjectId'),
    ApplicationId: undefined,
    RoleDefinitionName: undefined,
    RoleDefinitionId: textOf(object, 'RoleDefinitionId'),
    Scope: textOf(object, 'Scope'),
    ResourceGroupName: undefined,
    ResourceName: undefined,
    ResourceType: undefined,
  };
}

function manager(context: Context): Promise<Place> {
  return resourceManager(context, apiVersions.authorization);
}

async function scopeFor(context: Context, where: Where): Promise<string> {
  if (where.Scope !== undefined) return where.Scope.replace(/\/+$/, '');
  const subscription = `/subscriptions/${await subscriptionOf(context, where.SubscriptionId)}`;
  if (where.ResourceGroupName === undefined) return subscription;
  const group = `${subscription}/resourceGroups/${segment(where.ResourceGroupName)}`;
  if (where.ResourceName === undefined) return group;
  return `${group}/providers/${where.ResourceType ?? 'Microsoft.KeyVault/managedHSMs'}/${segment(where.ResourceName)}`;
}

async function roleFor(context: Context, place: Place, { RoleDefinitionName, RoleDefinitionId }: Wanted): Promise<unknown> {
  const roles = await allRoles(context, place);
  const wanted = RoleDefinitionId === undefined ? undefined : lastPart(RoleDefinitionId);
  const found = roles.find((role) =>
    wanted === undefined ? sameText(textAt(role, 'properties', 'roleName'), RoleDefinitionName) : sameText(textAt(role, 'name'), wanted),
  );
  if (found !== undefined) return found;
  throw new ShellError(`there is no role '${RoleDefinitionName ?? RoleDefinitionId ?? ''}'`, {
    category: 'not-found',
    hints: [`the roles are: ${roles.map((role) => textAt(role, 'properties', 'roleName')).join(', ')}`],
  });
}

function allRoles(context: Context, place: Place): Promise<unknown[]> {
  return allItems(context, place, `/${AUTH}/roleDefinitions`);
}

async function assignmentsWhere(
  context: Context,
  place: Place,
  scope: string,
  wanted: Wanted & { readonly ExpandPrincipalGroups: boolean },
): Promise<{ readonly found: readonly unknown[]; readonly roles: readonly unknown[] }> {
  const principalId = await principalNamed(context, wanted);
  const roles = await allRoles(context, place);
  const isNamed = wanted.RoleDefinitionName !== undefined || wanted.RoleDefinitionId !== undefined;
  const role = isNamed ? await roleFor(context, place, wanted) : undefined;
  const filter =
    principalId === undefined
      ? ''
      : wanted.ExpandPrincipalGroups
        ? `?$filter=${encodeURIComponent(`assignedTo(${quoted(principalId)})`)}`
        : `?$filter=${encodeURIComponent(`principalId eq ${quoted(principalId)}`)}`;
  const found = await allItems(context, place, `${scope}/${AUTH}/roleAssignments${filter}`);
  return {
    roles,
    found: found.filter(
      (item) => role === undefined || sameText(lastPart(textAt(item, 'properties', 'roleDefinitionId')), textAt(role, 'name')),
    ),
  };
}

function roleShape(role: unknown): object {
  const [permission] = listAt(role, 'properties', 'permissions');
  return shape('PSRoleDefinition', {
    Name: textAt(role, 'properties', 'roleName'),
    Id: textAt(role, 'name'),
    IsCustom: textAt(role, 'properties', 'type') === 'CustomRole',
    Description: textAt(role, 'properties', 'description'),
    Actions: textsAt(permission, 'actions'),
    NotActions: textsAt(permission, 'notActions'),
    DataActions: textsAt(permission, 'dataActions'),
    NotDataActions: textsAt(permission, 'notDataActions'),
    AssignableScopes: textsAt(role, 'properties', 'assignableScopes'),
  });
}

function assignmentShape(item: unknown, roles: readonly unknown[], names: ReadonlyMap<string, Principal>): object {
  const principalId = textAt(item, 'properties', 'principalId');
  const roleId = lastPart(textAt(item, 'properties', 'roleDefinitionId'));
  const principal = names.get(principalId?.toLowerCase() ?? '');
  return shape('PSRoleAssignment', {
    RoleAssignmentName: textAt(item, 'name'),
    RoleAssignmentId: textAt(item, 'id'),
    Scope: textAt(item, 'properties', 'scope'),
    DisplayName: principal?.displayName ?? '',
    RoleDefinitionName: textAt(
      roles.find((role) => sameText(textAt(role, 'name'), roleId)),
      'properties',
      'roleName',
    ),
    RoleDefinitionId: roleId,
    ObjectId: principalId,
    ObjectType: principal?.kind ?? textAt(item, 'properties', 'principalType') ?? 'Unknown',
    Description: textAt(item, 'properties', 'description'),
  });
}
