// Chains of several nodes hold each other: each node writes into its own how far the others have come, as the store has it, so that a chain that loses its end
// is found by what others saw of it, even where the store was set back with it. Nothing is written while nothing happened but this.

import type { Logger } from 'pino';
import type { Clock } from '../core/clock.ts';
import type { Reader } from '../store/store.ts';
import type { Ledger } from './ledger.ts';

export interface LinksParts {
  readonly read: Reader;
  readonly chain: string;
  readonly ledger: Pick<Ledger, 'head'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Appends an event about the audit itself, and resolves when it is on disk. */
  readonly say: (operation: string, properties: Readonly<Record<string, unknown>>) => Promise<void>;
}

export interface Links {
  /** Looks at the other chains, if it is time, and writes down how far they have come. */
  look(): Promise<void>;
  /** The last event of this chain up to this one that did anything but look at others: what is worth being looked at. */
  deedsUpTo(sequence: number): number;
}

export const SEEN = 'AuditChainsSeen';
const WENT_BACK = 'AuditChainWentBack';
/** Milliseconds. */
const LOOK_EVERY = 60_000;

interface Seen {
  readonly chain: string;
  readonly sequence: number;
  readonly hash: string;
  readonly deeds: number | null;
}

export function openLinks({ read, chain, ledger, clock, log, say }: LinksParts): Links {
  const seen = new Map<string, Seen>();
  let nextAt = 0;
  /** The last event that only looked at others, and the last deed before it. */
  let own = { link: -1, deed: 0 };

  const deedsUpTo = (sequence: number): number => (sequence === own.link ? own.deed : sequence);

  async function write(operation: string, properties: Readonly<Record<string, unknown>>): Promise<void> {
    const before = ledger.head.sequence;
    await say(operation, properties);
    const { sequence } = ledger.head;
    // Where others were appended with it, there is something to look at.
    if (sequence === before + 1) own = { link: sequence, deed: deedsUpTo(before) };
  }

  async function refuseRollback(found: Seen): Promise<void> {
    const known = seen.get(found.chain);
    if (known === undefined || found.sequence >= known.sequence) return;
    log.error({ chain: found.chain, had: known.sequence, has: found.sequence }, 'the audit chain of another node went back');
    await say(WENT_BACK, { chain: found.chain, had: known.sequence, hash: known.hash, has: found.sequence });
  }

  return {
    deedsUpTo,
    look: async () => {
      if (clock.now() < nextAt) return;
      nextAt = clock.now() + LOOK_EVERY;
      const others = await read
        .selectFrom('audit_chains')
        .select(['chain', 'sequence', 'hash', 'deeds'])
        .where('chain', '!=', chain)
        .orderBy('chain')
        .execute();
      for (const found of others) await refuseRollback(found);
      const isWorthIt = others.some((found) => deedsOf(found) !== deedsOf(seen.get(found.chain)));
      if (!isWorthIt) return;
      const news = others.filter(({ chain: other, hash }) => hash !== seen.get(other)?.hash);
      await write(SEEN, { chains: news.map(({ chain: other, sequence, hash }) => ({ chain: other, sequence, hash })) });
      for (const found of news) seen.set(found.chain, found);
    },
  };
}

/** A chain whose node is of an older program does not say. */
function deedsOf(found: Seen | undefined): number {
  return found === undefined ? -1 : (found.deeds ?? found.sequence);
}
