// Reading from a server that follows the store's own, near this node, without ever reading what this node knows to be over: a thread asks the replica only
// while that has everything that this node has heard of, and had everything there was a second ago. Otherwise, and whenever it fails, the primary is asked.

import { setTimeout as pause } from 'node:timers/promises';
import { monotonic, type Versions } from '../core/coherence.ts';
import type { PostgresAddress } from '../core/store-address.ts';
import { type Client, openClient } from './postgres.ts';
import type { ReplicaGate } from './replica-gate.ts';

/** Milliseconds: what is read is never older than this. */
const LEASE = 1000;
const EVERY = 50;

export interface ReplicaWatch {
  /** How it is, for whoever looks after it. */
  readonly note: string;
  stop(): Promise<void>;
}

export interface ReplicaParts {
  readonly primary: PostgresAddress;
  readonly replica: PostgresAddress;
  readonly gate: ReplicaGate;
  readonly versions: Versions;
}

/** Asks both, again and again, how far they are. */
export function watchReplica({ primary, replica, gate, versions }: ReplicaParts): ReplicaWatch {
  const stopping = new AbortController();
  const clients = new Map<PostgresAddress, Client>();
  /** The newest commit of the primary that the replica has not shown yet, and since when. */
  let awaited: { readonly sequence: number; readonly node: string; readonly since: number } | undefined;
  let note = 'replica: not asked yet';

  async function at(address: PostgresAddress): Promise<Client> {
    const known = clients.get(address);
    if (known !== undefined && !known.isLost) return known;
    const opened = await openClient(address, { statement: LEASE });
    clients.set(address, opened);
    return opened;
  }

  async function look(): Promise<void> {
    // In this order: whatever was heard of before is in the primary's answer, and so in the replica when that has the same commit.
    const { epoch, commits } = versions;
    const began = monotonic();
    const { rows } = await (await at(primary)).run('select sequence, node from store_changes order by sequence desc limit 1');
    const newest = rows[0];
    if (newest === undefined) return;
    const { sequence, node } = newest as { sequence: number; node: string };
    // Another database may have a commit of that number, but none of that run of a service.
    const has = async (commit: { readonly sequence: number; readonly node: string }): Promise<boolean> => {
      const found = await (await at(replica)).run('select 1 from store_changes where sequence = $1 and node = $2', [
        commit.sequence,
        commit.node,
      ]);
      return found.rows.length === 1;
    };
    if (await has({ sequence, node })) {
      gate.open({ epoch, commits }, began + LEASE);
      note = `replica: ${awaited === undefined ? 'less than ' : ''}${(monotonic() - (awaited?.since ?? began)) | 0} ms behind`;
      awaited = undefined;
      return;
    }
    // What was waited for has come while something newer was made: it is as late as that was.
    if (awaited !== undefined && (await has(awaited))) awaited = undefined;
    awaited ??= { sequence, node, since: began };
    const late = (monotonic() - awaited.since) | 0;
    note = `replica: ${late} ms behind${late > LEASE ? '; what is not cached is read from the primary' : ''}`;
  }

  async function round(): Promise<void> {
    for (;;) {
      const next = await pause(EVERY, true, { signal: stopping.signal }).catch(() => false);
      if (!next) return;
      await look().catch((error: unknown) => {
        note = `replica: ${error instanceof Error ? error.message : String(error)}; what is not cached is read from the primary`;
      });
    }
  }

  const running = round();
  return {
    get note() {
      return note;
    },
    stop: async () => {
      stopping.abort();
      await running;
      for (const client of clients.values()) await client.close();
    },
  };
}
