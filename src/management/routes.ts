// Every address of the resource manager, with the action that the caller's role must allow there.

import type { Method, Operation, Row } from '../core/route.ts';
import { listDenyAssignments } from './authorization/deny-assignments.ts';
import { listPermissions } from './authorization/permissions.ts';
import { deleteRoleAssignment, getRoleAssignment, listRoleAssignments, putRoleAssignment } from './authorization/role-assignments.ts';
import { getRoleDefinition, listRoleDefinitions, putRoleDefinition } from './authorization/role-definitions.ts';
import { deleteHsm, getDeletedHsm, listDeletedHsms, purgeHsm } from './managed-hsms/delete.ts';
import { getHsmKey, getHsmKeyVersion, listHsmKeys, listHsmKeyVersions, putHsmKey } from './managed-hsms/keys.ts';
import { deleteConnection, getConnection, listConnections, putConnection } from './managed-hsms/private-endpoints.ts';
import { patchHsm, putHsm } from './managed-hsms/put.ts';
import { checkName, getHsm, headHsm, listHsms, listPrivateLinkResources, listRegions } from './managed-hsms/read.ts';
import { deleteIdentity, getIdentity, headIdentity, listIdentities, patchIdentity, putIdentity } from './managed-identities.ts';
import { cloudMetadata } from './metadata.ts';
import { operationResult } from './operations.ts';
import { listOperations } from './provider-operations.ts';
import { deleteGroup, getGroup, headGroup, listGroups, patchGroup, putGroup } from './resource-groups.ts';
import { listResources } from './resources.ts';
import { getProvider, getSubscription, listLocations, listProviders, listSubscriptions, listTenants } from './subscriptions.ts';
import type { ArmReads, ArmWrites } from './world.ts';

/** An action of the resource manager; `signed in` where a valid token is enough and the answer depends on who asks. */
export type ArmAction = `Microsoft.${string}/${'read' | 'write' | 'delete' | 'action'}` | 'signed in' | 'anonymous';

/** What an address must find there, and how far the caller's role has to reach. */
export interface Guard {
  /** `group` and `hsm`: the one that the address names is there. */
  readonly exists: 'any' | 'group' | 'hsm';
  /** `below`: a role at anything below is enough, and the operation shows what the caller sees. */
  readonly reach: 'here' | 'below';
}

export type ArmRow = Row<ArmAction, ArmReads, ArmWrites, Guard>;

function reads(method: Method, path: string, action: ArmAction, operation: Operation<ArmReads>): ArmRow {
  return { mode: 'read', method, path, action, guard: { exists: needed(path), reach: 'here' }, operation };
}

/** A list, or whatever else is of use to whoever has a role somewhere below. */
function looks(method: Method, path: string, action: ArmAction, operation: Operation<ArmReads>): ArmRow {
  return { mode: 'read', method, path, action, guard: { exists: needed(path), reach: 'below' }, operation };
}

function writes(method: Method, path: string, action: ArmAction, operation: Operation<ArmWrites>): ArmRow {
  return { mode: 'write', method, path, action, guard: { exists: needed(path), reach: 'here' }, operation };
}

/** Whatever is inside a group needs the group, and roles at a group or an HSM need that. */
function needed(path: string): Guard['exists'] {
  if (path.includes('/:hsm/providers/Microsoft.Authorization')) return 'hsm';
  return path.includes('/:group/') ? 'group' : 'any';
}

const SUB = '/subscriptions/:subscription';
const GROUP = `${SUB}/resourcegroups/:group`;
const KV = 'providers/Microsoft.KeyVault';
const HSM = `${GROUP}/${KV}/managedHSMs/:hsm`;
const DELETED = `${SUB}/${KV}/locations/:location/deletedManagedHSMs/:hsm`;
const AUTH = 'providers/Microsoft.Authorization';
const MI = 'providers/Microsoft.ManagedIdentity/userAssignedIdentities';

