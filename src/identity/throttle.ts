// Slows down guessing: so many failures for one name from one place, and from one place, then a pause. A name that is guessed at from many places is
// guessed at slowly by each of them, and its owner still gets in: one try from wherever they are, and no fewer than before from where they have been.
// Kept in memory of fixed size, on the main thread, where all sign-ins are checked.

import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { networkOf } from '../core/addresses.ts';
import type { Clock } from '../core/clock.ts';
import { tooManyAttempts } from '../core/errors-oauth.ts';
import { fairGate } from './fair-gate.ts';

const WINDOW = 60_000;
const REMEMBERED = 20_000;

/** Failures allowed within a minute. */
const LIMITS = {
  /** One name from one place. */
  pair: 10,
  /** One name from one place, while the name is being guessed at from many. */
  pairUnderAttack: 1,
  /** One place: an IPv4 address, or the /64 that one IPv6 customer has at least. */
  place: 60,
  /** The /48 around it. */
  site: 240,
} as const;

/** Failures for one name, from everywhere, that say it is being guessed at. */
const ATTACK = 60;

/** A check takes most of a tenth of a second of a core, and there are four threads for that, which others need too. */
const GATE = { atOnce: 2, waitingEach: 64, waitingAll: 1024 };

interface Count {
  readonly until: number;
  failures: number;
}

/**
 * Lets `address` try to be `name`: `check` throws when it is not, and that is counted. Throws AADSTS50053 instead of asking when there were too
 * many failures, or too many wait. `signed`: a signature is checked, which nobody guesses and which may wait for another machine; so it takes no turn.
 */
export type Throttle = <Result>(
  name: string,
  address: string,
  check: () => Promise<Result>,
  proof?: 'guessable' | 'signed',
) => Promise<Result>;

/** Counts what strangers have written down for them. Throws AADSTS50053 when a place has had its share of this minute. */
export type Quota = (address: string) => void;

export function newQuota(clock: Clock, perMinute: number): Quota {
  const counts = new LRUCache<string, { readonly until: number; used: number }>({ max: REMEMBERED });
  return (address) => {
    const { place } = neighbourhood(address);
    const known = counts.get(place);
    const count = known !== undefined && known.until > clock.now() ? known : { until: clock.now() + WINDOW, used: 0 };
    if (count.used >= perMinute) throw tooManyAttempts(Math.max(1, Math.ceil((count.until - clock.now()) / 1000)));
    count.used += 1;
    counts.set(place, count);
  };
}

export function newThrottle(clock: Clock): Throttle {
  const counts = new LRUCache<string, Count>({ max: REMEMBERED });
  // Where a name has signed in before, strangers elsewhere who fail with that name change nothing.
  const familiar = new LRUCache<string, true>({ max: REMEMBERED });
  const gate = fairGate(GATE, () => tooManyAttempts(1));

  function countOf(key: string): Count {
    const known = counts.get(key);
    if (known !== undefined && known.until > clock.now()) return known;
    const fresh = { until: clock.now() + WINDOW, failures: 0 };
    counts.set(key, fresh);
    return fresh;
  }

  return async (name, address, check, proof = 'guessable') => {
    const { place, site } = neighbourhood(address);
    // Whatever was typed as a name, what is kept of it has one size.
    const asked = hash('sha256', name.toLowerCase(), 'base64url');
    const pair = `${asked} ${place}`;
    const leave = proof === 'signed' ? () => undefined : await gate.enter(place);
    try {
      const ofName = countOf(`name ${asked}`);
      const isAttacked = ofName.failures >= ATTACK && !familiar.has(pair);
      const rows: readonly (readonly [Count, number])[] = [
        [countOf(`pair ${pair}`), isAttacked ? LIMITS.pairUnderAttack : LIMITS.pair],
        [countOf(`place ${place}`), LIMITS.place],
        [countOf(`site ${site}`), LIMITS.site],
      ];
      const full = rows.find(([{ failures }, limit]) => failures >= limit)?.[0];
      if (full !== undefined) throw tooManyAttempts(Math.max(1, Math.ceil((full.until - clock.now()) / 1000)));
      return await counted(check, [ofName, ...rows.map(([count]) => count)], () => familiar.set(pair, true));
    } finally {
      leave();
    }
  };
}

async function counted<Result>(check: () => Promise<Result>, counts: readonly Count[], succeeded: () => unknown): Promise<Result> {
  try {
    const result = await check();
    succeeded();
    return result;
  } catch (cause) {
    for (const count of counts) count.failures += 1;
    throw cause;
  }
}

/** An address that cannot be read is a place by itself; an IPv4 address is its own site. */
function neighbourhood(address: string): { readonly place: string; readonly site: string } {
  const place = networkOf(address, 64) ?? hash('sha256', address, 'base64url');
  return { place, site: networkOf(address, 48) ?? place };
}
