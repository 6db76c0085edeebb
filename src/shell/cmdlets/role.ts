// Local roles of one HSM: Get-AzKeyVaultRoleDefinition and New-/Get-/Remove-AzKeyVaultRoleAssignment.
// Owning the subscription gives no right here; these assignments do.

import { allItems, call, hsmPlace, type Place, segment } from '../client.ts';
import type { ParameterRow } from '../cmdlet.ts';
import { ShellError } from '../errors.ts';
import { hsmNamed, hsmNameRow } from '../hsm-names.ts';
import { principalNamed, principalsById } from '../principals.ts';
import { textAt } from '../read.ts';
import { assignmentShape, assignmentsPath, definitions, lastPart, roleNamed, roleShape, roleWithId, sameText, scopeOf } from '../roles.ts';
import { type Context, define, passThruParameter, textOf } from './define.ts';

const hsmName = { ...hsmNameRow, position: 1, mandatory: true } as const;
const scopeRow = {
  type: 'string',
  default: '/',
  help: '/ and /keys are the whole HSM, /keys/NAME is one key.',
} as const satisfies ParameterRow;
const signInNameRow = { type: 'string', aliases: ['Email', 'UserPrincipalName'], help: 'The name the user signs in with.' } as const;
const objectIdRow = { type: 'string', aliases: ['Id', 'PrincipalId'], help: 'The id of a user, group or service principal.' } as const;
const applicationIdRow = {
  type: 'string',
  aliases: ['SPN', 'ServicePrincipalName'],
  help: 'The application id of a service principal.',
} as const;
const roleNameRow = {
  type: 'string',
  aliases: ['RoleName'],
  help: "e.g. 'Managed HSM Crypto User'; the beginning may be left out.",
} as const;
const roleIdRow = { type: 'string', aliases: ['RoleId'], help: "The role's GUID or whole id." } as const;

export const getRoleDefinition = define({
  name: 'Get-AzKeyVaultRoleDefinition',
  aliases: ['Get-AzManagedHsmRoleDefinition'],
  synopsis: 'The roles of a managed HSM and what each may do.',
  parameters: {
    HsmName: hsmName,
    Scope: scopeRow,
    RoleDefinitionName: { ...roleNameRow, mandatory: ['ByName'] },
    Custom: { type: 'switch', mandatory: ['CustomOnly'], help: 'Only those made on this HSM.' },
  },
  parameterSets: {
    default: 'Interactive',
    sets: {
      Interactive: ['HsmName', 'Scope'],
      ByName: ['HsmName', 'Scope', 'RoleDefinitionName'],
      CustomOnly: ['HsmName', 'Scope', 'Custom'],
    },
  },
  outputs: 'PSKeyVaultRoleDefinition',
  async run(context, args) {
    const roles = await definitions(context, await hsmPlace(context, args.HsmName), scopeOf(args.Scope));
    if (args.RoleDefinitionName !== undefined) return roleShape(roleNamed(roles, args.RoleDefinitionName));
    return roles.filter((role) => !args.Custom || textAt(role, 'properties', 'type') === 'CustomRole').map(roleShape);
  },
});

