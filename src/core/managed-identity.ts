// What a program on this machine asks for as a managed identity, and what it is answered: the words that the port and the login share.

import type { SignedIn } from './caller.ts';

/** `imds`: whoever is on the machine may ask. `app-service`: whoever knows the header of one identity. */
export interface IdentityQuestion {
  readonly style: 'imds' | 'app-service';
  readonly header: string | undefined;
  readonly resource: string | undefined;
  /** At most one of these, to say which identity. */
  readonly clientId: string | undefined;
  readonly objectId: string | undefined;
  readonly resourceId: string | undefined;
}

export interface IdentityAnswer {
  readonly caller: SignedIn;
  readonly body: Readonly<Record<string, string>>;
}

/** Answers, or throws a Failure. */
export type AnswerIdentity = (question: IdentityQuestion) => Promise<IdentityAnswer>;
