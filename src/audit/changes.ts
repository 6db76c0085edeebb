// Records of calls that may change something, on the thread that has the store's writer. The record of a change is committed with the change: without
// the one there is not the other. From the store it goes into the chain, and leaves the store when it is there.

import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import { type AboutWhom, type CallFacts, type Deed, decisionOn, type Outcome, reasonOf } from '../core/audit.ts';
import { anonymous } from '../core/caller.ts';
import type { Clock } from '../core/clock.ts';
import { Failure } from '../core/failure.ts';
import { isReply } from '../core/reply.ts';
import { prepared } from '../store/prepared.ts';
import type { Tables } from '../store/schema.ts';
import type { Store, Writer } from '../store/store.ts';
import type { Events } from './event.ts';
import type { Gate } from './gate.ts';
import type { Ledger } from './ledger.ts';

export interface ChangesParts {
  readonly store: Pick<Store, 'read' | 'write'>;
  readonly chain: string;
  readonly ledger: Pick<Ledger, 'head' | 'append' | 'appendUnhurried'>;
  readonly gate: Gate;
  readonly clock: Clock;
  readonly events: Events;
}

export interface Changes {
  /** The store's write; what a recorded call commits through it is committed with the call's record. */
  readonly write: Store['write'];
  /** Runs a call and records it. Rejects with auditUnavailable when it changed nothing and its record could not be kept. */
  recorded<Result>(facts: CallFacts, run: () => Promise<Result>): Promise<Result>;
  /** During a recorded call: whom it is about. */
  readonly about: AboutWhom;
  /** These records came into the chain by another way: the store may let them go. */
  arrived(requestIds: readonly string[]): void;
  /** Takes records out of the store that the chain has by now, and brings those into the chain that it could not take before. */
  sweep(): Promise<void>;
}

/** A call under way. */
interface Change {
  facts: CallFacts;
  /** Whether something was committed, and so its record with it. */
  isKept: boolean;
}

type MakeEvent = () => Promise<string | undefined>;

/** With the commit of a change: rarely, and always as many, so that it costs one statement for all of them. */
const TAKEN_AT_ONCE = 64;
/** At a time, when nothing else is written; the rest waits for the next. */
const MOST_TAKEN = 200;

