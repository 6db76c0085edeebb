// Failed sign-ins as all nodes of a service count them, in the store. Sign-ins that follow no failure ask nothing of it; strangers who fail make one small
// commit every PACE at most, and rows that are gone after their minute.

import { hash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Clock } from '../core/clock.ts';
import type { Versions } from '../core/coherence.ts';
import type { Reader, Store, Writer } from '../store/store.ts';

/** Milliseconds for which failures are counted together, from the first one on. */
export const WINDOW = 60_000;
/** Rows that say they last longer were written by a node whose clock is far off, and say nothing to this one. */
const BELIEVED = 2 * WINDOW;
/** Milliseconds between two commits of one node, and the failures in one of them; more wait for the next. */
const PACE = 100;
const BATCH = 50;
/** Beyond these the oldest rows go. */
const MOST_ROWS = 20_000;
const TAG = 'sign-in-failures';

export interface Minute {
  readonly until: number;
  readonly failures: number;
}

export interface SharedFailures {
  /** What was counted for these, by all nodes, in a minute that is not over. Nothing when the store cannot be asked. */
  of(counted: readonly string[]): Promise<ReadonlyMap<string, Minute>>;
  /** Counts one failure for all of these. Resolves when every node knows, or when the store does not take it. */
  add(counted: readonly string[]): Promise<void>;
}

export interface SharedFailuresParts {
  /** As the last commit left it: a replica may be behind. */
  readonly read: Reader;
  readonly write: Store['write'];
  readonly clock: Clock;
  readonly versions: Versions;
}

export function openSharedFailures({ read, write, clock, versions }: SharedFailuresParts): SharedFailures {
  const waiting: { readonly keys: readonly string[]; readonly counted: () => void }[] = [];
  let isCounting = false;
  /** The tag's counter when it was last looked at, and until when somebody's failures may count. */
  let heard: number | undefined;
  let lately = 0;

  async function maybeAny(): Promise<boolean> {
    const version = versions.of(TAG);
    if (heard === undefined) lately = await lastUntil(read);
    else if (version !== heard) lately = clock.now() + BELIEVED;
    heard = version;
    return clock.now() < lately || !versions.areCurrent;
  }

  async function countWaiting(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting.splice(0, BATCH);
      // A store that takes nothing leaves what each node counts by itself.
      await write((writer) => countIn(writer, batch, clock.now())).catch(() => undefined);
      for (const { counted } of batch) counted();
      await pause(PACE, undefined, { ref: false });
    }
    isCounting = false;
  }

  return {
    async of(counted) {
      const names = new Map(counted.map((name) => [keyOf(name), name]));
      try {
        if (!(await maybeAny())) return new Map();
        const rows = await rowsOf(read, [...names.keys()]);
        const now = clock.now();
        return new Map(rows.filter((row) => isOf(row, now)).map((row) => [names.get(row.key) ?? '', row]));
      } catch {
        // Who they are cannot be looked up either, then.
        return new Map();
      }
    },
    add(counted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.push({ keys: counted.map(keyOf), counted: resolve });
      if (!isCounting) {
        isCounting = true;
        void countWaiting();
      }
      return promise;
    },
  };
}

async function countIn(writer: Writer, batch: readonly { readonly keys: readonly string[] }[], now: number): Promise<void> {
  const added = new Map<string, number>();
  for (const key of batch.flatMap(({ keys }) => keys)) added.set(key, (added.get(key) ?? 0) + 1);
  const known = new Map((await rowsOf(writer, [...added.keys()])).map((row) => [row.key, row]));
  const rows = [...added].map(([key, failures]) => {
    const before = known.get(key);
    if (before === undefined || !isOf(before, now)) return { key, failures, until: now + WINDOW };
    return { key, failures: before.failures + failures, until: before.until };
  });
  await writer
    .insertInto('sign_in_failures')
    .values(rows)
    .onConflict((row) =>
      row.column('key').doUpdateSet((to) => ({ failures: to.ref('excluded.failures'), until: to.ref('excluded.until') })),
    )
    .execute();
  const newest = writer.selectFrom('sign_in_failures').select('until').orderBy('until', 'desc').offset(MOST_ROWS).limit(1);
  await writer
    .deleteFrom('sign_in_failures')
    .where((row) => row.or([row('until', '<=', now), row('until', '>', now + BELIEVED), row('until', '<', newest)]))
    .execute();
  writer.touch(TAG);
}

function rowsOf(read: Reader, keys: readonly string[]) {
  return read.selectFrom('sign_in_failures').selectAll().where('key', 'in', keys).execute();
}

async function lastUntil(read: Reader): Promise<number> {
  const last = await read.selectFrom('sign_in_failures').select('until').orderBy('until', 'desc').limit(1).executeTakeFirst();
  return last?.until ?? 0;
}

function isOf({ until }: Minute, now: number): boolean {
  return now < until && until <= now + BELIEVED;
}

/** Of one size, and without names and addresses. */
function keyOf(counted: string): string {
  return hash('sha256', counted, 'base64url');
}
