// `npm run bench:cluster -- [--rounds 40] [--minutes N] [--seed N] [--fault NAME]`: three nodes, one PostgreSQL with a synchronous standby, faults under mixed load, and whether
// every answer is explained. Writes its table into docs/cluster.md with --write; told to end (SIGINT, SIGTERM), of the rounds that it has. A history that nothing explains is
// kept, and looked at again with --replay FILE.

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { explain, MOST, STALE } from '../test/cluster-history.ts';
import { together } from '../test/cluster-load.ts';
import { cannot, clusterRounds, FAULTS, type Fault, isGood, type Report, type Round } from '../test/cluster-rounds.ts';
import { callsOf, type History } from '../test/cluster-subjects.ts';
import { type Random, randomFrom, SEED } from '../test/fuzz/random.ts';
import { CACHE } from '../test/tools.ts';
import { numberOf } from './options.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '40' },
    minutes: { type: 'string', default: 'Infinity' },
    seed: { type: 'string', default: String(SEED) },
    fault: { type: 'string' },
    write: { type: 'boolean', default: false },
    replay: { type: 'string' },
  },
});
if (values.replay !== undefined) replay(values.replay);
const names = Object.keys(FAULTS) as readonly Fault[];
const named = values.fault === undefined ? names : names.filter((name) => name.includes(values.fault ?? ''));
if (named.length === 0) throw new Error(`--fault: a part of one of: ${names.join('; ')}`);
const wanted = named.filter((name) => cannot(name) === false);
for (const name of named) if (cannot(name) !== false) process.stderr.write(`left out, ${name}: ${cannot(name)}\n`);
const seed = numberOf(values, 'seed');
const random = randomFrom(seed);
const faults = mixed(numberOf(values, 'rounds'), random);
const root = join(import.meta.dirname, '..');
/** Of what is measured: it may be another one when this ends. */
const revision = execFileSync('git', ['describe', '--always', '--dirty'], { cwd: root, encoding: 'utf8' }).trim();
const ends = performance.now() + numberOf(values, 'minutes') * 60_000;
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const stopped = new Promise<void>((stop) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop());
});
say(`${faults.length} rounds of ${wanted.length} faults, seed ${seed}; to end it with the figures that it has: kill -INT ${process.pid}`);
const report = await clusterRounds(faults, random, { say, isOver: () => performance.now() > ends, stopped });
for (const [number, round] of report.rounds.entries()) if (!isGood(round)) complain(round, number + 1);
if (report.broken !== undefined) say(`\nFAILED: ${report.broken}`);
if (report.rounds.length > 0) {
  const text = written(report);
  console.log(text);
  if (values.write) writeInto(join(root, 'docs/cluster.md'), text);
}
// What a round that was cut off still waits for will not come.
process.exit(report.broken === undefined && report.rounds.every(isGood) ? 0 : 1);

/** Each fault as often as the others, in an order of chance. */
function mixed(rounds: number, random: Random): readonly Fault[] {
  const all: Fault[] = [];
  while (all.length < rounds) {
    const left = [...wanted];
    while (left.length > 0) all.push(...left.splice(random.below(left.length), 1));
  }
  return all.slice(0, rounds);
}

/** What to look at. */
function complain({ fault, wrong, unexplained, twice, stale }: Round, number: number): void {
  say(`\nFAILED: round ${number} of seed ${seed}, ${fault}`);
  if (twice > 0) say(`done once too often: ${twice} of what fell due`);
  if (stale > STALE) say(`somebody was still allowed ${Math.round(stale)} ms after a refusal was acknowledged`);
  for (const finding of wrong) say(`an answer that no client should get: ${finding}`);
  for (const { says, history } of unexplained) {
    const folder = join(CACHE, 'histories');
    mkdirSync(folder, { recursive: true });
    const file = join(folder, `${seed}-${number}-${history.name}.json`);
    writeFileSync(file, JSON.stringify(history));
    say(`${says}\nlook at it again: npm run bench:cluster -- --replay ${file}`);
  }
}

function replay(file: string): never {
  const history = JSON.parse(readFileSync(file, 'utf8')) as History;
  const { trouble, tried } = explain(callsOf(history), history.first);
  console.log(trouble ?? `explained, after ${tried} orders`);
  process.exit(trouble === undefined ? 0 : 1);
}

function written({ rounds, due, ends }: Report): string {
  const all = together(rounds);
  const kinds = [...all.retryable.keys()].sort((a, b) => timesOf(all.retryable, b) - timesOf(all.retryable, a));
  const groups = Map.groupBy(rounds, ({ fault }) => fault);
  const byFault = names.flatMap((fault) => (groups.has(fault) ? [[fault, groups.get(fault) ?? []] as const] : []));
  const columns = ['what happened', 'rounds', 'a use', 'a change', 'unexplained', 'twice', 'still allowed', 'any other error'];
  return [
    `${rounds.length} rounds, seed ${seed}, revision ${revision}, on a machine with ${cpus().length} cores that others used at the same time; three nodes with one worker each and both servers on it.`,
    `${sum(all.answered)} answers of ${all.answered.size} kinds; ${due} things that fell due; nodes that found that they had no place any more, ended with the reason, and were started again: ${ends.length}. The check of one key's history, or the role's, tried ${all.tried} orders at most; at ${MOST} it would have failed.`,
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
    return `${sorted[Math.floor((sorted.length - 1) / 2)]?.toFixed(1)} (${sorted.at(-1)?.toFixed(1)})`;
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
