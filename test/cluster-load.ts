// The clients of a cluster under test: each calls whichever node, one thing at a time, on keys and a role that all share, and writes down what it was told.
// Two more ask again and again through whichever node answers, as behind a load balancer, so that it is known for how long nobody did.

import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { ConnectionFile } from '../src/connection-file.ts';
import { tokenFor } from './clients/plain.ts';
import { activatedFor } from './clients/ready.ts';
import { explain } from './cluster-history.ts';
import {
  type Ask,
  callsOf,
  DIGEST,
  type History,
  keySubject,
  roleSubject,
  type Subject,
  staleness,
  type Told,
} from './cluster-subjects.ts';
import type { Kept, Yard } from './cluster-yard.ts';
import type { Random } from './fuzz/random.ts';
import { type Answer, type Caller, callerOf } from './nodes.ts';

export const HSM = 'cluster';
/** Milliseconds until a client gives a call up, and a load balancer a node. */
const PATIENCE = 15_000;
const FAILOVER = 1000;
const EVERY = 25;

export interface Found {
  /** Calls that were answered, by what was asked and the status; and those whose clients were told to try again, by what they were told. */
  readonly answered: Map<string, number>;
  readonly retryable: Map<string, number>;
  /** Answers that no client should get. */
  readonly wrong: string[];
  /** What no order of the changes explains, and what so many do that it was given up. */
  readonly unexplained: Unexplained[];
  /** The most orders that were tried for one key or role. */
  tried: number;
  /** The longest time in milliseconds after a refusal was acknowledged that somebody was still allowed. */
  stale: number;
}

export interface Unexplained {
  readonly says: string;
  readonly history: History;
}

export interface Load {
  /** Asks until `stop` resolves; resolves when everybody has their answer. */
  run(stop: Promise<unknown>): Promise<Gaps>;
  /** With every node in service and nothing under way: reads what there is, and looks whether the answers since the last time are explained. What was found. */
  settle(): Promise<Found>;
  call: Caller;
  hsm: Ask;
  close(): void;
}

/** The longest times in milliseconds in which nothing was answered well. */
export interface Gaps {
  readonly use: number;
  readonly change: number;
}

interface Tokens {
  readonly user: string;
  readonly application: string;
}

