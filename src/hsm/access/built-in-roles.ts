// The roles that every managed HSM has, in the order in which the service lists them. Ids, names and data actions are the service's own.
// Source: built-in roles as the live service returns them.

import type { DataAction } from './actions.ts';

export interface RoleDefinition {
  /** A GUID in lower case. */
  readonly name: string;
  readonly roleName: string;
  readonly description: string;
  readonly type: 'AKVBuiltInRole' | 'CustomRole';
  readonly assignableScopes: readonly string[];
  readonly dataActions: readonly DataAction[];
  readonly notDataActions: readonly DataAction[];
}

export const ADMINISTRATOR = 'a290e904-7015-4bba-90c8-60543313cdb4';
export const AUDITOR = '2c18b078-7c48-4d3a-af88-5a3a1b3f82b3';

/** What built-in roles give besides: actions of ours, which the service's lists do not have and so those we show do not either. */
const OWN_ACTIONS: ReadonlyMap<string, readonly DataAction[]> = new Map([
  [ADMINISTRATOR, ['audit/read/action']],
  [AUDITOR, ['audit/read/action']],
]);

/** Everything that a role gives, shown or not. */
export function actionsOf({ name, dataActions }: RoleDefinition): readonly DataAction[] {
  return [...dataActions, ...(OWN_ACTIONS.get(name) ?? [])];
}

function builtIn(name: string, roleName: string, dataActions: readonly DataAction[]): RoleDefinition {
  return { name, roleName, description: '', type: 'AKVBuiltInRole', assignableScopes: ['/'], dataActions, notDataActions: [] };
}

export const BUILT_IN_ROLES: readonly RoleDefinition[] = [
  builtIn('abdd7ec4-a273-4265-bf38-e001014e2d8e', 'Managed HSM EKM Administrator', [
    'ekm/read/action',
    'ekm/write/action',
    'ekm/delete/action',
  ]),
  builtIn('6efe6056-5259-49d2-8b3d-d3d73544b20b', 'Managed HSM Restore User', [
    'restore/start/action',
    'restore/status/action',
    'keys/restore/action',
  ]),
  builtIn('7b127d3c-77bd-4e3e-bbe0-dbb8971fa7f8', 'Managed HSM Backup User', [
    'backup/start/action',
    'backup/status/action',
    'keys/backup/action',
  ]),
  builtIn('33413926-3206-4cdd-b39a-83574fe37a17', 'Managed HSM Crypto Service Encryption User', [
    'keys/read/action',
    'keys/wrap/action',
    'keys/unwrap/action',
  ]),
  builtIn('21dbd100-6940-42c2-9190-5d6cb909625c', 'Managed HSM Crypto Service Release User', ['keys/release/action']),
  builtIn(AUDITOR, 'Managed HSM Crypto Auditor', [
    'roleAssignments/read/action',
    'roleDefinitions/read/action',
    'keys/read/action',
    'keys/deletedKeys/read/action',
  ]),
  builtIn('4bd23610-cdcf-4971-bdee-bdc562cc28e4', 'Managed HSM Policy Administrator', [
    'roleDefinitions/read/action',
    'roleDefinitions/write/action',
    'roleDefinitions/delete/action',
    'roleAssignments/read/action',
    'roleAssignments/write/action',
    'roleAssignments/delete/action',
  ]),
  builtIn('21dbd100-6940-42c2-9190-5d6cb909625b', 'Managed HSM Crypto User', [
    'roleDefinitions/read/action',
    'roleAssignments/read/action',
    'keys/read/action',
    'keys/write/action',
    'keys/delete',
    'keys/create',
    'keys/rotate/action',
    'keys/import/action',
    'keys/release/action',
    'keys/backup/action',
    'keys/restore/action',
    'keys/encrypt/action',
    'keys/decrypt/action',
    'keys/wrap/action',
    'keys/unwrap/action',
    'keys/sign/action',
    'keys/verify/action',
    'keys/derive/action',
    'rng/action',
  ]),
  builtIn('515eb02d-2335-4d2d-92f2-b1cbdf9c3778', 'Managed HSM Crypto Officer', [
    'roleAssignments/delete/action',
    'roleAssignments/read/action',
    'roleAssignments/write/action',
    'roleDefinitions/read/action',
    'roleDefinitions/write/action',
    'roleDefinitions/delete/action',
    'keys/deletedKeys/read/action',
    'keys/deletedKeys/delete',
    'keys/deletedKeys/recover/action',
    'keys/export/action',
  ]),
  builtIn(ADMINISTRATOR, 'Managed HSM Administrator', [
    'roleAssignments/delete/action',
    'roleAssignments/read/action',
    'roleAssignments/write/action',
    'roleDefinitions/read/action',
    'roleDefinitions/write/action',
    'roleDefinitions/delete/action',
    'securitydomain/download/action',
    'securitydomain/download/read',
    'securitydomain/upload/action',
    'securitydomain/upload/read',
    'securitydomain/transferkey/read',
    'backup/start/action',
    'restore/start/action',
    'backup/status/action',
    'restore/status/action',
    'settings/read/action',
    'settings/write/action',
  ]),
];
