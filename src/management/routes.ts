// Every address of the resource manager, with the action that the caller's role must allow there.

import type { Method, Operation, Row } from '../core/route.ts';
import { listPermissions, listRoleAssignments, listRoleDefinitions } from './authorization.ts';
import { deleteHsm, getDeletedHsm, listDeletedHsms, purgeHsm } from './managed-hsms/delete.ts';
import { patchHsm, putHsm } from './managed-hsms/put.ts';
import { checkName, getHsm, listHsms, listPrivateEndpointConnections, listPrivateLinkResources, listRegions } from './managed-hsms/read.ts';
import { cloudMetadata } from './metadata.ts';
import { operationResult } from './operations.ts';
import { deleteGroup, getGroup, headGroup, listGroups, patchGroup, putGroup } from './resource-groups.ts';
import { listResources } from './resources.ts';
import { getProvider, getSubscription, listLocations, listProviders, listSubscriptions, listTenants } from './subscriptions.ts';
import type { ArmReads, ArmWrites } from './world.ts';

/** An action of the resource manager; `signed in` where a valid token is enough and the answer depends on who asks. */
export type ArmAction = `Microsoft.${string}/${'read' | 'write' | 'delete' | 'action'}` | 'signed in' | 'anonymous';

/** `existing group`: the group that the address names must be there. */
export type Guard = 'existing group' | 'any';

export type ArmRow = Row<ArmAction, ArmReads, ArmWrites, Guard>;

function reads(method: Method, path: string, action: ArmAction, operation: Operation<ArmReads>): ArmRow {
  return { mode: 'read', method, path, action, guard: guardOf(path), operation };
}

function writes(method: Method, path: string, action: ArmAction, operation: Operation<ArmWrites>): ArmRow {
  return { mode: 'write', method, path, action, guard: guardOf(path), operation };
}

/** Whatever is inside a group needs the group. */
function guardOf(path: string): Guard {
  return path.includes('/:group/') ? 'existing group' : 'any';
}

const SUB = '/subscriptions/:subscription';
const GROUP = `${SUB}/resourcegroups/:group`;
const KV = 'providers/Microsoft.KeyVault';
const HSM = `${GROUP}/${KV}/managedHSMs/:hsm`;
const DELETED = `${SUB}/${KV}/locations/:location/deletedManagedHSMs/:hsm`;
const AUTH = 'providers/Microsoft.Authorization';

// biome-ignore format: a table reads by its columns
export const armRows: readonly ArmRow[] = [
  reads ('GET',    '/metadata/endpoints',                     'anonymous',                                        cloudMetadata),
  reads ('GET',    '/tenants',                                'signed in',                                        listTenants),
  reads ('GET',    '/subscriptions',                          'signed in',                                        listSubscriptions),
  reads ('GET',    SUB,                                       'Microsoft.Resources/subscriptions/read',           getSubscription),
  reads ('GET',    `${SUB}/locations`,                        'Microsoft.Resources/subscriptions/locations/read', listLocations),
  reads ('GET',    `${SUB}/providers`,                        'Microsoft.Resources/subscriptions/providers/read', listProviders),
  reads ('GET',    `${SUB}/providers/:namespace`,             'Microsoft.Resources/subscriptions/providers/read', getProvider),
  reads ('POST',   `${SUB}/providers/:namespace/register`,    'Microsoft.Resources/subscriptions/providers/read', getProvider),
  reads ('GET',    `${SUB}/resources`,                        'Microsoft.Resources/subscriptions/resources/read', listResources),
  reads ('GET',    `${SUB}/operationresults/:id`,             'Microsoft.Resources/subscriptions/operationresults/read', operationResult),

  reads ('GET',    `${SUB}/resourcegroups`,                   'Microsoft.Resources/subscriptions/resourceGroups/read',   listGroups),
  reads ('GET',    GROUP,                                     'Microsoft.Resources/subscriptions/resourceGroups/read',   getGroup),
  reads ('HEAD',   GROUP,                                     'Microsoft.Resources/subscriptions/resourceGroups/read',   headGroup),
  writes('PUT',    GROUP,                                     'Microsoft.Resources/subscriptions/resourceGroups/write',  putGroup),
  writes('PATCH',  GROUP,                                     'Microsoft.Resources/subscriptions/resourceGroups/write',  patchGroup),
  writes('DELETE', GROUP,                                     'Microsoft.Resources/subscriptions/resourceGroups/delete', deleteGroup),
  reads ('GET',    `${GROUP}/resources`,                      'Microsoft.Resources/subscriptions/resourceGroups/resources/read', listResources),

  reads ('GET',    `${SUB}/${AUTH}/roleDefinitions`,          'Microsoft.Authorization/roleDefinitions/read',     listRoleDefinitions),
  reads ('GET',    `${SUB}/${AUTH}/roleAssignments`,          'Microsoft.Authorization/roleAssignments/read',     listRoleAssignments),
  reads ('GET',    `${SUB}/${AUTH}/permissions`,              'Microsoft.Authorization/permissions/read',         listPermissions),
  reads ('GET',    `${GROUP}/${AUTH}/roleDefinitions`,        'Microsoft.Authorization/roleDefinitions/read',     listRoleDefinitions),
  reads ('GET',    `${GROUP}/${AUTH}/roleAssignments`,        'Microsoft.Authorization/roleAssignments/read',     listRoleAssignments),
  reads ('GET',    `${GROUP}/${AUTH}/permissions`,            'Microsoft.Authorization/permissions/read',         listPermissions),

  reads ('GET',    `${SUB}/${KV}/managedHSMs`,                'Microsoft.KeyVault/managedHSMs/read',              listHsms),
  reads ('GET',    `${GROUP}/${KV}/managedHSMs`,              'Microsoft.KeyVault/managedHSMs/read',              listHsms),
  reads ('GET',    HSM,                                       'Microsoft.KeyVault/managedHSMs/read',              getHsm),
  writes('PUT',    HSM,                                       'Microsoft.KeyVault/managedHSMs/write',             putHsm),
  writes('PATCH',  HSM,                                       'Microsoft.KeyVault/managedHSMs/write',             patchHsm),
  writes('DELETE', HSM,                                       'Microsoft.KeyVault/managedHSMs/delete',            deleteHsm),
  reads ('GET',    `${HSM}/regions`,                          'Microsoft.KeyVault/managedHSMs/read',              listRegions),
  reads ('GET',    `${HSM}/privateLinkResources`,             'Microsoft.KeyVault/managedHSMs/privateLinkResources/read', listPrivateLinkResources),
  reads ('GET',    `${HSM}/privateEndpointConnections`,       'Microsoft.KeyVault/managedHSMs/privateEndpointConnections/read', listPrivateEndpointConnections),
  reads ('POST',   `${SUB}/${KV}/checkMhsmNameAvailability`,  'Microsoft.KeyVault/checkMhsmNameAvailability/read', checkName),
  reads ('GET',    `${SUB}/${KV}/deletedManagedHSMs`,         'Microsoft.KeyVault/deletedManagedHsms/read',       listDeletedHsms),
  reads ('GET',    DELETED,                                   'Microsoft.KeyVault/locations/deletedManagedHsms/read', getDeletedHsm),
  writes('POST',   `${DELETED}/purge`,                        'Microsoft.KeyVault/locations/deletedManagedHsms/purge/action', purgeHsm),
  reads ('GET',    `${SUB}/${KV}/locations/:location/managedHsmOperationResults/:id`, 'Microsoft.KeyVault/locations/managedHsmOperationResults/read', operationResult),
];
