// Microsoft Graph's errors: one constructor for each wire code. The door adds the inner error with date and request id.
// Source: recordings of the live service, and the Graph error reference; the choices of our own are listed in docs/divergences.md.

import { Failure } from './failure.ts';

export function graphResourceNotFound(id: string): Failure {
  const message = `Resource '${id}' does not exist or one of its queried reference-property objects are not present.`;
  return new Failure(404, 'Request_ResourceNotFound', message);
}

export function unsupportedQuery(message: string): Failure {
  return new Failure(400, 'Request_UnsupportedQuery', message);
}

export function graphBadRequest(message: string): Failure {
  return new Failure(400, 'Request_BadRequest', message);
}

/** A path that is no collection of ours. */
export function unknownSegment(segment: string): Failure {
  return new Failure(400, 'BadRequest', `Resource not found for the segment '${segment}'.`);
}

export function meNeedsAUser(): Failure {
  return new Failure(400, 'BadRequest', '/me request is only valid with delegated authentication flow.');
}

/** Only the tenant's own principals read its directory. */
export function insufficientPrivileges(): Failure {
  return new Failure(403, 'Authorization_RequestDenied', 'Insufficient privileges to complete the operation.');
}

/** `property` has a value that another object has and only one may have. */
export function objectConflict(property: string): Failure {
  return new Failure(400, 'Request_BadRequest', `Another object with the same value for property ${property} already exists.`);
}

export function passwordTooSimple(): Failure {
  const message = 'The specified password does not comply with password complexity requirements. Please provide a different password.';
  return new Failure(400, 'Request_BadRequest', message);
}

export function passwordMissing(): Failure {
  return new Failure(400, 'Request_BadRequest', 'A user needs a passwordProfile, or an identity at an issuer that this service trusts.');
}

/** Nobody could ever change the directory again. */
export function lastAdministrator(): Failure {
  const message = 'This is the last Global Administrator who can sign in. Make somebody else one first.';
  return new Failure(400, 'Request_BadRequest', message);
}

/** `most`: how many objects of this kind the directory holds. */
export function directoryQuota(most: number): Failure {
  const message = `The directory object quota limit has been exceeded: ${most} objects of this kind. Delete some to make room.`;
  return new Failure(403, 'Directory_QuotaExceeded', message);
}

export function applicationUnknown(appId: string): Failure {
  const message = `The appId '${appId}' of the service principal does not reference a valid application object.`;
  return new Failure(400, 'Request_BadRequest', message);
}

export function servicePrincipalExists(appId: string): Failure {
  const message = `The service principal cannot be created, updated, or restored because the service principal name ${appId} is already in use.`;
  return new Failure(409, 'Request_MultipleObjectsWithSameKeyValue', message);
}

export function credentialUnknown(keyId: string): Failure {
  return new Failure(400, 'Request_BadRequest', `No credentials found to be removed with the keyId '${keyId.slice(0, 100)}'.`);
}

/** `most`: characters of JSON. */
export function tooMuchDetail(most: number): Failure {
  return new Failure(400, 'Request_BadRequest', `The properties of an application may have ${most} characters at most.`);
}

/** Only the operator says whom this service believes, and so connects to. */
export function issuerNotTrusted(issuer: string): Failure {
  const message = `The issuer '${issuer.slice(0, 200)}' is not among those that this service trusts: its operator names them in the file of --issuers.`;
  return new Failure(400, 'Request_BadRequest', message);
}

/** It belongs to a resource, which is where it is removed; and nobody is to know a secret of it. */
export function managedIdentityKept(): Failure {
  const message = 'This is a managed identity: it is removed with its resource, and has no secrets or certificates of its own.';
  return new Failure(400, 'Request_BadRequest', message);
}

export function notAManagedIdentity(): Failure {
  return new Failure(
    400,
    'Request_BadRequest',
    'Only a managed identity has headers; other service principals have secrets (addPassword).',
  );
}
