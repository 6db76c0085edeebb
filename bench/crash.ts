// `npm run bench:crash -- --rounds 1000 [--during NAME]`: kill -9 at random moments under mixed load, or while one certain thing is done, as often as it is told.

import { parseArgs } from 'node:util';
import { crashRounds } from '../test/crash-rounds.ts';
import { randomFrom, SEED } from '../test/fuzz/random.ts';
import { KILLS, openYard } from '../test/kills.ts';
import { numberOf } from './options.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '1000' },
    seed: { type: 'string', default: String(SEED) },
    during: { type: 'string' },
  },
});
/** Rounds on one data folder: its record is proven from its beginning after each of them, so a long life makes long rounds. */
const A_LIFE = 100;
const began = performance.now();
const say = (line: string): boolean => process.stderr.write(`${line}\n`);
const rounds = numberOf(values, 'rounds');
const seed = numberOf(values, 'seed');
const found = values.during === undefined ? await underLoad() : await during(values.during);
const minutes = ((performance.now() - began) / 60_000).toFixed(1);
console.log(`${rounds} kills in ${minutes} minutes, seed ${seed}: ${found}`);

async function underLoad(): Promise<string> {
  let [answered, cutOff] = [0, 0];
  for (let before = 0; before < rounds; before += A_LIFE) {
    const life = await crashRounds({ rounds: Math.min(A_LIFE, rounds - before), seed: seed + before });
    answered += life.answered;
    cutOff += life.cutOff;
    say(`${Math.min(before + A_LIFE, rounds)} rounds, ${answered} steps answered, ${cutOff} cut off`);
  }
  return `${answered} answered steps, 0 lost, all recorded; ${cutOff} cut off, each done or not done`;
}

async function during(name: string): Promise<string> {
  const what = Object.entries(KILLS).find(([known]) => known === name)?.[1];
  if (what === undefined) throw new Error(`--during ${name}: one of ${Object.keys(KILLS).join(', ')}`);
  const random = randomFrom(seed);
  const yard = await openYard();
  let done = 0;
  try {
    for (let round = 1; round <= rounds; round += 1) {
      const moment = random.below(what.within);
      const end = await what.kill(yard, moment).catch((cause: unknown) => {
        throw new Error(`with seed ${seed}, round ${round}, killed after ${moment} ms`, { cause });
      });
      done += end === 'done' ? 1 : 0;
      if (round % 50 === 0) say(`${round} rounds`);
    }
  } finally {
    await yard.close();
  }
  return `in the middle of ${name}: ${done} found done, ${rounds - done} not done, none in between`;
}
