// From where an HSM may be called. The resource manager keeps what clients set and the data plane enforces it: both decide with this one function.

import { rangesOf } from './addresses.ts';

export interface NetworkRules {
  /** Without it nobody may call over the network, whatever the other rules say. */
  readonly publicAccess: boolean;
  /** What happens to an address that is in no range. */
  readonly defaultAction: 'Allow' | 'Deny';
  /** Addresses and ranges in CIDR notation, checked. */
  readonly ranges: readonly string[];
}

export const OPEN_TO_ALL: NetworkRules = { publicAccess: true, defaultAction: 'Allow', ranges: [] };

/** The rules as one question: whether a call from this address is let in. */
export function admission({ publicAccess, defaultAction, ranges }: NetworkRules): (address: string) => boolean {
  if (!publicAccess) return () => false;
  if (defaultAction === 'Allow') return () => true;
  return rangesOf(ranges).has;
}
