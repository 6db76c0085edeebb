// Calls on the service: JSON over HTTPS with the session's tokens, long-running operations followed to their end, lists read page by page.
// Knows the three addresses (resource manager, Graph, one HSM) and sends a token to no other.

import type { CmdletContext } from './cmdlet.ts';
import { ShellError } from './errors.ts';
import type { HttpResponse } from './host.ts';
import { pause } from './pause.ts';
import { reach } from './reach.ts';
import { at, listAt, parseJson, textAt } from './read.ts';
import { refusedError } from './refusals.ts';
import type { Session } from './session.ts';

/** What a call needs of a running cmdlet. */
export type ClientContext = Pick<CmdletContext<Session>, 'host' | 'session' | 'signal' | 'verbose' | 'debug' | 'progress'>;

/** One of the service's addresses, with the audience of its tokens. */
export interface Place {
  readonly origin: string;
  readonly resource: string;
  /** Added to every address that has none. */
  readonly apiVersion: string | undefined;
  readonly hsm: string | undefined;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The body as JSON, or undefined when it is none. */
  readonly json: unknown;
  readonly text: string;
}

export interface CallOptions {
  readonly body?: unknown;
  /** Statuses of 400 and more that are answers, not failures. */
  readonly allow?: readonly number[];
}

export const apiVersions = {
  resources: '2021-04-01',
  subscriptions: '2021-01-01',
  managedHsms: '2024-11-01',
  hsm: '2025-07-01',
  authorization: '2022-04-01',
  /** The first that has secure wrapping and no preview of it. */
  secureWrap: '2026-04-01',
  /** The first that has ML-DSA. */
  mlDsa: '2026-05-01-preview',
} as const;

export async function resourceManager(context: ClientContext, apiVersion: string): Promise<Place> {
  const { resourceManager: address } = await context.session.connection();
  return { origin: new URL(address).origin, resource: address, apiVersion, hsm: undefined };
}

export async function directory(context: ClientContext): Promise<Place> {
  const { graph } = await context.session.connection();
  return { origin: new URL(graph).origin, resource: graph, apiVersion: undefined, hsm: undefined };
}

/** The data plane of one HSM. The name is checked first: it becomes a part of the host that a token is sent to. */
export async function hsmPlace(context: ClientContext, name: string): Promise<Place> {
  if (!/^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(name)) {
    throw new ShellError(`'${name}' cannot be the name of a managed HSM: letters, digits and hyphens, 3 to 24 of them`, {
      category: 'validation',
    });
  }
  const { managedHsmSuffix, managedHsmResource } = await context.session.connection();
  return {
    origin: `https://${name.toLowerCase()}.${managedHsmSuffix}`,
    resource: managedHsmResource,
    apiVersion: apiVersions.hsm,
    hsm: name,
  };
}

/**
 * One call. `path` begins with a slash, or is a whole address of the same place (a page's `nextLink`, an operation's `Location`).
 * Throws a `ShellError` with the service's code and words when it refuses. A token that is no longer taken is replaced once.
 */
export async function call(context: ClientContext, place: Place, method: string, path: string, options: CallOptions = {}): Promise<Answer> {
  const url = addressOf(place, path);
  let response = await send(context, place, method, url, options.body);
  if (response.status === 401) {
    context.session.forgetToken(place.resource);
    response = await send(context, place, method, url, options.body);
  }
  const text = new TextDecoder().decode(response.body);
  if (response.status >= 400 && options.allow?.includes(response.status) !== true) {
    throw await refusal(context, place, response.status, text);
  }
  return { status: response.status, headers: response.headers, json: parseJson(text), text };
}

/** The error for an answer that turned out to be one. */
export async function refusal(context: ClientContext, place: Place, status: number, text: string): Promise<ShellError> {
  const account = await context.session.account();
  return refusedError({ status, body: text, hsm: place.hsm, account: account?.name });
}

async function send(context: ClientContext, place: Place, method: string, url: string, body: unknown): Promise<HttpResponse> {
  const connection = await context.session.connection();
  const token = await context.session.token(place.resource, context.signal);
  const requestId = context.host.newGuid();
  const response = await reach(context.host, connection, {
    method,
    url,
    headers: {
      accept: 'application/json',
      authorization: `Bearer ${token}`,
      'user-agent': 'strongroom-shell',
      'x-ms-client-request-id': requestId,
      ...(body === undefined ? {} : { 'content-type': 'application/json; charset=utf-8' }),
    },
    body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
    signal: context.signal,
  });
  context.verbose(`${method} ${url} answered ${response.status}`);
  context.debug(`x-ms-client-request-id ${requestId}, x-ms-request-id ${response.headers['x-ms-request-id'] ?? 'none'}`);
  return response;
}

function addressOf(place: Place, path: string): string {
  const url = new URL(path, place.origin);
  if (url.origin !== place.origin) {
    throw new ShellError(`the service at ${place.origin} points to ${url.origin}; a token is not sent there`, { category: 'connection' });
  }
  if (place.apiVersion !== undefined && !url.searchParams.has('api-version') && !/^https?:/i.test(path)) {
    return `${url.href}${url.search === '' ? '?' : '&'}api-version=${place.apiVersion}`;
  }
  return url.href;
}

/** Every item of a list, page by page. */
export async function* items(context: ClientContext, place: Place, path: string): AsyncGenerator<unknown, void, void> {
  let next: string | undefined = path;
  while (next !== undefined) {
    const answer: Answer = await call(context, place, 'GET', next);
    yield* listAt(answer.json, 'value');
    next = textAt(answer.json, 'nextLink') ?? textAt(answer.json, '@odata.nextLink');
  }
}

export async function allItems(context: ClientContext, place: Place, path: string): Promise<unknown[]> {
  return Array.fromAsync(items(context, place, path));
}

/**
 * Follows a long-running operation of the resource manager or of an HSM: asks once at once, then as often as `Retry-After` says.
 * `doing` is what the progress line says, e.g. "creating managed HSM 'contoso'". Answers the operation's last reply.
 */
export async function completed(context: ClientContext, place: Place, started: Answer, doing: string): Promise<Answer> {
  let answer = started;
  const begin = context.host.now();
  let follow = started.headers['azure-asyncoperation'] ?? started.headers.location;
  for (let first = true; follow !== undefined && isRunning(answer); first = false) {
    if (!first) {
      context.progress(`${doing} (${Math.round((context.host.now() - begin) / 1000)} s)`);
      await pause(context.host, retryAfter(answer), context.signal);
    }
    answer = await call(context, place, 'GET', follow);
    follow = answer.headers['azure-asyncoperation'] ?? answer.headers.location ?? follow;
  }
  const status = textAt(answer.json, 'status');
  // A job of the data plane that ended well has an error too: null.
  if ((at(answer.json, 'error') ?? undefined) !== undefined || status === 'Failed' || status === 'Canceled') {
    throw await refusal(context, place, answer.status, answer.text);
  }
  return answer;
}

function isRunning(answer: Answer): boolean {
  if (answer.status === 202 || answer.status === 201)
    return answer.headers.location !== undefined || answer.headers['azure-asyncoperation'] !== undefined;
  return textAt(answer.json, 'status') === 'InProgress';
}

/** Seconds that the service asks to wait; 2 when it does not say. */
export function retryAfter(answer: Answer): number {
  const seconds = Number(answer.headers['retry-after'] ?? Number.NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? Math.min(seconds, 60) : 2;
}

/** A word as one segment of a path. */
export function segment(word: string): string {
  return encodeURIComponent(word);
}

/** `$filter=…` with a value between quotes, as OData wants it. */
export function quoted(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}
