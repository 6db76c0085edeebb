// What one node does for all nodes of a store: who has the charge, how it changes hands when its holder has ended, and what the new holder takes over. Whoever
// has it says its number in every transaction, so that a node which slept and woke does nothing twice.

import type { Logger } from 'pino';
import type { Clock } from '../core/clock.ts';
import { monotonic, type Versions } from '../core/coherence.ts';
import { adoptOrphans, holders } from '../hsm/orphans.ts';
import { endNodes, holderOf, type KnownNode, runsOf } from '../store/nodes.ts';
import type { Nodes, Reader, Store, Writer } from '../store/store.ts';

const CHARGE = 'jobs';
/** Milliseconds for which a node is heard of no more before others take what it had; it says every second that it is there. */
const DEAD_AFTER = 6000;
/** A look that comes later than this after the one before it says nothing of others: this node stood still itself. */
const LOOKS_WITHIN = 3000;
/** How far this machine's clock may be from the database's in a node that decides what is due. */
const CLOCKS_WITHIN = 10_000;

/** The charge is somebody else's now; nothing was changed. */
export class NotInCharge extends Error {
  override readonly name = 'NotInCharge';
}

export interface Charge {
  /** Whether this node has it, as far as it knows. */
  readonly isHeld: boolean;
  /** A line for operators about what keeps this node from having it. */
  readonly note: string | undefined;
  /** Changes what is due. Rejects with NotInCharge when somebody else has the charge, or had it meanwhile. */
  readonly write: Store['write'];
  /** Looks around, once a second: takes the charge when its holder has ended, and what others left. Returns the jobs to go on with. */
  look(): Promise<readonly string[]>;
}

export interface ChargeParts {
  readonly store: Pick<Store, 'read' | 'nodes'>;
  /** Records what is changed, where records are kept. */
  readonly write: Store['write'];
  readonly versions: Versions;
  readonly clock: Clock;
  /** The machine's, which nobody moves. */
  readonly machineClock: Clock;
  readonly log: Pick<Logger, 'info' | 'warn'>;
}

export function openCharge({ store, ...parts }: ChargeParts): Charge {
  const { nodes } = store;
  // A store in a data folder has one service.
  if (nodes === undefined) return { isHeld: true, note: undefined, write: parts.write, look: async () => [] };
  return sharedCharge({ ...parts, nodes, read: store.read });
}

/** At start: what earlier runs left that have ended since. Returns the jobs to go on with. */
export function adoptAtStart({ nodes, write }: Pick<Store, 'nodes' | 'write'>, clock: Clock): Promise<readonly string[]> {
  return write(async (writer) => {
    const running = nodes === undefined ? new Set<string>() : await runsOf(writer);
    return adoptOrphans(writer, (holder) => holder === null || !running.has(holder), clock.now());
  });
}

interface SharedParts extends Omit<ChargeParts, 'store'> {
  readonly nodes: Nodes;
  readonly read: Reader;
}

