// The hunt: throws changed input at one target for a while, keeps what made it behave in a new way or reach code that none had reached (so it goes on from
// there), and stops at the first thing that it must not do.
// What it must not do is the target's to say; what no target may do is hang.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Coverage, openCoverage } from './coverage.ts';
import { mutated } from './mutate.ts';
import { randomFrom } from './random.ts';

export interface Target {
  readonly name: string;
  /** Good input, from real traffic or made by the code that writes it. */
  seeds(): Promise<readonly Uint8Array[]> | readonly Uint8Array[];
  /** Takes the input; returns in a word how it went. Throws for what it may not do. */
  feed(input: Buffer): Promise<string> | string;
  /** Undoes what the others made. */
  close?(): Promise<void>;
}

export interface Hunt {
  readonly seed: number;
  /** Milliseconds. */
  readonly during: number;
  /** Keeps what reached new code in the corpus. */
  readonly save: boolean;
}

/** What is asked of input that takes longer than this many milliseconds is why. Far above what a busy machine needs for honest work. */
const HANGS = 20_000;
const POOL = 2000;
const CORPUS = join(import.meta.dirname, 'corpus');

/** So many inputs are fed before the counters are asked what they reached: asking costs as much as some dozen inputs, and more when there is news. */
const SMALL_BATCH = 16;
const LARGE_BATCH = 256;

export interface Outcome {
  readonly tried: number;
  /** Different ways to behave, in words. */
  readonly ways: number;
  /** Inputs that were kept, because they behaved in a new way or reached code that none had reached. */
  readonly kept: number;
}

/** Throws an Error that has the input (base64) and the seed of a finding. */
export async function hunt(target: Target, { seed, during, save }: Hunt): Promise<Outcome> {
  const random = randomFrom(seed);
  const pool: Uint8Array[] = [...(await target.seeds()), ...corpusOf(target)];
  const ways = new Set<string>();
  const coverage = openCoverage();
  try {
    // The corpus comes first and unchanged: what was found once is tried every time.
    for (const input of pool) ways.add(await fed(target, Buffer.from(input), seed));
    coverage.note(coverage.news());
    const before = pool.length;
    const until = performance.now() + during;
    let tried = before;
    let size = SMALL_BATCH;
    while (performance.now() < until) {
      const batch = Array.from({ length: size }, () => mutated(random.of(pool), pool, random));
      const isKept = await behavingAnew(target, batch, ways, seed);
      tried += batch.length;
      const news = coverage.news();
      for (const input of news.size === 0 ? [] : await reaching(target, batch, coverage, seed)) {
        isKept.add(input);
        if (save) keep(target, input);
      }
      // What ran once and not again depends on something else than the input.
      coverage.note(news);
      size = Math.min(LARGE_BATCH, news.size > 0 ? SMALL_BATCH : size * 2);
      pool.push(...[...isKept].slice(0, POOL - pool.length));
    }
    return { tried, ways: ways.size, kept: pool.length - before };
  } finally {
    coverage.close();
    await target.close?.();
  }
}

/** Those of the inputs that behave in a way that is not known, which is known afterwards. */
async function behavingAnew(target: Target, inputs: readonly Buffer[], ways: Set<string>, seed: number): Promise<Set<Buffer>> {
  const found = new Set<Buffer>();
  for (const input of inputs) {
    const way = await fed(target, input, seed);
    if (!ways.has(way)) found.add(input);
    ways.add(way);
  }
  return found;
}

/** Those of the inputs that reach code which is not known, found by halves; what they reach is known afterwards. */
async function reaching(target: Target, inputs: readonly Buffer[], coverage: Coverage, seed: number): Promise<readonly Buffer[]> {
  const found: Buffer[] = [];
  const middle = inputs.length >> 1;
  const halves = inputs.length === 1 ? [inputs] : [inputs.slice(0, middle), inputs.slice(middle)];
  for (const half of halves) {
    for (const input of half) await fed(target, input, seed);
    const news = coverage.news();
    if (news.size === 0) continue;
    if (half.length > 1) {
      found.push(...(await reaching(target, half, coverage, seed)));
      continue;
    }
    found.push(...half);
    coverage.note(news);
  }
  return found;
}

async function fed(target: Target, input: Buffer, seed: number): Promise<string> {
  const began = performance.now();
  try {
    const way = await target.feed(Buffer.from(input));
    if (performance.now() - began > HANGS) throw new Error('it took too long');
    return way;
  } catch (cause) {
    const words = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    throw new Error(`${target.name} with seed ${seed}: ${words}\ninput (base64): ${input.toString('base64')}`, { cause });
  }
}

function corpusOf({ name }: Target): readonly Uint8Array[] {
  const folder = join(CORPUS, name);
  return existsSync(folder) ? readdirSync(folder).map((file) => readFileSync(join(folder, file))) : [];
}

/** Short ones alone: a corpus is for reading too. */
const KEPT_BYTES = 4096;

function keep({ name }: Target, input: Buffer): void {
  if (input.length > KEPT_BYTES) return;
  const folder = join(CORPUS, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, createHash('sha256').update(input).digest('hex').slice(0, 16)), input);
}

/** How something went, without what differs each time: numbers, quoted input, identifiers. */
export function inAWord(text: string): string {
  return text
    .replace(/'[^']*'|"[^"]*"/g, '…')
    .replace(/[0-9a-f]{8,}|\d+/gi, 'n')
    .slice(0, 160);
}