export function openChanges({ store, chain, ledger, gate, clock, events }: ChangesParts): Changes {
  const calls = new AsyncLocalStorage<Change>();
  /** Request ids of records that the chain has, and the store still too. */
  const inChain = new Set<string>();
  /** Events of committed changes that could not be made, or that the chain could not take: the store was away, or the disk full. */
  const owed = new Map<string, MakeEvent>();

  async function write<Result>(job: (writer: Writer) => Promise<Result>): Promise<Result> {
    const change = calls.getStore();
    const taken = change !== undefined && inChain.size >= TAKEN_AT_ONCE ? claim(TAKEN_AT_ONCE) : [];
    const written = store.write(async (writer) => {
      const deeds: CallFacts[] = [];
      const result = await job({ ...writer, note: (deed) => deeds.push(factsOf(deed, clock.now())) });
      for (const facts of change === undefined ? deeds : [change.facts]) await keep(writer, facts);
      await take(writer, taken);
      return { result, deeds };
    });
    const { result, deeds } = await restored(written, taken);
    if (change === undefined) for (const facts of deeds) await finish({ facts, isKept: true }, DONE);
    else change.isKept = true;
    return result;
  }

  /** One row for each call, however many commits it makes. */
  async function keep(writer: Writer, facts: CallFacts): Promise<void> {
    await addRow(writer, {
      request_id: facts.requestId,
      chain,
      after_sequence: ledger.head.sequence,
      facts_json: JSON.stringify(facts),
    });
  }

  /** So that changes which share a commit do not all take the same ones out. */
  function claim(count: number): readonly string[] {
    const claimed = [...inChain].slice(0, count);
    for (const id of claimed) inChain.delete(id);
    return claimed;
  }

  /** What was claimed for a transaction that was not made is still in the store. */
  async function restored<Result>(written: Promise<Result>, claimed: readonly string[]): Promise<Result> {
    try {
      return await written;
    } catch (error) {
      for (const id of claimed) inChain.add(id);
      throw error;
    }
  }

  async function take(writer: Writer, ids: readonly string[]): Promise<void> {
    if (ids.length > 0) await removeRows(writer, { ids });
  }

  async function recorded<Result>(facts: CallFacts, run: () => Promise<Result>): Promise<Result> {
    gate.prove();
    const change: Change = { facts, isKept: false };
    const [ended] = await Promise.allSettled([calls.run(change, run)]);
    await finish(change, outcomeOf(ended, clock.now() - facts.time));
    if (ended.status === 'rejected') throw ended.reason;
    return ended.value;
  }

  async function finish({ facts, isKept }: Change, outcome: Outcome): Promise<void> {
    const make: MakeEvent = async () => events.of(facts, outcome);
    // What was changed is answered as such, whatever becomes of the chain meanwhile.
    if (isKept) return void hand(facts.requestId, make);
    const event = await make();
    if (event !== undefined) await ledger.append([event]);
  }

  /** The change is on disk with its record, so nobody waits for the chain. */
  async function hand(id: string, make: MakeEvent): Promise<void> {
    try {
      const event = await make();
      if (event !== undefined) await ledger.appendUnhurried([event]);
      inChain.add(id);
    } catch {
      owed.set(id, make);
    }
  }

  return {
    write,
    recorded,
    about: (objectId) => {
      const change = calls.getStore();
      if (change !== undefined) change.facts = { ...change.facts, subject: objectId };
    },
    arrived: (ids) => {
      for (const id of ids) inChain.add(id);
    },
    sweep: async () => {
      if (gate.isOpen) {
        const [...waiting] = owed;
        owed.clear();
        await Promise.all(waiting.map(([id, make]) => hand(id, make)));
        await ledger.append(events.overdue());
      }
      if (inChain.size === 0) return;
      const taken = claim(MOST_TAKEN);
      await restored(
        store.write((writer) => take(writer, taken)),
        taken,
      );
    },
  };
}

const addRow = prepared((writer: Writer, row: Tables['audit_changes']) =>
  writer
    .insertInto('audit_changes')
    .values(row)
    .onConflict((conflict) => conflict.doNothing()),
);

const removeRows = prepared((writer: Writer, { ids }: { readonly ids: readonly string[] }) =>
  writer.deleteFrom('audit_changes').where('request_id', 'in', ids),
);

const DONE: Outcome = { decision: 'allowed', status: 200, reason: undefined, duration: 0 };

/** The record of what nobody asked for: it was due. */
function factsOf({ operation, hsm, key }: Deed, time: number): CallFacts {
  return {
    requestId: randomUUID(),
    time,
    room: 'hsm',
    operation,
    action: '',
    scope: key === undefined ? '/' : `/keys/${key}`,
    apiVersion: undefined,
    host: hsm.toLowerCase(),
    origin: '',
    method: '',
    path: '',
    named: key === undefined ? {} : { name: key },
    address: '',
    client: 'the service itself: it was due',
    correlationId: undefined,
    caller: anonymous,
  };
}

function outcomeOf(ended: PromiseSettledResult<unknown>, duration: number): Outcome {
  if (ended.status === 'fulfilled') {
    const status = isReply(ended.value) ? ended.value.status : 200;
    return { decision: 'allowed', status, reason: undefined, duration };
  }
  const failure: unknown = ended.reason;
  if (!(failure instanceof Failure)) return { decision: 'allowed', status: 500, reason: 'InternalServerError', duration };
  const reason = reasonOf(failure);
  return { decision: decisionOn(true, failure.status, reason), status: failure.status, reason, duration };
}
