// `npm run bench:cluster -- [--rounds 40] [--seed N] [--fault NAME]`: three nodes, one PostgreSQL with a synchronous standby, faults under mixed load, and whether
// every answer is explained. Writes its table into docs/cluster.md with --write.

import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { clusterRounds, FAULTS, type Fault, type Report } from '../test/cluster-rounds.ts';
import { randomFrom, SEED } from '../test/fuzz/random.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '40' },
    seed: { type: 'string', default: String(SEED) },
    fault: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});
const names = Object.keys(FAULTS) as readonly Fault[];
const wanted = values.fault === undefined ? names : names.filter((name) => name.includes(values.fault ?? ''));
if (wanted.length === 0) throw new Error(`--fault: a part of one of: ${names.join('; ')}`);
const seed = Number(values.seed);
const faults = Array.from({ length: Number(values.rounds) }, (_, i) => wanted[i % wanted.length] ?? 'nothing');
const report = await clusterRounds(faults, randomFrom(seed), (line) => process.stderr.write(`${line}\n`));
const text = written(report);
console.log(text);
if (values.write) writeInto(join(import.meta.dirname, '../docs/cluster.md'), text);
if (report.wrong.length + report.unexplained.length + report.twice > 0) process.exitCode = 1;

function written({ answered, retryable, wrong, unexplained, stale, gaps, due, twice, ends }: Report): string {
  const sum = (counts: ReadonlyMap<string, number>): number => [...counts.values()].reduce((a, b) => a + b, 0);
  const rows = [...gaps].map(([fault, all]) => {
    const of = (which: 'use' | 'change'): string => {
      const sorted = all.map((gap) => gap[which] / 1000).sort((a, b) => a - b);
      return `${sorted[Math.floor(sorted.length / 2)]?.toFixed(1)} (${sorted.at(-1)?.toFixed(1)})`;
    };
    return `| ${fault} | ${all.length} | ${of('use')} | ${of('change')} |`;
  });
  const told = [...retryable].sort((a, b) => b[1] - a[1]).map(([what, times]) => `${what} (${times})`);
  return [
    `${faults.length} rounds, seed ${seed}, on a machine with ${cpus().length} cores that others used at the same time; three nodes with one worker each and both servers on it.`,
    '',
    '| figure | |',
    '|---|---|',
    `| answers to clients | ${sum(answered)}, of ${answered.size} kinds |`,
    `| answers that no order of the acknowledged changes explains, acknowledged changes that were lost among them | ${unexplained.length} |`,
    `| things that fell due, and that were done twice | ${due}, ${twice} |`,
    `| longest time that somebody was still allowed after a refusal was acknowledged, on any node | ${(stale / 1000).toFixed(2)} s |`,
    `| answers that were no answer, and told to try again | ${sum(retryable)}: ${told.join(', ')} |`,
    `| any other error | ${wrong.length} |`,
    `| nodes that found that they had no place any more, ended with the reason, and were started again | ${ends.length} |`,
    '',
    'Seconds without a good answer, for a client that gives a node one second and then asks the next; the median of the rounds, and the longest:',
    '',
    '| what happened | rounds | a use | a change |',
    '|---|---|---|---|',
    ...rows,
  ].join('\n');
}

function writeInto(page: string, text: string): void {
  const [begin, end] = ['<!-- bench:cluster -->', '<!-- end of bench:cluster -->'];
  const old = readFileSync(page, 'utf8');
  const [before, rest] = old.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error(`docs/cluster.md has no place for the figures: ${begin} … ${end}`);
  writeFileSync(page, `${before}${begin}\n\n${text}\n\n${end}${after}`);
}
