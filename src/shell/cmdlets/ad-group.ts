// Groups and who is in them: New-/Get-/Remove-AzADGroup and Add-/Get-/Remove-AzADGroupMember. A group is a principal: what it may do, its members may.

import { allItems, call, directory, segment } from '../client.ts';
import type { ParameterRow } from '../cmdlet.ts';
import { ShellError } from '../errors.ts';
import { directoryObject, groupsWhere, userId } from '../principals.ts';
import { at, textAt } from '../read.ts';
import { shape } from '../value.ts';
import { type Context, define, passThruParameter, textOf } from './define.ts';
import { filterFor } from './directory.ts';

const groupRows = {
  GroupObjectId: { type: 'string', aliases: ['TargetGroupObjectId', 'GroupId', 'ObjectId', 'Id'] },
  GroupDisplayName: { type: 'string', aliases: ['TargetGroupDisplayName'] },
  GroupObject: { type: 'object', aliases: ['TargetGroupObject'], fromPipeline: { value: 'MicrosoftGraphGroup' } },
} as const satisfies Readonly<Record<string, ParameterRow>>;

const memberRows = {
  MemberObjectId: { type: 'string[]', help: 'Ids of users, groups or service principals.' },
  MemberUserPrincipalName: { type: 'string[]', aliases: ['MemberUPN'], help: 'The names users sign in with.' },
} as const satisfies Readonly<Record<string, ParameterRow>>;

export const newGroup = define({
  name: 'New-AzADGroup',
  synopsis: 'Makes a group of the directory.',
  parameters: {
    DisplayName: { type: 'string', mandatory: true },
    MailNickname: { type: 'string', help: 'Made from the name unless given.' },
    Description: { type: 'string' },
  },
  changes: true,
  outputs: 'MicrosoftGraphGroup',
  async run(context, { DisplayName, MailNickname, Description }) {
    if (!(await context.shouldProcess('Create group', DisplayName))) return undefined;
    const body = {
      displayName: DisplayName,
      mailNickname: MailNickname ?? (DisplayName.replace(/[^A-Za-z0-9._-]/g, '').slice(0, 64) || 'group'),
      mailEnabled: false,
      securityEnabled: true,
      ...(Description === undefined ? {} : { description: Description }),
    };
    return groupShape((await call(context, await directory(context), 'POST', '/v1.0/groups', { body })).json);
  },
});

export const getGroup = define({
  name: 'Get-AzADGroup',
  synopsis: 'Groups of the directory, by name, id or filter; all without parameters.',
  parameters: {
    DisplayName: { type: 'string', mandatory: ['DisplayNameParameterSet'] },
    DisplayNameStartsWith: { type: 'string', aliases: ['SearchString'], mandatory: ['SearchStringParameterSet'] },
    ObjectId: { type: 'guid', aliases: ['Id'], mandatory: ['ObjectIdParameterSet'] },
    Filter: { type: 'string', help: 'An OData filter.' },
  },
  parameterSets: {
    default: 'EmptyParameterSet',
    sets: {
      EmptyParameterSet: ['Filter'],
      DisplayNameParameterSet: ['DisplayName'],
      SearchStringParameterSet: ['DisplayNameStartsWith'],
      ObjectIdParameterSet: ['ObjectId'],
    },
  },
  outputs: 'MicrosoftGraphGroup',
  async run(context, args) {
    if (args.ObjectId !== undefined) {
      const found = await directoryObject(context, 'groups', args.ObjectId);
      if (found === undefined) context.warn(`the directory has no group '${args.ObjectId}'`);
      return found === undefined ? [] : [groupShape(found)];
    }
    const filter = filterFor([
      ['displayName eq', args.DisplayName],
      ['startswith(displayName,', args.DisplayNameStartsWith],
    ]);
    const groups = await groupsWhere(context, filter ?? args.Filter);
    if (groups.length === 0 && filter !== undefined) context.warn(`the directory has no group with ${filter}`);
    return groups.map(groupShape);
  },
});

export const removeGroup = define({
  name: 'Remove-AzADGroup',
  synopsis: 'Removes a group for good; its members lose what it gave them with the next request.',
  parameters: {
    ObjectId: { type: 'string', aliases: ['GroupObjectId', 'Id'] },
    DisplayName: { type: 'string' },
    InputObject: { type: 'object', fromPipeline: { value: 'MicrosoftGraphGroup' } },
    PassThru: passThruParameter,
  },
  changes: true,
  outputs: 'Boolean',
  async run(context, args) {
    const id = await groupId(context, { id: args.ObjectId, displayName: args.DisplayName, object: args.InputObject });
    if (!(await context.shouldProcess('Remove group', args.DisplayName ?? id))) return undefined;
    await call(context, await directory(context), 'DELETE', `/v1.0/groups/${segment(id)}`);
    return args.PassThru ? true : undefined;
  },
});

