// Which code ran that had not run before, by V8's own counters and down to the branch. Knows nothing of inputs; for this thread alone.

import { type Profiler, Session } from 'node:inspector';

export interface Coverage {
  /** What ran since the last asking and is not known; empty when there is no such thing. */
  news(): News;
  /** From now on it is known. */
  note(news: News): void;
  close(): void;
}

/** By function: a byte for each of its characters, 1 when it ran. */
export type News = ReadonlyMap<string, Uint8Array>;

/** The code that is looked at: ours and that of the packages, without the tests. */
const COUNTS = /^file:.*(?:\/src\/|\/node_modules\/)/;

export function openCoverage(): Coverage {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  const known = new Map<string, Uint8Array>();

  /** What ran since the last asking: V8 begins to count anew each time. */
  function ran(): readonly [name: string, Profiler.FunctionCoverage][] {
    let scripts: readonly Profiler.ScriptCoverage[] = [];
    session.post('Profiler.takePreciseCoverage', (error, { result }) => {
      if (error !== null) throw error;
      scripts = result;
    });
    return scripts
      .filter(({ url }) => COUNTS.test(url))
      .flatMap(({ scriptId, functions }) =>
        functions.map((one) => [`${scriptId} ${one.ranges[0]?.startOffset} ${one.ranges[0]?.endOffset}`, one] as const),
      );
  }

  return {
    news: () => {
      const news = ran().map(([name, { ranges }]) => [name, painted(ranges)] as const);
      return new Map(news.filter(([name, now]) => now.some((here, i) => here > (known.get(name)?.[i] ?? 0))));
    },
    note: (news) => {
      for (const [name, now] of news) {
        const before = known.get(name);
        known.set(name, before === undefined ? now : now.map((here, i) => here | (before[i] ?? 0)));
      }
    },
    close: () => session.disconnect(),
  };
}

/** The ranges are nested, the outer ones first, and the inner ones count. */
function painted(ranges: readonly Profiler.CoverageRange[]): Uint8Array {
  const [{ startOffset: start, endOffset: end } = { startOffset: 0, endOffset: 0 }] = ranges;
  const characters = new Uint8Array(end - start);
  for (const { startOffset, endOffset, count } of ranges) characters.fill(count > 0 ? 1 : 0, startOffset - start, endOffset - start);
  return characters;
}
