// What the Graph room is built from, and what its operations work with.

import type { SignedIn } from '../core/caller.ts';
import type { Reader } from '../store/store.ts';

export interface GraphParts {
  readonly read: Reader;
  readonly tenantId: string;
}

export interface GraphReads {
  readonly read: Reader;
  readonly caller: SignedIn;
}

/** Clients ask either; for what is here they are the same. */
export type GraphVersion = 'v1.0' | 'beta';
