// The door of one thread: HTTPS listeners, the router made from the rooms' tables, and the way every request takes:
// host → route → token → admission → body → operation → answer. Knows rooms only as tables.

import type { IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { SecureContext } from 'node:tls';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { AUDIT_UNAVAILABLE, type CallFacts, decisionOn, type Recorder, type RowAudit, reasonOf } from '../core/audit.ts';
import { type Audience, anonymous, type Caller, type VerifyToken } from '../core/caller.ts';
import type { Clock } from '../core/clock.ts';
import { Failure } from '../core/failure.ts';
import { isReply } from '../core/reply.ts';
import type { Admitted, Room, ServedRow, Visit } from '../core/route.ts';
import type { Urls } from '../core/urls.ts';
import { clientAddresses } from './client-address.ts';
import { type Carried, parseCall, readBody, readQuery } from './decode.ts';
import { dialects, type Habits, type Refusal } from './dialects.ts';
import type { Answer, Exchange } from './exchange.ts';
import { type Arrival, arrivals, overrideMethod, PREFIX, routed } from './hosts.ts';
import type { DoorMetrics } from './metrics.ts';
import { factsOf, isRecorded, UNKNOWN_OPERATION } from './recording.ts';
import { requestIds } from './request-id.ts';
import type { Certificates } from './tls.ts';

export interface DoorOptions {
  readonly rooms: readonly Room[];
  readonly verifyToken: VerifyToken;
  /** Every call that a room wants recorded goes there before its answer leaves. */
  readonly recorder: Recorder;
  /** Runs a row that may write, where the writer is; that call is recorded there too, with its change. */
  readonly write: (request: WriteRequest) => Promise<unknown>;
  readonly urls: Urls;
  readonly tenantId: string;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: DoorMetrics;
  /** IP addresses by which this service may be called, besides the loopback ones. */
  readonly addresses: readonly string[];
  /** Addresses and ranges of the proxies whose `x-forwarded-for` is believed. */
  readonly trustedProxies: readonly string[];
  /** The one answer of a door that nobody may pass now; `login` when a token was asked for. */
  readonly closedFor?: (login: boolean) => Failure;
}

/** A request for a row that may write, on its way to the thread that has the writer. */
export interface WriteRequest {
  readonly room: number;
  readonly row: number;
  readonly visit: Visit;
  readonly carried: Carried;
  readonly facts: CallFacts;
}

export interface Listening {
  readonly certificates: Certificates;
  readonly hosts: readonly string[];
  readonly port: number;
  /** Several threads share the port. */
  readonly reusePort: boolean;
  /** Told of an address that this machine does not have; without it that is an error. */
  readonly absent?: ((host: string) => void) | undefined;
}

export interface Door {
  listen(listening: Listening): Promise<void>;
  /** Takes no new connections and resolves when the requests under way are answered, or when their time is over. */
  close(): Promise<void>;
}

/** Longest body: a security domain of ten custodians and a key backup are far below. */
const BODY_LIMIT = 1 << 20;
/** Bearer tokens of 16 KB are looked at, so headers must have room for more than one of them. */
const HEADER_LIMIT = 32 << 10;
const HEADERS_WITHIN = 15_000;
const REQUEST_WITHIN = 60_000;
const IDLE = 75_000;
const DRAIN_WITHIN = 10_000;
/** How often the certificate of the fixed names is looked at; it is replaced a month before it ends. */
const RENEWAL_CHECK = 3_600_000;

const AUDIENCES: Readonly<Record<Room['name'], Audience>> = {
  hsm: 'hsm',
  management: 'management',
  graph: 'graph',
  identity: 'management',
};

/** Said in the record of a request that brought no token. */
const NO_TOKEN = 'no token';

/** A request on its way through the stops: what each stop has found out. */
interface Passage {
  readonly arrival: Arrival;
  /** The client's. */
  readonly address: string;
  readonly requestId: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly began: number;
  /** Whether the call's record has been made, or tried. */
  recorded: boolean;
  visit: Visit | undefined;
  admitted: Admitted | undefined;
  caller: Caller;
}

/** An address as the answer, the log, the figures and the record know it. */
interface Stop {
  /** The address as its table writes it. */
  readonly route: string;
  readonly name: Room['name'];
  readonly habits: Habits;
  readonly audit: RowAudit | undefined;
}

/** Where a row is, so that another thread finds the same one. */
interface Located extends Stop {
  readonly room: number;
  readonly row: number;
  readonly served: ServedRow;
}

/** Why a call was refused, for its record: a code of ours, nothing that the caller sent. */
type Reason = string | undefined;

/** Builds the door; nothing is listened on yet. */
export async function openDoor(options: DoorOptions): Promise<Door> {
  const { rooms, verifyToken, recorder, write, urls, clock, log, metrics, closedFor } = options;
  const habitsOf = dialects(options);
  const arrivalOf = arrivals(urls.domain, options.addresses);
  const addressOf = clientAddresses(options.trustedProxies);
  const roomNamed = new Map(rooms.map((room) => [room.name, room]));
  const nextId = requestIds(clock);
  const passages = new WeakMap<IncomingMessage, Passage>();

  const app = fastify({
    rewriteUrl: (request) => {
      const arrival = arrivalOf(request.headers.host);
      if (arrival.place === 'hsm') overrideMethod(request);
      passages.set(request, {
        arrival,
        address: addressOf(request),
        requestId: nextId(),
        time: clock.now(),
        recorded: false,
        began: performance.now(),
        visit: undefined,
        admitted: undefined,
        caller: anonymous,
      });
      return routed(arrival.place, request.url ?? '/');
    },
    routerOptions: { caseSensitive: false, ignoreDuplicateSlashes: true, ignoreTrailingSlash: true, maxParamLength: 2048 },
    exposeHeadRoutes: false,
    bodyLimit: BODY_LIMIT,
    logger: false,
    frameworkErrors: (error, request, reply) => refuse(request, reply, error, unroutable(request)),
  });
  // Whatever the content type: the room decides what it reads, after it has decided who asks.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));

  for (const [roomIndex, room] of rooms.entries()) {
    for (const [rowIndex, served] of room.rows.entries()) {
      const { path: route, audit } = served;
      serve({ room: roomIndex, row: rowIndex, served, route, audit, name: room.name, habits: habitsOf[room.dialect] });
    }
  }
  app.setNotFoundHandler((request, reply) => unknownAddress(request, reply));

  function serve(located: Located): void {
    const { served } = located;
    const url = `${PREFIX[located.name === 'hsm' ? 'hsm' : 'service']}${served.path}`;
    app.route({
      method: served.method,
      url,
      onRequest: async (request, reply) => {
        try {
          await enter(located, request, reply);
        } catch (error) {
          return refuse(request, reply, error, located);
        }
      },
      handler: async (request, reply) => {
        try {
          return await perform(located, request, reply);
        } catch (error) {
          return refuse(request, reply, error, located);
        }
      },
      errorHandler: (error, request, reply) => refuse(request, reply, error, located),
    });
  }

  /** From where, who asks, and may they: before a byte of the body is read. Answers 401 itself. */
  async function enter(located: Located, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const { served, name, habits, audit } = located;
    const passage = passageOf(request);
    if (audit?.record === 'every call') proveRecordable(passage);
    await knock(name, passage);
    if (!served.anonymous) {
      const refusal = await authenticate(passage, name, request);
      if (refusal !== undefined) {
        await send(request, reply, located, habits.challenge(exchangeOf(request), refusal), refusal.description ?? NO_TOKEN);
        return;
      }
    }
    const query = readQuery(request.query);
    const visit: Visit = {
      caller: passage.caller,
      host: passage.arrival.host,
      origin: passage.arrival.origin,
      address: passage.address,
      apiVersion: query['api-version'],
      requestId: passage.requestId,
      path: { ...(request.params as Record<string, string>) },
      ...(served.anonymous ? { authorization: request.headers.authorization } : {}),
    };
    passage.visit = visit;
    passage.admitted = await served.admit(visit);
  }

  /** Before anything is done; what is refused here for want of a record has none. */
  function proveRecordable(passage: Passage): void {
    passage.recorded = true;
    recorder.prove();
    passage.recorded = false;
  }

  /** Throws when the room lets nobody in from there. */
  async function knock(name: Room['name'], { arrival, address }: Passage): Promise<void> {
    await roomNamed.get(name)?.gate?.({ host: arrival.host, address });
  }

  /** Undefined when the caller is known now; else why not. */
  async function authenticate(passage: Passage, name: Room['name'], request: FastifyRequest): Promise<Refusal | undefined> {
    const [, token] = /^bearer +([^\s]+)$/i.exec(request.headers.authorization ?? '') ?? [];
    if (token === undefined) return { description: undefined };
    const check = await verifyToken(token, AUDIENCES[name]);
    if (!check.valid) return check;
    passage.caller = check.caller;
    return undefined;
  }

  async function perform(located: Located, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { served, habits, room, row } = located;
    const passage = passageOf(request);
    const { visit, admitted } = passage;
    if (visit === undefined || admitted === undefined) throw new Error('a request came to its operation without being admitted');
    const contentType = request.headers['content-type'];
    const carried: Carried = { query: readQuery(request.query), body: readBody(request.body as Buffer | undefined, contentType, habits) };
    if (served.mode === 'write') {
      passage.recorded = true;
      const result = await write({ room, row, visit, carried, facts: recordedFacts(request, passage, located.name, served.audit) });
      return send(request, reply, located, answerOf(result, admitted, exchangeOf(request), habits), undefined);
    }
    const result = await admitted.run(parseCall(served, visit, carried, habits));
    return send(request, reply, located, answerOf(result, admitted, exchangeOf(request), habits), undefined);
  }

  /** An address that no table has: the HSMs ask from where and who first, as they do everywhere. */
  async function unknownAddress(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const passage = passageOf(request);
    const path = (request.originalUrl ?? request.url).replace(/\?.*$/, '');
    if (passage.arrival.place === 'stranger') {
      const words =
        'This service does not answer for that host name. Use the names in connection.json, or start the service with --domain.';
      const stop: Stop = { route: 'stranger', name: 'management', habits: habitsOf.arm, audit: undefined };
      return refuse(request, reply, new Failure(421, 'MisdirectedRequest', words), stop);
    }
    const stop = passage.arrival.place === 'hsm' ? hsmStop('unknown') : serviceStop('unknown');
    if (closedFor !== undefined) {
      const login = stop.name !== 'hsm' && /\/(?:oauth2|adfs)(?:\/|$)/i.test(path);
      return refuse(request, reply, closedFor(login), {
        ...stop,
        route: 'closed',
        audit: undefined,
        ...(login ? { habits: habitsOf.oauth } : {}),
      });
    }
    try {
      await knock(stop.name, passage);
    } catch (error) {
      return refuse(request, reply, error, stop);
    }
    const refusal = stop.name === 'hsm' ? await authenticate(passage, stop.name, request) : undefined;
    if (refusal !== undefined) {
      const challenge = stop.habits.challenge(exchangeOf(request), refusal);
      return send(request, reply, stop, challenge, refusal.description ?? NO_TOKEN);
    }
    return refuse(request, reply, stop.habits.notFound(path), stop);
  }

  function unroutable(request: FastifyRequest): Stop {
    return passageOf(request).arrival.place === 'hsm' ? hsmStop('unroutable') : serviceStop('unroutable');
  }

  function hsmStop(route: string): Stop {
    return { route, name: 'hsm', habits: habitsOf.keyvault, audit: UNKNOWN_OPERATION };
  }

  function serviceStop(route: string): Stop {
    return { route, name: 'management', habits: habitsOf.arm, audit: undefined };
  }

  function refuse(request: FastifyRequest, reply: FastifyReply, error: unknown, stop: Stop): Promise<FastifyReply> {
    const failure = failureOf(error, stop.habits);
    const { requestId } = passageOf(request);
    // Of calls refused for want of a record there may be thousands; the audit itself says once what is wrong.
    if (failure.status >= 500 && failure.code !== AUDIT_UNAVAILABLE && closedFor === undefined)
      log.error({ requestId, err: error, route: stop.route }, 'a request failed');
    else if (failure.cause !== undefined)
      log.debug({ requestId, cause: String(failure.cause), route: stop.route }, 'a request was refused');
    return send(request, reply, stop, failureAnswer(request, failure, stop.habits), reasonOf(failure));
  }

  function failureAnswer(request: FastifyRequest, failure: Failure, habits: Habits): Answer {
    const exchange = exchangeOf(request);
    const headers = { ...habits.headers(exchange), 'content-type': habits.contentType, ...failure.headers };
    return { status: failure.status, headers, body: JSON.stringify(habits.error(failure, exchange)) };
  }

  /** The way out of every request: its record first, then the answer. Without the record another answer leaves: 503. */
  async function send(request: FastifyRequest, reply: FastifyReply, stop: Stop, answer: Answer, reason: Reason): Promise<FastifyReply> {
    const passage = passageOf(request);
    if (passage.recorded || !isRecorded(stop.audit, answer.status)) return leave(request, reply, stop, answer, reason);
    passage.recorded = true;
    const facts = recordedFacts(request, passage, stop.name, stop.audit);
    const decision = decisionOn(passage.admitted !== undefined, answer.status, reason);
    try {
      await recorder.record(facts, { decision, status: answer.status, reason, duration: clock.now() - passage.time });
    } catch (error) {
      const failure = failureOf(error, stop.habits);
      if (failure.code !== AUDIT_UNAVAILABLE) log.error({ requestId: passage.requestId, err: error }, 'a request could not be recorded');
      return leave(request, reply, stop, failureAnswer(request, failure, stop.habits), failure.code);
    }
    return leave(request, reply, stop, answer, reason);
  }

  function leave(request: FastifyRequest, reply: FastifyReply, stop: Stop, answer: Answer, reason: Reason): FastifyReply {
    const passage = passageOf(request);
    const milliseconds = performance.now() - passage.began;
    metrics.observe(reason === undefined ? stop.name : 'refused', request.method, stop.route, answer.status, milliseconds / 1000);
    log.info(
      {
        requestId: passage.requestId,
        method: request.method,
        host: passage.arrival.host,
        // The route and not the address: a query may hold what is no log's business.
        route: stop.route,
        status: answer.status,
        ms: Math.round(milliseconds * 10) / 10,
        address: passage.address,
        ...(passage.caller.kind === 'anonymous' ? {} : { caller: passage.caller.objectId }),
      },
      'request',
    );
    return reply.code(answer.status).headers(answer.headers).send(answer.body);
  }

  function recordedFacts(request: FastifyRequest, passage: Passage, room: Room['name'], audit: RowAudit): CallFacts {
    const { headers } = request;
    return factsOf(request.raw, {
      ...passage,
      room,
      audit,
      url: request.originalUrl,
      correlationId: echoed(headers['x-ms-correlation-request-id'] ?? headers['x-ms-client-request-id'] ?? headers['client-request-id']),
    });
  }

  function passageOf(request: FastifyRequest): Passage {
    const passage = passages.get(request.raw);
    if (passage === undefined) throw new Error('a request came in without being routed');
    return passage;
  }

  function exchangeOf(request: FastifyRequest): Exchange {
    const { requestId, began, arrival, address } = passageOf(request);
    const { headers } = request;
    return {
      requestId,
      method: request.method,
      address,
      origin: arrival.origin,
      latency: performance.now() - began,
      now: clock.now(),
      clientRequestId: echoed(headers['x-ms-client-request-id'] ?? headers['client-request-id']),
      correlationId: echoed(headers['x-ms-correlation-request-id']),
      wantsClientRequestId: String(headers['x-ms-return-client-request-id']).toLowerCase() === 'true',
    };
  }

  await app.ready();
  return doorOver(app);
}

/** What clients say of themselves is repeated to them only when it is short and plain. */
function echoed(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' && /^[\w.:{}-]{1,128}$/.test(value) ? value : undefined;
}

function answerOf(result: unknown, { headers: own }: Admitted, exchange: Exchange, habits: Habits): Answer {
  const headers = { ...habits.headers(exchange), ...habits.successHeaders(exchange), ...own };
  if (!isReply(result)) return { status: 200, headers: { ...headers, 'content-type': habits.contentType }, body: JSON.stringify(result) };
  const { status, body, contentType } = result;
  Object.assign(headers, result.headers);
  if (body === undefined) return { status, headers, body: undefined };
  headers['content-type'] = contentType ?? habits.contentType;
  return { status, headers, body: typeof body === 'string' && contentType !== undefined ? body : JSON.stringify(body) };
}

/** Failures are the service's own; fastify's refusals (too large, bad URL) have a status; whatever else is thrown is our fault. */
function failureOf(error: unknown, habits: Habits): Failure {
  if (error instanceof Failure) return error;
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined;
  if (status === 413) return new Failure(413, 'RequestEntityTooLarge', `The request body is larger than ${BODY_LIMIT} bytes.`);
  if (typeof status === 'number' && status >= 400 && status < 500) return habits.malformed('The request could not be read.', false);
  return habits.internal();
}

function doorOver(app: FastifyInstance): Door {
  const servers: Server[] = [];
  let renewal: NodeJS.Timeout | undefined;
  return {
    async listen({ certificates, hosts, port, reusePort, absent }) {
      const options = {
        ...(await fixedCertificate(certificates)),
        maxHeaderSize: HEADER_LIMIT,
        headersTimeout: HEADERS_WITHIN,
        requestTimeout: REQUEST_WITHIN,
        keepAliveTimeout: IDLE,
        SNICallback: (name: string, done: (error: Error | null, context?: SecureContext) => void) => {
          certificates.contextFor(name).then(
            (context) => done(null, context),
            (error: Error) => done(error),
          );
        },
      };
      for (const host of hosts) {
        const server = createServer(options, (request, response) => app.routing(request, response));
        if (await listening(server, { host, port, reusePort }, absent)) servers.push(server);
      }
      renewal = setInterval(async () => {
        const current = await fixedCertificate(certificates);
        for (const server of servers) server.setSecureContext(current);
      }, RENEWAL_CHECK).unref();
    },
    async close() {
      clearInterval(renewal);
      await Promise.all(servers.map(closed));
      await app.close();
    },
  };
}

async function fixedCertificate(certificates: Certificates) {
  const { key, cert } = await certificates.fixed();
  return { key, cert, minVersion: 'TLSv1.2' } as const;
}

/** Whether the server listens: false when the machine does not have the address and somebody wants to be told. */
function listening(
  server: Server,
  at: { readonly host: string; readonly port: number; readonly reusePort: boolean },
  absent: ((host: string) => void) | undefined,
): Promise<boolean> {
  return new Promise((done, failed) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (absent === undefined || (error.code !== 'EADDRNOTAVAIL' && error.code !== 'EAFNOSUPPORT')) return failed(error);
      absent(at.host);
      done(false);
    });
    server.listen({ ...at, ipv6Only: at.host.includes(':') }, () => done(true));
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((done) => {
    const hurry = setTimeout(() => server.closeAllConnections(), DRAIN_WITHIN);
    server.close(() => {
      clearTimeout(hurry);
      done();
    });
    server.closeIdleConnections();
  });
}
