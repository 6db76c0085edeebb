// What the resource manager is built from, and what its operations work with.

import type { Caller, SignedIn } from '../core/caller.ts';
import type { Clock } from '../core/clock.ts';
import type { Versions } from '../core/coherence.ts';
import type { Urls } from '../core/urls.ts';
import type { Reader, Store } from '../store/store.ts';
import type { HsmPort } from './hsm-port.ts';

export interface ManagementParts {
  readonly read: Reader;
  /** On the main thread alone. */
  readonly write: Store['write'] | undefined;
  readonly clock: Clock;
  readonly urls: Urls;
  readonly versions: Versions;
  readonly tenantId: string;
  readonly hsms: HsmPort;
}

export interface ManagementWriteParts extends ManagementParts {
  readonly write: Store['write'];
}

/** Where a request is: what its address names, once it is certain that it exists and the caller may act there. */
export interface Place {
  readonly subscriptionId: string;
  /** The group's own spelling. */
  readonly group: string;
}

export interface ArmReads {
  readonly read: Reader;
  readonly clock: Clock;
  readonly urls: Urls;
  readonly tenantId: string;
  readonly hsms: HsmPort;
  readonly caller: Caller;
  readonly place: Place;
  /** As the request gave it; the addresses that are answered repeat it. */
  readonly apiVersion: string;
}

/** The world of an operation behind a sign-in that changes something. */
export interface ArmWrites extends ArmReads {
  readonly caller: SignedIn;
  readonly write: Store['write'];
}
