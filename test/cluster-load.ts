// The clients of a cluster under test: each calls whichever node, one thing at a time, on keys and a role that all share, and writes down what it was told.
// Two more ask again and again through whichever node answers, as behind a load balancer, so that it is known for how long nobody did.

import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { ConnectionFile } from '../src/connection-file.ts';
import { tokenFor } from './clients/plain.ts';
import { activatedFor } from './clients/ready.ts';
import { type Call, unexplained } from './cluster-history.ts';
import type { Kept, Yard } from './cluster-yard.ts';
import type { Random } from './fuzz/random.ts';
import { type Answer, type Caller, callerOf } from './nodes.ts';
import { CRYPTO_USER } from './wire/ready.ts';

export const HSM = 'cluster';
const DIGEST = Buffer.alloc(32, 3).toString('base64url');
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
  /** What no order of the changes explains. */
  readonly unexplained: string[];
  /** The longest time in milliseconds after a refusal was acknowledged that somebody was still allowed. */
  stale: number;
}

export interface Load {
  /** Asks until `stop` resolves; resolves when everybody has their answer. */
  run(stop: Promise<unknown>): Promise<Gaps>;
  /** With every node in service and nothing under way: reads what there is, and looks whether the answers since the last time are explained. What was found. */
  settle(): Promise<Found>;
  call: Caller;
  hsm(host: string, method: string, path: string, body?: unknown, token?: string): Promise<Answer>;
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

/** One thing with a history: a key, or a role. */
interface Subject {
  readonly name: string;
  state: string;
  readonly calls: Call[];
  readonly deeds: readonly Deed[];
  /** What is true now, when nothing is under way. */
  read(host: string): Promise<string>;
}

interface Deed {
  readonly says: string;
  readonly changes: boolean;
  ask(host: string, mark: string): Promise<Answer>;
  /** What a status means: the states in which it can be answered, and what is so afterwards. Undefined for one that cannot be. */
  means(answer: Answer, mark: string): ((state: string) => string | undefined) | undefined;
  /** What it does, when nobody knows whether it was done. */
  may(state: string, mark: string): string | undefined;
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
  const hsm: Load['hsm'] = (host, method, path, body, token = tokens.application) =>
    call(host, method, addressOf(connection, path), token, body);
  const [first] = yard.nodes;
  if (first === undefined) throw new Error('there is no node');
  for (const name of ['steady', 'probe']) await good(() => hsm(first.host, 'POST', `/keys/${name}/create`, { kty: 'EC-HSM' }));

  let round = 0;
  const role = roleSubject(connection, hsm, tokens.user);
  /** A key has a limit of versions, so each round has its own. */
  const keys = (): readonly Subject[] => Array.from({ length: 4 }, (_, i) => keySubject(`shared-${round}-${i}`, hsm));
  let subjects: readonly Subject[] = [...keys(), role];
  let found = nothingYet();

  async function one(subject: Subject, node: Kept): Promise<void> {
    const deed = random.of(subject.deeds);
    const mark = randomUUID().slice(0, 8);
    const from = performance.now();
    const note = (until: number, next: Call['next'], status: number | string): void => {
      subject.calls.push({
        says: `${subject.name}: ${deed.says} ${mark} ${status}`,
        node: node.name,
        from,
        until,
        changes: deed.changes,
        isDone: deed.changes && Number(status) < 300,
        alike: deed.says === 'create' ? undefined : deed.says,
        next,
      });
    };
    const unknown = (): void => {
      if (deed.changes) note(Number.POSITIVE_INFINITY, (state) => deed.may(state, mark), 'unknown');
    };
    let answer: Answer;
    try {
      answer = await deed.ask(node.host, mark);
    } catch (error) {
      count(found.retryable, error instanceof Error && 'code' in error ? String(error.code) : String(error));
      // Before there is a connection nothing was asked.
      return /ECONNREFUSED|before secure TLS connection was established/.test(String(error)) ? undefined : unknown();
    }
    const until = performance.now();
    const words = answer.json.error?.message ?? '';
    if (answer.status === 429 || answer.status === 503) {
      count(found.retryable, `${answer.status} ${String(words).slice(0, 60)}`);
      if (!/was not made/.test(words)) return unknown();
      // Said to be nothing: that it is so is for the other answers to show. Here for whoever reads the history.
      subject.calls.push({
        says: `${subject.name}: ${deed.says} ${mark} ${answer.status}`,
        node: node.name,
        from,
        until,
        changes: false,
        isDone: false,
        next: (state) => state,
      });
      return;
    }
    const next = deed.means(answer, mark);
    if (next === undefined)
      found.wrong.push(`${subject.name}: ${deed.says} at ${node.name}: ${answer.status} ${answer.text.slice(0, 300)}`);
    else {
      note(until, next, answer.status);
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
      const isOver = (): boolean => over;
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
        const last: Call = {
          says: `${subject.name}: is ${state}`,
          node: reader.name,
          // Nobody is behind any more.
          from: at + 1000,
          until: at + 1001,
          changes: false,
          isDone: false,
          next: (now) => (now === state ? now : undefined),
        };
        const trouble = unexplained([...subject.calls, last], subject.state);
        if (trouble !== undefined) found.unexplained.push(trouble);
        found.stale = Math.max(found.stale, staleness(subject.calls));
        subject.calls.length = 0;
        subject.state = state;
      }
      round += 1;
      subjects = [...keys(), role];
      const all = found;
      found = nothingYet();
      return all;
    },
    close: () => {
      close();
      hurried.close();
    },
  };
}

