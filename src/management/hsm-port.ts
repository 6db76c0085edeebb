// What the resource manager asks of the data plane. The two rooms share nothing but this and the id of an HSM.

import type { NetworkRules } from '../core/network-rules.ts';
import type { Reader, Store, Writer } from '../store/store.ts';

export interface NewHsm {
  readonly id: string;
  readonly name: string;
  readonly region: string;
  readonly otherRegions: readonly string[];
  readonly retentionDays: number;
  readonly purgeProtection: boolean;
  readonly administrators: readonly string[];
  readonly network: NetworkRules;
}

export interface ManagerKey {
  readonly name: string;
  readonly version: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly properties: Readonly<Record<string, unknown>>;
}

export interface ManagerKeyPage {
  readonly keys: readonly ManagerKey[];
  readonly next: string | undefined;
}

/** Keys of an HSM that is active and whose setting allows this; all throw otherwise. */
export interface ManagerKeys {
  list(hsmId: string, after: string): Promise<ManagerKeyPage>;
  versions(hsmId: string, name: string, after: string): Promise<ManagerKeyPage>;
  find(hsmId: string, name: string, version: string | undefined): Promise<ManagerKey>;
  createIfAbsent(
    write: Store['write'],
    hsmId: string,
    name: string,
    properties: unknown,
    tags: Readonly<Record<string, string>> | undefined,
  ): Promise<ManagerKey>;
}

/** Each change is one step inside the caller's transaction. */
export interface HsmPort {
  provision(writer: Writer, hsm: NewHsm): Promise<void>;
  update(writer: Writer, id: string, changes: Pick<NewHsm, 'purgeProtection' | 'network' | 'otherRegions'>): Promise<void>;
  softDelete(writer: Writer, id: string): Promise<void>;
  recover(writer: Writer, id: string): Promise<void>;
  purge(writer: Writer, id: string): Promise<void>;
  /** Whether its security domain has been downloaded and confirmed. */
  isActivated(read: Reader, id: string): Promise<boolean>;
  /** Those of these of which that is so. */
  activatedAmong(read: Reader, ids: readonly string[]): Promise<ReadonlySet<string>>;
  readonly keys: ManagerKeys;
}
