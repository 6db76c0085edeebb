// Sees what other nodes commit to a shared store, and says for how long this node's caches may be believed: until a moment after it last heard. A node that
// cannot hear, or that was stopped for a while, finds its caches closed and reads through.

import { setTimeout as pause } from 'node:timers/promises';
import { monotonic, type Tag, type Versions } from '../core/coherence.ts';
import type { PostgresAddress } from '../core/store-address.ts';
import { NODES_TAG, ShutOut } from './nodes.ts';
import { type Client, openClient, type Run } from './postgres.ts';

export interface Follower {
  stop(): Promise<void>;
}

export interface FollowerParts {
  readonly address: PostgresAddress;
  /** Whose commits need no look: this node's own. */
  readonly node: string;
  readonly versions: Versions;
  readonly committed: (tags: readonly Tag[]) => void;
  /** Says on this connection that this node is there; called every second, and when a node's row was changed. Throws ShutOut when it has no place any more. */
  readonly beat?: ((run: Run) => Promise<void>) | undefined;
  /** Told of the ShutOut; nothing is served from caches any more. */
  readonly lost?: ((error: Error) => void) | undefined;
}

/** Milliseconds. State that decides access is never older than this, on any node. */
const LEASE = 1000;
const EVERY = 200;
const AT_ONCE = 1000;
const BEAT_EVERY = 1000;
/** For a row that somebody is just changing: this node's caches must not wait for that. */
const LOCK_WITHIN = 100;

interface Row {
  readonly sequence: number;
  readonly node: string;
  readonly tags_json: string;
}

/** Resolves when it has heard once. */
export async function followChanges({ address, node, versions, committed, beat, lost }: FollowerParts): Promise<Follower> {
  const stopping = new AbortController();
  let client: Client | undefined;
  /** The last commit that was seen; found again each time, unless it was pruned or lost with a server. */
  let last: Row | undefined;
  let isBehind = true;
  let beatAt = monotonic();
  let isShutOut = false;

  async function listen(): Promise<void> {
    // Before the question: what is committed after it is not in the answer.
    const began = monotonic();
    if (client === undefined || client.isLost) client = await connected();
    const rows = await changesFrom(client.run, last?.sequence);
    const first = rows[0];
    // Before the first commit of all there was none to be found again.
    if (
      last !== undefined &&
      last !== NOTHING &&
      (first === undefined || first.sequence !== last.sequence || first.tags_json !== last.tags_json)
    ) {
      versions.touchAll();
    }
    const others = rows.filter((row) => row.node !== node && row.sequence !== last?.sequence);
    const tags = others.flatMap((row) => JSON.parse(row.tags_json) as Tag[]);
    for (const tag of tags) versions.touch(tag);
    if (tags.length > 0) committed(tags);
    last = rows.at(-1) ?? NOTHING;
    isBehind = rows.length >= AT_ONCE;
    if (tags.includes(NODES_TAG)) beatAt = began;
    await sayAlive(client.run, began);
    if (!isBehind && !isShutOut) versions.holdUntil(began + LEASE);
  }

  async function connected(): Promise<Client> {
    const opened = await openClient(address, { statement: LEASE });
    // That a node was heard of may be forgotten by a server that dies.
    if (beat !== undefined) await opened.run(`set lock_timeout = ${LOCK_WITHIN}; set synchronous_commit = off`);
    return opened;
  }

  async function sayAlive(run: Run, now: number): Promise<void> {
    if (beat === undefined || ((now - beatAt) | 0) < 0) return;
    beatAt = (now + BEAT_EVERY) | 0;
    try {
      await beat(run);
    } catch (error) {
      if (!(error instanceof ShutOut)) return;
      isShutOut = true;
      versions.shut();
      lost?.(error);
    }
  }

  async function round(): Promise<void> {
    for (;;) {
      const next = await pause(isBehind ? 1 : EVERY, true, { signal: stopping.signal }).catch(() => false);
      if (!next) return;
      // The caches close by themselves when this goes on failing.
      await listen().catch(() => (isBehind = false));
    }
  }

  versions.holdUntil(monotonic());
  await listen();
  const running = round();
  return {
    stop: async () => {
      stopping.abort();
      await running;
      await client?.close();
    },
  };
}

const NOTHING: Row = { sequence: 0, node: '', tags_json: '' };

/** With the one that was seen last, so that it is known that nothing between is missing; from nowhere, the newest alone. */
async function changesFrom(run: Run, sequence: number | undefined): Promise<readonly Row[]> {
  const columns = 'select sequence, node, tags_json from store_changes';
  const { rows } =
    sequence === undefined
      ? await run(`${columns} order by sequence desc limit 1`)
      : await run(`${columns} where sequence >= $1 order by sequence limit ${AT_ONCE}`, [sequence]);
  return rows;
}
