// Who may manage what: the roles of the resource manager, at a subscription, a group or one HSM. They say nothing about any HSM's keys.

import { CoherentCache, type Versions } from '../core/coherence.ts';
import type { Tables } from '../store/schema.ts';
import type { Reader } from '../store/store.ts';

export const ARM_ACCESS = 'arm-access';

export type ArmRoleName = Tables['arm_role_assignments']['role'];

export interface ArmRole {
  /** A GUID in lower case, the same in every tenant of Azure. */
  readonly id: string;
  readonly name: ArmRoleName;
  readonly description: string;
  readonly actions: readonly string[];
  readonly notActions: readonly string[];
}

/** Source: Azure built-in roles. None has data actions for managed HSMs: keys are the business of the HSM's own roles. */
export const ARM_ROLES: readonly ArmRole[] = [
  {
    id: '8e3af657-a8ff-443c-a75c-2fe8c4bcb635',
    name: 'Owner',
    description: 'Manages everything, and who else may.',
    actions: ['*'],
    notActions: [],
  },
  {
    id: 'b24988ac-6180-42a0-ab88-20f7382dd24c',
    name: 'Contributor',
    description: 'Manages everything, but not who else may.',
    actions: ['*'],
    notActions: ['Microsoft.Authorization/*/Delete', 'Microsoft.Authorization/*/Write', 'Microsoft.Authorization/elevateAccess/Action'],
  },
  {
    id: 'acdd72a7-3385-48ef-bd42-f606fba81ae7',
    name: 'Reader',
    description: 'Sees everything and changes nothing.',
    actions: ['*/read'],
    notActions: [],
  },
  {
    id: '18500a29-7fe2-46b2-a342-b16a415e101d',
    name: 'Managed HSM contributor',
    description: 'Manages managed HSMs, but has no access to what is in them.',
    actions: [
      'Microsoft.KeyVault/managedHSMs/*',
      'Microsoft.KeyVault/deletedManagedHsms/read',
      'Microsoft.KeyVault/locations/deletedManagedHsms/read',
      'Microsoft.KeyVault/locations/deletedManagedHsms/purge/action',
      'Microsoft.KeyVault/locations/managedHsmOperationResults/read',
    ],
    notActions: [],
  },
];

const PATTERNS = new Map(
  ARM_ROLES.map(({ name, actions, notActions }) => [name, { gives: actions.map(patternOf), takes: notActions.map(patternOf) }]),
);

/** A role that somebody has somewhere. */
export interface ArmGrant {
  /** `/subscriptions/{id}` or deeper, in lower case. */
  readonly scope: string;
  readonly principalId: string;
  readonly role: ArmRoleName;
}

/** Whether any of the grants lets one of the principals perform the action at the scope. Pure. */
export function mayManage(grants: readonly ArmGrant[], principals: readonly string[], action: string, scope: string): boolean {
  const wanted = scope.toLowerCase();
  return grants.some((grant) => principals.includes(grant.principalId) && isWithin(wanted, grant.scope) && gives(grant.role, action));
}

/** The same for the scope or anything below it: whoever may see one thing in it may ask for a list, and finds that thing there. Pure. */
export function mayManageBelow(grants: readonly ArmGrant[], principals: readonly string[], action: string, scope: string): boolean {
  const wanted = scope.toLowerCase();
  const reaches = (granted: string): boolean => isWithin(wanted, granted) || isWithin(granted, wanted);
  return grants.some((grant) => principals.includes(grant.principalId) && reaches(grant.scope) && gives(grant.role, action));
}

/** Both in lower case. */
export function isWithin(scope: string, outer: string): boolean {
  return scope === outer || scope.startsWith(`${outer}/`);
}

function gives(role: ArmRoleName, action: string): boolean {
  const patterns = PATTERNS.get(role);
  return patterns?.gives.some((pattern) => pattern.test(action)) === true && !patterns.takes.some((pattern) => pattern.test(action));
}

/** `*` stands for any text, slashes too. */
function patternOf(text: string): RegExp {
  const parts = text.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 'i');
}

/** All grants, read once and kept until a commit touches them. */
export function armGrants(read: Reader, versions: Versions): () => Promise<readonly ArmGrant[]> {
  const cache = new CoherentCache<readonly ArmGrant[]>(versions, { max: 1 });
  return () => cache.get('all', ARM_ACCESS, () => loadArmGrants(read));
}

/** Those of some principals, or of all, from wherever the reader reads: inside a transaction, its own changes too. */
export async function loadArmGrants(read: Reader, principals?: readonly string[]): Promise<readonly ArmGrant[]> {
  let asked = read.selectFrom('arm_role_assignments').select(['scope', 'principal_id', 'role']);
  if (principals !== undefined) asked = asked.where('principal_id', 'in', principals);
  const rows = await asked.execute();
  return rows.map(({ scope, principal_id, role }) => ({ scope, principalId: principal_id, role }));
}
