// A short hunt through every parser; `npm run fuzz` goes on for as long as it is told.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hunt } from './hunt.ts';
import { PARSERS } from './parsers.ts';
import { SEED } from './random.ts';

const DURING = 600;

for (const target of PARSERS) {
  test(`${target.name} takes any bytes and refuses in its own words`, async () => {
    const { tried } = await hunt(target, { seed: SEED, during: DURING, save: false });
    assert.ok(tried > 1);
  });
}
