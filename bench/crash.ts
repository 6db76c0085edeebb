// `npm run bench:crash -- --rounds 1000`: kill -9 at random moments under mixed load, as often as it is told.

import { parseArgs } from 'node:util';
import { crashRounds } from '../test/crash-rounds.ts';
import { SEED } from '../test/fuzz/random.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '1000' }, seed: { type: 'string', default: String(SEED) } } });
const began = performance.now();
const say = (line: string): boolean => process.stderr.write(`${line}\n`);
const { answered, cutOff } = await crashRounds({ rounds: Number(values.rounds), seed: Number(values.seed), say });
const minutes = ((performance.now() - began) / 60_000).toFixed(1);
console.log(
  `${values.rounds} kills in ${minutes} minutes, seed ${values.seed}: ${answered} answered steps, 0 lost; ${cutOff} cut off, each done or not done`,
);