export async function openLoad(yard: Yard, random: Random): Promise<Load> {
  const { connection } = yard;
  await activatedFor(connection, HSM);
  const { call, close } = callerOf(connection, PATIENCE);
  const hurried = callerOf(connection, FAILOVER);
  const tokens: Tokens = {
    user: await tokenFor(connection, connection.managedHsmResource, 'user'),
    application: await tokenFor(connection, connection.managedHsmResource),
  };
  const hsm: Ask = (host, method, path, body, token = tokens.application) => call(host, method, addressOf(connection, path), token, body);
  const [first] = yard.nodes;
  if (first === undefined) throw new Error('there is no node');
  for (const name of ['steady', 'probe']) await good(() => hsm(first.host, 'POST', `/keys/${name}/create`, { kty: 'EC-HSM' }));

  let round = 0;
  const role = roleSubject(connection, hsm, tokens.user);
  /** A key has a limit of versions, so each round has its own. */
  const keys = (): readonly Subject[] => Array.from({ length: 4 }, (_, i) => keySubject(`shared-${round}-${i}`, hsm));
  let subjects: readonly Subject[] = [...keys(), role];
  let found = nothingYet();
  let isClosed = false;

  async function one(subject: Subject, node: Kept): Promise<void> {
    const deed = random.of(subject.deeds);
    const mark = randomUUID().slice(0, 8);
    const from = performance.now();
    const note = (status: Told['status'], json?: unknown): void => {
      subject.told.push({ deed: deed.says, mark, node: node.name, from, until: performance.now(), status, json });
    };
    const unknown = (): void => {
      if (deed.changes) note('unknown');
    };
    let answer: Answer;
    try {
      answer = await deed.ask(node.host, mark);
    } catch (error) {
      count(found.retryable, error instanceof Error && 'code' in error ? String(error.code) : String(error));
      // Before there is a connection nothing was asked.
      return /ECONNREFUSED|before secure TLS connection was established/.test(String(error)) ? undefined : unknown();
    }
    const words = answer.json.error?.message ?? '';
    if (answer.status === 429 || answer.status === 503) {
      count(found.retryable, `${answer.status} ${String(words).split('.')[0]}`);
      if (!/was not made/.test(words)) return unknown();
      note('not made');
      return;
    }
    const next = deed.means(answer, mark);
    if (next === undefined)
      found.wrong.push(`${subject.name}: ${deed.says} at ${node.name}: ${answer.status} ${answer.text.slice(0, 300)}`);
    else {
      note(answer.status, seenOf(answer));
      count(found.answered, `${subject.name.replace(/[\d-]+$/, '')}: ${deed.says} ${answer.status}`);
    }
  }

  async function client(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      await one(random.of(subjects), random.of(yard.nodes));
      await pause(EVERY + random.below(EVERY));
    }
  }

  /** Stays with a node as long as it answers, and goes to the next when it does not. */
  async function probe(isOver: () => boolean, ask: (host: string) => Promise<Answer>): Promise<number> {
    let at = 0;
    let last = performance.now();
    let longest = 0;
    while (!isOver()) {
      const node = yard.nodes[at % yard.nodes.length];
      const answer = node === undefined ? undefined : await ask(node.host).catch(() => undefined);
      if (answer?.status !== 200) {
        at += 1;
        await pause(5);
        continue;
      }
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
      await pause(EVERY);
    }
    return Math.max(longest, performance.now() - last);
  }

  return {
    call,
    hsm,
    run: async (stop) => {
      let over = false;
      const isOver = (): boolean => over || isClosed;
      const ended = stop.finally(() => (over = true));
      const use = probe(isOver, (host) =>
        hurried.call(host, 'POST', addressOf(connection, '/keys/steady/sign'), tokens.application, { alg: 'ES256', value: DIGEST }),
      );
      const change = probe(isOver, (host) =>
        hurried.call(host, 'PATCH', addressOf(connection, '/keys/probe'), tokens.application, { tags: { of: randomUUID() } }),
      );
      const clients = Array.from({ length: 6 }, () => client(isOver));
      await ended;
      await Promise.all(clients);
      return { use: await use, change: await change };
    },
    settle: async () => {
      const reader = random.of(yard.nodes);
      // What a node took on before it was stopped, and every cache.
      for (const node of yard.nodes) await good(() => hsm(node.host, 'PATCH', '/keys/probe', { tags: { of: node.name } }));
      await pause(1500);
      for (const subject of subjects) {
        const state = await subject.read(reader.host);
        const at = performance.now();
        const history = { name: subject.name, first: subject.state, told: [...subject.told], last: { state, at, node: reader.name } };
        const calls = callsOf(history);
        const { trouble, tried } = explain(calls, subject.state);
        if (trouble !== undefined) found.unexplained.push({ says: trouble, history });
        found.tried = Math.max(found.tried, tried);
        found.stale = Math.max(found.stale, staleness(calls));
        subject.told.length = 0;
        subject.state = state;
      }
      round += 1;
      subjects = [...keys(), role];
      const all = found;
      found = nothingYet();
      return all;
    },
    close: () => {
      isClosed = true;
      close();
      hurried.close();
    },
  };
}

function nothingYet(): Found {
  return { answered: new Map(), retryable: new Map(), wrong: [], unexplained: [], tried: 0, stale: 0 };
}

/** What was found in several rounds. */
export function together(rounds: readonly Found[]): Found {
  const all = nothingYet();
  for (const { answered, retryable, wrong, unexplained, tried, stale } of rounds) {
    for (const [what, times] of answered) count(all.answered, what, times);
    for (const [what, times] of retryable) count(all.retryable, what, times);
    all.wrong.push(...wrong);
    all.unexplained.push(...unexplained);
    all.tried = Math.max(all.tried, tried);
    all.stale = Math.max(all.stale, stale);
  }
  return all;
}

function addressOf(connection: ConnectionFile, path: string): string {
  return `https://${HSM}.${connection.managedHsmSuffix}${path}?api-version=7.5`;
}

/** What a later look at the history needs of an answer. */
function seenOf({ json }: Answer): unknown {
  return { tags: json.tags, attributes: json.attributes };
}

function count(counts: Map<string, number>, what: string, times = 1): void {
  counts.set(what, (counts.get(what) ?? 0) + times);
}

/** Told to try again, it does. */
async function good(ask: () => Promise<Answer>): Promise<void> {
  for (;;) {
    const { status, text } = await ask();
    if (status < 300) return;
    if (status !== 503) throw new Error(`the service answered ${status}: ${text}`);
    await pause(100);
  }
}
