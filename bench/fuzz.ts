// `npm run fuzz -- --minutes 60 [--save] [TARGET…]`: the hunt through the parsers for as long as it is told; --save keeps what reached new code in the corpus.

import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { hunt } from '../test/fuzz/hunt.ts';
import { PARSERS } from '../test/fuzz/parsers.ts';
import { SEED } from '../test/fuzz/random.ts';
import { numberOf } from './options.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(SEED) },
    save: { type: 'boolean', default: false },
  },
});
const stranger = positionals.find((wanted) => !PARSERS.some(({ name }) => name === wanted));
if (stranger !== undefined) throw new Error(`there is no parser '${stranger}': one of ${PARSERS.map(({ name }) => name).join(' ')}`);
const targets = PARSERS.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
const during = (numberOf(values, 'minutes') * 60_000) / targets.length;
/** More megabytes than this after a target, when all that it was given has been let go, are kept by something. */
const GROWTH = 64;
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** What is behind buffers is let go some time after them. */
async function megabytes(): Promise<number> {
  for (let i = 0; i < 4; i += 1) {
    collect();
    await new Promise((wake) => setTimeout(wake, 100));
  }
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 1e6;
}

for (const target of targets) {
  const before = await megabytes();
  const { tried, ways, kept } = await hunt(target, { seed: numberOf(values, 'seed'), during, save: values.save });
  const grown = (await megabytes()) - before;
  if (grown > GROWTH) throw new Error(`${target.name} with seed ${values.seed}: memory grew by ${grown.toFixed(0)} MB`);
  console.log(`${target.name}: ${tried} inputs, ${ways} ways to behave, ${kept} kept, ${grown.toFixed(0)} MB more, nothing found`);
}