export const newRoleAssignment = define({
  name: 'New-AzKeyVaultRoleAssignment',
  aliases: ['New-AzManagedHsmRoleAssignment'],
  synopsis: 'Gives a user, group or service principal a role on a managed HSM.',
  parameters: {
    HsmName: hsmName,
    RoleDefinitionName: {
      ...roleNameRow,
      mandatory: ['DefinitionNameSignInName', 'DefinitionNameApplicationId', 'DefinitionNameObjectId'],
    },
    RoleDefinitionId: { ...roleIdRow, mandatory: ['DefinitionIdSignInName', 'DefinitionIdApplicationId', 'DefinitionIdObjectId'] },
    SignInName: { ...signInNameRow, mandatory: ['DefinitionNameSignInName', 'DefinitionIdSignInName'] },
    ApplicationId: { ...applicationIdRow, mandatory: ['DefinitionNameApplicationId', 'DefinitionIdApplicationId'] },
    ObjectId: { ...objectIdRow, mandatory: ['DefinitionNameObjectId', 'DefinitionIdObjectId'] },
    Scope: scopeRow,
  },
  parameterSets: {
    default: 'DefinitionNameSignInName',
    sets: {
      DefinitionNameSignInName: ['RoleDefinitionName', 'SignInName'],
      DefinitionNameApplicationId: ['RoleDefinitionName', 'ApplicationId'],
      DefinitionNameObjectId: ['RoleDefinitionName', 'ObjectId'],
      DefinitionIdSignInName: ['RoleDefinitionId', 'SignInName'],
      DefinitionIdApplicationId: ['RoleDefinitionId', 'ApplicationId'],
      DefinitionIdObjectId: ['RoleDefinitionId', 'ObjectId'],
    },
  },
  changes: true,
  examples: [
    {
      code: 'New-AzKeyVaultRoleAssignment -HsmName contoso -RoleDefinitionName "Managed HSM Crypto User" -SignInName alice@contoso.localhost',
      text: 'Lets Alice create and use all keys.',
    },
  ],
  outputs: 'PSKeyVaultRoleAssignment',
  async run(context, args) {
    const place = await hsmPlace(context, args.HsmName);
    const scope = scopeOf(args.Scope);
    const principalId = (await principalNamed(context, args)) ?? '';
    const roles = await definitions(context, place, '/');
    const role =
      args.RoleDefinitionId === undefined ? roleNamed(roles, args.RoleDefinitionName ?? '') : roleWithId(roles, args.RoleDefinitionId);
    const roleName = textAt(role, 'properties', 'roleName');
    const operation = `Assign role '${roleName}' to principal '${args.SignInName ?? args.ApplicationId ?? principalId}' at scope '${scope}'.`;
    if (!(await context.shouldProcess(operation, args.HsmName))) return undefined;
    const path = `${assignmentsPath(scope)}/${context.host.newGuid()}`;
    const body = { properties: { roleDefinitionId: textAt(role, 'id'), principalId } };
    const made = await call(context, place, 'PUT', path, { body });
    const names = await principalsById(context, [principalId]);
    return assignmentShape(args.HsmName, made.json, roles, names);
  },
});

const filters = {
  SignInName: signInNameRow,
  ApplicationId: applicationIdRow,
  ObjectId: objectIdRow,
  RoleDefinitionName: roleNameRow,
  RoleDefinitionId: roleIdRow,
} as const;

export const getRoleAssignment = define({
  name: 'Get-AzKeyVaultRoleAssignment',
  aliases: ['Get-AzManagedHsmRoleAssignment'],
  synopsis: 'Who has which role on a managed HSM.',
  parameters: {
    HsmName: hsmName,
    Scope: scopeRow,
    ...filters,
    RoleAssignmentName: { type: 'string', mandatory: ['GetByName'], help: "The assignment's GUID." },
  },
  parameterSets: {
    default: 'List',
    sets: {
      List: ['SignInName', 'ApplicationId', 'ObjectId', 'RoleDefinitionName', 'RoleDefinitionId'],
      GetByName: ['RoleAssignmentName'],
    },
  },
  outputs: 'PSKeyVaultRoleAssignment',
  async run(context, args) {
    const { place, roles, found } = await assignmentsWhere(context, args);
    const names = await principalsById(
      context,
      found.map((item) => textAt(item, 'properties', 'principalId') ?? ''),
    );
    return found.map((item) => assignmentShape(place.hsm ?? args.HsmName, item, roles, names));
  },
});

