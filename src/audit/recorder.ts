// The recorder of one thread: turns calls into lines and hands them over in batches. While one batch is on its way to the disk the next one
// gathers, so that many records share one message and one sync; a call waits for its batch, and the thread goes on with others.

import type { Recorder } from '../core/audit.ts';
import type { EventOf } from './event.ts';
import type { Gate } from './gate.ts';

export interface RecorderParts {
  readonly eventOf: EventOf;
  readonly gate: Gate;
  /** Takes events, a line each, and resolves when they are on disk. */
  readonly hand: (events: readonly string[]) => Promise<unknown>;
}

interface Batch {
  readonly events: string[];
  readonly done: PromiseWithResolvers<void>;
}

export function openRecorder({ eventOf, gate, hand }: RecorderParts): Recorder {
  let gathering: Batch | undefined;
  let isAway = false;

  function add(event: string): Promise<void> {
    if (gathering === undefined) {
      gathering = { events: [], done: Promise.withResolvers() };
      // At the end of this turn of the loop: requests that arrived together go together.
      if (!isAway) setImmediate(send);
    }
    gathering.events.push(event);
    return gathering.done.promise;
  }

  function send(): void {
    if (gathering === undefined || isAway) return;
    const { events, done } = gathering;
    gathering = undefined;
    isAway = true;
    hand(events).then(
      () => done.resolve(),
      (error: unknown) => done.reject(error),
    );
    done.promise.then(returned, returned);
  }

  function returned(): void {
    isAway = false;
    // The calls that were just answered may bring the next ones in this same turn.
    if (gathering !== undefined) setImmediate(send);
  }

  return {
    prove: () => gate.prove(),
    record: async (facts, outcome) => {
      const event = await eventOf(facts, outcome);
      if (event !== undefined) await add(event);
    },
  };
}
