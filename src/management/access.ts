// Who may manage what: the three roles of a subscription, at the subscription or at one group. They say nothing about any HSM's keys.

import { CoherentCache, type Versions } from '../core/coherence.ts';
import type { Reader } from '../store/store.ts';

export const ARM_ACCESS = 'arm-access';

export type ArmRole = 'Owner' | 'Contributor' | 'Reader';

export interface ArmAssignment {
  readonly id: string;
  /** Lower case. */
  readonly scope: string;
  readonly principalId: string;
  readonly role: ArmRole;
}

/** Ids of the roles in Azure's own list of built-in roles. */
export const ROLE_IDS: Readonly<Record<ArmRole, string>> = {
  Owner: '8e3af657-a8ff-443c-a75c-2fe8c4bcb635',
  Contributor: 'b24988ac-6180-42a0-ab88-20f7382dd24c',
  Reader: 'acdd72a7-3385-48ef-bd42-f606fba81ae7',
};

/** What each role allows, as `actions` and `notActions` of its definition say. */
export const ROLE_ACTIONS: Readonly<Record<ArmRole, { readonly actions: readonly string[]; readonly notActions: readonly string[] }>> = {
  Owner: { actions: ['*'], notActions: [] },
  Contributor: { actions: ['*'], notActions: ['Microsoft.Authorization/*/Delete', 'Microsoft.Authorization/*/Write'] },
  Reader: { actions: ['*/read'], notActions: [] },
};

/** Whether any of the assignments lets one of the principals perform the action at the scope. Pure. */
export function mayManage(assignments: readonly ArmAssignment[], principals: readonly string[], action: string, scope: string): boolean {
  const wanted = scope.toLowerCase();
  return assignments.some(({ principalId, scope: granted, role }) => {
    if (!principals.includes(principalId)) return false;
    if (wanted !== granted && !wanted.startsWith(`${granted}/`)) return false;
    const { actions, notActions } = ROLE_ACTIONS[role];
    return actions.some((pattern) => matches(pattern, action)) && !notActions.some((pattern) => matches(pattern, action));
  });
}

function matches(pattern: string, action: string): boolean {
  const expression = pattern
    .split('*')
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*');
  return new RegExp(`^${expression}$`, 'i').test(action);
}

/** The assignments, read once and kept until a commit touches them. */
export function armAssignments(read: Reader, versions: Versions): () => Promise<readonly ArmAssignment[]> {
  const cache = new CoherentCache<readonly ArmAssignment[]>(versions, { max: 1 });
  return () =>
    cache.get('all', ARM_ACCESS, async () => {
      const rows = await read.selectFrom('arm_role_assignments').selectAll().execute();
      return rows.map((row) => ({ id: row.id, scope: row.scope, principalId: row.principal_id, role: row.role }));
    });
}
