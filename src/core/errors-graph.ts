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
