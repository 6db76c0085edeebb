// How a cache in one thread learns of a commit in another: a fixed table of counters in shared memory.
// A commit raises the counters of the tags it touched, before its answer leaves; a cached value is good while the counter
// that was read *before* the value was loaded has not moved. Two tags may share a counter; that costs a reload, never a stale answer.

import { LRUCache } from 'lru-cache';

/** What a commit touched, for example `hsm:{id}`, `access:{id}`, `key:{id}/{name}`, `principal:{id}`. */
export type Tag = string;

const SLOTS = 4096;
/** Behind the counters: whether the caches are held at all, and until when. */
const HELD = SLOTS;
const UNTIL = SLOTS + 1;
/** Goes up with every touch of any tag. */
const EPOCH = SLOTS + 2;

/** Milliseconds of a clock that all threads share and nobody sets, as a number of 32 bits that wraps around. */
export function monotonic(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return (seconds * 1000 + Math.floor(nanoseconds / 1e6)) | 0;
}

export class Versions {
  readonly #counters: Int32Array;

  constructor(shared: SharedArrayBuffer) {
    this.#counters = new Int32Array(shared);
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer((SLOTS + 3) * 4);
  }

  of(tag: Tag): number {
    return Atomics.load(this.#counters, slot(tag));
  }

  /** Where all commits have come to: while it stays the same, so does everything that was read after it. */
  get epoch(): number {
    return Atomics.load(this.#counters, EPOCH);
  }

  touch(tag: Tag): void {
    Atomics.add(this.#counters, slot(tag), 1);
    Atomics.add(this.#counters, EPOCH, 1);
  }

  /** It is not known what was changed. */
  touchAll(): void {
    for (let i = 0; i < SLOTS; i += 1) Atomics.add(this.#counters, i, 1);
    Atomics.add(this.#counters, EPOCH, 1);
  }

  /**
   * Where others change the same store: what is cached may be served until this moment of `monotonic`, and no longer unless this is called again. A service
   * that is alone with its store never calls it, and is not held to anything.
   */
  holdUntil(moment: number): void {
    Atomics.store(this.#counters, UNTIL, moment | 0);
    Atomics.store(this.#counters, HELD, 1);
  }

  /** Whether caches may be served now. */
  get areCurrent(): boolean {
    return Atomics.load(this.#counters, HELD) === 0 || ((Atomics.load(this.#counters, UNTIL) - monotonic()) | 0) > 0;
  }
}

function slot(tag: Tag): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < tag.length; i++) hash = Math.imul(hash ^ tag.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % SLOTS;
}

interface Entry<Value> {
  readonly value: Value;
  readonly version: number;
}

/** A bounded, least-recently-used cache whose entries die with the commit that touched their tag. */
export class CoherentCache<Value> {
  readonly #entries: LRUCache<string, Entry<Value>>;
  readonly #versions: Versions;

  constructor(versions: Versions, options: { max: number; dispose?: (value: Value) => void }) {
    this.#versions = versions;
    const { dispose } = options;
    this.#entries = new LRUCache({ max: options.max, ...(dispose ? { dispose: (entry) => dispose(entry.value) } : {}) });
  }

  /** The cached value, if no commit has touched its tag since it was loaded. */
  peek(key: string, tag: Tag): Value | undefined {
    const entry = this.#entries.get(key);
    // What was kept may still be right when this node hears again, so it stays.
    if (entry === undefined || !this.#versions.areCurrent) return undefined;
    if (entry.version === this.#versions.of(tag)) return entry.value;
    this.#entries.delete(key);
    return undefined;
  }

  /** The cached value, or the loaded one. The tag's counter is read before the load, so that a commit in between is not missed. */
  async get(key: string, tag: Tag, load: () => Promise<Value>): Promise<Value> {
    const cached = this.peek(key, tag);
    if (cached !== undefined) return cached;
    const version = this.#versions.of(tag);
    const value = await load();
    this.#entries.set(key, { value, version });
    return value;
  }

  /** Drops one entry at once, so that what it holds (a native key, say) does not wait for the next look-up. */
  drop(key: string): void {
    this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }
}
