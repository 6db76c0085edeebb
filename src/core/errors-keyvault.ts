// The data plane's errors: one constructor for each wire code, in the service's own words where they are known.
// Source: recordings of the live service and the Key Vault REST reference; the choices of our own are listed in docs/divergences.md.

import { Failure } from './failure.ts';

export function badParameter(message: string, cause?: unknown): Failure {
  return new Failure(400, 'BadParameter', message, { cause });
}

/** One answer for every cryptographic failure, so that nobody learns which step refused (padding, tag, length, key). */
export function cryptographicFailure(cause?: unknown): Failure {
  return new Failure(400, 'BadParameter', 'The parameter is incorrect.', { cause });
}

/** `place` is the address that was asked for: `https://{hsm}/keys/{name}` or `https://{hsm}/deletedkeys/{name}`. */
export function keyNotFound(place: string): Failure {
  return new Failure(404, 'KeyNotFound', `Key not found: ${place}`);
}

export function invalidKeyIdentifier(): Failure {
  return new Failure(400, 'Invalidkeyidentifier', 'Invalid key identifier');
}

export function noContentProvided(): Failure {
  return new Failure(400, 'Nocontentprovided', 'No content provided');
}

export function accessDenied(action: string, scope: string): Failure {
  return new Failure(403, 'AccessDenied', `Not authorized to access Microsoft.KeyVault/managedHsm/${action} on ${scope}`);
}

/** The words are the live service's, also where public access is disabled; the inner code is that of key vaults. */
export function clientNotAuthorized(address: string): Failure {
  const message = `Client address (${address}) is not authorized and caller is not a trusted service.`;
  return new Failure(403, 'Forbidden', message, { inner: 'ForbiddenByFirewall' });
}

/** The service's own words for this are not recorded. */
export function keysThroughManagerNotAllowed(): Failure {
  const message =
    'Keys of this managed HSM cannot be managed through the resource manager: its setting AllowKeyManagementOperationsThroughARM is false. One of its administrators can turn it on (PATCH /settings/AllowKeyManagementOperationsThroughARM).';
  return new Failure(403, 'Forbidden', message);
}

export function operationNotPermitted(operation: string): Failure {
  return new Failure(403, 'Forbidden', `Operation ${operation} is not permitted on this key.`, { inner: 'KeyOperationForbidden' });
}

export function keyDisabled(operation: string): Failure {
  return new Failure(403, 'Forbidden', `Operation ${operation} is not allowed on a disabled key.`, { inner: 'KeyDisabled' });
}

export function keyExpired(operation: string): Failure {
  return new Failure(403, 'Forbidden', `Operation ${operation} is not allowed on an expired key.`, { inner: 'KeyExpired' });
}

export function keyNotYetValid(operation: string): Failure {
  return new Failure(403, 'Forbidden', `Operation ${operation} is not allowed on a key that is not yet valid.`, {
    inner: 'KeyNotYetValid',
  });
}

export function deletedButRecoverable(name: string): Failure {
  const message = `Key ${name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the key can only be recovered or purged.`;
  return new Failure(409, 'Conflict', message, { inner: 'ObjectIsDeletedButRecoverable' });
}

export function purgeProtected(): Failure {
  return new Failure(403, 'Forbidden', 'Operation "purge" is not permitted: purge protection is enabled on this HSM.', {
    inner: 'PurgeProtectionEnabled',
  });
}

export function conflict(message: string): Failure {
  return new Failure(409, 'Conflict', message);
}

export function forbidden(message: string): Failure {
  return new Failure(403, 'Forbidden', message);
}

export function notActivated(): Failure {
  const message =
    'The HSM is not activated. Until one of its administrators has downloaded the security domain (POST /securitydomain/download), it answers only the security domain calls.';
  return new Failure(403, 'Forbidden', message, { inner: 'HsmNotActivated' });
}

export function immutableReleasePolicy(): Failure {
  return new Failure(400, 'BadParameter', 'AKV.SKR.1020: Immutable Key Release Policy cannot be modified.');
}

/** One answer for every reason: what a target lacks is between it and its attestation authority. */
export function attestationRefused(cause: unknown): Failure {
  const message = 'Target environment attestation statement cannot be verified.';
  return new Failure(403, 'Forbidden', message, { inner: 'AccessDenied', cause });
}

export function roleAssignmentNotFound(): Failure {
  return new Failure(404, 'RoleAssignmentNotFound', 'Requested role assignment not found');
}

export function roleAssignmentExists(): Failure {
  return new Failure(409, 'RoleAssignmentExists', 'The role assignment already exists.');
}

export function roleDefinitionNotFound(): Failure {
  return new Failure(404, 'RoleDefinitionNotFound', 'Requested role definition not found');
}

export function resourceNotFound(message: string): Failure {
  return new Failure(404, 'NotFound', message);
}

/** A node of another region was asked; a load balancer in front of the right ones never is. */
export function servedElsewhere(origin: string, here: string, regions: readonly string[]): Failure {
  const message = `The managed HSM at ${origin} is served in ${regions.join(', ')}, and this node is in ${here}.`;
  return new Failure(421, 'MisdirectedRequest', message);
}

export function unsupportedApiVersion(version: string): Failure {
  const message = `The api-version '${version.slice(0, 40)}' is not one that this service knows. Use 7.2 to 7.6, or a dated one such as 2025-07-01.`;
  return new Failure(400, 'BadParameter', message);
}

export function invalidSetting(): Failure {
  return new Failure(400, 'InvalidSetting', 'Invalid setting name. Please check the spelling of the setting name to update.');
}

/** What the real service does and this version does not; docs/divergences.md lists them. */
export function notSupported(message: string): Failure {
  return new Failure(400, 'NotSupported', message);
}

/** One answer for a foreign, a changed and a made-up blob: which it is would help nobody but a forger. */
export function malformedBackupBlob(cause?: unknown): Failure {
  const message = 'Backup blob belongs to a different crypto domain and cannot be used with this instance.';
  return new Failure(400, 'MalformedBackupBlob', message, { cause });
}