/** Microsoft.Authorization is the same at every scope. */
function rolesAt(scope: string): readonly ArmRow[] {
  const place = `${scope}/${AUTH}`;
  // biome-ignore format: a table reads by its columns
  return [
    reads ('GET',    `${place}/roleDefinitions`,     'Microsoft.Authorization/roleDefinitions/read',   listRoleDefinitions),
    reads ('GET',    `${place}/roleDefinitions/:id`, 'Microsoft.Authorization/roleDefinitions/read',   getRoleDefinition),
    writes('PUT',    `${place}/roleDefinitions/:id`, 'Microsoft.Authorization/roleDefinitions/write',  putRoleDefinition),
    reads ('GET',    `${place}/roleAssignments`,     'Microsoft.Authorization/roleAssignments/read',   listRoleAssignments),
    reads ('GET',    `${place}/roleAssignments/:id`, 'Microsoft.Authorization/roleAssignments/read',   getRoleAssignment),
    writes('PUT',    `${place}/roleAssignments/:id`, 'Microsoft.Authorization/roleAssignments/write',  putRoleAssignment),
    writes('DELETE', `${place}/roleAssignments/:id`, 'Microsoft.Authorization/roleAssignments/delete', deleteRoleAssignment),
    reads ('GET',    `${place}/denyAssignments`,     'Microsoft.Authorization/denyAssignments/read',   listDenyAssignments),
    reads ('GET',    `${place}/permissions`,         'Microsoft.Authorization/permissions/read',       listPermissions),
  ];
}

