// When threads may read from a replica, in memory that they share. Knows no server.

import { monotonic, type Versions } from '../core/coherence.ts';

const OPEN = 0;
const EPOCH = 1;
const UNTIL = 2;
const COMMITS = 3;

/** Whether threads may read from the replica, in memory that they share. */
export class ReplicaGate {
  readonly #shared: Int32Array;

  constructor(shared: SharedArrayBuffer) {
    this.#shared = new Int32Array(shared);
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(4 * 4);
  }

  /** Until that moment, and only as long as nothing is heard of, nor committed here, behind this epoch and number of commits of `Versions`. */
  open({ epoch, commits }: Pick<Versions, 'epoch' | 'commits'>, until: number): void {
    Atomics.store(this.#shared, OPEN, 0);
    Atomics.store(this.#shared, EPOCH, epoch);
    Atomics.store(this.#shared, COMMITS, commits);
    Atomics.store(this.#shared, UNTIL, until | 0);
    Atomics.store(this.#shared, OPEN, 1);
  }

  mayRead(versions: Versions): boolean {
    // A machine that slept knows by the day's clock that it has not heard for too long.
    if (!versions.areCurrent || Atomics.load(this.#shared, OPEN) === 0 || Atomics.load(this.#shared, EPOCH) !== versions.epoch)
      return false;
    if (Atomics.load(this.#shared, COMMITS) !== versions.commits) return false;
    return ((Atomics.load(this.#shared, UNTIL) - monotonic()) | 0) > 0;
  }
}
