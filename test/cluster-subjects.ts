// What the clients of a cluster under test do to the keys and the role that they share, and what each answer says of them. Knows no network: a history that was
// kept is explained, or not, without the service.

import { randomUUID } from 'node:crypto';
import type { ConnectionFile } from '../src/connection-file.ts';
import type { Call } from './cluster-history.ts';
import type { Answer } from './nodes.ts';
import { CRYPTO_USER } from './wire/ready.ts';

export const DIGEST = Buffer.alloc(32, 3).toString('base64url');

/** Asks an HSM, at a node. */
export type Ask = (host: string, method: string, path: string, body?: unknown, token?: string) => Promise<Answer>;

/** One thing with a history: a key, or a role. */
export interface Subject {
  readonly name: string;
  state: string;
  readonly told: Told[];
  readonly deeds: readonly Deed[];
  /** What is true now, when nothing is under way. */
  read(host: string): Promise<string>;
}

/** What an answer says of a subject. */
type Said = Pick<Answer, 'status' | 'json'>;

export interface Deed {
  readonly says: string;
  readonly changes: boolean;
  ask(host: string, mark: string): Promise<Answer>;
  /** What a status means: the states in which it can be answered, and what is so afterwards. Undefined for one that cannot be. */
  means(answer: Said, mark: string): ((state: string) => string | undefined) | undefined;
  /** What it does, when nobody knows whether it was done. */
  may(state: string, mark: string): string | undefined;
}

/** What somebody asked for and was told. Times are the client's, in milliseconds. */
export interface Told {
  readonly deed: string;
  readonly mark: string;
  readonly node: string;
  readonly from: number;
  readonly until: number;
  /** Of an answer; or that nobody knows whether it was done, or that it was said not to be. */
  readonly status: number | 'unknown' | 'not made';
  /** What of the answer a deed looks at. */
  readonly json?: unknown;
}

/** What is kept of a subject whose answers nothing explains. */
export interface History {
  readonly name: string;
  readonly first: string;
  readonly told: readonly Told[];
  /** What it was found to be in the end, and when. */
  readonly last: { readonly state: string; readonly at: number; readonly node: string };
}

/** The calls of a history, with what each of them means. */
export function callsOf({ name, told, last }: History): readonly Call[] {
  const deeds = new Map(deedsNamed(name).map((deed) => [deed.says, deed]));
  const texts = told.filter(({ deed, status }) => deed === 'get' && status === 200).map(({ json }) => JSON.stringify(json));
  const isSeen = (mark: string): boolean => last.state.includes(mark) || texts.some((text) => text.includes(mark));
  const calls = told.flatMap((one) => callOf(name, deeds.get(one.deed), one, isSeen) ?? []);
  // Nobody is behind any more.
  const [from, until] = [last.at + 1000, last.at + 1001];
  const next = (state: string): string | undefined => (state === last.state ? state : undefined);
  return [...calls, { says: `${name}: is ${last.state}`, node: last.node, from, until, changes: false, isDone: false, next }];
}

/** A mark that nobody ever saw is as good as any other that nobody saw. */
const UNSEEN = '?';

function callOf(name: string, deed: Deed | undefined, one: Told, isSeen: (mark: string) => boolean): Call | undefined {
  if (deed === undefined) throw new Error(`nobody does '${one.deed}' to ${name}`);
  const { node, from, until, status } = one;
  const mark = isSeen(one.mark) ? one.mark : UNSEEN;
  const what = { says: `${name}: ${deed.says} ${one.mark} ${status}`, node, from };
  // For whoever reads the history: that it is so is for the other answers to show.
  if (status === 'not made') return { ...what, until, changes: false, isDone: false, next: (state) => state };
  const alike = deed.says === 'create' && mark !== UNSEEN ? undefined : deed.says;
  if (status === 'unknown')
    return { ...what, until: Number.POSITIVE_INFINITY, changes: true, isDone: false, alike, next: (state) => deed.may(state, mark) };
  const next = deed.means({ status, json: Object(one.json) }, mark);
  return next === undefined ? undefined : { ...what, until, changes: deed.changes, isDone: deed.changes && status < 300, alike, next };
}

