// Every data action of a managed HSM, as the wire spells it behind `Microsoft.KeyVault/managedHsm/`. A route row names one of these or `anonymous`.
// Source: built-in roles of the live service; the last one of `securitydomain` and those of `ekm` as published in the REST reference.

export const DATA_ACTIONS = [
  'keys/read/action',
  'keys/write/action',
  'keys/create',
  'keys/delete',
  'keys/import/action',
  'keys/rotate/action',
  'keys/release/action',
  'keys/export/action',
  'keys/backup/action',
  'keys/restore/action',
  'keys/encrypt/action',
  'keys/decrypt/action',
  'keys/wrap/action',
  'keys/unwrap/action',
  'keys/sign/action',
  'keys/verify/action',
  'keys/derive/action',
  'keys/deletedKeys/read/action',
  'keys/deletedKeys/recover/action',
  'keys/deletedKeys/delete',
  'rng/action',
  'roleDefinitions/read/action',
  'roleDefinitions/write/action',
  'roleDefinitions/delete/action',
  'roleAssignments/read/action',
  'roleAssignments/write/action',
  'roleAssignments/delete/action',
  'settings/read/action',
  'settings/write/action',
  'backup/start/action',
  'backup/status/action',
  'restore/start/action',
  'restore/status/action',
  'securitydomain/download/action',
  'securitydomain/download/read',
  'securitydomain/upload/action',
  'securitydomain/upload/read',
  'securitydomain/transferkey/read',
  'ekm/read/action',
  'ekm/write/action',
  'ekm/delete/action',
  // Ours: the service keeps its records elsewhere.
  'audit/read/action',
] as const;

export type DataAction = (typeof DATA_ACTIONS)[number];

export const ACTION_PREFIX = 'Microsoft.KeyVault/managedHsm/';

/** The data action that the wire names, in any case; undefined when there is none. */
export function dataActionNamed(wire: string): DataAction | undefined {
  const wanted = wire.toLowerCase();
  return DATA_ACTIONS.find((action) => (ACTION_PREFIX + action).toLowerCase() === wanted);
}
