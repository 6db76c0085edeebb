// What the thread that writes records tells all others, in memory that they share: whether records can be kept now, and how far the chain is sure.

import { auditUnavailable } from '../core/audit.ts';

const STATE = 0;
const TURNED_AWAY = 1;
const OPEN = 0;
const CLOSED = 1;

/** One 64-bit cell, so that nobody sees half of a change: the segment above 32 bits of position. */
const END = 1;
const POSITION_BITS = 32n;

export class Gate {
  readonly #cells: Int32Array;
  readonly #wide: BigInt64Array;

  constructor(shared: SharedArrayBuffer) {
    this.#cells = new Int32Array(shared);
    this.#wide = new BigInt64Array(shared);
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(16);
  }

  /** Up to which byte of which segment the chain is on disk and stays as it is. */
  get end(): { readonly segment: number; readonly position: number } {
    const packed = Atomics.load(this.#wide, END);
    return { segment: Number(packed >> POSITION_BITS), position: Number(BigInt.asUintN(32, packed)) };
  }

  reach(segment: number, position: number): void {
    Atomics.store(this.#wide, END, (BigInt(segment) << POSITION_BITS) | BigInt(position));
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
