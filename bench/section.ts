// What a part of the suite is: a name to ask for it by, and the Markdown that it writes.

export interface Settings {
  readonly rounds: number;
  /** Of each measurement. */
  readonly seconds: number;
  /** Before a server's first measurement. */
  readonly warm: number;
  /** Rows of the largest store that growth is measured with. */
  readonly keys: number;
  readonly cores: readonly number[];
  /** Says on the terminal what is going on. */
  say(line: string): void;
}

export interface Section {
  readonly name: string;
  readonly title: string;
  run(settings: Settings): Promise<string>;
}

/** Runs every measurement once in each round, so that a slow moment of the machine meets all of them alike. Figures by name, one for each round. */
export async function interleaved(
  rounds: number,
  measurements: readonly (readonly [name: string, measure: () => Promise<number>])[],
  say: (line: string) => void,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const figures = new Map<string, number[]>(measurements.map(([name]) => [name, []]));
  for (let round = 1; round <= rounds; round += 1) {
    say(`round ${round} of ${rounds}`);
    for (const [name, measure] of measurements) figures.get(name)?.push(await measure());
  }
  return figures;
}
