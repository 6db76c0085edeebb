// Rounds become figures: medians with their range, never means, because other tenants of a machine only ever make a round slower.

export interface Figure {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export function figure(rounds: readonly number[]): Figure {
  const sorted = rounds.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  const lower = sorted.length % 2 === 1 ? upper : (sorted[middle - 1] ?? Number.NaN);
  return { median: (lower + upper) / 2, least: sorted[0] ?? Number.NaN, most: sorted.at(-1) ?? Number.NaN };
}

/** Three significant digits, and no more decimals than they need: 0.0123, 45.6, 1234. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (Math.abs(value) >= 100) return String(Math.round(value));
  return value.toPrecision(3).replace(/\.?0+$/, '');
}

/** `45.6 [44.1–50]`. */
export function ranged({ median, least, most }: Figure): string {
  return `${digits(median)} [${digits(least)}–${digits(most)}]`;
}

/** A ratio beside what was asked of it: passes by its median, or by the best of its rounds on a noisy machine. */
export interface Target {
  readonly name: string;
  readonly gate: number;
  readonly aim: number | undefined;
  readonly ratio: number;
  /** The ratio of the best rounds. */
  readonly best: number;
  /** Whether larger is better. */
  readonly rises?: boolean;
}

export function verdict({ gate, aim, ratio, best, rises = true }: Target): string {
  const reaches = (wanted: number): boolean => (rises ? Math.max(ratio, best) >= wanted : Math.min(ratio, best) <= wanted);
  if (aim !== undefined && reaches(aim)) return 'aim reached';
  return reaches(gate) ? 'gate passed' : '**missed**';
}

/** A Markdown table. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(heads), line(heads.map((_, index) => (index === 0 ? '---' : '--:'))), ...rows.map(line)].join('\n');
}

export function targetTable(targets: readonly Target[]): string {
  return table(
    ['target', 'gate', 'aim', 'median', 'best rounds', ''],
    targets.map((target) => [
      target.name,
      `${target.rises === false ? '≤' : '≥'} ${target.gate}`,
      target.aim === undefined ? '–' : String(target.aim),
      digits(target.ratio),
      digits(target.best),
      verdict(target),
    ]),
  );
}
