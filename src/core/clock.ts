// The only place that reads the time. Threads of one process share one clock, so that a test can move it for all of them at once.

export interface Clock {
  /** Milliseconds since 1970-01-01 UTC. */
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };

/** A clock that runs ahead of the system's by the milliseconds kept in shared memory. */
export function sharedClock(offset: SharedArrayBuffer): Clock {
  const ahead = new BigInt64Array(offset);
  return { now: () => Date.now() + Number(Atomics.load(ahead, 0)) };
}

export function newClockOffset(): SharedArrayBuffer {
  return new SharedArrayBuffer(8);
}

export function advanceClock(offset: SharedArrayBuffer, milliseconds: number): void {
  Atomics.add(new BigInt64Array(offset), 0, BigInt(Math.round(milliseconds)));
}

/** Unix seconds, as the data plane writes every date. */
export function seconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1000);
}
