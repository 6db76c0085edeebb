// What the resource manager is built from, and what its operations work with.

import type { Caller, SignedIn } from '../core/caller.ts';
import type { Clock } from '../core/clock.ts';
import type { Versions } from '../core/coherence.ts';
import type { Urls } from '../core/urls.ts';
import type { Reader, Store } from '../store/store.ts';
import type { HsmPort } from './hsm-port.ts';
import type { IdentityPort } from './identity-port.ts';

/** Where the nodes are that may answer now; null: a node that serves every HSM. */
export type NodeRegions = (read: Reader) => Promise<readonly (string | null)[]>;

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

/** What the room asks of the directory besides. */
export interface ManagementRoomParts extends ManagementParts {
  readonly nodeRegions: NodeRegions;
  readonly identities: IdentityPort;
  /** The groups that an object of the directory is in, directly or through other groups: object ids. */
  readonly groupsOf: (objectId: string) => Promise<readonly string[]>;
}

export interface ManagementWriteParts extends ManagementParts {
  readonly write: Store['write'];
}

/** Where a request is: what its address names, once it is certain that it exists and the caller may act there. */
export interface Place {
  readonly subscriptionId: string;
  /** The group's own spelling. */
  readonly group: string;
  /** The id of what the address names: a subscription, a group, an HSM. Empty outside of any subscription. */
  readonly scope: string;
}

export interface ArmReads {
  readonly read: Reader;
  readonly clock: Clock;
  readonly urls: Urls;
  readonly tenantId: string;
  readonly hsms: HsmPort;
  readonly nodeRegions: NodeRegions;
  readonly identities: IdentityPort;
  readonly groupsOf: ManagementRoomParts['groupsOf'];
  readonly caller: Caller;
  /** Whether the caller may do what the row asks for at this scope: what a list shows, and what it leaves out. */
  readonly sees: (scope: string) => boolean;
  readonly place: Place;
  /** As the request gave it; the addresses that are answered repeat it. */
  readonly apiVersion: string;
}

/** The world of an operation behind a sign-in that changes something. Each job of `write` begins by proving that the caller still may. */
export interface ArmWrites extends ArmReads {
  readonly caller: SignedIn;
  readonly write: Store['write'];
  /** Throws AuthorizationFailed unless the caller may do something else too, elsewhere: assign an identity, say. */
  readonly authorise: (action: string, scope: string) => void;
}
