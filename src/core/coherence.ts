// How a cache in one thread learns of a commit in another: a fixed table of counters in shared memory.
// A commit raises the counters of the tags it touched, before its answer leaves; a cached value is good while the counter
// that was read *before* the value was loaded has not moved. Two tags may share a counter; that costs a reload, never a stale answer.

import { AsyncLocalStorage } from 'node:async_hooks';
import { LRUCache } from 'lru-cache';
import { systemClock } from './clock.ts';
import { Failure } from './failure.ts';

/** What a commit touched, for example `hsm:{id}`, `access:{id}`, `key:{id}/{name}`, `principal:{id}`. */
export type Tag = string;

const SLOTS = 4096;
/** Behind the counters: whether the caches are held at all (and whether for good), and until when. */
const HELD = SLOTS;
const FREE = 0;
const TIMED = 1;
const SHUT = 2;
const UNTIL = SLOTS + 1;
/** Goes up with every touch of any tag. */
const EPOCH = SLOTS + 2;
const UNTIL_BY_DAY = SLOTS + 3;
/** Goes up with every commit of this process, whatever it touched, or nothing. */
const COMMITS = SLOTS + 4;

/** Milliseconds of a clock that all threads share and nobody sets, as a number of 32 bits that wraps around. */
export function monotonic(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return (seconds * 1000 + Math.floor(nanoseconds / 1e6)) | 0;
}

/** Set for what may be answered from what was known when the store was last heard of. */
const degraded = new AsyncLocalStorage<true>();

export class Versions {
  readonly #counters: Int32Array;
  readonly #degradedFor: number;

  /** `degradedFor`: milliseconds behind the end of what is current in which `degraded` still serves; the operator's choice. */
  constructor(shared: SharedArrayBuffer, degradedFor = 0) {
    this.#counters = new Int32Array(shared);
    this.#degradedFor = degradedFor;
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer((SLOTS + 5) * 4);
  }

  of(tag: Tag): number {
    return Atomics.load(this.#counters, slot(tag));
  }

  /** Where all commits have come to: while it stays the same, so does everything that was read after it. */
  get epoch(): number {
    return Atomics.load(this.#counters, EPOCH);
  }

  /** How many commits this process has made. */
  get commits(): number {
    return Atomics.load(this.#counters, COMMITS);
  }

  /** Said before the commit is answered. */
  countCommit(): void {
    Atomics.add(this.#counters, COMMITS, 1);
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
    // By the day's clock too: the other one stands still while the machine is asleep.
    Atomics.store(this.#counters, UNTIL_BY_DAY, (systemClock.now() + ((moment - monotonic()) | 0)) | 0);
    Atomics.store(this.#counters, UNTIL, moment | 0);
    Atomics.store(this.#counters, HELD, TIMED);
  }

  /** Nothing that is cached may be served any more. */
  shut(): void {
    Atomics.store(this.#counters, HELD, SHUT);
  }

  /** Whether this node has nothing to decide any more: another run of it, or its end, is in the store. */
  get areShut(): boolean {
    return Atomics.load(this.#counters, HELD) === SHUT;
  }

  /** Whether caches may be served now. */
  get areCurrent(): boolean {
    const held = Atomics.load(this.#counters, HELD);
    return held === FREE || (held === TIMED && this.#overFor < 0);
  }

  /** Whether they are not current, for no longer than the operator allows. */
  get areDegraded(): boolean {
    if (this.#degradedFor === 0 || Atomics.load(this.#counters, HELD) !== TIMED) return false;
    const over = this.#overFor;
    return over >= 0 && over < this.#degradedFor;
  }

  /** Runs the job, and whatever it waits for, with what was cached before: as long as `areDegraded` holds. */
  degraded<Result>(job: () => Result): Result {
    return degraded.run(true, job);
  }

  /** Whether a cache may serve whoever asks now. */
  get mayServe(): boolean {
    return this.areCurrent || (degraded.getStore() === true && this.areDegraded);
  }

  /** Milliseconds since the caches ceased to be current; negative before. */
  get #overFor(): number {
    const over = (monotonic() - Atomics.load(this.#counters, UNTIL)) | 0;
    return Math.max(over, ((systemClock.now() | 0) - Atomics.load(this.#counters, UNTIL_BY_DAY)) | 0);
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

function noPlace(): Failure {
  return new Failure(503, 'ServiceUnavailable', 'This node does not serve any more. Ask another one.', { headers: { 'retry-after': '1' } });
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
    if (entry === undefined || !this.#versions.mayServe) return undefined;
    if (entry.version === this.#versions.of(tag)) return entry.value;
    this.#entries.delete(key);
    return undefined;
  }

  /**
   * The cached value, or the loaded one. The tag's counter is read before the load, so that a commit in between is not missed. Rejects with a 503 where this
   * node is shut out: whoever it was may read as before, and has nothing to say.
   */
  async get(key: string, tag: Tag, load: () => Promise<Value>): Promise<Value> {
    const cached = this.peek(key, tag);
    if (cached !== undefined) return cached;
    if (this.#versions.areShut) throw noPlace();
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