// biome-ignore format: a table reads by its columns
const rows: readonly ArmRow[] = [
  reads ('GET',    '/metadata/endpoints',                     'anonymous',                                        cloudMetadata),
  reads ('GET',    '/tenants',                                'signed in',                                        listTenants),
  reads ('GET',    '/subscriptions',                          'signed in',                                        listSubscriptions),
  looks ('GET',    SUB,                                       'Microsoft.Resources/subscriptions/read',           getSubscription),
  looks ('GET',    `${SUB}/locations`,                        'Microsoft.Resources/subscriptions/locations/read', listLocations),
  looks ('GET',    `${SUB}/providers`,                        'Microsoft.Resources/subscriptions/providers/read', listProviders),
  looks ('GET',    `${SUB}/providers/:namespace`,             'Microsoft.Resources/subscriptions/providers/read', getProvider),
  reads ('POST',   `${SUB}/providers/:namespace/register`,    'Microsoft.KeyVault/register/action',               getProvider),
  looks ('GET',    `${SUB}/resources`,                        'Microsoft.KeyVault/managedHSMs/read',              listResources),
  looks ('GET',    `${SUB}/operationresults/:id`,             'Microsoft.Resources/subscriptions/operationresults/read', operationResult),

  looks ('GET',    `${SUB}/resourcegroups`,                   'Microsoft.Resources/subscriptions/resourceGroups/read',   listGroups),
  reads ('GET',    GROUP,                                     'Microsoft.Resources/subscriptions/resourceGroups/read',   getGroup),
  reads ('HEAD',   GROUP,                                     'Microsoft.Resources/subscriptions/resourceGroups/read',   headGroup),
  writes('PUT',    GROUP,                                     'Microsoft.Resources/subscriptions/resourceGroups/write',  putGroup),
  writes('PATCH',  GROUP,                                     'Microsoft.Resources/subscriptions/resourceGroups/write',  patchGroup),
  writes('DELETE', GROUP,                                     'Microsoft.Resources/subscriptions/resourceGroups/delete', deleteGroup),
  looks ('GET',    `${GROUP}/resources`,                      'Microsoft.KeyVault/managedHSMs/read',              listResources),

  ...[SUB, GROUP, HSM].flatMap(rolesAt),
  reads ('GET',    `/${AUTH}/roleDefinitions`,                'signed in',                                        listRoleDefinitions),
  reads ('GET',    `/${AUTH}/roleDefinitions/:id`,            'signed in',                                        getRoleDefinition),

  looks ('GET',    `${SUB}/${KV}/managedHSMs`,                'Microsoft.KeyVault/managedHSMs/read',              listHsms),
  looks ('GET',    `${GROUP}/${KV}/managedHSMs`,              'Microsoft.KeyVault/managedHSMs/read',              listHsms),
  reads ('GET',    HSM,                                       'Microsoft.KeyVault/managedHSMs/read',              getHsm),
  reads ('HEAD',   HSM,                                       'Microsoft.KeyVault/managedHSMs/read',              headHsm),
  writes('PUT',    HSM,                                       'Microsoft.KeyVault/managedHSMs/write',             putHsm),
  writes('PATCH',  HSM,                                       'Microsoft.KeyVault/managedHSMs/write',             patchHsm),
  writes('DELETE', HSM,                                       'Microsoft.KeyVault/managedHSMs/delete',            deleteHsm),
  reads ('GET',    `${HSM}/regions`,                          'Microsoft.KeyVault/managedHSMs/read',              listRegions),
  reads ('GET',    `${HSM}/privateLinkResources`,             'Microsoft.KeyVault/managedHSMs/privateLinkResources/read', listPrivateLinkResources),
  reads ('GET',    `${HSM}/privateEndpointConnections`,             'Microsoft.KeyVault/managedHSMs/privateEndpointConnections/read',   listConnections),
  reads ('GET',    `${HSM}/privateEndpointConnections/:connection`, 'Microsoft.KeyVault/managedHSMs/privateEndpointConnections/read',   getConnection),
  writes('PUT',    `${HSM}/privateEndpointConnections/:connection`, 'Microsoft.KeyVault/managedHSMs/privateEndpointConnections/write',  putConnection),
  writes('DELETE', `${HSM}/privateEndpointConnections/:connection`, 'Microsoft.KeyVault/managedHSMs/privateEndpointConnections/delete', deleteConnection),
  reads ('GET',    `${HSM}/keys`,                             'Microsoft.KeyVault/managedHSMs/keys/read',         listHsmKeys),
  reads ('GET',    `${HSM}/keys/:key`,                        'Microsoft.KeyVault/managedHSMs/keys/read',         getHsmKey),
  writes('PUT',    `${HSM}/keys/:key`,                        'Microsoft.KeyVault/managedHSMs/keys/write',        putHsmKey),
  reads ('GET',    `${HSM}/keys/:key/versions`,               'Microsoft.KeyVault/managedHSMs/keys/versions/read', listHsmKeyVersions),
  reads ('GET',    `${HSM}/keys/:key/versions/:version`,      'Microsoft.KeyVault/managedHSMs/keys/versions/read', getHsmKeyVersion),
  looks ('GET',    `${SUB}/${MI}`,                            'Microsoft.ManagedIdentity/userAssignedIdentities/read',   listIdentities),
  looks ('GET',    `${GROUP}/${MI}`,                          'Microsoft.ManagedIdentity/userAssignedIdentities/read',   listIdentities),
  reads ('GET',    `${GROUP}/${MI}/:identity`,                'Microsoft.ManagedIdentity/userAssignedIdentities/read',   getIdentity),
  reads ('HEAD',   `${GROUP}/${MI}/:identity`,                'Microsoft.ManagedIdentity/userAssignedIdentities/read',   headIdentity),
  writes('PUT',    `${GROUP}/${MI}/:identity`,                'Microsoft.ManagedIdentity/userAssignedIdentities/write',  putIdentity),
  writes('PATCH',  `${GROUP}/${MI}/:identity`,                'Microsoft.ManagedIdentity/userAssignedIdentities/write',  patchIdentity),
  writes('DELETE', `${GROUP}/${MI}/:identity`,                'Microsoft.ManagedIdentity/userAssignedIdentities/delete', deleteIdentity),
  reads ('POST',   `${SUB}/${KV}/checkMhsmNameAvailability`,  'Microsoft.KeyVault/checkMhsmNameAvailability/read', checkName),
  reads ('GET',    `${SUB}/${KV}/deletedManagedHSMs`,         'Microsoft.KeyVault/deletedManagedHsms/read',       listDeletedHsms),
  reads ('GET',    DELETED,                                   'Microsoft.KeyVault/locations/deletedManagedHsms/read', getDeletedHsm),
  writes('POST',   `${DELETED}/purge`,                        'Microsoft.KeyVault/locations/deletedManagedHsms/purge/action', purgeHsm),
  looks ('GET',    `${SUB}/${KV}/locations/:location/managedHsmOperationResults/:id`, 'Microsoft.KeyVault/locations/managedHsmOperationResults/read', operationResult),
];

export const armRows: readonly ArmRow[] = [
  ...rows,
  ...['Microsoft.KeyVault', 'Microsoft.ManagedIdentity'].map((namespace) =>
    reads('GET', `/providers/${namespace}/operations`, 'signed in', listOperations(namespace, rows)),
  ),
];
