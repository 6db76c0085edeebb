// `npm run fuzz -- --minutes 60 [--save] [TARGET…]`: the hunt through the parsers for as long as it is told; --save keeps what reached new code in the corpus.

import { parseArgs } from 'node:util';
import { hunt } from '../test/fuzz/hunt.ts';
import { PARSERS } from '../test/fuzz/parsers.ts';
import { SEED } from '../test/fuzz/random.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(SEED) },
    save: { type: 'boolean', default: false },
  },
});
const targets = PARSERS.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
const during = (Number(values.minutes) * 60_000) / targets.length;
for (const target of targets) {
  const { tried, ways, kept } = await hunt(target, { seed: Number(values.seed), during, save: values.save });
  console.log(`${target.name}: ${tried} inputs, ${ways} ways to behave, ${kept} kept, nothing found`);
}
