// The worker threads: starts them, answers what they ask of the main thread, tells them of commits, and replaces one that falls.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import type { Audit } from './audit/open-audit.ts';
import { entrance } from './bundle/beside.ts';
import { COMPILE_CACHE } from './compile-cache.ts';
import type { Clock } from './core/clock.ts';
import type { Tag } from './core/coherence.ts';
import { Failure } from './core/failure.ts';
import type { OutboundRules } from './core/outbound.ts';
import { isReply } from './core/reply.ts';
import type { Room } from './core/route.ts';
import type { PostgresAddress } from './core/store-address.ts';
import { type Peer, peer } from './core/thread-calls.ts';
import type { Urls } from './core/urls.ts';
import { VERSION } from './core/version.ts';
import type { Authority } from './door/certificate-authority.ts';
import { parseCall } from './door/decode.ts';
import { dialects } from './door/dialects.ts';
import type { WriteRequest, WriteResult } from './door/door.ts';
import type { AskedSigner, SignerFor } from './hsm/evidence/signers.ts';
import type { KeySets } from './identity/issuers/key-sets.ts';
import type { TrustedIssuer } from './identity/issuers/settings.ts';
import type { HouseParts } from './rooms.ts';
import type { StorePlace } from './store/open.ts';

/** What a worker thread is told before it listens. */
export interface WorkerData extends StorePlace {
  readonly node: string;
  readonly rootKeys: SharedArrayBuffer;
  readonly versions: SharedArrayBuffer;
  readonly clockOffset: SharedArrayBuffer;
  readonly urls: Urls;
  readonly tenantId: string;
  /** Where this node is; undefined: it serves every HSM. */
  readonly region: string | undefined;
  /** Where else this thread may read, and the memory that says when. */
  readonly replica: { readonly address: PostgresAddress; readonly gate: SharedArrayBuffer } | undefined;
  readonly hosts: readonly string[];
  readonly hostsGiven: boolean;
  readonly trustedProxies: readonly string[];
  readonly proxyProtocol: boolean;
  readonly inFlight: number;
  readonly degradedFor: number;
  readonly attestation: OutboundRules;
  readonly issuers: readonly TrustedIssuer[];
  readonly reusePort: boolean;
  readonly logLevel: string;
  /** Undefined when no records are kept. */
  readonly auditGate: SharedArrayBuffer | undefined;
}

/** Worker threads that ended by themselves within this many milliseconds before the service gives up. */
const FALL_WINDOW = 60_000;
const FALLS_ALLOWED = 5;

/** The worker threads that are there now, and who wants to know of commits. */
export interface Crew {
  readonly peers: Set<Peer>;
  readonly committed: ((tags: readonly Tag[]) => void)[];
  /** What the threads are about to be told. */
  untold?: Set<Tag> | undefined;
}

/** Milliseconds within which the memory of changed keys is freed on every thread. */
const FREED_WITHIN = 10;

export function tellOfCommit(crew: Crew, tags: readonly Tag[]): void {
  for (const listener of crew.committed) listener(tags);
  // Caches look at the shared counters by themselves; this only frees memory, so nobody waits for it. Waking a thread costs as much as a small change, so
  // the commits of a moment are told together.
  if (crew.untold === undefined) {
    const untold = new Set<Tag>();
    crew.untold = untold;
    setTimeout(() => {
      crew.untold = undefined;
      for (const worker of crew.peers) worker.ask('committed', [...untold]).catch(() => undefined);
    }, FREED_WITHIN).unref();
  }
  for (const tag of tags) crew.untold.add(tag);
}

type Answers = Parameters<typeof peer>[1];

