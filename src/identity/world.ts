// What the login room is built from, and the proven things that its operations work with.

import type { AboutWhom } from '../core/audit.ts';
import type { Clock } from '../core/clock.ts';
import type { Versions } from '../core/coherence.ts';
import type { Urls } from '../core/urls.ts';
import type { CryptoModule } from '../crypto/module.ts';
import type { Reader, Store } from '../store/store.ts';
import type { OutsideIssuers } from './issuers/outside-token.ts';
import type { SharedFailures } from './shared-failures.ts';
import type { CurrentKey } from './signing-keys.ts';
import type { Tenant } from './tenant.ts';
import type { Quota, Throttle } from './throttle.ts';

/** The two safes that this room needs: one for what the service itself must read back, and randomness. */
export type Secrets = Pick<CryptoModule, 'sealSecret' | 'openSecret' | 'randomBytes'>;

/** What opening the tenant needs: it comes before the rooms, and makes the tenant id. */
export interface TenantParts {
  readonly read: Reader;
  readonly write: Store['write'];
  readonly crypto: Secrets;
  readonly clock: Clock;
  readonly urls: Urls;
  readonly versions: Versions;
}

/** `write` is there on the main thread alone. */
export interface IdentityParts extends Omit<TenantParts, 'write'> {
  readonly write: Store['write'] | undefined;
  readonly tenantId: string;
  readonly outside: OutsideIssuers;
  /** Left out where no other node answers. */
  readonly failures?: SharedFailures | undefined;
  /** Left out where nothing is recorded. */
  readonly about?: AboutWhom | undefined;
}

/** The world of an operation that reads: discovery documents, keys, pages. */
export interface IdentityReads {
  readonly read: Reader;
  readonly crypto: Secrets;
  readonly clock: Clock;
  readonly urls: Urls;
  /** The tenant that the path names, in the shape in which it was asked for. */
  readonly tenant: Tenant;
  readonly outside: OutsideIssuers;
}

/** The world of an operation that checks credentials or makes tokens. */
export interface IdentityWrites extends IdentityReads {
  readonly write: Store['write'];
  readonly throttle: Throttle;
  /** Everybody may begin a sign-in on another device, so there is a limit to how many. */
  readonly deviceCodes: Quota;
  readonly currentKey: CurrentKey;
  /** For the record: whose sign-in this is, also when it fails. */
  readonly about: AboutWhom;
}
