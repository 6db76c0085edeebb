// What the Graph room is built from, and what its operations work with.

import type { SignedIn } from '../core/caller.ts';
import type { Clock } from '../core/clock.ts';
import type { Versions } from '../core/coherence.ts';
import type { Reader, Store } from '../store/store.ts';
import type { DirectoryPort } from './directory-port.ts';

export interface GraphParts {
  readonly read: Reader;
  /** On the main thread alone. */
  readonly write: Store['write'] | undefined;
  readonly clock: Clock;
  readonly versions: Versions;
  readonly tenantId: string;
  readonly directory: DirectoryPort;
}

export interface GraphReads {
  readonly read: Reader;
  readonly caller: SignedIn;
  readonly directory: DirectoryPort;
}

export interface GraphWrites extends GraphReads {
  readonly write: Store['write'];
  readonly clock: Clock;
}

/** Clients ask either; for what is here they are the same. */
export type GraphVersion = 'v1.0' | 'beta';