function nothingYet(): Found {
  return { answered: new Map(), retryable: new Map(), wrong: [], unexplained: [], stale: 0 };
}

/** What was found in several rounds. */
export function together(rounds: readonly Found[]): Found {
  const all = nothingYet();
  for (const { answered, retryable, wrong, unexplained, stale } of rounds) {
    for (const [what, times] of answered) count(all.answered, what, times);
    for (const [what, times] of retryable) count(all.retryable, what, times);
    all.wrong.push(...wrong);
    all.unexplained.push(...unexplained);
    all.stale = Math.max(all.stale, stale);
  }
  return all;
}

/** How long after the answer to a change that forbids somebody was still allowed, when no later change had begun. */
function staleness(calls: readonly Call[]): number {
  const changes = calls.filter(({ changes }) => changes);
  let longest = 0;
  for (const { says, until, next } of changes) {
    if (!/ (?:disable|revoke|delete) /.test(says) || until === Number.POSITIVE_INFINITY || next('') === undefined) continue;
    const since = Math.min(...changes.filter((other) => other.until > until).map(({ from }) => from));
    const allowed = calls.filter(
      (call) => / use \S+ 200$/.test(call.says) && call.next(ALLOWED) !== undefined && call.from > until && call.from < since,
    );
    for (const { from } of allowed) longest = Math.max(longest, from - until);
  }
  return longest;
}

/** A state in which every use is allowed, for whoever asks what an answer was. */
const ALLOWED = 'allowed';

function addressOf(connection: ConnectionFile, path: string): string {
  return `https://${HSM}.${connection.managedHsmSuffix}${path}?api-version=7.5`;
}

