// The proven things that a data-plane operation works with. Only pool.ts makes an HSM value, and only for an HSM in that state.

import type { Caller } from '../core/caller.ts';
import type { Clock } from '../core/clock.ts';
import type { Versions } from '../core/coherence.ts';
import type { Urls } from '../core/urls.ts';
import type { CryptoModule } from '../crypto/module.ts';
import type { DomainAtRest } from '../crypto/types.ts';
import type { Reader, Store } from '../store/store.ts';
import type { KeyCache } from './keys/cache.ts';

/** What the room is built from. `write` is there on the main thread alone. */
export interface HsmParts {
  readonly read: Reader;
  readonly write: Store['write'] | undefined;
  readonly crypto: CryptoModule;
  readonly clock: Clock;
  readonly urls: Urls;
  readonly versions: Versions;
}

export interface Hsm {
  readonly id: string;
  /** As it was created, `ContosoMHSM`. */
  readonly name: string;
  /** `https://contosomhsm.managedhsm.localhost:8443`, no slash at the end. */
  readonly origin: string;
  readonly region: string;
  /** Days that a deleted key is kept. */
  readonly retentionDays: number;
  readonly purgeProtection: boolean;
  readonly domainId: string;
  readonly domain: DomainAtRest;
}

export interface ActiveHsm extends Hsm {
  readonly state: 'active';
}

/** Before its security domain has been downloaded, or while the download is being confirmed. */
export interface InactiveHsm extends Hsm {
  readonly state: 'not-activated' | 'confirming';
}

/** The world of an operation that reads or uses keys. */
export interface ActiveReads {
  readonly hsm: ActiveHsm;
  readonly caller: Caller;
  readonly read: Reader;
  readonly crypto: CryptoModule;
  readonly clock: Clock;
  readonly keys: KeyCache;
}

/** The world of an operation that changes something. */
export interface ActiveWrites extends ActiveReads {
  readonly write: Store['write'];
}
