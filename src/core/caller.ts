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

/** Whose role assignments are the caller's: its own, and those of the groups it is in. */
export function principalsOf({ objectId, groups }: SignedIn): readonly string[] {
  return [objectId, ...groups];
}

/** The name that ARM writes into `createdBy`: the user's principal name, or the client id. */
export function callerName(caller: SignedIn): string {
  return caller.kind === 'user' ? caller.userPrincipalName : caller.clientId;
}

/** Whom a token is for; the door names it by the room that was asked. */
export type Audience = 'hsm' | 'management' | 'graph';

export type TokenCheck =
  /** `until`: milliseconds since 1970 to which the token lasts by itself; undefined when that is not for sure. */
  | { readonly valid: true; readonly caller: SignedIn; readonly until?: number }
  /** `description` goes into the challenge: it names what is wrong and repeats nothing of the token. */
  | { readonly valid: false; readonly description: string; readonly ended?: SessionEnded };

/** The token was good, and what it stands for ended before its time: clients that are told so ask for another one at once. */
export interface SessionEnded {
  /** Unix seconds: only a token from after this is of use. */
  readonly notBefore: number;
}

/** Verifies a bearer token: signature, issuer, audience, lifetime, tenant, and that its principal still exists and is enabled. */
export type VerifyToken = (token: string, audience: Audience) => Promise<TokenCheck>;
