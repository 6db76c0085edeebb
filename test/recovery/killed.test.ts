// kill -9 at bad moments: while an HSM is activated, while it takes a security domain over, while the root key is replaced, while a snapshot is taken, and while the
// service starts for the first time. After the next start it is as before or as it should be after, and goes on from there. `npm run bench:crash -- --during NAME` does it as often as
// it is told, and in more things.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { KILLS, openYard, type Yard } from '../kills.ts';

/** Milliseconds after the request went out, or the folder of the snapshot was there. */
const MOMENTS: Readonly<Record<'activation' | 'upload' | 'root-key' | 'snapshot' | 'first-start', readonly number[]>> = {
  activation: [2, 15, 700],
  upload: [0, 6, 15],
  'root-key': [0, 6, 15],
  snapshot: [0, 25],
  'first-start': [200, 450, 700],
};

const NAMES: Readonly<Record<keyof typeof MOMENTS, string>> = {
  activation: 'an activation: the HSM waits for its download again, or is active with the domain of the file that was downloaded',
  upload: 'an upload: the HSM waits with the same exchange key, or has the domain; nothing in between',
  'root-key': 'a change of the root key: every key and every secret opens, and one root key is left',
  snapshot: 'a snapshot, the service alone or the command with it: it is whole or none, and the next one is taken',
  'first-start': 'a first start: the next one needs no help',
};

suite('killed in the middle of', () => {
  let yard: Yard;
  before(async () => {
    yard = await openYard();
  });
  after(() => yard.close());

  for (const name of Object.keys(MOMENTS) as (keyof typeof MOMENTS)[])
    test(NAMES[name], async () => {
      for (const moment of MOMENTS[name]) assert.match(await KILLS[name].kill(yard, moment), /^(not )?done$/);
    });
});