export const removeRoleAssignment = define({
  name: 'Remove-AzKeyVaultRoleAssignment',
  aliases: ['Remove-AzManagedHsmRoleAssignment'],
  synopsis: 'Takes a role on a managed HSM away again.',
  parameters: {
    HsmName: { ...hsmNameRow, position: 1, mandatory: ['ByFilter', 'RemoveByNameParameterSet'] },
    Scope: scopeRow,
    ...filters,
    RoleAssignmentName: { type: 'string', mandatory: ['RemoveByNameParameterSet'], help: "The assignment's GUID." },
    InputObject: { type: 'object', mandatory: ['InputObject'], fromPipeline: { value: 'PSKeyVaultRoleAssignment' } },
    PassThru: passThruParameter,
  },
  parameterSets: {
    default: 'ByFilter',
    sets: {
      ByFilter: ['HsmName', 'SignInName', 'ApplicationId', 'ObjectId', 'RoleDefinitionName', 'RoleDefinitionId'],
      RemoveByNameParameterSet: ['HsmName', 'RoleAssignmentName'],
      InputObject: ['InputObject'],
    },
  },
  changes: true,
  outputs: 'PSKeyVaultRoleAssignment',
  async run(context, args) {
    const object = args.InputObject;
    const { place, roles, found } = await assignmentsWhere(context, {
      ...args,
      HsmName: hsmNamed(args),
      Scope: textOf(object, 'Scope') ?? args.Scope,
      RoleAssignmentName: textOf(object, 'RoleAssignmentName') ?? args.RoleAssignmentName,
    });
    if (context.parameterSet === 'ByFilter') checkFilter(args);
    if (found.length === 0)
      throw new ShellError('no role assignment fits', { category: 'not-found', hints: ['see all with: Get-AzKeyVaultRoleAssignment'] });
    const removed: object[] = [];
    for (const item of found) {
      const shown = assignmentShape(place.hsm ?? '', item, roles, new Map());
      const scope = textAt(item, 'properties', 'scope') ?? '/';
      const operation = `Remove role '${shown.RoleDefinitionName}' from principal '${shown.ObjectId}' at scope '${scope}'.`;
      if (!(await context.shouldProcess(operation, place.hsm ?? ''))) continue;
      await call(context, place, 'DELETE', `${assignmentsPath(scope)}/${segment(textAt(item, 'name') ?? '')}`);
      removed.push(shown);
    }
    return args.PassThru ? removed : undefined;
  },
});

interface Wanted {
  readonly HsmName: string;
  readonly Scope: string;
  readonly RoleAssignmentName: string | undefined;
  readonly SignInName: string | undefined;
  readonly ApplicationId: string | undefined;
  readonly ObjectId: string | undefined;
  readonly RoleDefinitionName: string | undefined;
  readonly RoleDefinitionId: string | undefined;
}

/** Without a principal and a role it would take every assignment away, the administrator's own among them. */
function checkFilter(args: Omit<Wanted, 'HsmName'>): void {
  const role = args.RoleDefinitionName ?? args.RoleDefinitionId;
  const principal = args.SignInName ?? args.ApplicationId ?? args.ObjectId;
  if (role !== undefined && principal !== undefined) return;
  throw new ShellError('say whose role to take away and which: a principal and a role are needed', {
    category: 'binding',
    hints: ['-SignInName, -ObjectId or -ApplicationId, with -RoleDefinitionName or -RoleDefinitionId', 'or -RoleAssignmentName alone'],
  });
}

async function assignmentsWhere(context: Context, wanted: Wanted): Promise<{ place: Place; roles: unknown[]; found: unknown[] }> {
  const place = await hsmPlace(context, wanted.HsmName);
  const scope = scopeOf(wanted.Scope);
  const roles = await definitions(context, place, '/');
  if (wanted.RoleAssignmentName !== undefined) {
    const one = await call(context, place, 'GET', `${assignmentsPath(scope)}/${segment(wanted.RoleAssignmentName)}`);
    return { place, roles, found: [one.json] };
  }
  const principalId = await principalNamed(context, wanted);
  const role =
    wanted.RoleDefinitionId !== undefined
      ? roleWithId(roles, wanted.RoleDefinitionId)
      : wanted.RoleDefinitionName !== undefined
        ? roleNamed(roles, wanted.RoleDefinitionName)
        : undefined;
  const found = (await allItems(context, place, assignmentsPath(scope)))
    .filter((item) => principalId === undefined || sameText(textAt(item, 'properties', 'principalId'), principalId))
    .filter((item) => role === undefined || sameText(lastPart(textAt(item, 'properties', 'roleDefinitionId')), textAt(role, 'name')));
  return { place, roles, found };
}