export const addGroupMember = define({
  name: 'Add-AzADGroupMember',
  synopsis: 'Puts users, groups or service principals into a group.',
  parameters: { ...groupRows, ...memberRows, PassThru: passThruParameter },
  changes: true,
  examples: [
    {
      code: 'Add-AzADGroupMember -TargetGroupDisplayName signers -MemberUserPrincipalName alice@strongroom.localhost',
      text: 'From the next request on Alice may do what the group may.',
    },
  ],
  outputs: 'Boolean',
  async run(context, args) {
    const id = await groupNamed(context, args);
    const place = await directory(context);
    for (const member of await membersNamed(context, args)) {
      if (!(await context.shouldProcess(`Add member '${member}'`, id))) continue;
      const body = { '@odata.id': `${place.origin}/v1.0/directoryObjects/${member}` };
      await call(context, place, 'POST', `/v1.0/groups/${segment(id)}/members/$ref`, { body });
    }
    return args.PassThru ? true : undefined;
  },
});

export const getGroupMember = define({
  name: 'Get-AzADGroupMember',
  synopsis: 'Who is in a group, directly.',
  parameters: groupRows,
  outputs: 'MicrosoftGraphDirectoryObject',
  async run(context, args) {
    const id = await groupNamed(context, args);
    const members = await allItems(context, await directory(context), `/v1.0/groups/${segment(id)}/members`);
    return members.map((found) =>
      shape('MicrosoftGraphDirectoryObject', {
        DisplayName: textAt(found, 'displayName'),
        Id: textAt(found, 'id'),
        OdataType: textAt(found, '@odata.type'),
        UserPrincipalName: textAt(found, 'userPrincipalName'),
        AppId: textAt(found, 'appId'),
      }),
    );
  },
});

export const removeGroupMember = define({
  name: 'Remove-AzADGroupMember',
  synopsis: 'Takes users, groups or service principals out of a group.',
  parameters: { ...groupRows, ...memberRows, PassThru: passThruParameter },
  changes: true,
  outputs: 'Boolean',
  async run(context, args) {
    const id = await groupNamed(context, args);
    const place = await directory(context);
    for (const member of await membersNamed(context, args)) {
      if (!(await context.shouldProcess(`Remove member '${member}'`, id))) continue;
      await call(context, place, 'DELETE', `/v1.0/groups/${segment(id)}/members/${segment(member)}/$ref`);
    }
    return args.PassThru ? true : undefined;
  },
});

interface NamedGroup {
  readonly GroupObjectId: string | undefined;
  readonly GroupDisplayName: string | undefined;
  readonly GroupObject: unknown;
}

function groupNamed(context: Context, { GroupObjectId, GroupDisplayName, GroupObject }: NamedGroup): Promise<string> {
  return groupId(context, { id: GroupObjectId, displayName: GroupDisplayName, object: GroupObject });
}

interface WhichGroup {
  readonly id: string | undefined;
  readonly displayName: string | undefined;
  readonly object: unknown;
}

async function groupId(context: Context, { id, displayName, object }: WhichGroup): Promise<string> {
  const known = id ?? textOf(object, 'Id');
  if (known !== undefined) return known;
  if (displayName === undefined) {
    throw new ShellError('say which group', { category: 'binding', hints: ['-GroupObjectId or -GroupDisplayName', 'Get-AzADGroup … | …'] });
  }
  const found = await groupsWhere(context, filterFor([['displayName eq', displayName]]));
  const [only, another] = found.map((group) => textAt(group, 'id'));
  if (only !== undefined && another === undefined) return only;
  throw new ShellError(only === undefined ? `there is no group '${displayName}'` : `there are several groups named '${displayName}'`, {
    category: 'not-found',
    hints: ['name it by -GroupObjectId; see all with: Get-AzADGroup'],
  });
}

interface NamedMembers {
  readonly MemberObjectId: readonly string[] | undefined;
  readonly MemberUserPrincipalName: readonly string[] | undefined;
}

async function membersNamed(context: Context, { MemberObjectId, MemberUserPrincipalName }: NamedMembers): Promise<readonly string[]> {
  const byName = await Promise.all((MemberUserPrincipalName ?? []).map((name) => userId(context, name)));
  const all = [...(MemberObjectId ?? []), ...byName];
  if (all.length > 0) return all;
  throw new ShellError('say which members', { category: 'binding', hints: ['-MemberObjectId or -MemberUserPrincipalName'] });
}

function groupShape(group: unknown): object {
  return shape('MicrosoftGraphGroup', {
    DisplayName: textAt(group, 'displayName'),
    Id: textAt(group, 'id'),
    Description: textAt(group, 'description'),
    MailNickname: textAt(group, 'mailNickname'),
    SecurityEnabled: at(group, 'securityEnabled'),
  });
}