/** What worker threads may ask of this one. */
export function answersFor(
  rooms: readonly Room[],
  { urls, tenantId }: HouseParts,
  authority: Authority,
  signerFor: SignerFor,
  audit: Audit | undefined,
  keySets: KeySets,
  isReady: () => boolean,
): Answers {
  const habitsOf = dialects({ urls, tenantId, version: VERSION });
  return {
    isReady: async () => isReady(),
    leaf: (names: readonly string[]) => authority.leaf(names),
    signer: (asked: AskedSigner) => signerFor(asked),
    issuerKeys: ({ issuer, kid }: { readonly issuer: string; readonly kid: string }) => keySets.keySetOf(issuer, kid),
    record: async (lines: string) => audit?.append(lines.split('\n')),
    write: async ({ room, row, visit, carried, facts }: WriteRequest): Promise<WriteResult> => {
      const where = rooms[room];
      const served = where?.rows[row];
      if (where === undefined || served === undefined) throw new Error(`there is no row ${row} in room ${room}`);
      const run = async (): Promise<unknown> => {
        const admitted = await served.admit(visit);
        return admitted.run(parseCall(served, visit, carried, habitsOf[where.dialect]));
      };
      const result = await (audit === undefined ? run() : audit.recorded(facts, run));
      return isReply(result) ? result : JSON.stringify(result);
    },
  };
}

/** Threads that load their files while the main one still opens what they will need. */
export class SpareThreads {
  readonly #threads: Worker[] = [];

  readonly #secret: string | undefined;

  /** `secret` names the variable of the environment that holds a passphrase which was not read yet: no thread gets it. */
  constructor(count: number, secret: string | undefined) {
    this.#secret = secret;
    for (let i = 0; i < count; i += 1) {
      const thread = newThread(secret);
      // One that ends before it is needed is replaced when it is.
      thread.on('error', () => undefined).on('exit', () => this.#remove(thread));
      this.#threads.push(thread);
    }
  }

  take(): Worker {
    return this.#threads.pop() ?? newThread(this.#secret);
  }

  /** Each is let load what it is loading: to end a thread while a native library opens in it ends the process. */
  async close(): Promise<void> {
    await Promise.all(
      this.#threads.map(async (thread) => {
        const ended = once(thread, 'exit');
        await Promise.race([peer(thread, {}).ask('close', undefined), ended]);
        await thread.terminate();
      }),
    );
  }

  #remove(thread: Worker): void {
    const at = this.#threads.indexOf(thread);
    if (at >= 0) this.#threads.splice(at, 1);
  }
}

function newThread(secret: string | undefined): Worker {
  const env: NodeJS.ProcessEnv = { ...process.env, NODE_COMPILE_CACHE: COMPILE_CACHE };
  if (secret !== undefined) delete env[secret];
  return new Worker(entrance('worker'), { env });
}

export interface WorkersParts {
  readonly data: WorkerData;
  readonly answers: Answers;
  readonly crew: Crew;
  readonly spare: SpareThreads;
  readonly log: Logger;
  readonly clock: Clock;
  readonly giveUp: (error: Error) => void;
}

/** Starts worker threads, replaces one that falls, and gives up when they keep falling. */
export class Workers {
  readonly #parts: WorkersParts;
  readonly #running = new Map<Worker, Peer>();
  readonly #falls: number[] = [];
  #closing = false;

  constructor(parts: WorkersParts) {
    this.#parts = parts;
  }

  /** Resolves when all of them listen. */
  async start(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.#startOne()));
  }

  async close(): Promise<void> {
    this.#closing = true;
    await Promise.all(
      [...this.#running].map(async ([worker, asked]) => {
        await asked.ask('close', undefined).catch(() => undefined);
        await worker.terminate();
      }),
    );
  }

  async #startOne(): Promise<void> {
    const { data, answers, crew, spare } = this.#parts;
    const worker = spare.take();
    const asked = peer(worker, answers);
    this.#running.set(worker, asked);
    let reason = new Error('a worker thread ended');
    worker.on('error', (error) => {
      reason = error instanceof Error ? error : new Error(String(error));
    });
    worker.on('exit', () => {
      this.#running.delete(worker);
      crew.peers.delete(asked);
      asked.abandon(new Failure(503, 'ServiceUnavailable', 'The service is shutting down.', { cause: reason }));
      if (!this.#closing && listens) this.#fell(reason);
    });
    let listens = false;
    await asked.ask('listen', data);
    listens = true;
    crew.peers.add(asked);
  }

  #fell(reason: Error): void {
    const { clock, log, giveUp } = this.#parts;
    const now = clock.now();
    this.#falls.push(now);
    log.error({ err: reason }, 'a worker thread fell and is replaced');
    if (this.#falls.filter((at) => now - at < FALL_WINDOW).length > FALLS_ALLOWED) giveUp(reason);
    else this.#startOne().catch((error: Error) => giveUp(error));
  }
}
