// Managed identities for programs on this machine, over plain HTTP on a loopback port of their own: the addresses of IMDS and of App Service. Knows the
// questions and answers as HTTP; who may be whom is decided elsewhere. A page in a browser on this machine gets nothing: it cannot set the headers that are
// asked for, and one that had a name of its own point here would come with a Host that is none of ours.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { type CallFacts, decisionOn, type Outcome, type Recorder, reasonOf } from '../core/audit.ts';
import { anonymous, type Caller } from '../core/caller.ts';
import type { Clock } from '../core/clock.ts';
import { Failure } from '../core/failure.ts';
import type { AnswerIdentity, IdentityQuestion } from '../core/managed-identity.ts';
import { createServer } from '../core/node-http.ts';
import { type LoopbackPort, listenOnLoopback } from './loopback.ts';
import { requestIds } from './request-id.ts';

export interface IdentityPortParts {
  readonly answer: AnswerIdentity;
  readonly recorder: Recorder;
  readonly clock: Clock;
  readonly log: { error(what: object, words: string): void };
}

/** The address for `IDENTITY_ENDPOINT`; IMDS has its own path. */
export const APP_SERVICE_PATH = '/msi/token';
const IMDS_PATH = '/metadata/identity/oauth2/token';

const HOSTS = new Set(['127.0.0.1', 'localhost', '[::1]', '169.254.169.254']);
const MOST_CONNECTIONS = 128;
const LONGEST_URL = 4096;

/** Listens on 127.0.0.1; rejects when the port is taken. Port 0 picks a free one. */
export async function openIdentityPort(port: number, parts: IdentityPortParts): Promise<LoopbackPort> {
  const nextId = requestIds(parts.clock);
  const server = createServer({ maxHeaderSize: 8192 }, (request, response) => {
    serve(request, response, nextId(), parts).catch((error: unknown) => {
      parts.log.error({ err: error }, 'a managed identity could not be answered');
      response.destroy();
    });
  });
  server.requestTimeout = 10_000;
  server.maxConnections = MOST_CONNECTIONS;
  return listenOnLoopback(server, port);
}

interface Told {
  readonly status: number;
  readonly body: unknown;
  readonly caller: Caller;
  readonly reason: string | undefined;
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  { answer, recorder, clock, log }: IdentityPortParts,
): Promise<void> {
  const began = performance.now();
  const time = clock.now();
  let told = await outcomeOf(request, answer, recorder, log);
  const outcome: Outcome = {
    decision: decisionOn(told.status < 400, told.status, told.reason),
    status: told.status,
    reason: told.reason,
    duration: Math.round(performance.now() - began),
  };
  try {
    await recorder.record(factsOf(request, requestId, time, told.caller), outcome);
  } catch (cause) {
    // What cannot be recorded is not given out.
    told = refused(cause, log);
  }
  response.writeHead(told.status, {
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'x-ms-request-id': requestId,
  });
  response.end(JSON.stringify(told.body));
}

async function outcomeOf(
  request: IncomingMessage,
  answer: AnswerIdentity,
  recorder: Recorder,
  log: IdentityPortParts['log'],
): Promise<Told> {
  try {
    recorder.prove();
    const { caller, body } = await answer(questionIn(request));
    return { status: 200, body, caller, reason: undefined };
  } catch (cause) {
    return refused(cause, log);
  }
}

/** IMDS writes `error` and `error_description`, App Service `statusCode` and `message`: each client finds its own. */
function refused(cause: unknown, log: IdentityPortParts['log']): Told {
  if (!(cause instanceof Failure)) log.error({ err: cause }, 'a managed identity could not be answered');
  const failure =
    cause instanceof Failure ? cause : new Failure(500, 'server_error', 'The service could not complete the request; its log says why.');
  const { status, code, message } = failure;
  const body = { error: code, error_description: message, statusCode: status, message };
  return { status, body, caller: anonymous, reason: reasonOf(failure) };
}

/** Throws a Failure for what no managed-identity client sends. */
function questionIn(request: IncomingMessage): IdentityQuestion {
  const { method, url = '', headers } = request;
  if (!HOSTS.has((headers.host ?? '').toLowerCase().replace(/:\d+$/, ''))) throw malformed('This address is for programs on this machine.');
  if (url.length > LONGEST_URL || !URL.canParse(url, 'http://localhost')) throw malformed('The address cannot be read.');
  const { pathname, searchParams } = new URL(url, 'http://localhost');
  const style = styleOf(pathname.toLowerCase().replace(/\/$/, ''));
  if (style === undefined) throw new Failure(404, 'not_found', 'There is nothing here.');
  if (method !== 'GET') throw new Failure(405, 'invalid_request', 'Only GET is answered.');
  // A proxy that passes requests on would ask for whoever is behind it.
  if (headers['x-forwarded-for'] !== undefined) throw malformed("Requests with an 'X-Forwarded-For' header are refused.");
  if (style === 'imds' && String(headers.metadata).toLowerCase() !== 'true') throw malformed('Required metadata header not specified');
  const header = headers['x-identity-header'];
  const query = (...names: readonly string[]): string | undefined =>
    names.map((name) => searchParams.get(name) ?? undefined).find((value) => value);
  return {
    style,
    header: typeof header === 'string' ? header : undefined,
    resource: query('resource'),
    clientId: query('client_id', 'clientid'),
    objectId: query('object_id', 'principal_id'),
    resourceId: query('msi_res_id', 'mi_res_id'),
  };
}

function styleOf(path: string): IdentityQuestion['style'] | undefined {
  if (path === IMDS_PATH) return 'imds';
  return path === APP_SERVICE_PATH ? 'app-service' : undefined;
}

function malformed(message: string): Failure {
  return new Failure(400, 'invalid_request', message);
}

function factsOf(request: IncomingMessage, requestId: string, time: number, caller: Caller): CallFacts {
  const { method = '', url = '', headers, socket } = request;
  return {
    requestId,
    time,
    room: 'identity',
    operation: 'ManagedIdentityToken',
    action: 'anonymous',
    scope: '/',
    apiVersion: undefined,
    host: '127.0.0.1',
    origin: `http://127.0.0.1:${socket.localPort ?? 0}`,
    method,
    path: url.replace(/[?#].*$/s, ''),
    named: {},
    address: socket.remoteAddress ?? '',
    client: headers['user-agent'],
    correlationId: undefined,
    caller,
  };
}
