// Questions and answers between two threads over one message port, in both directions at once. Knows no subject: each side hands in what it answers.

import { Failure, type FailureData, failureData, failureFrom } from './failure.ts';

/** The two calls that a Worker, seen from outside, and a worker's parentPort have in common. */
export interface Channel {
  postMessage(message: unknown): void;
  on(event: 'message', listener: (message: unknown) => void): unknown;
}

/** What one side answers, by name. Arguments and results are plain data (structured clone). */
export type Answers = Readonly<Record<string, (argument: never) => Promise<unknown>>>;

export interface Peer {
  /** Asks the other side; rejects with its Failure, or with an Error that has the words of whatever else was thrown there. */
  ask(name: string, argument: unknown): Promise<unknown>;
  /** Rejects everything that is still unanswered: the other side is gone. */
  abandon(reason: Error): void;
}

interface Question {
  readonly kind: 'question';
  readonly id: number;
  readonly name: string;
  readonly argument: unknown;
}

interface Answer {
  readonly kind: 'answer';
  readonly id: number;
  readonly outcome: Outcome;
}

type Outcome =
  | { readonly is: 'value'; readonly value: unknown }
  | { readonly is: 'failure'; readonly failure: FailureData }
  | { readonly is: 'error'; readonly message: string };

interface Waiting {
  resolve(value: unknown): void;
  reject(reason: Error): void;
}

/** Starts to answer the other side's questions, and gives the means to ask it. */
export function peer(channel: Channel, answers: Answers): Peer {
  const waiting = new Map<number, Waiting>();
  let last = 0;

  async function answer({ id, name, argument }: Question): Promise<void> {
    const outcome = await outcomeOf(answers, name, argument);
    try {
      channel.postMessage({ kind: 'answer', id, outcome } satisfies Answer);
    } catch (error) {
      // It cannot be cloned; whoever waits is told.
      channel.postMessage({ kind: 'answer', id, outcome: errorOf(error) } satisfies Answer);
    }
  }

  function settle({ id, outcome }: Answer): void {
    const asked = waiting.get(id);
    waiting.delete(id);
    if (outcome.is === 'value') asked?.resolve(outcome.value);
    else asked?.reject(outcome.is === 'failure' ? failureFrom(outcome.failure) : new Error(outcome.message));
  }

  channel.on('message', (message) => {
    // Only the other half of this file writes to the channel.
    const received = message as Question | Answer;
    if (received.kind === 'question') void answer(received);
    else settle(received);
  });

  return {
    ask(name, argument) {
      last += 1;
      const id = last;
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        channel.postMessage({ kind: 'question', id, name, argument } satisfies Question);
      });
    },
    abandon(reason) {
      for (const asked of waiting.values()) asked.reject(reason);
      waiting.clear();
    },
  };
}

async function outcomeOf(answers: Answers, name: string, argument: unknown): Promise<Outcome> {
  const known = Object.hasOwn(answers, name) ? answers[name] : undefined;
  if (known === undefined) return { is: 'error', message: `nobody answers '${name}' here` };
  try {
    return { is: 'value', value: await known(argument as never) };
  } catch (error) {
    if (error instanceof Failure) return { is: 'failure', failure: withoutCause(error) };
    return errorOf(error);
  }
}

function errorOf(error: unknown): Outcome {
  return { is: 'error', message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

/** A cause may be anything, and anything may refuse to be cloned; its words are enough for the log. */
function withoutCause(failure: Failure): FailureData {
  const data = failureData(failure);
  const { cause } = failure;
  if (cause === undefined) return data;
  return { ...data, options: { ...data.options, cause: cause instanceof Error ? cause.message : String(cause) } };
}
