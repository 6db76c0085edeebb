// Opens the audit of a service on the main thread: the key, the end of the chain, the writer, and the records that a killed service left behind.

import { createPublicKey } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { AuditSink } from '../core/audit-sink.ts';
import type { Clock } from '../core/clock.ts';
import type { Tag, Versions } from '../core/coherence.ts';
import type { Store } from '../store/store.ts';
import { type Changes, openChanges } from './changes.ts';
import { openEvents, ownEventText } from './event.ts';
import { auditFolder } from './folder.ts';
import type { SinkState } from './follower.ts';
import { openFollowers } from './followers.ts';
import { Gate } from './gate.ts';
import { exportPublicKey, openSigningKey, type Secrets, type SigningKey } from './keys.ts';
import { type Head, Ledger } from './ledger.ts';
import { openLinks } from './links.ts';
import { openPlaces } from './places.ts';
import { removeExpired } from './retention.ts';
import { isNoRoom, Reserve } from './segment-file.ts';
import { type End, findEnd } from './segments.ts';
import { settleChanges } from './settle.ts';
import { forgetRows } from './sinks/database.ts';
import type { SinkFiles } from './sinks/open-sink.ts';
import type { Sink } from './sinks/sink.ts';

const RESERVE_BYTES = 4 << 20;
const SEGMENT_BYTES = 64 << 20;
const DAY = 86_400_000;
const EXPIRE_EVERY = 3_600_000;
const EXPIRE_FIRST = 1000;

export interface AuditParts {
  readonly dataFolder: string;
  /** Of this node; every node of one service has its own. */
  readonly chain: string;
  readonly store: Pick<Store, 'read' | 'write'>;
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly versions: Versions;
  readonly hsmsTag: Tag;
  readonly tenantId: string;
  readonly log: Logger;
  /** The gate, in memory that all threads share. */
  readonly gate: SharedArrayBuffer;
  readonly sinks: readonly AuditSink[];
  readonly sinkFiles: SinkFiles;
  /** Days; 0 is for ever. */
  readonly retentionDays: number;
}

export interface Audit extends Changes {
  /** For other threads: resolves when the events are on disk. */
  append(events: readonly string[]): Promise<void>;
  /** Copying to sinks begins with this. */
  follow(): void;
  readonly state: AuditState;
  close(): Promise<void>;
}

/** What operators see. */
export interface AuditState {
  /** Records written since the start. */
  readonly written: number;
  /** Why no records are taken now; undefined while they are. */
  readonly problem: string | undefined;
  readonly sinks: readonly SinkState[];
}

export async function openAudit(parts: AuditParts): Promise<Audit> {
  const { dataFolder, chain, store, clock, log, tenantId } = parts;
  const folder = auditFolder(dataFolder);
  const sinks = await openSinks(parts);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const gate = new Gate(parts.gate);
  const reserve = new Reserve(folder, RESERVE_BYTES);
  const signingKey = await openSigningKey(store, parts.secrets, clock);
  await exportPublicKey(folder, signingKey);
  const { start, broken } = await endOfChain(parts, folder, signingKey, reserve);
  if (broken !== undefined) log.error({ broken }, 'the audit chain is not as it was written; ./strongroom audit verify says more');
  const ledger = new Ledger({
    folder,
    chain,
    start,
    broken,
    signingKey,
    gate,
    reserve,
    clock,
    log,
    segmentBytes: SEGMENT_BYTES,
    ownEvent: (operation, properties) => ownEventText(tenantId, clock.now(), operation, properties),
    signed: (head) => {
      keepHead(store, chain, head, links.deedsUpTo(head.sequence)).catch((error: unknown) =>
        log.warn({ err: error }, 'how far the audit came could not be noted'),
      );
    },
  });
  const append = (lines: readonly string[]): Promise<void> => ledger.append(lines);
  const say = (operation: string, properties: Readonly<Record<string, unknown>>): Promise<void> =>
    append([ownEventText(tenantId, clock.now(), operation, properties)]);
  const links = openLinks({ read: store.read, chain, ledger, clock, log, say });
  await ledger.open();
  const events = openEvents({ tenantId, clock, placeAt: openPlaces(store.read, parts.versions, parts.hsmsTag) });
  const changes = openChanges({ store, chain, ledger, gate, clock, events });
  await settleChanges({ read: store.read, folder, chain, events, append }).then(changes.arrived, (error: unknown) =>
    log.error({ err: error }, 'records of changes wait in the store; the next start tries to bring them into the chain again'),
  );
  const followers = await openFollowers({ sinks, folder, chain, ledger, store, clock, log });
  const expiry = expireEvery(EXPIRE_EVERY, async () => {
    if (parts.retentionDays === 0) return;
    const before = clock.now() - parts.retentionDays * DAY;
    try {
      await removeExpired({ folder, chain, before, say });
      if (parts.sinks.some(({ kind }) => kind === 'database')) await forgetRows(store, chain, before);
    } catch (error) {
      log.warn({ err: error }, 'old audit segments could not be removed; it will be tried again');
    }
  });
  return {
    ...changes,
    sweep: async () => {
      await changes.sweep();
      if (gate.isOpen) await links.look();
    },
    append,
    follow: () => followers.begin(),
    get state() {
      return { written: ledger.written, problem: ledger.problem, sinks: followers.states };
    },
    close: async () => {
      await expiry.stop();
      await ledger.close();
      await followers.close();
      await Promise.all([changes.sweep(), keepHead(store, chain, ledger.head, links.deedsUpTo(ledger.head.sequence))]).catch(
        (error: unknown) => log.warn({ err: error }, 'how far the audit came could not be noted'),
      );
    },
  };
}

/** Loaded where there are any: they bring TLS and datagrams along. */
async function openSinks({ sinks, store, chain, sinkFiles }: AuditParts): Promise<readonly Sink[]> {
  if (sinks.length === 0) return [];
  const { openSink } = await import('./sinks/open-sink.ts');
  return Promise.all(sinks.map((sink) => openSink(sink, { store, chain, files: sinkFiles })));
}

/** The first time soon after the start, without holding it up. */
function expireEvery(milliseconds: number, round: () => Promise<void>): { stop(): Promise<void> } {
  let running: Promise<void> = Promise.resolve();
  const run = (): void => {
    running = running.then(round);
  };
  const first = setTimeout(run, EXPIRE_FIRST).unref();
  const timer = setInterval(run, milliseconds).unref();
  return {
    stop: async () => {
      clearTimeout(first);
      clearInterval(timer);
      await running;
    },
  };
}

async function endOfChain({ store, chain, clock }: AuditParts, folder: string, signingKey: SigningKey, reserve: Reserve): Promise<End> {
  const known = await store.read
    .selectFrom('audit_chains')
    .select(['sequence', 'hash', 'segment'])
    .where('chain', '=', chain)
    .executeTakeFirst();
  const keys = new Map([[signingKey.kid, createPublicKey(signingKey.publicPem)]]);
  const now = new Date(clock.now()).toISOString();
  const find = (): Promise<End> => findEnd({ folder, chain, known, keys, signingKey, now });
  try {
    return await find();
  } catch (error) {
    if (!isNoRoom(error)) throw error;
    await reserve.give();
    return find();
  }
}

async function keepHead(store: Pick<Store, 'write'>, chain: string, head: Head, deeds: number): Promise<void> {
  const row = { ...head, deeds };
  await store.write((writer) =>
    writer
      .insertInto('audit_chains')
      .values({ chain, ...row })
      .onConflict((conflict) => conflict.column('chain').doUpdateSet(row))
      .execute(),
  );
}
