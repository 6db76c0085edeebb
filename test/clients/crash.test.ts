// Killed at random moments under mixed load, over and over: a short form of `npm run bench:crash`.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crashRounds } from '../crash-rounds.ts';
import { SEED } from '../fuzz/random.ts';

test('everything that was acknowledged is there after kill -9 at any moment, and the service starts without help', async () => {
  const { answered, cutOff } = await crashRounds({ rounds: 5, seed: SEED });
  assert.ok(answered > 50, `only ${answered} steps were answered`);
  assert.ok(cutOff > 0, 'no step was under way at any kill');
});
