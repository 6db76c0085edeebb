// Roles that an HSM's administrators make themselves: New-/Remove-AzKeyVaultRoleDefinition.

import { call, hsmPlace, segment } from '../client.ts';
import { ShellError } from '../errors.ts';
import { hsmNameRow } from '../hsm-names.ts';
import { parseJson, textAt } from '../read.ts';
import { definitions, definitionsPath, lastPart, roleNamed, roleShape, roleWithId, scopeOf } from '../roles.ts';
import { isRecord, member } from '../value.ts';
import { define, forceParameter, passThruParameter, textOf } from './define.ts';

const hsmName = { ...hsmNameRow, position: 1, mandatory: true } as const;
const scopeRow = { type: 'string', default: '/', help: 'A role belongs to the whole HSM: / or /keys.' } as const;

export const newRoleDefinition = define({
  name: 'New-AzKeyVaultRoleDefinition',
  synopsis: 'Makes a role of a managed HSM from data actions, or changes one that was made so.',
  parameters: {
    HsmName: hsmName,
    Role: {
      type: 'object',
      mandatory: ['InputObject'],
      position: 2,
      help: 'From Get-AzKeyVaultRoleDefinition, changed; without a Name it is a new role.',
    },
    InputFile: { type: 'string', mandatory: ['InputFile'], position: 2, help: 'A JSON file with RoleName, Description and Permissions.' },
    Scope: scopeRow,
  },
  parameterSets: { default: 'InputObject', sets: { InputObject: ['Role'], InputFile: ['InputFile'] } },
  changes: true,
  examples: [
    {
      code: 'New-AzKeyVaultRoleDefinition -HsmName contoso -InputFile signer.json',
      text: 'signer.json: {"RoleName":"Signer","Permissions":[{"DataActions":["Microsoft.KeyVault/managedHsm/keys/sign/action"]}]}',
    },
  ],
  outputs: 'PSKeyVaultRoleDefinition',
  async run(context, args) {
    const place = await hsmPlace(context, args.HsmName);
    const role = args.InputFile === undefined ? args.Role : readRole(args.InputFile, await context.host.readText(args.InputFile));
    const roleName = textOf(role, 'RoleName');
    if (roleName === undefined) throw new ShellError('the role has no RoleName', { category: 'validation' });
    if (!(await context.shouldProcess(`Create or update role '${roleName}'`, args.HsmName))) return undefined;
    const name = textOf(role, 'Name') ?? lastPart(textOf(role, 'Id'));
    const path = `${definitionsPath(scopeOf(args.Scope))}/${segment(name === '' ? context.host.newGuid() : name)}`;
    const properties = {
      roleName,
      description: textOf(role, 'Description') ?? '',
      type: 'CustomRole',
      permissions: permissionsOf(role),
      assignableScopes: textsIn(role, 'AssignableScopes') ?? ['/'],
    };
    return roleShape((await call(context, place, 'PUT', path, { body: { properties } })).json);
  },
});

export const removeRoleDefinition = define({
  name: 'Remove-AzKeyVaultRoleDefinition',
  synopsis: 'Deletes a role that was made on a managed HSM, when nobody has it any more.',
  parameters: {
    HsmName: hsmName,
    RoleName: { type: 'string', aliases: ['RoleDefinitionName'], mandatory: ['ByName'] },
    InputObject: { type: 'object', mandatory: ['InputObject'], fromPipeline: { value: 'PSKeyVaultRoleDefinition' } },
    Scope: scopeRow,
    Force: forceParameter,
    PassThru: passThruParameter,
  },
  parameterSets: { default: 'ByName', sets: { ByName: ['RoleName'], InputObject: ['InputObject'] } },
  changes: true,
  outputs: 'Boolean',
  async run(context, args) {
    const place = await hsmPlace(context, args.HsmName);
    const roles = await definitions(context, place, '/');
    const role =
      args.RoleName === undefined ? roleWithId(roles, textOf(args.InputObject, 'Name', 'Id') ?? '') : roleNamed(roles, args.RoleName);
    const roleName = textAt(role, 'properties', 'roleName') ?? '';
    if (!(await context.shouldProcess(`Remove role '${roleName}'`, args.HsmName))) return undefined;
    const question = `Are you sure you want to remove the role definition '${roleName}'?`;
    if (!args.Force && !(await context.shouldContinue(question, 'Remove role definition'))) return undefined;
    await call(context, place, 'DELETE', `${definitionsPath(scopeOf(args.Scope))}/${segment(textAt(role, 'name') ?? '')}`);
    return args.PassThru ? true : undefined;
  },
});

function readRole(file: string, text: string): unknown {
  const role = parseJson(text);
  if (isRecord(role)) return role;
  throw new ShellError(`'${file}' is not a role in JSON`, {
    category: 'validation',
    hints: ['{"RoleName":"…","Description":"…","Permissions":[{"DataActions":["Microsoft.KeyVault/managedHsm/keys/sign/action"]}]}'],
  });
}

/** Permissions as a list, or their members by themselves as Azure CLI's files have them. */
function permissionsOf(role: unknown): readonly object[] {
  const listed = member(role, 'Permissions');
  const all = Array.isArray(listed) ? listed : [role];
  return all.map((permission) => ({
    actions: textsIn(permission, 'Actions') ?? [],
    notActions: textsIn(permission, 'NotActions') ?? [],
    dataActions: textsIn(permission, 'DataActions') ?? [],
    notDataActions: textsIn(permission, 'NotDataActions') ?? [],
  }));
}

function textsIn(value: unknown, name: string): readonly string[] | undefined {
  const found = member(value, name);
  if (typeof found === 'string') return [found];
  return Array.isArray(found) ? found.filter((item) => typeof item === 'string') : undefined;
}
