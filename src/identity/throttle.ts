// Slows down guessing: so many failures for one name from one address, for one name, and from one address; then a pause.
// An attempt that is under way counts as a failure until it ends, so parallel guesses gain nothing; those beyond the limit wait for it, so that
// many right sign-ins at once all succeed. Kept in memory, on the main thread.

import { LRUCache } from 'lru-cache';
import type { Clock } from '../core/clock.ts';
import { tooManyAttempts } from '../core/errors-oauth.ts';

const WINDOW = 60_000;
const REMEMBERED = 20_000;

/** Failures allowed within a minute. */
const LIMITS = { pair: 10, name: 60, address: 60 } as const;

interface Count {
  readonly limit: number;
  readonly until: number;
  failures: number;
  running: number;
}

/**
 * Lets `address` try to be `name`: `check` throws when it is not, and that is counted. Throws AADSTS50053 instead of asking when there were too
 * many failures.
 */
export type Throttle = <Result>(name: string, address: string, check: () => Promise<Result>) => Promise<Result>;

export function newThrottle(clock: Clock): Throttle {
  const counts = new LRUCache<string, Count>({ max: REMEMBERED });
  // Where a name has signed in before, strangers elsewhere who fail with that name do not lock it out.
  const familiar = new LRUCache<string, true>({ max: REMEMBERED });
  let waiting: (() => void)[] = [];

  function countOf(key: string, limit: number): Count {
    const known = counts.get(key);
    if (known !== undefined && known.until > clock.now()) return known;
    const fresh = { limit, until: clock.now() + WINDOW, failures: 0, running: 0 };
    counts.set(key, fresh);
    return fresh;
  }

  function countsOf(name: string, pair: string, address: string): readonly Count[] {
    const own = [countOf(`pair ${pair}`, LIMITS.pair), countOf(`address ${address}`, LIMITS.address)];
    return familiar.has(pair) ? own : [...own, countOf(`name ${name}`, LIMITS.name)];
  }

  /** Resolves with the counts once there is room for another attempt. */
  async function admitted(name: string, pair: string, address: string): Promise<readonly Count[]> {
    for (;;) {
      const rows = countsOf(name, pair, address);
      const full = rows.find(({ failures, limit }) => failures >= limit);
      if (full !== undefined) throw tooManyAttempts(Math.max(1, Math.ceil((full.until - clock.now()) / 1000)));
      if (rows.every(({ failures, running, limit }) => failures + running < limit)) return rows;
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
  }

  return async (name, address, check) => {
    const asked = name.toLowerCase();
    const pair = `${asked} ${address}`;
    const rows = await admitted(asked, pair, address);
    for (const count of rows) count.running++;
    try {
      const result = await check();
      familiar.set(pair, true);
      return result;
    } catch (cause) {
      for (const count of rows) count.failures++;
      throw cause;
    } finally {
      for (const count of rows) count.running--;
      const resume = waiting;
      waiting = [];
      for (const go of resume) go();
    }
  };
}