function keySubject(name: string, hsm: Load['hsm']): Subject {
  const is = (wanted: RegExp, then: (state: string) => string) => (state: string) => (wanted.test(state) ? then(state) : undefined);
  const same = (state: string): string => state;
  const set = (state: string, enabled: boolean): string => state.replace(/(?:on|off)$/, enabled ? 'on' : 'off');
  const patch = (enabled: boolean): Deed => ({
    says: enabled ? 'enable' : 'disable',
    changes: true,
    ask: (host) => hsm(host, 'PATCH', `/keys/${name}`, { attributes: { enabled } }),
    means: ({ status }) =>
      status === 200 ? is(/^(?:live|$)/, (state) => set(state, enabled)) : status === 404 ? is(/^(?:absent|deleted)/, same) : undefined,
    may: (state) => (state.startsWith('live') ? set(state, enabled) : state),
  });
  const look = async (host: string): Promise<string> => {
    const { status, json } = await hsm(host, 'GET', `/keys/${name}`);
    if (status === 200) return `live ${json.tags?.of} ${json.attributes.enabled ? 'on' : 'off'}`;
    const deleted = await hsm(host, 'GET', `/deletedkeys/${name}`);
    return deleted.status === 200 ? `deleted ${deleted.json.tags?.of} ${deleted.json.attributes.enabled ? 'on' : 'off'}` : 'absent';
  };
  const deeds: readonly Deed[] = [
    {
      says: 'create',
      changes: true,
      ask: (host, mark) => hsm(host, 'POST', `/keys/${name}/create`, { kty: 'EC-HSM', tags: { of: mark } }),
      means: ({ status }, mark) =>
        status === 200 ? is(/^(?:live|absent)/, () => `live ${mark} on`) : status === 409 ? is(/^deleted/, same) : undefined,
      may: (state, mark) => (state.startsWith('deleted') ? state : `live ${mark} on`),
    },
    {
      says: 'delete',
      changes: true,
      ask: (host) => hsm(host, 'DELETE', `/keys/${name}`),
      means: ({ status }) =>
        status === 200
          ? is(/^(?:live|$)/, (state) => state.replace('live', 'deleted'))
          : status === 404
            ? is(/^(?:absent|deleted)/, same)
            : undefined,
      may: (state) => state.replace('live', 'deleted'),
    },
    {
      says: 'recover',
      changes: true,
      ask: (host) => hsm(host, 'POST', `/deletedkeys/${name}/recover`),
      means: ({ status }) =>
        status === 200
          ? is(/^deleted/, (state) => state.replace('deleted', 'live'))
          : status === 404 || status === 409
            ? is(/^(?:absent|live)/, same)
            : undefined,
      may: (state) => state.replace('deleted', 'live'),
    },
    patch(true),
    patch(false),
    {
      says: 'get',
      changes: false,
      ask: (host) => hsm(host, 'GET', `/keys/${name}`),
      means: ({ status, json }) => {
        if (status === 404) return is(/^(?:absent|deleted)/, same);
        const seen = `live ${json.tags?.of} ${json.attributes?.enabled ? 'on' : 'off'}`;
        return status === 200 ? (state) => (state === seen ? state : undefined) : undefined;
      },
      may: same,
    },
    {
      says: 'use',
      changes: false,
      ask: (host) => hsm(host, 'POST', `/keys/${name}/sign`, { alg: 'ES256', value: DIGEST }),
      means: ({ status }) => {
        if (status === 200) return is(/^live .*on$|^allowed$/, same);
        return status === 403 ? is(/^live .*off$/, same) : status === 404 ? is(/^(?:absent|deleted)/, same) : undefined;
      },
      may: same,
    },
  ];
  // Half of what is asked is whether it may be used.
  const [use] = deeds.slice(-1);
  return { name, state: 'absent', calls: [], deeds: use === undefined ? deeds : [...deeds, use, use, use], read: look };
}

/** The role of the first user at one key, given and taken by the service principal, who administers the HSM. */
function roleSubject({ user }: ConnectionFile, hsm: Load['hsm'], token: string): Subject {
  const path = `/keys/steady/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}`;
  const roleDefinitionId = `Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/${CRYPTO_USER}`;
  const use = (host: string): Promise<Answer> => hsm(host, 'POST', '/keys/steady/sign', { alg: 'ES256', value: DIGEST }, token);
  const when =
    (wanted: string, then = wanted) =>
    (state: string) =>
      state === wanted || state === '' ? then : undefined;
  const deeds: readonly Deed[] = [
    {
      says: 'grant',
      changes: true,
      ask: (host) => hsm(host, 'PUT', path, { properties: { roleDefinitionId, principalId: user.objectId } }),
      means: ({ status }) => (status === 201 ? when('revoked', 'granted') : status === 409 ? when('granted') : undefined),
      may: () => 'granted',
    },
    {
      says: 'revoke',
      changes: true,
      ask: (host) => hsm(host, 'DELETE', path),
      means: ({ status }) => (status === 200 ? when('granted', 'revoked') : status === 404 ? when('revoked') : undefined),
      may: () => 'revoked',
    },
    {
      says: 'use',
      changes: false,
      ask: use,
      means: ({ status }) =>
        status === 200
          ? (state) => (state === 'granted' || state === ALLOWED ? state : undefined)
          : status === 403
            ? when('revoked')
            : undefined,
      may: (state) => state,
    },
  ];
  const [last] = deeds.slice(-1);
  return {
    name: 'role',
    state: 'revoked',
    calls: [],
    deeds: last === undefined ? deeds : [...deeds, last, last],
    read: async (host) => ((await use(host)).status === 200 ? 'granted' : 'revoked'),
  };
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
