// The resource manager's errors: one constructor for each wire code, in the service's words where they are known.
// Source: Azure Resource Manager error codes, recordings of the live service; the choices of our own are listed in docs/divergences.md.

import { Failure } from './failure.ts';

export function missingApiVersion(): Failure {
  return new Failure(400, 'MissingApiVersionParameter', 'The api-version query parameter (?api-version=) is required for all requests.');
}

export function invalidApiVersion(version: string): Failure {
  const message = `The api-version '${version.slice(0, 40)}' is invalid. The api-version must be a date in the form YYYY-MM-DD, optionally with '-preview' behind it.`;
  return new Failure(400, 'InvalidApiVersionParameter', message);
}

export function invalidSubscriptionId(id: string): Failure {
  const message = `The provided subscription identifier '${id.slice(0, 80)}' is malformed or invalid.`;
  return new Failure(400, 'InvalidSubscriptionId', message);
}

export function subscriptionNotFound(id: string): Failure {
  return new Failure(404, 'SubscriptionNotFound', `The subscription '${id}' could not be found.`);
}

export function resourceGroupNotFound(name: string): Failure {
  return new Failure(404, 'ResourceGroupNotFound', `Resource group '${name}' could not be found.`);
}

/** `type` with the name behind it: `Microsoft.KeyVault/managedHSMs/contoso`. */
export function armResourceNotFound(type: string, group: string): Failure {
  const message = `The Resource '${type}' under resource group '${group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix`;
  return new Failure(404, 'ResourceNotFound', message);
}

export function providerNotFound(namespace: string): Failure {
  return new Failure(404, 'InvalidResourceNamespace', `The resource namespace '${namespace.slice(0, 80)}' is invalid.`);
}

export function authorizationFailed(name: string, objectId: string, action: string, scope: string): Failure {
  const message = `The client '${name}' with object id '${objectId}' does not have authorization to perform action '${action}' over scope '${scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.`;
  return new Failure(403, 'AuthorizationFailed', message);
}

/** 404 where the definition itself was asked for, 400 where something names it. */
export function roleDefinitionDoesNotExist(id: string, status: 400 | 404): Failure {
  return new Failure(status, 'RoleDefinitionDoesNotExist', `The specified role definition with ID '${id.slice(0, 80)}' does not exist.`);
}

export function invalidPrincipalId(): Failure {
  return new Failure(400, 'InvalidPrincipalId', 'A valid principal ID must be provided for role assignment.');
}

export function invalidRoleAssignmentId(id: string): Failure {
  const message = `The role assignment ID '${id.slice(0, 80)}' is not valid. The role assignment ID must be a GUID.`;
  return new Failure(400, 'InvalidRoleAssignmentId', message);
}

export function armRoleAssignmentNotFound(id: string): Failure {
  return new Failure(404, 'RoleAssignmentNotFound', `The role assignment '${id.slice(0, 80)}' is not found.`);
}

export function armRoleAssignmentExists(id: string): Failure {
  const message = `The role assignment already exists. The ID of the existing role assignment is ${id.replaceAll('-', '')}.`;
  return new Failure(409, 'RoleAssignmentExists', message);
}

export function roleAssignmentUpdateNotPermitted(): Failure {
  const message = 'Tenant ID, application ID, principal ID, and scope are not allowed to be updated.';
  return new Failure(400, 'RoleAssignmentUpdateNotPermitted', message);
}

export function roleAssignmentLimitExceeded(): Failure {
  return new Failure(400, 'RoleAssignmentLimitExceeded', 'No more role assignments can be created.');
}

/** The words are those of Azure's documentation; its code is not recorded. */
export function lastOwner(): Failure {
  return new Failure(
    409,
    'Conflict',
    'Cannot delete the last RBAC admin assignment: make another principal an Owner of the subscription first.',
  );
}

export function locationRequired(): Failure {
  return new Failure(400, 'LocationRequired', 'The location property is required for this definition.');
}

export function locationNotAvailableForGroup(location: string, known: readonly string[]): Failure {
  const message = `The provided location '${location.slice(0, 80)}' is not available for resource group. List of available regions is '${known.join(',')}'.`;
  return new Failure(400, 'LocationNotAvailableForResourceGroup', message);
}

export function locationNotAvailable(location: string, type: string, known: readonly string[]): Failure {
  const message = `The provided location '${location.slice(0, 80)}' is not available for resource type '${type}'. List of available regions for the resource type is '${known.join(',')}'.`;
  return new Failure(400, 'LocationNotAvailableForResourceType', message);
}

export function invalidGroupLocation(wanted: string, actual: string): Failure {
  const message = `Invalid resource group location '${wanted}'. The Resource group already exists in location '${actual}'.`;
  return new Failure(409, 'InvalidResourceGroupLocation', message);
}

export function invalidResourceLocation(name: string, actual: string, wanted: string): Failure {
  const message = `The resource '${name}' already exists in location '${actual}'. A resource with the same name cannot be created in location '${wanted}'. Please select a new resource name.`;
  return new Failure(409, 'InvalidResourceLocation', message);
}

export function invalidResourceName(message: string): Failure {
  return new Failure(400, 'InvalidResourceName', message);
}

export function armBadRequest(message: string): Failure {
  return new Failure(400, 'BadRequest', message);
}

/** The resource provider of managed HSMs uses the number as its code here (recorded; azure-cli issue 18779). */
export function propertyInvalid(property: string, words: readonly string[]): Failure {
  return new Failure(400, '400', `${property} property is invalid. Supported values are : ${words.join(', ')}`);
}

/** Recorded: Invalid region name: testregion passed. The valid list of region names: … */
export function invalidRegion(name: string, valid: readonly string[], why: string): Failure {
  const message = `Invalid region name: ${name.slice(0, 80)} passed. The valid list of region names: ${valid.join(', ') || 'none'}. ${why}`;
  return new Failure(400, '400', message);
}

export function locksItselfOut(address: string): Failure {
  const message = `These network rules shut out the address that this request comes from (${address}), and the HSM is not activated yet: whoever is shut out cannot activate it. Activate it first, or add the address to ipRules, or, if it is to be activated from elsewhere, repeat the request with acknowledge=locked-out in its query.`;
  return new Failure(400, 'NetworkRulesLockOut', message);
}

export function deletedHsmHasTheName(): Failure {
  const message = 'A KV MHSM with the same name already exists in deleted state. You need to either recover or purge existing KV MHSM.';
  return new Failure(409, 'ConflictError', message);
}

export function hsmNameInUse(name: string): Failure {
  return new Failure(409, 'ConflictError', `The name '${name}' is already in use.`);
}

export function deletedHsmNotFound(name: string): Failure {
  return new Failure(404, 'DeletedManagedHSMNotFound', `The deleted managed HSM '${name}' could not be found.`);
}

export function hsmPurgeProtected(): Failure {
  const message =
    'Operation "DeletedManagedHSMPurge" is not allowed: purge protection is enabled. The HSM is purged by itself when its retention is over.';
  return new Failure(403, 'MethodNotAllowed', message);
}

/** What the real service does and this version does not; docs/divergences.md lists them. */
export function armNotSupported(message: string): Failure {
  return new Failure(400, 'NotSupported', message);
}