/**
 * For how long after the answer to a change that forbids somebody was still allowed, in milliseconds, when nothing else had begun that may have come after it.
 * Of two changes that were under way together, the one that was answered first may have been made last.
 */
export function staleness(calls: readonly Call[]): number {
  const changes = calls.filter(({ changes }) => changes);
  let longest = 0;
  for (const forbids of changes) {
    const { says, from: began, until, next } = forbids;
    if (!/ (?:disable|revoke|delete) /.test(says) || until === Number.POSITIVE_INFINITY || next('') === undefined) continue;
    const since = Math.min(...changes.filter((other) => other !== forbids && other.until > began).map(({ from }) => from));
    const allowed = calls.filter(
      (call) => / use \S+ 200$/.test(call.says) && call.next(ALLOWED) !== undefined && call.from > until && call.from < since,
    );
    for (const { from } of allowed) longest = Math.max(longest, from - until);
  }
  return longest;
}

function deedsNamed(name: string): readonly Deed[] {
  const nobody: Ask = () => Promise.reject(new Error('a history is not asked'));
  return name === ROLE ? roleDeeds('', '', nobody, '') : keyDeeds(name, nobody);
}

const ROLE = 'role';

/** A key, which is not there at first. */
export function keySubject(name: string, hsm: Ask): Subject {
  const look = async (host: string): Promise<string> => {
    const { status, json } = await hsm(host, 'GET', `/keys/${name}`);
    if (status === 200) return `live ${json.tags?.of} ${json.attributes.enabled ? 'on' : 'off'}`;
    const deleted = await hsm(host, 'GET', `/deletedkeys/${name}`);
    return deleted.status === 200 ? `deleted ${deleted.json.tags?.of} ${deleted.json.attributes.enabled ? 'on' : 'off'}` : 'absent';
  };
  return { name, state: 'absent', told: [], deeds: keyDeeds(name, hsm), read: look };
}

function keyDeeds(name: string, hsm: Ask): readonly Deed[] {
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
  return use === undefined ? deeds : [...deeds, use, use, use];
}

/** The role of the first user at one key, given and taken by the service principal, who administers the HSM. */
export function roleSubject({ user }: ConnectionFile, hsm: Ask, token: string): Subject {
  const path = `/keys/steady/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}`;
  const deeds = roleDeeds(path, user.objectId, hsm, token);
  const [use] = deeds.slice(-1);
  const read = async (host: string): Promise<string> => ((await use?.ask(host, ''))?.status === 200 ? 'granted' : 'revoked');
  return { name: ROLE, state: 'revoked', told: [], deeds, read };
}

function roleDeeds(path: string, principalId: string, hsm: Ask, token: string): readonly Deed[] {
  const roleDefinitionId = `Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/${CRYPTO_USER}`;
  const when =
    (wanted: string, then = wanted) =>
    (state: string) =>
      state === wanted || state === '' ? then : undefined;
  const deeds: readonly Deed[] = [
    {
      says: 'grant',
      changes: true,
      ask: (host) => hsm(host, 'PUT', path, { properties: { roleDefinitionId, principalId } }),
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
      ask: (host) => hsm(host, 'POST', '/keys/steady/sign', { alg: 'ES256', value: DIGEST }, token),
      means: ({ status }) =>
        status === 200
          ? (state) => (state === 'granted' || state === ALLOWED ? state : undefined)
          : status === 403
            ? when('revoked')
            : undefined,
      may: (state) => state,
    },
  ];
  const [use] = deeds.slice(-1);
  return use === undefined ? deeds : [...deeds, use, use];
}

/** A state in which every use is allowed, for whoever asks what an answer was. */
export const ALLOWED = 'allowed';
