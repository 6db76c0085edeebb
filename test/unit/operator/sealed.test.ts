// Unsealing: one passphrase at a time, and more slowly with every wrong one, by the clock of the service.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../../../src/core/clock.ts';
import type { Commands } from '../../../src/door/control-channel.ts';
import { Stopped, unsealed } from '../../../src/operator/sealed.ts';

const RIGHT = 'correct horse battery staple';
const KEY = Buffer.alloc(32, 7);

function sealed(stop?: Promise<void>) {
  let now = 1_000_000;
  const clock: Clock = { now: () => now };
  const commands: Commands = new Map();
  let tried = 0;
  const opened = unsealed(
    commands,
    clock,
    async (passphrase) => {
      tried += 1;
      return Buffer.from(passphrase).toString() === RIGHT ? Buffer.from(KEY) : undefined;
    },
    stop,
  );
  return {
    opened,
    commands,
    tries: () => tried,
    advance: (milliseconds: number) => {
      now += milliseconds;
    },
    unseal: (passphrase: string) =>
      commands.get('unseal')?.({ options: new URLSearchParams(), body: Buffer.from(passphrase) }) ?? assert.fail('it is not sealed'),
  };
}

test('the right passphrase opens it, and then there is nothing to unseal', async () => {
  const it = sealed();
  await it.unseal(RIGHT);
  assert.deepEqual(await it.opened, KEY);
  assert.equal(it.commands.has('unseal'), false);
});

test('after three wrong ones each costs twice the wait of the one before, up to a minute, and none is tried meanwhile', async () => {
  const it = sealed();
  for (let count = 0; count < 3; count += 1) await assert.rejects(it.unseal('wrong'), /the passphrase is wrong/);
  for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
    const before = it.tries();
    await assert.rejects(it.unseal(RIGHT), new RegExp(`too many wrong passphrases; try again in ${seconds} seconds`));
    it.advance(1000 * seconds - 1);
    await assert.rejects(it.unseal(RIGHT), /try again in 1 seconds/);
    assert.equal(it.tries(), before);
    it.advance(1);
    await assert.rejects(it.unseal('wrong'), /the passphrase is wrong/);
  }
  it.advance(60_000);
  await it.unseal(RIGHT);
  assert.deepEqual(await it.opened, KEY);
});

test('two passphrases at once are not tried side by side', async () => {
  const it = sealed();
  const answers = await Promise.allSettled([it.unseal('wrong'), it.unseal('wrong')]);
  assert.deepEqual(
    answers.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  assert.equal(it.tries(), 1);
});

test('a service that nobody wants any more gives up waiting', async () => {
  const stop = Promise.withResolvers<void>();
  const it = sealed(stop.promise);
  stop.resolve();
  await assert.rejects(it.opened, Stopped);
  assert.equal(it.commands.has('unseal'), false);
});
