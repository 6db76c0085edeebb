// The hunt: throws changed input at one target for a while, keeps what made it behave in a new way, and stops at the first thing that it must not do.
// What it must not do is the target's to say; what no target may do is hang.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mutated } from './mutate.ts';
import { type Random, randomFrom } from './random.ts';

export interface Target {
  readonly name: string;
  /** Good input, from real traffic or made by the code that writes it. */
  seeds(): Promise<readonly Uint8Array[]> | readonly Uint8Array[];
  /** Takes the input; returns in a word how it went. Throws for what it may not do. */
  feed(input: Buffer): Promise<string> | string;
}

export interface Hunt {
  readonly seed: number;
  /** Milliseconds. */
  readonly during: number;
  /** Keeps what behaved in a new way in the corpus. */
  readonly save: boolean;
}

/** What is asked of input that takes longer than this many milliseconds is why. Far above what a busy machine needs for honest work. */
const HANGS = 20_000;
const POOL = 2000;
const CORPUS = join(import.meta.dirname, 'corpus');

/** Returns how much was tried; throws an Error that has the input (base64) and the seed of a finding. */
export async function hunt(target: Target, { seed, during, save }: Hunt): Promise<{ readonly tried: number; readonly ways: number }> {
  const random = randomFrom(seed);
  const pool: Uint8Array[] = [...(await target.seeds()), ...corpusOf(target)];
  const ways = new Set<string>();
  // The corpus comes first and unchanged: what was found once is tried every time.
  for (const input of [...pool]) ways.add(await fed(target, Buffer.from(input), seed));
  const until = performance.now() + during;
  let tried = pool.length;
  while (performance.now() < until) {
    const input = mutated(random.of(pool), pool, random);
    const way = await fed(target, input, seed);
    tried += 1;
    if (ways.has(way)) continue;
    ways.add(way);
    if (pool.length < POOL) pool.push(input);
    if (save) keep(target, input, random);
  }
  return { tried, ways: ways.size };
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

function keep({ name }: Target, input: Buffer, random: Random): void {
  if (input.length > KEPT_BYTES || !random.oneIn(2)) return;
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
