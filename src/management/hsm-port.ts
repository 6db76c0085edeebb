// What the resource manager asks of the data plane. The two rooms share nothing but this and the id of an HSM.

import type { NetworkRules } from '../core/network-rules.ts';
import type { Reader, Writer } from '../store/store.ts';

export interface NewHsm {
  readonly id: string;
  readonly name: string;
  readonly region: string;
  readonly retentionDays: number;
  readonly purgeProtection: boolean;
  readonly administrators: readonly string[];
  readonly network: NetworkRules;
}

/** Each change is one step inside the caller's transaction. */
export interface HsmPort {
  provision(writer: Writer, hsm: NewHsm): Promise<void>;
  update(writer: Writer, id: string, changes: Pick<NewHsm, 'purgeProtection' | 'network'>): Promise<void>;
  softDelete(writer: Writer, id: string): Promise<void>;
  recover(writer: Writer, id: string): Promise<void>;
  purge(writer: Writer, id: string): Promise<void>;
  /** Whether its security domain has been downloaded and confirmed. */
  isActivated(read: Reader, id: string): Promise<boolean>;
}
