// Whether records can be kept now, in memory that all threads share: the thread that writes them closes the gate, the doors look at it.

import { auditUnavailable } from '../core/audit.ts';

const STATE = 0;
const TURNED_AWAY = 1;
const OPEN = 0;
const CLOSED = 1;

export class Gate {
  readonly #cells: Int32Array;

  constructor(shared: SharedArrayBuffer) {
    this.#cells = new Int32Array(shared);
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(8);
  }

  get isOpen(): boolean {
    return Atomics.load(this.#cells, STATE) === OPEN;
  }

  open(): void {
    Atomics.store(this.#cells, STATE, OPEN);
  }

  close(): void {
    Atomics.store(this.#cells, STATE, CLOSED);
  }

  /** Throws auditUnavailable while the gate is closed, and counts who was turned away. */
  prove(): void {
    if (this.isOpen) return;
    Atomics.add(this.#cells, TURNED_AWAY, 1);
    throw auditUnavailable();
  }

  /** How many were turned away since this was last asked. */
  takeTurnedAway(): number {
    return Atomics.exchange(this.#cells, TURNED_AWAY, 0);
  }
}