function sharedCharge({ nodes, read, write, versions, clock, machineClock, log }: SharedParts): Charge {
  const silence = watchSilence(versions);
  /** Its number while this node has it. */
  let fence: number | undefined;
  let note: string | undefined;

  async function look(): Promise<readonly string[]> {
    const known = await nodes.list();
    const silent = silence(known.filter((node) => node.ended_at === null && holderOf(node) !== nodes.holder));
    const gone = hasEndedAmong(known, silent);
    const isApart = Math.abs(machineClock.now() - ownTime(known, nodes.holder)) > CLOCKS_WITHIN;
    note = isApart ? "clock: it is far from the database's, so this node does nothing that falls due" : undefined;
    const lease = await leaseIn(read);
    fence = lease?.holder === nodes.holder ? lease.fence : undefined;
    if (nodes.isDrained || isApart) {
      if (fence !== undefined) await write((writer) => giveAway(writer));
      fence = undefined;
      return [];
    }
    if (fence === undefined && (lease === undefined || lease.holder === null || gone(lease.holder)))
      fence = await write((writer) => take(writer, silent));
    if (lease?.holder !== nodes.holder && fence !== undefined)
      log.info({ after: lease?.holder }, 'this node does what falls due from now on');
    if (fence === undefined || !(await holders(read)).some(gone)) return [];
    const jobs = await write((writer) => takeOver(writer, silent));
    log.warn({ silent: silent.map(holderOf), jobs }, 'what a node left when it ended was taken over');
    return jobs;
  }

  /** Whoever of those who try at the same time comes second finds it taken. */
  async function take(writer: Writer, silent: readonly KnownNode[]): Promise<number | undefined> {
    const lease = await leaseIn(writer);
    await endNodes(
      writer,
      silent.filter((node) => holderOf(node) === lease?.holder),
    );
    if (lease?.holder != null && (await runsOf(writer)).has(lease.holder)) return undefined;
    const taken = { holder: writer.holder, fence: (lease?.fence ?? 0) + 1 };
    await writer
      .insertInto('leases')
      .values({ name: CHARGE, ...taken })
      .onConflict((row) => row.column('name').doUpdateSet(taken))
      .execute();
    return taken.fence;
  }

  async function takeOver(writer: Writer, silent: readonly KnownNode[]): Promise<readonly string[]> {
    await prove(writer);
    // A silent one that has nothing may come back as if nothing had been.
    const held = new Set(await holders(writer));
    await endNodes(
      writer,
      silent.filter((node) => held.has(holderOf(node))),
    );
    const running = await runsOf(writer);
    return adoptOrphans(writer, (holder) => holder === null || !running.has(holder), clock.now());
  }

  async function prove(writer: Writer): Promise<void> {
    const lease = await leaseIn(writer);
    if (fence === undefined || lease?.holder !== writer.holder || lease.fence !== fence)
      throw new NotInCharge('another node has the charge');
  }

  return {
    get isHeld() {
      return fence !== undefined;
    },
    get note() {
      return note;
    },
    write: (job) =>
      write(async (writer) => {
        await prove(writer);
        return job(writer);
      }),
    look,
  };
}

function leaseIn(read: Pick<Writer, 'selectFrom'>) {
  return read.selectFrom('leases').select(['holder', 'fence']).where('name', '=', CHARGE).executeTakeFirst();
}

async function giveAway(writer: Writer): Promise<void> {
  await writer.updateTable('leases').set({ holder: null }).where('name', '=', CHARGE).where('holder', '=', writer.holder).execute();
}

function hasEndedAmong(known: readonly KnownNode[], silent: readonly KnownNode[]): (holder: string | null) => boolean {
  const running = new Set(known.filter((node) => node.ended_at === null && !silent.includes(node)).map(holderOf));
  return (holder) => holder === null || !running.has(holder);
}

/** The database's time. This node's own row is there: it could not ask otherwise. */
function ownTime(known: readonly KnownNode[], holder: string): number {
  const own = known.find((node) => holderOf(node) === holder);
  return own === undefined ? Number.NaN : own.heard_at + own.silentFor;
}

interface Heard {
  readonly at: number;
  readonly since: number;
}

/**
 * Which of the nodes have said nothing for as long as this node listened. What their rows say of the time is not asked: after the database was away for a
 * while everybody has been silent, and nobody is dead.
 */
function watchSilence(versions: Versions): (others: readonly KnownNode[]) => readonly KnownNode[] {
  let heard = new Map<string, Heard>();
  let looked = monotonic();
  return (others) => {
    const now = monotonic();
    const isFresh = versions.areCurrent && ((now - looked) | 0) < LOOKS_WITHIN;
    looked = now;
    const before = heard;
    heard = new Map(
      others.map((node) => {
        const known = before.get(holderOf(node));
        const isSilent = isFresh && known?.at === node.heard_at;
        return [holderOf(node), { at: node.heard_at, since: isSilent ? known.since : now }];
      }),
    );
    return others.filter((node) => ((now - (heard.get(holderOf(node))?.since ?? now)) | 0) > DEAD_AFTER);
  };
}
