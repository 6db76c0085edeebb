// Copies the chain to one sink, in order, from where it left off. The chain on disk is the sink's backlog: a sink that is dead or slow holds nobody up,
// and catches up when it is back.

import type { Clock } from '../core/clock.ts';
import { eventNumberIn, type Piece, type Place, pieceAt } from './chain-reader.ts';
import type { Sink } from './sinks/sink.ts';

export interface FollowerParts {
  readonly sink: Sink;
  readonly folder: string;
  readonly chain: string;
  /** How far the writer is sure of, and the number of its last event. */
  readonly end: () => Place & { readonly sequence: number };
  readonly start: Position;
  /** Keeps how far the sink came. */
  readonly keep: (position: Position) => Promise<void>;
  readonly clock: Clock;
  /** Told when the sink stops taking records, and when it takes them again. */
  readonly changed: (kind: string, problem: string | undefined) => void;
}

/** How far a sink came: a place, and the number of the last event before it. */
export interface Position extends Place {
  readonly sequence: number;
}

/** What operators see of a sink. */
export interface SinkState {
  readonly kind: string;
  /** Events that it has not been given yet. */
  readonly behind: number;
  /** Why it takes none now. */
  readonly problem: string | undefined;
  /** Events that went, their time being over, before it took them. */
  readonly lost: number;
}

const KEEP_EVERY = 1000;
const FIRST_WAIT = 250;
const LONGEST_WAIT = 30_000;
const CLOSE_WITHIN = 2000;

export class Follower {
  readonly #parts: FollowerParts;
  readonly #stopping = Promise.withResolvers<void>();
  #position: Position;
  #keptAt = 0;
  #problem: string | undefined;
  #lost = 0;
  #isStopped = false;
  #isLate = false;
  #wake = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;

  constructor(parts: FollowerParts) {
    this.#parts = parts;
    this.#position = parts.start;
  }

  get state(): SinkState {
    const behind = Math.max(0, this.#parts.end().sequence - this.#position.sequence);
    return { kind: this.#parts.sink.kind, behind, problem: this.#problem, lost: this.#lost };
  }

  begin(): void {
    this.#running ??= this.#run();
  }

  /** There is more. */
  wake(): void {
    this.#wake.resolve();
  }

  /** Gives the sink what it takes without delay; the rest waits for the next start. */
  async close(): Promise<void> {
    this.#isStopped = true;
    this.#stopping.resolve();
    this.#wake.resolve();
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, CLOSE_WITHIN);
    await Promise.race([this.#running, late.promise]);
    clearTimeout(timer);
    this.#isLate = true;
    // What is still under way ends with an error, or is left: it will be delivered again.
    await this.#parts.sink.close();
    await this.#parts.keep(this.#position);
  }

  async #run(): Promise<void> {
    for (;;) {
      this.#wake = Promise.withResolvers();
      const piece = await this.#next();
      if (piece === undefined) {
        if (this.#isStopped) return;
        await this.#wake.promise;
      } else if (this.#isLate || !(await this.#deliver(piece))) return;
    }
  }

  async #next(): Promise<Piece | undefined> {
    const { folder, chain, end } = this.#parts;
    try {
      return await pieceAt(folder, chain, this.#position, end());
    } catch (error) {
      this.#say(`the chain cannot be read: ${wordsOf(error)}`);
      return undefined;
    }
  }

  /** Whether the sink has taken it: not, when the service stops before it does. */
  async #deliver({ lines, next, skipped }: Piece): Promise<boolean> {
    const [first] = lines.map(eventNumberIn).filter((number) => number !== undefined);
    if (skipped > 0 && first !== undefined) this.#lost += Math.max(0, first - this.#position.sequence - 1);
    for (let wait = FIRST_WAIT; ; wait = Math.min(wait * 2, LONGEST_WAIT)) {
      try {
        await this.#parts.sink.deliver(lines);
        break;
      } catch (error) {
        this.#say(wordsOf(error));
        if (this.#isStopped) return false;
        await this.#pause(wait);
        if (this.#isStopped) return false;
      }
    }
    this.#say(undefined);
    this.#position = { ...next, sequence: lines.map(eventNumberIn).findLast((number) => number !== undefined) ?? this.#position.sequence };
    const now = this.#parts.clock.now();
    if (now - this.#keptAt >= KEEP_EVERY) {
      this.#keptAt = now;
      // What is not kept is delivered again after a crash, and that is allowed.
      await this.#parts.keep(this.#position).catch(() => undefined);
    }
    return true;
  }

  async #pause(milliseconds: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, milliseconds);
    await Promise.race([promise, this.#stopping.promise]);
    clearTimeout(timer);
  }

  #say(problem: string | undefined): void {
    if ((problem === undefined) !== (this.#problem === undefined)) this.#parts.changed(this.#parts.sink.kind, problem);
    this.#problem = problem;
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
