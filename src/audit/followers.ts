// The followers of a chain, one for each sink, and what the store keeps of how far each came.

import type { Logger } from 'pino';
import type { Clock } from '../core/clock.ts';
import type { Store } from '../store/store.ts';
import { Follower, type Position, type SinkState } from './follower.ts';
import type { Ledger } from './ledger.ts';
import type { Sink } from './sinks/sink.ts';

export interface FollowersParts {
  readonly sinks: readonly Sink[];
  readonly folder: string;
  readonly chain: string;
  readonly ledger: Ledger;
  readonly store: Pick<Store, 'read' | 'write'>;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Followers {
  /** Copying begins with this. */
  begin(): void;
  readonly states: readonly SinkState[];
  close(): Promise<void>;
}

export async function openFollowers(parts: FollowersParts): Promise<Followers> {
  const { sinks, folder, chain, ledger, clock, log } = parts;
  const followers: Follower[] = [];
  for (const sink of sinks) {
    const start = await positionOf(parts, sink.id);
    const keep = (position: Position): Promise<void> => keepPosition(parts, sink.id, position);
    const changed = (kind: string, problem: string | undefined): void => {
      if (problem === undefined) log.info({ sink: kind }, 'an audit sink takes records again');
      else log.warn({ sink: kind, problem }, 'an audit sink takes no records; they wait in the data folder');
    };
    followers.push(new Follower({ sink, folder, chain, end: () => ledger.end, start, keep, clock, changed }));
  }
  ledger.onAppend(() => {
    for (const follower of followers) follower.wake();
  });
  return {
    begin: () => {
      for (const follower of followers) follower.begin();
    },
    get states() {
      return followers.map(({ state }) => state);
    },
    close: async () => {
      await Promise.all(
        followers.map((follower) =>
          follower.close().catch((error: unknown) => log.warn({ err: error }, 'how far an audit sink came could not be noted')),
        ),
      );
    },
  };
}

/** A sink that is new begins with the segment that is open now. */
async function positionOf({ store, chain, ledger }: FollowersParts, sink: string): Promise<Position> {
  const known = await store.read
    .selectFrom('audit_sinks')
    .select(['segment', 'position', 'sequence'])
    .where('chain', '=', chain)
    .where('sink', '=', sink)
    .executeTakeFirst();
  return known ?? { segment: ledger.end.segment, position: 0, sequence: ledger.first - 1 };
}

async function keepPosition({ store, chain }: FollowersParts, sink: string, at: Position): Promise<void> {
  const { segment, position, sequence } = at;
  await store.write((writer) =>
    writer
      .insertInto('audit_sinks')
      .values({ chain, sink, segment, position, sequence })
      .onConflict((conflict) => conflict.columns(['chain', 'sink']).doUpdateSet({ segment, position, sequence }))
      .execute(),
  );
}
