// The root key in memory, as all threads of the service share it: two places, so that a new root key opens on every thread before anything is sealed
// under it, and the old one still opens until nothing needs it. One thread changes it; every thread reads it, each time anew.

import { hkdfSync, randomBytes } from 'node:crypto';

export const ROOT_KEY_LENGTH = 32;

// The whole memory: which place is in charge 4 · which places hold a key 4 (one bit each) · two keys of 32 bytes.
const HELD_AT = 1;
const KEYS_AT = 8;
const LENGTH = KEYS_AT + 2 * ROOT_KEY_LENGTH;

export class RootKeys {
  readonly #shared: SharedArrayBuffer;
  readonly #flags: Int32Array;

  /** Over memory that `RootKeys.of` made, here or in another thread. */
  constructor(shared: SharedArrayBuffer) {
    if (shared.byteLength !== LENGTH) throw new RangeError('this is not the memory of root keys');
    this.#shared = shared;
    this.#flags = new Int32Array(shared, 0, 2);
  }

  /** Takes a copy of the key; the caller zeroes its own. */
  static of(key: Uint8Array): RootKeys {
    const keys = new RootKeys(new SharedArrayBuffer(LENGTH));
    keys.#put(0, key);
    return keys;
  }

  /** For another thread, which makes its own view of it. */
  get shared(): SharedArrayBuffer {
    return this.#shared;
  }

  /** What seals now. A view of the shared memory: read it and let it go. Throws after `close`. */
  get current(): Uint8Array {
    const place = this.#inCharge;
    if (!this.#holds(place)) throw new Error('the root key is no longer there');
    return this.#place(place);
  }

  /** What opens: the current key first. Views, as `current`. */
  get accepted(): readonly Uint8Array[] {
    const other = 1 - this.#inCharge;
    return this.#holds(other) ? [this.current, this.#place(other)] : [this.current];
  }

  /** A second key that opens from now on, on every thread. Replaces a second key that was there. */
  accept(key: Uint8Array): void {
    this.#put(1 - this.#inCharge, key);
  }

  /** The second key seals from now on, and the first one becomes the second. */
  change(): void {
    const other = 1 - this.#inCharge;
    if (!this.#holds(other)) throw new Error('there is no second root key to change to');
    Atomics.store(this.#flags, 0, other);
  }

  /** Zeroes the second key. */
  forget(): void {
    this.#clear(1 - this.#inCharge);
  }

  /** Zeroes everything. */
  close(): void {
    this.#clear(0);
    this.#clear(1);
  }

  get #inCharge(): number {
    return Atomics.load(this.#flags, 0);
  }

  #holds(place: number): boolean {
    return (Atomics.load(this.#flags, HELD_AT) & (1 << place)) !== 0;
  }

  #place(place: number): Uint8Array {
    return new Uint8Array(this.#shared, KEYS_AT + place * ROOT_KEY_LENGTH, ROOT_KEY_LENGTH);
  }

  /** The mark comes after the bytes: whoever sees it sees the whole key. */
  #put(place: number, key: Uint8Array): void {
    if (key.length !== ROOT_KEY_LENGTH) throw new RangeError(`a root key has ${ROOT_KEY_LENGTH} bytes`);
    this.#clear(place);
    this.#place(place).set(key);
    Atomics.or(this.#flags, HELD_AT, 1 << place);
  }

  #clear(place: number): void {
    Atomics.and(this.#flags, HELD_AT, ~(1 << place));
    this.#place(place).fill(0);
  }
}

/** 32 random bytes; the caller zeroes them. */
export function newRootKey(): Buffer {
  return randomBytes(ROOT_KEY_LENGTH);
}

/** Names a root key without telling anything about it: 32 hexadecimal digits, kept beside what the key opens. */
export function rootKeyId(key: Uint8Array): string {
  return Buffer.from(hkdfSync('sha256', key, '', 'strongroom root key id', 16)).toString('hex');
}
