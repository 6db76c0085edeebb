// Who is asking. A Caller exists only after its token was verified; `anonymous` has to be asked for by name.

export type Caller = User | Application | Anonymous;

export interface User {
  readonly kind: 'user';
  readonly tenantId: string;
  readonly objectId: string;
  /** The client application that the user signed in with. */
  readonly clientId: string;
  readonly userPrincipalName: string;
  readonly groups: readonly string[];
}

export interface Application {
  readonly kind: 'application';
  readonly tenantId: string;
  /** Object id of the service principal or managed identity (not the client id). */
  readonly objectId: string;
  readonly clientId: string;
  readonly groups: readonly string[];
}

export interface Anonymous {
  readonly kind: 'anonymous';
}

export type SignedIn = User | Application;

export const anonymous: Anonymous = { kind: 'anonymous' };

/** The name that ARM writes into `createdBy`: the user's principal name, or the client id. */
export function callerName(caller: SignedIn): string {
  return caller.kind === 'user' ? caller.userPrincipalName : caller.clientId;
}
