// The proven things that a data-plane operation works with. Only pool.ts makes an HSM value, and only for an HSM in that state.

import type { ReadRecords } from '../core/audit.ts';
import type { SignedIn } from '../core/caller.ts';
import type { Clock } from '../core/clock.ts';
import type { Versions } from '../core/coherence.ts';
import type { IssuerKeys } from '../core/issuer-keys.ts';
import type { Urls } from '../core/urls.ts';
import type { CryptoModule } from '../crypto/module.ts';
import type { DomainAtRest } from '../crypto/types.ts';
import type { Reader, Store } from '../store/store.ts';
import type { BackupSettings } from './backup/place.ts';
import type { Signers } from './evidence/signers.ts';
import type { KeyCache } from './keys/cache.ts';

/** What the room is built from. `write` is there on the main thread alone. */
export interface HsmParts {
  readonly read: Reader;
  readonly write: Store['write'] | undefined;
  readonly crypto: CryptoModule;
  readonly clock: Clock;
  readonly urls: Urls;
  readonly versions: Versions;
  /** Where this node is; undefined: it serves every HSM. */
  readonly region?: string | undefined;
  /** The audit record; left out when none is kept. */
  readonly records?: ReadRecords | undefined;
  /** On the main thread alone. */
  readonly backups?: Backups | undefined;
}

/** Who does the jobs of backup and restore. */
export interface Backups {
  readonly settings: BackupSettings;
  /** Begins to work on a job that was written down; how it ends stands in its row. */
  start(jobId: string): void;
}

/** What the room asks of the directory besides. */
export interface HsmRoomParts extends HsmParts {
  /** The groups that an object of the directory is in, directly or through other groups: object ids. */
  readonly groupsOf: (objectId: string) => Promise<readonly string[]>;
  /** The keys of attestation authorities. */
  readonly issuerKeys: IssuerKeys;
  /** What an HSM signs before others. */
  readonly signers: Signers;
}

/** What has a schedule or changes states, on the main thread. */
export interface HsmWriteParts extends HsmParts {
  readonly write: Store['write'];
}

interface HsmFacts {
  readonly id: string;
  /** As it was created, `ContosoMHSM`. */
  readonly name: string;
  /** `https://contosomhsm.managedhsm.localhost:8443`, no slash at the end. */
  readonly origin: string;
  /** Its location. */
  readonly region: string;
  /** That it was extended to. */
  readonly otherRegions: readonly string[];
  /** Days that a deleted key is kept. */
  readonly retentionDays: number;
  readonly purgeProtection: boolean;
  readonly domainId: string;
  readonly domain: DomainAtRest;
  /** Whether its network rules let a call from this address in. */
  readonly admits: (address: string) => boolean;
}

export interface ActiveHsm extends HsmFacts {
  readonly state: 'active';
}

/** Before its security domain has been downloaded, while the download is being confirmed, or while a backup replaces what it holds. */
export interface InactiveHsm extends HsmFacts {
  readonly state: 'not-activated' | 'confirming' | 'restoring';
  /** Its last download was cut off before it was confirmed: the service ended. */
  readonly interrupted: boolean;
}

export type Hsm = ActiveHsm | InactiveHsm;

/** The world of an operation that answers whatever the HSM's state. */
export interface HsmReads {
  readonly hsm: Hsm;
  readonly caller: SignedIn;
  readonly read: Reader;
  readonly crypto: CryptoModule;
  readonly clock: Clock;
  readonly records: ReadRecords | undefined;
}

export interface HsmWrites extends HsmReads {
  readonly write: Store['write'];
}

/** The world of an operation that reads or uses keys. */
export interface ActiveReads extends HsmReads {
  readonly hsm: ActiveHsm;
  readonly keys: KeyCache;
  readonly groupsOf: HsmRoomParts['groupsOf'];
  /** Proves all of this anew, for an operation that waited for somebody outside. */
  readonly again: () => Promise<ActiveReads>;
  readonly issuerKeys: IssuerKeys;
  readonly signers: Signers;
}

/**
 * The world of an operation that changes something. Each job of `write` begins by proving that the HSM is still there and active, and that the caller
 * still may.
 */
export interface ActiveWrites extends ActiveReads {
  readonly write: Store['write'];
  readonly backups: Backups;
}
