// Microsoft.Authorization/roleDefinitions: the built-in roles that count here. There are no custom ones.

import * as v from 'valibot';
import { armBadRequest, armNotSupported, roleDefinitionDoesNotExist } from '../../core/errors-arm.ts';
import { operation } from '../../core/route.ts';
import { ARM_ROLES, type ArmRole } from '../access.ts';
import type { ArmReads, ArmWrites } from '../world.ts';

const ListQuery = v.object({ $filter: v.optional(v.string(), '') });

export const listRoleDefinitions = operation(
  { path: v.unknown(), query: ListQuery, body: v.unknown() },
  ({ place }: ArmReads, { query }) => {
    const filter = readFilter(query.$filter);
    return { value: ARM_ROLES.filter(filter).map((role) => wireDefinition(place.subscriptionId, role)) };
  },
);

export const getRoleDefinition = operation(
  { path: v.object({ id: v.string() }), query: v.unknown(), body: v.unknown() },
  ({ place }: ArmReads, { path }) => {
    const role = ARM_ROLES.find(({ id }) => id === path.id.toLowerCase());
    if (role === undefined) throw roleDefinitionDoesNotExist(path.id, 404);
    return wireDefinition(place.subscriptionId, role);
  },
);

/** A role that was taken and decided nothing would be worse than none. */
export const putRoleDefinition = operation({ path: v.unknown(), query: v.unknown(), body: v.unknown() }, (_world: ArmWrites) => {
  throw armNotSupported(
    'Custom roles of the resource manager are not in this version. An HSM has custom roles of its own, at its own address.',
  );
});

const CLAUSE = /^(?:atScope\(\)|atScopeAndBelow\(\)|(roleName|type)\s+eq\s+'((?:[^']|'')*)')(?:\s+and\s+(?=\S)|$)/i;

/** Every role is at every scope, so the clauses about scopes change nothing. */
function readFilter(filter: string): (role: ArmRole) => boolean {
  const tests: ((role: ArmRole) => boolean)[] = [];
  for (let rest = filter.trim(); rest !== ''; ) {
    const [whole, property, quoted = ''] = CLAUSE.exec(rest) ?? [];
    if (whole === undefined)
      throw armBadRequest("$filter may be: roleName eq 'name', type eq 'BuiltInRole', atScope(), atScopeAndBelow(), joined by 'and'.");
    const value = quoted.replaceAll("''", "'").toLowerCase();
    if (property?.toLowerCase() === 'rolename') tests.push(({ name }) => name.toLowerCase() === value);
    if (property?.toLowerCase() === 'type') tests.push(() => value === 'builtinrole');
    rest = rest.slice(whole.length);
  }
  return (role) => tests.every((test) => test(role));
}

/** Asked for at no subscription, a role's id has none either. */
export function definitionId(subscriptionId: string, { id }: ArmRole): string {
  const place = subscriptionId === '' ? '' : `/subscriptions/${subscriptionId}`;
  return `${place}/providers/Microsoft.Authorization/roleDefinitions/${id}`;
}

function wireDefinition(subscriptionId: string, role: ArmRole) {
  return {
    id: definitionId(subscriptionId, role),
    name: role.id,
    type: 'Microsoft.Authorization/roleDefinitions',
    properties: {
      roleName: role.name,
      type: 'BuiltInRole',
      description: role.description,
      assignableScopes: ['/'],
      permissions: [wirePermission(role)],
    },
  };
}

export function wirePermission({ actions, notActions }: ArmRole) {
  return { actions, notActions, dataActions: [], notDataActions: [] };
}
