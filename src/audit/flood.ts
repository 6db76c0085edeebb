// Whoever is not known can be refused as often as they like, and each refusal has a record: enough of them would fill the disk, and a full disk stops
// everybody. So each address has so many records of such refusals in a minute, and behind them one that counts the rest.

import type { CallFacts, Outcome } from '../core/audit.ts';

/** Records of refusals of unknown callers from one address, in one minute and one thread. */
export const EACH_MINUTE = 600;
const MINUTE = 60_000;
/** Addresses that are counted by themselves; all others share one count. */
const MOST_ADDRESSES = 5000;
const OTHERS = 'others';

interface Counted {
  since: number;
  count: number;
}

/** What was left out. */
export interface Repeated {
  readonly address: string;
  readonly refusals: number;
  readonly since: string;
}

export interface Flood {
  /** Whether this outcome has a record of its own. */
  admits(facts: Pick<CallFacts, 'caller' | 'address' | 'time'>, outcome: Pick<Outcome, 'status'>): boolean;
  /** What was left out in minutes that are over at this time, once. */
  take(now: number): readonly Repeated[];
}

export function openFlood(): Flood {
  const counts = new Map<string, Counted>();

  function keyFor(network: string): string {
    return counts.has(network) || counts.size < MOST_ADDRESSES ? network : OTHERS;
  }

  return {
    admits({ caller, address, time }, { status }) {
      if (caller.kind !== 'anonymous' || status < 400) return true;
      const key = keyFor(networkOf(address));
      const counted = counts.get(key) ?? { since: time, count: 0 };
      counts.set(key, counted);
      counted.count += 1;
      return counted.count <= EACH_MINUTE;
    },
    take(now) {
      const left: Repeated[] = [];
      for (const [address, { since, count }] of counts) {
        if (now - since < MINUTE) continue;
        counts.delete(address);
        if (count > EACH_MINUTE) left.push({ address, refusals: count - EACH_MINUTE, since: new Date(since).toISOString() });
      }
      return left;
    },
  };
}

/** One host has a whole IPv6 /64 to itself. */
function networkOf(address: string): string {
  if (!address.includes(':')) return address;
  const [head = ''] = address.split('::');
  return `${head.split(':').slice(0, 4).join(':')}::/64`;
}
