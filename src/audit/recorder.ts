// The recorder of one thread: turns calls into lines and hands them over in batches. One batch is on its way to the disk at a time, and the next one
// gathers meanwhile. A sync costs as much as several calls, so a batch waits for as many calls as have lately come at once: a moment at most that the thread has
// nothing to do, or longer while it is busy with those that are still to come.

import type { Recorder } from '../core/audit.ts';
import type { Events } from './event.ts';
import type { Gate } from './gate.ts';

export interface RecorderParts {
  readonly events: Events;
  readonly gate: Gate;
  /** Takes events, a line each, and resolves when they are on disk. */
  readonly hand: (events: readonly string[]) => Promise<unknown>;
}

interface Batch {
  readonly events: string[];
  readonly done: PromiseWithResolvers<void>;
}

/** Milliseconds that a batch waits for calls that do not come, and at most for those that take the thread so long (RSA-4096: 1.5 ms each). */
const LONGEST_WAIT = 1;
const LONGEST_BUSY = 25;
/** Of the time that a batch has waited, the part in which the thread was at work. */
const BUSY = 0.75;
const OVERDUE_EVERY = 10_000;

export function openRecorder({ events, gate, hand }: RecorderParts): Recorder {
  let gathering: Batch | undefined;
  /** Calls whose batch is on its way. */
  let away = 0;
  /** How many calls have lately been waiting at once. */
  let usual = 1;
  let late: NodeJS.Timeout | undefined;

  function add(event: string): Promise<void> {
    if (gathering === undefined) {
      gathering = { events: [], done: Promise.withResolvers() };
      if (away === 0) begin();
    }
    gathering.events.push(event);
    if (away === 0 && gathering.events.length === usual) setImmediate(send);
    return gathering.done.promise;
  }

  /** A batch that nothing stands before: it goes when it is as large as usual, or when its time is over. */
  function begin(): void {
    if (usual === 1) return;
    const began = performance.now();
    const before = performance.eventLoopUtilization();
    const look = (): void => {
      const isBusy = performance.eventLoopUtilization(before).utilization > BUSY;
      if (isBusy && performance.now() - began < LONGEST_BUSY) late = setTimeout(look, LONGEST_WAIT);
      else sendSmaller();
    };
    late = setTimeout(look, LONGEST_WAIT);
  }

  function sendSmaller(): void {
    usual = Math.max(1, gathering?.events.length ?? 1);
    send();
  }

  function send(): void {
    if (gathering === undefined || away > 0) return;
    clearTimeout(late);
    const { events, done } = gathering;
    gathering = undefined;
    away = events.length;
    hand(events).then(
      () => done.resolve(),
      (error: unknown) => done.reject(error),
    );
    done.promise.then(returned, returned);
  }

  function returned(): void {
    const gathered = gathering?.events.length ?? 0;
    usual = Math.max(usual, away + gathered);
    away = 0;
    if (gathered >= usual) setImmediate(send);
    else if (gathered > 0) begin();
  }

  // What was left out for being too much is counted later, and nobody waits for that.
  setInterval(() => {
    const overdue = events.overdue();
    if (overdue.length > 0 && gate.isOpen) hand(overdue).catch(() => undefined);
  }, OVERDUE_EVERY).unref();

  return {
    prove: () => gate.prove(),
    record: (facts, outcome, like) => {
      const event = events.of(facts, outcome, like);
      if (event instanceof Promise) return event.then((text) => (text === undefined ? undefined : add(text)));
      return event === undefined ? Promise.resolve() : add(event);
    },
  };
}
