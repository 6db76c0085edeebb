// Whether the answers that clients of several nodes got are explained by one order of the changes: the check of Wing and Gong, for one key or one role at a
// time. What only looks may be answered from what was true up to a second before, but never from before what the same node had acknowledged.

/** Milliseconds for which a node may serve what it knew. */
export const STALE = 1000;

/** One call of a client, as it was made and answered. Times are the client's, in milliseconds. */
export interface Call {
  readonly says: string;
  readonly node: string;
  readonly from: number;
  /** Infinity when nobody knows whether it was done, or when. */
  readonly until: number;
  /** Whether it is asked to change something; what only looks and has no answer says nothing, and is not given. */
  readonly changes: boolean;
  /** Whether it was acknowledged that it did. */
  readonly isDone: boolean;
  /** Calls of which this is the same do the same in every state. */
  readonly alike?: string | undefined;
  /** What is so after it, when it can have been answered like that in this state; undefined when it cannot. */
  next(state: string): string | undefined;
}

export interface Verdict {
  /** Undefined when there is such an order; otherwise the calls that nothing explains, as far as the best order got, or that it was given up. */
  readonly trouble: string | undefined;
  /** How many orders were begun. */
  readonly tried: number;
}

/** `most` orders are tried: a history that has more is one of which nobody knows anything, and as bad as one without. */
export function explain(calls: readonly Call[], first: string, most = MOST): Verdict {
  const changes = calls.filter((call) => call.changes);
  const looks = calls.filter((call) => !call.changes).map((call) => ({ ...call, from: earliest(call, changes) }));
  const all = [...changes, ...looks].sort((a, b) => a.from - b.from);
  const seen = new Set<string>();
  let best: { readonly left: readonly number[]; readonly state: string } = { left: all.map((_, i) => i), state: first };
  const stack = [best];
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    const { state } = at;
    const left = withoutLooks(all, at.left, state);
    if (left.length < best.left.length) best = { left, state };
    if (left.every((i) => all[i]?.until === Number.POSITIVE_INFINITY)) return { trouble: undefined, tried: seen.size };
    const mark = `${state} ${left.join()}`;
    if (seen.has(mark)) continue;
    seen.add(mark);
    if (seen.size > most)
      return { trouble: `given up: more than ${most} orders were tried, and none explains ${calls.length} calls`, tried: seen.size };
    const end = Math.min(...left.map((i) => all[i]?.until ?? 0));
    const nobodyKnows = new Set<string>();
    const nexts: typeof stack = [];
    for (const i of left) {
      const call = all[i];
      if (call === undefined || !call.changes || call.from >= end) continue;
      const next = call.next(state);
      if (next === undefined) continue;
      if (call.until === Number.POSITIVE_INFINITY) {
        // It need not have been done at all; and of several that do the same, the one that was asked for first may have been done whenever another may.
        if (next === state || (call.alike !== undefined && nobodyKnows.has(call.alike))) continue;
        if (call.alike !== undefined) nobodyKnows.add(call.alike);
      }
      nexts.push({ left: left.filter((other) => other !== i), state: next });
    }
    stack.push(...nexts.reverse());
  }
  // What need not have been done is missed by nobody.
  const [missed] = best.left.flatMap((i) => all[i] ?? []).sort((a, b) => a.until - b.until);
  const trouble = `in the state '${best.state}' nothing explains ${missed?.says}, in:\n${around(calls, missed?.until ?? 0)}`;
  return { trouble, tried: seen.size };
}

/** What whoever looks into it wants to see. */
function around(calls: readonly Call[], moment: number): string {
  return calls
    .filter(({ from, until }) => from < moment + 500 && (until > moment - 1500 || until === Number.POSITIVE_INFINITY))
    .sort((a, b) => a.from - b.from)
    .map(({ says, node, from, until }) => `  ${Math.round(from)} to ${Math.round(until)} at ${node}: ${says}`)
    .join('\n');
}

export const MOST = 500_000;

/** A look changes nothing, so one that fits and may come now comes now. */
function withoutLooks(all: readonly Call[], left: readonly number[], state: string): readonly number[] {
  for (;;) {
    const end = Math.min(...left.map((i) => all[i]?.until ?? 0));
    const rest = left.filter((i) => {
      const call = all[i];
      return call === undefined || call.changes || call.from >= end || call.next(state) === undefined;
    });
    if (rest.length === left.length) return left;
    left = rest;
  }
}

/** Until when back what a look saw may have been true: not to before what its own node had done. */
function earliest(look: Call, changes: readonly Call[]): number {
  const own = changes.filter(({ node, until, isDone }) => isDone && node === look.node && until <= look.from).map(({ until }) => until);
  return Math.max(look.from - STALE, ...own);
}
