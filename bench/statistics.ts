// Whether two sets of times differ, by two tests that trust different things.

import { randomInt } from 'node:crypto';

/** The slowest tenth is what the machine was doing meanwhile. */
export const KEPT = 0.9;

/** All made before any is measured, and in an order that says nothing (Fisher and Yates). */
export function shuffled<Item>(items: Item[]): readonly Item[] {
  for (let i = items.length - 1; i > 0; i -= 1) {
    const j = randomInt(i + 1);
    const [one, other] = [items[i], items[j]];
    if (one !== undefined && other !== undefined) [items[i], items[j]] = [other, one];
  }
  return items;
}

export function kept(times: readonly number[]): readonly number[] {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted.slice(0, Math.floor(sorted.length * KEPT));
}

export function welch(one: readonly number[], other: readonly number[]): number {
  const about = (times: readonly number[]) => {
    const mean = times.reduce((sum, time) => sum + time, 0) / times.length;
    return { mean, spread: times.reduce((sum, time) => sum + (time - mean) ** 2, 0) / (times.length - 1) / times.length };
  };
  const [a, b] = [about(one), about(other)];
  return (a.mean - b.mean) / Math.sqrt(a.spread + b.spread);
}

/** The normal approximation; ties are broken by order, which is random. */
export function mannWhitney(one: readonly number[], other: readonly number[]): number {
  const all = [...one.map((time) => ({ time, mine: true })), ...other.map((time) => ({ time, mine: false }))].sort(
    (a, b) => a.time - b.time,
  );
  const ranks = all.reduce((sum, { mine }, i) => sum + (mine ? i + 1 : 0), 0);
  const [n, m] = [one.length, other.length];
  return (ranks - (n * (n + 1)) / 2 - (n * m) / 2) / Math.sqrt((n * m * (n + m + 1)) / 12);
}
