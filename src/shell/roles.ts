// Local roles of one HSM as its data plane gives them: scopes, definitions found by name or id, and the pipeline's objects.

import { allItems, type ClientContext, type Place } from './client.ts';
import { ShellError } from './errors.ts';
import type { Principal } from './principals.ts';
import { listAt, textAt, textsAt } from './read.ts';
import { shape } from './value.ts';

/** `/`, `/keys` or `/keys/NAME`; the slashes at the ends do not matter. */
export function scopeOf(text: string): string {
  const scope = `/${text.replace(/^\/+|\/+$/g, '')}`;
  if (/^\/(keys(\/[0-9A-Za-z-]{1,127})?)?$/.test(scope)) return scope;
  throw new ShellError(`'${text}' is not a scope`, {
    category: 'validation',
    hints: ['/ or /keys for the whole HSM, /keys/NAME for one key'],
  });
}

export function assignmentsPath(scope: string): string {
  return `${scope === '/' ? '' : scope}/providers/Microsoft.Authorization/roleAssignments`;
}

export function definitionsPath(scope: string): string {
  return `${scope === '/' ? '' : scope}/providers/Microsoft.Authorization/roleDefinitions`;
}

export async function definitions(context: ClientContext, place: Place, scope: string): Promise<unknown[]> {
  return allItems(context, place, definitionsPath(scope));
}

/** By its name; 'Crypto User' and the documentation's 'Managed HSM Backup' find theirs too. */
export function roleNamed(roles: readonly unknown[], name: string): unknown {
  for (const spelling of [name, `Managed HSM ${name}`, `${name} User`, `Managed HSM ${name} User`]) {
    const found = roles.find((role) => sameText(textAt(role, 'properties', 'roleName'), spelling));
    if (found !== undefined) return found;
  }
  throw new ShellError(`this HSM has no role '${name}'`, {
    category: 'not-found',
    hints: [`its roles are: ${roles.map((role) => textAt(role, 'properties', 'roleName')).join(', ')}`],
  });
}

export function roleWithId(roles: readonly unknown[], id: string): unknown {
  const found = roles.find((role) => sameText(textAt(role, 'name'), lastPart(id)));
  if (found !== undefined) return found;
  throw new ShellError(`this HSM has no role with the id '${id}'`, {
    category: 'not-found',
    hints: ['see all with: Get-AzKeyVaultRoleDefinition'],
  });
}

export function lastPart(id: string | undefined): string {
  return id?.split('/').pop() ?? '';
}

export function sameText(one: string | undefined, other: string | undefined): boolean {
  return one?.toLowerCase() === other?.toLowerCase();
}

export function roleShape(role: unknown): object {
  return shape('PSKeyVaultRoleDefinition', {
    RoleName: textAt(role, 'properties', 'roleName'),
    Description: textAt(role, 'properties', 'description'),
    Permissions: listAt(role, 'properties', 'permissions').map((permission) =>
      shape('PSKeyVaultPermission', {
        Actions: textsAt(permission, 'actions'),
        NotActions: textsAt(permission, 'notActions'),
        DataActions: textsAt(permission, 'dataActions'),
        NotDataActions: textsAt(permission, 'notDataActions'),
      }),
    ),
    Id: textAt(role, 'id'),
    Name: textAt(role, 'name'),
    Type: textAt(role, 'properties', 'type'),
    AssignableScopes: textsAt(role, 'properties', 'assignableScopes'),
  });
}

export function assignmentShape(hsm: string, item: unknown, roles: readonly unknown[], names: ReadonlyMap<string, Principal>) {
  const principalId = textAt(item, 'properties', 'principalId');
  const roleDefinitionId = textAt(item, 'properties', 'roleDefinitionId');
  const role = roles.find((found) => sameText(textAt(found, 'name'), lastPart(roleDefinitionId)));
  const principal = names.get(principalId?.toLowerCase() ?? '');
  return shape('PSKeyVaultRoleAssignment', {
    RoleDefinitionName: textAt(role, 'properties', 'roleName') ?? lastPart(roleDefinitionId),
    DisplayName: principal?.displayName ?? '',
    ObjectType: principal?.kind ?? 'Unknown',
    Scope: textAt(item, 'properties', 'scope'),
    ObjectId: principalId,
    RoleAssignmentName: textAt(item, 'name'),
    RoleAssignmentId: textAt(item, 'id'),
    RoleDefinitionId: roleDefinitionId,
    HsmName: hsm,
  });
}
