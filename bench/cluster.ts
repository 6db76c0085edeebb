// `npm run bench:cluster -- [--rounds 40] [--minutes N] [--seed N] [--fault NAME]`: three nodes, one PostgreSQL with a synchronous standby, faults under mixed load, and whether
// every answer is explained. Writes its table into docs/cluster.md with --write.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { together } from '../test/cluster-load.ts';
import { cannot, clusterRounds, FAULTS, type Fault, type Report, type Round } from '../test/cluster-rounds.ts';
import { randomFrom, SEED } from '../test/fuzz/random.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '40' },
    minutes: { type: 'string', default: 'Infinity' },
    seed: { type: 'string', default: String(SEED) },
    fault: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});
const names = Object.keys(FAULTS) as readonly Fault[];
const named = values.fault === undefined ? names : names.filter((name) => name.includes(values.fault ?? ''));
if (named.length === 0) throw new Error(`--fault: a part of one of: ${names.join('; ')}`);
const wanted = named.filter((name) => cannot(name) === false);
for (const name of named) if (cannot(name) !== false) process.stderr.write(`left out, ${name}: ${cannot(name)}\n`);
const seed = Number(values.seed);
const faults = Array.from({ length: Number(values.rounds) }, (_, i) => wanted[i % wanted.length] ?? 'nothing');
const root = join(import.meta.dirname, '..');
/** Of what is measured: it may be another one when this ends. */
const revision = execFileSync('git', ['describe', '--always', '--dirty'], { cwd: root, encoding: 'utf8' }).trim();
const ends = performance.now() + Number(values.minutes) * 60_000;
const isOver = (): boolean => performance.now() > ends;
const report = await clusterRounds(faults, randomFrom(seed), (line) => process.stderr.write(`${line}\n`), isOver);
const text = written(report);
console.log(text);
if (values.write) writeInto(join(root, 'docs/cluster.md'), text);
if (report.rounds.some(({ wrong, unexplained, twice }) => wrong.length + unexplained.length + twice > 0)) process.exitCode = 1;

function written({ rounds, due, ends }: Report): string {
  const all = together(rounds);
  const kinds = [...all.retryable.keys()].sort((a, b) => timesOf(all.retryable, b) - timesOf(all.retryable, a));
  const byFault = [...Map.groupBy(rounds, ({ fault }) => fault)];
  const columns = ['what happened', 'rounds', 'a use', 'a change', 'unexplained', 'twice', 'still allowed', 'any other error'];
  return [
    `${rounds.length} rounds, seed ${seed}, revision ${revision}, on a machine with ${cpus().length} cores that others used at the same time; three nodes with one worker each and both servers on it.`,
    `${sum(all.answered)} answers of ${all.answered.size} kinds; ${due} things that fell due; ${ends.length} times a node found that it had no place any more, ended with the reason, and was started again.`,
    '',
    row(columns),
    row(columns.map(() => '---')),
    ...[...byFault, ['all of it', rounds] as const].map(([fault, some]) => row([fault, ...figuresOf(some)])),
    '',
    'Answers that were no answer, and told to try again:',
    '',
    row(['what happened', ...kinds]),
    row(['---', ...kinds.map(() => '---')]),
    ...byFault.map(([fault, some]) => {
      const { retryable } = together(some);
      return row([fault, ...kinds.map((kind) => String(timesOf(retryable, kind)))]);
    }),
  ].join('\n');
}

function figuresOf(rounds: readonly Round[]): readonly string[] {
  const { wrong, unexplained, stale } = together(rounds);
  const gap = (which: 'use' | 'change'): string => {
    const sorted = rounds.map((round) => round[which] / 1000).sort((a, b) => a - b);
    return `${sorted[Math.floor(sorted.length / 2)]?.toFixed(1)} (${sorted.at(-1)?.toFixed(1)})`;
  };
  const twice = rounds.reduce((times, round) => times + round.twice, 0);
  const counts = [unexplained.length, twice, `${(stale / 1000).toFixed(2)} s`, wrong.length];
  return [String(rounds.length), gap('use'), gap('change'), ...counts.map(String)];
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

function timesOf(counts: ReadonlyMap<string, number>, what: string): number {
  return counts.get(what) ?? 0;
}

function sum(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((a, b) => a + b, 0);
}

function writeInto(page: string, text: string): void {
  const [begin, end] = ['<!-- bench:cluster -->', '<!-- end of bench:cluster -->'];
  const old = readFileSync(page, 'utf8');
  const [before, rest] = old.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error(`docs/cluster.md has no place for the figures: ${begin} … ${end}`);
  writeFileSync(page, `${before}${begin}\n\n${text}\n\n${end}${after}`);
}
