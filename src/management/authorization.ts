// Microsoft.Authorization as far as it is read: the roles there are, who has them, and what the caller may do. Nothing is changed here.

import * as v from 'valibot';
import { operation } from '../core/route.ts';
import { type ArmRole, ROLE_ACTIONS, ROLE_IDS } from './access.ts';
import type { ArmReads } from './world.ts';

const anything = { path: v.object({ group: v.optional(v.string()) }), query: v.unknown(), body: v.unknown() };

export const listRoleDefinitions = operation(
  { path: anything.path, query: v.object({ $filter: v.optional(v.string(), '') }), body: v.unknown() },
  ({ place }: ArmReads, { query }) => {
    const [, wanted] = /roleName eq '([^']*)'/i.exec(query.$filter) ?? [];
    const roles = Object.keys(ROLE_IDS) as ArmRole[];
    return {
      value: roles
        .filter((role) => wanted === undefined || role.toLowerCase() === wanted.toLowerCase())
        .map((role) => wireDefinition(place.subscriptionId, role)),
    };
  },
);

export const listRoleAssignments = operation(anything, async ({ read, place }: ArmReads) => {
  const scope = `/subscriptions/${place.subscriptionId}`;
  const rows = await read.selectFrom('arm_role_assignments').selectAll().orderBy('created_at').execute();
  return {
    value: rows
      .filter((row) => row.scope === scope || row.scope.startsWith(`${scope}/`))
      .map((row) => ({
        id: `${row.scope}/providers/Microsoft.Authorization/roleAssignments/${row.id}`,
        name: row.id,
        type: 'Microsoft.Authorization/roleAssignments',
        properties: { roleDefinitionId: definitionId(place.subscriptionId, row.role), principalId: row.principal_id, scope: row.scope },
      })),
  };
});

/** What the caller's own roles allow here. */
export const listPermissions = operation(anything, async ({ read, place, caller }: ArmReads) => {
  if (caller.kind === 'anonymous') return { value: [] };
  const scope = `/subscriptions/${place.subscriptionId}`;
  const rows = await read.selectFrom('arm_role_assignments').selectAll().execute();
  const mine = rows.filter(
    (row) =>
      (row.principal_id === caller.objectId || caller.groups.includes(row.principal_id)) &&
      (row.scope === scope || row.scope.startsWith(`${scope}/`)),
  );
  return { value: mine.map(({ role }) => ({ ...ROLE_ACTIONS[role], dataActions: [], notDataActions: [] })) };
});

function definitionId(subscriptionId: string, role: ArmRole): string {
  return `/subscriptions/${subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/${ROLE_IDS[role]}`;
}

function wireDefinition(subscriptionId: string, role: ArmRole) {
  return {
    id: definitionId(subscriptionId, role),
    name: ROLE_IDS[role],
    type: 'Microsoft.Authorization/roleDefinitions',
    properties: {
      roleName: role,
      type: 'BuiltInRole',
      description: '',
      assignableScopes: ['/'],
      permissions: [{ ...ROLE_ACTIONS[role], dataActions: [], notDataActions: [] }],
    },
  };
}
