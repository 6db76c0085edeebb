// Slows down guessing: so many failures for one name from one place, and from one place, then a pause. A name that is guessed at from many places is
// guessed at slowly by each of them, and its owner still gets in: one try from wherever they are, and no fewer than before from where they have been.
// Kept in memory of fixed size, on the main thread, where all sign-ins are checked; where several nodes may answer, failures count in the store too.

import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { networkOf } from '../core/addresses.ts';
import type { Clock } from '../core/clock.ts';
import { tooManyAttempts } from '../core/errors-oauth.ts';
import { Failure } from '../core/failure.ts';
import { fairGate } from './fair-gate.ts';
import { type Minute, type SharedFailures, WINDOW } from './shared-failures.ts';

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

/** `shared`: where other nodes answer too. What it cannot say, this node's own count does. */
export function newThrottle(clock: Clock, shared?: SharedFailures): Throttle {
  const counts = new LRUCache<string, Count>({ max: REMEMBERED });
  // Where a name has signed in before, strangers elsewhere who fail with that name change nothing.
  const familiar = new LRUCache<string, true>({ max: REMEMBERED });
  const gate = fairGate(GATE, () => tooManyAttempts(1));
  /** Places whose last failure other nodes do not know yet. */
  const untold = new Map<string, Promise<void>>();

  function countOf(key: string): Count {
    const known = counts.get(key);
    if (known !== undefined && known.until > clock.now()) return known;
    const fresh = { until: clock.now() + WINDOW, failures: 0 };
    counts.set(key, fresh);
    return fresh;
  }

  /** One from each place at a time; the next when everybody knows how the last one ended. So each node more is one try more, at most. */
  async function turnOf(place: string): Promise<() => void> {
    for (;;) {
      const leave = await gate.enter(place);
      const telling = untold.get(place);
      if (telling === undefined) return leave;
      leave();
      await telling;
    }
  }

  function tell(together: SharedFailures, place: string, keys: readonly string[]): void {
    untold.set(
      place,
      together.add(keys).finally(() => untold.delete(place)),
    );
  }

  /** Throws when too many of them were wrong, here or on all nodes together. */
  function refuseTooMany({ name, pair, places }: Counted, everywhere: ReadonlyMap<string, Minute>): void {
    const most = (key: string): Minute => {
      const [here, there] = [countOf(key), everywhere.get(key)];
      return there !== undefined && there.failures > here.failures ? there : here;
    };
    const isAttacked = most(name).failures >= ATTACK && !familiar.has(pair);
    const limits = [isAttacked ? LIMITS.pairUnderAttack : LIMITS.pair, LIMITS.place, LIMITS.site];
    const full = [pair, ...places].map(most).find(({ failures }, i) => failures >= (limits[i] ?? 0));
    if (full !== undefined) throw tooManyAttempts(Math.max(1, Math.ceil((full.until - clock.now()) / 1000)));
  }

  async function attempt<Result>(counted: Counted, check: () => Promise<Result>, together: SharedFailures | undefined): Promise<Result> {
    const { name, pair, places } = counted;
    const keys = [name, pair, ...places];
    refuseTooMany(counted, (await together?.of(keys)) ?? NOTHING);
    try {
      const result = await check();
      familiar.set(pair, true);
      return result;
    } catch (cause) {
      // What could not be looked at was not wrong.
      if (cause instanceof Failure && cause.status >= 500) throw cause;
      for (const key of keys) countOf(key).failures += 1;
      if (together !== undefined) tell(together, counted.place, keys);
      throw cause;
    }
  }

  return async (typed, address, check, proof = 'guessable') => {
    const { place, site } = neighbourhood(address);
    // Whatever was typed as a name, what is kept of it has one size.
    const asked = hash('sha256', typed.toLowerCase(), 'base64url');
    const places = site === place ? [`place ${place}`] : [`place ${place}`, `site ${site}`];
    const counted = { name: `name ${asked}`, pair: `pair ${asked} ${place}`, place, places };
    if (proof === 'signed') return attempt(counted, check, undefined);
    const leave = await turnOf(place);
    try {
      return await attempt(counted, check, shared);
    } finally {
      leave();
      await untold.get(place);
    }
  };
}

const NOTHING: ReadonlyMap<string, Minute> = new Map();

/** What a failure counts for. */
interface Counted {
  readonly name: string;
  readonly pair: string;
  readonly place: string;
  /** The place, and the site around it where that is another. */
  readonly places: readonly string[];
}

/** An address that cannot be read is a place by itself; an IPv4 address is its own site. */
function neighbourhood(address: string): { readonly place: string; readonly site: string } {
  const place = networkOf(address, 64) ?? hash('sha256', address, 'base64url');
  return { place, site: networkOf(address, 48) ?? place };
}
