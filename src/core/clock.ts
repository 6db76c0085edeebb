// The only place that reads the time. Threads of one process share one clock, so that a test can move it for all of them at once, and so that nodes of one
// store go by the same time, whatever happens to the clock of one of their machines.

export interface Clock {
  /** Milliseconds since 1970-01-01 UTC. */
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };

/** Milliseconds in shared memory: by how much a test is ahead; and, where another clock is followed, when `steady` was 0 by that. */
const AHEAD = 0;
const BEGAN = 1;

export function newClockOffset(): SharedArrayBuffer {
  return new SharedArrayBuffer(16);
}

/** The time for everything that the service decides. */
export function sharedClock(offset: SharedArrayBuffer): Clock {
  const shared = new BigInt64Array(offset);
  const real = realClock(offset);
  return { now: () => real.now() + Number(Atomics.load(shared, AHEAD)) };
}

/** The same without what a test is ahead: for certificates, which clients that no test moves have to take. */
export function realClock(offset: SharedArrayBuffer): Clock {
  const shared = new BigInt64Array(offset);
  return {
    now: () => {
      const began = Number(Atomics.load(shared, BEGAN));
      return began === 0 ? Date.now() : Math.floor(began + steady());
    },
  };
}

export function advanceClock(offset: SharedArrayBuffer, milliseconds: number): void {
  Atomics.add(new BigInt64Array(offset), AHEAD, BigInt(Math.round(milliseconds)));
}

/** Milliseconds of a clock that nobody sets, the same in all threads. */
export function steady(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

/**
 * From now on the time is another clock's, which said `now` between two moments of `steady`; between two calls of this it is counted, and the machine's time of
 * day is not asked. What was known already stays as it is where that fits: an answer that took long does not make the time jump.
 */
export function followClock(offset: SharedArrayBuffer, now: number, [from, until]: readonly [number, number]): void {
  const shared = new BigInt64Array(offset);
  const began = Number(Atomics.load(shared, BEGAN));
  // A millisecond for what both were rounded by.
  const [least, most] = [Math.floor(now - until) - 1, Math.ceil(now - from) + 1];
  if (began < least || began > most) Atomics.store(shared, BEGAN, BigInt(Math.round((least + most) / 2)));
}

/** Unix seconds, as the data plane writes every date. */
export function seconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1000);
}
