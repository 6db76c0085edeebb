// Which bundles may go. A service that runs from one loads parts of it weeks later, and cannot leave a note of that where its account may only read.

const HOUR = 3_600_000;

/** The youngest are kept, whatever their age. */
const KEPT = 4;
/** One that was the current one for this long (ms) is what a service may run from; others come and go while somebody edits. */
const LASTING = 6 * HOUR;
/** For how long (ms) each is kept after the next one took its place. */
const LASTING_KEPT_FOR = 30 * 24 * HOUR;
const KEPT_FOR = 24 * HOUR;

export interface Bundle {
  readonly path: string;
  /** When it was made, in ms. */
  readonly since: number;
}

/** The paths of those that nobody is likely to run from any more. */
export function outlived(bundles: readonly Bundle[], now: number): readonly string[] {
  const youngestFirst = bundles.toSorted((a, b) => b.since - a.since);
  return youngestFirst.flatMap(({ path, since }, i) => {
    const replaced = youngestFirst[i - 1]?.since ?? now;
    const keptFor = replaced - since < LASTING ? KEPT_FOR : LASTING_KEPT_FOR;
    return i < KEPT || now - replaced <= keptFor ? [] : [path];
  });
}
