// Questions and answers between threads: who is answered what, and what cannot travel.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { Failure } from '../../../src/core/failure.ts';
import { type Answers, type Peer, peer } from '../../../src/core/thread-calls.ts';

/** One side of a port whose other side answers. */
function asking(t: TestContext, answers: Answers): Peer {
  const { port1, port2 } = new MessageChannel();
  t.after(() => port1.close());
  peer(port2, answers);
  return peer(port1, {});
}

test('everybody gets the answer to what they asked, whichever comes first', async (t) => {
  const answers = {
    double: async (number: number) => {
      if (number % 2 === 0) await new Promise(setImmediate);
      return 2 * number;
    },
  };
  const one = asking(t, answers);
  assert.deepEqual(await Promise.all([1, 2, 3, 4].map((number) => one.ask('double', number))), [2, 4, 6, 8]);
});

test('a Failure arrives as it was, anything else by its words, and a name that nobody answers is an error', async (t) => {
  const one = asking(t, {
    refuse: async () => {
      throw new Failure(409, 'Conflict', 'It is there already.', { cause: new Error('a row') });
    },
    break: async () => {
      throw new TypeError('broken');
    },
  });
  await assert.rejects(one.ask('refuse', {}), (error) => {
    assert.ok(error instanceof Failure);
    assert.deepEqual([error.status, error.code, error.message, error.cause], [409, 'Conflict', 'It is there already.', 'a row']);
    return true;
  });
  await assert.rejects(one.ask('break', {}), /TypeError: broken/);
  await assert.rejects(one.ask('toString', {}), /nobody answers 'toString' here/);
});

test('what cannot be cloned refuses its own question and nothing else', async (t) => {
  const one = asking(t, { echo: async (value: unknown) => value, method: async () => () => undefined });
  const asked = [one.ask('echo', 1), one.ask('echo', () => undefined), one.ask('method', {}), one.ask('echo', 2)];
  const settled = await Promise.allSettled(asked);
  assert.deepEqual(
    settled.map((result) => (result.status === 'fulfilled' ? result.value : 'refused')),
    [1, 'refused', 'refused', 2],
  );
});

test('what is unanswered when the other side is gone is rejected', async (t) => {
  const one = asking(t, { never: () => new Promise(() => undefined) });
  const asked = one.ask('never', {});
  one.abandon(new Error('gone'));
  await assert.rejects(asked, /gone/);
});
