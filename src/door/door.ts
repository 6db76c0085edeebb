// The door of one thread: the way every request takes, host → route → where from → token → admission → body → operation → record → answer.
// Knows rooms only as tables.

import type { Logger } from 'pino';
import { AUDIT_UNAVAILABLE, type CallFacts, type CommonFacts, decisionOn, type Recorder, type RowAudit, reasonOf } from '../core/audit.ts';
import { type Audience, anonymous, type Caller, type VerifyToken } from '../core/caller.ts';
import type { Clock } from '../core/clock.ts';
import type { Versions } from '../core/coherence.ts';
import { Failure } from '../core/failure.ts';
import { isReply, type Reply } from '../core/reply.ts';
import type { Admitted, Room, ServedRow, Visit } from '../core/route.ts';
import type { Urls } from '../core/urls.ts';
import { answerOf, failureAnswer, failureOf, JsonText, RequestExchange } from './answers.ts';
import { clientAddresses } from './client-address.ts';
import { type Carried, parse, parseAddress, readBody } from './decode.ts';
import { dialects, type Habits, type Refusal } from './dialects.ts';
import type { Answer, Exchange } from './exchange.ts';
import { type Arrival, arrivals, overrideMethod, PREFIX, routed } from './hosts.ts';
import type { Incoming, Send } from './incoming.ts';
import { type Listener, openListener } from './listener.ts';
import type { DoorMetrics } from './metrics.ts';
import { openPasses, type Pass, passKey } from './passes.ts';
import { openProxyHeaders } from './proxy-header.ts';
import { type AskReady, isReadinessCheck, readinessPage } from './readiness.ts';
import { commonFacts, factsOf, isRecorded, pathOf, UNKNOWN_OPERATION } from './recording.ts';
import { requestIds } from './request-id.ts';
import { type Finding, type Found, openRouter } from './router.ts';

export type Door = Listener;

export interface DoorOptions {
  readonly rooms: readonly Room[];
  readonly verifyToken: VerifyToken;
  /** Every call that a room wants recorded goes there before its answer leaves. */
  readonly recorder: Recorder;
  /** Runs a row that may write, where the writer is; that call is recorded there too, with its change. */
  readonly write: (request: WriteRequest) => Promise<WriteResult>;
  readonly urls: Urls;
  readonly tenantId: string;
  readonly version: string;
  readonly clock: Clock;
  readonly versions: Versions;
  readonly log: Logger;
  readonly metrics: DoorMetrics;
  /** IP addresses by which this service may be called, besides the loopback ones. */
  readonly addresses: readonly string[];
  /** Addresses and ranges of the proxies whose `x-forwarded-for` is believed. */
  readonly trustedProxies: readonly string[];
  /** Whether those say in front of each connection whose it is. */
  readonly proxyProtocol?: boolean;
  /** Requests of callers with tokens that may be under way at once in each lane; more are asked to come again. */
  readonly inFlight: number;
  /** The one answer of a door that nobody may pass now; `login` when a token was asked for. */
  readonly closedFor?: (login: boolean) => Failure;
  /** For load balancers; left out, they are told to go elsewhere. */
  readonly isReady?: AskReady;
}

/** A request for a row that may write, on its way to the thread that has the writer. */
export interface WriteRequest {
  readonly room: number;
  readonly row: number;
  readonly visit: Visit;
  readonly carried: Carried;
  readonly facts: CallFacts;
}

/** A plain result as JSON text, which it becomes anyway: a text crosses faster. */
export type WriteResult = Reply | string | undefined;

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
  readonly request: Incoming;
  readonly arrival: Arrival;
  /** The client's. */
  readonly address: string;
  readonly requestId: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly began: number;
  readonly stop: Stop;
  /** What is proven of it, or was before of just such a request. */
  pass: Pass<Located> | undefined;
  /** Where it can be kept what is proven now. */
  readonly passKey: string | undefined;
  readonly epoch: number;
  /** Whether what was last known has to do, because the store cannot be reached. */
  readonly degraded: boolean;
  /** Until when the caller's token lasts, in milliseconds since 1970; 0 when that is not known. */
  until: number;
  /** Whether the call's record has been made, or tried. */
  recorded: boolean;
  caller: Caller;
  visit: Visit | undefined;
  admitted: boolean;
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
  readonly lane: Lane;
}

/** Requests under way at addresses that begin alike: the keys of HSMs, their roles, the subscriptions. One that is full leaves the others free. */
interface Lane {
  busy: number;
}

/** An answer, and why a call was refused, for its record: a code of ours, nothing that the caller sent. */
interface Outcome {
  readonly answer: Answer;
  readonly reason: string | undefined;
}

/** Builds the door; nothing is listened on yet. */
export function openDoor(options: DoorOptions): Door {
  const { rooms, verifyToken, recorder, write, urls, clock, log, metrics, closedFor } = options;
  const habitsOf = dialects(options);
  const arrivalOf = arrivals(urls.domain, options.addresses);
  const proxies = options.proxyProtocol === true ? openProxyHeaders(options.trustedProxies) : undefined;
  const addressOf = clientAddresses(options.trustedProxies, proxies?.clientOf);
  const roomNamed = new Map(rooms.map((room) => [room.name, room]));
  const nextId = requestIds(clock);
  const router = openRouter<Located>();
  const passes = openPasses<Located>(options.versions, clock);
  const checked = readinessPage(options.isReady ?? (async () => false));
  const lanes = new Map<string, Lane>();
  const laneOf = (name: string): Lane => {
    const lane = lanes.get(name) ?? { busy: 0 };
    lanes.set(name, lane);
    return lane;
  };

  for (const [roomIndex, room] of rooms.entries()) {
    for (const [rowIndex, served] of room.rows.entries()) {
      const { path: route, audit } = served;
      const lane = laneOf(`${room.name} ${route.split('/', 2)[1]}`);
      const located = { room: roomIndex, row: rowIndex, served, route, audit, name: room.name, habits: habitsOf[room.dialect], lane };
      router.add(served.method, `${PREFIX[room.name === 'hsm' ? 'hsm' : 'service']}${route}`, located);
    }
  }

  /** The one way in and out. */
  async function serve(request: Incoming, send: Send): Promise<void> {
    const arrival = arrivalOf(request.headers.host);
    if (arrival.place === 'hsm') overrideMethod(request);
    // Whatever name the checker uses, if any; an HSM has addresses of its own.
    else if (isReadinessCheck(request)) return send(await checked());
    const { method, url } = request;
    const address = addressOf(request);
    const { epoch } = options.versions;
    const key = arrival.place === 'hsm' ? passKey(request, address) : undefined;
    const pass = key === undefined ? undefined : passes.find(key);
    const found = pass?.found ?? router.find(method, routed(arrival.place, url));
    const passage: Passage = {
      request,
      arrival,
      address,
      requestId: nextId(),
      time: clock.now(),
      began: performance.now(),
      stop: typeof found === 'string' ? stopWithout(arrival, url, found) : found.target,
      pass,
      passKey: key,
      epoch,
      until: 0,
      degraded: typeof found !== 'string' && found.target.served.whenDegraded && options.versions.areDegraded,
      recorded: false,
      caller: pass?.call.caller ?? anonymous,
      visit: undefined,
      admitted: pass !== undefined,
    };
    const outcome = passage.degraded ? options.versions.degraded(() => outcomeOf(passage, found)) : outcomeOf(passage, found);
    leave(passage, send, await outcome);
  }

  /** Whoever has no token may send a body as slowly as they like, and takes nobody's place. */
  async function outcomeOf(passage: Passage, found: Finding<Located>): Promise<Outcome> {
    if (typeof found === 'string' || found.target.served.anonymous) return await recorded(passage, await throughStops(passage, found));
    const { lane } = found.target;
    if (lane.busy >= options.inFlight) return turnedAway(passage);
    lane.busy += 1;
    try {
      return await recorded(passage, await throughStops(passage, found));
    } finally {
      lane.busy -= 1;
    }
  }

  /** Refused without a record when the lane is full: nothing was done and nobody is known yet. */
  function turnedAway(passage: Passage): Outcome {
    passage.recorded = true;
    const words = 'Too many requests are under way. Try again in a moment.';
    return refused(passage, new Failure(429, 'Throttled', words, { headers: { 'retry-after': '1' } }));
  }

  async function throughStops(passage: Passage, found: Finding<Located>): Promise<Outcome> {
    try {
      if (found === 'unknown') return await throughNothing(passage);
      if (found === 'unreadable') throw passage.stop.habits.malformed('The request could not be read.', false);
      return await throughRow(passage, found);
    } catch (error) {
      return refused(passage, error);
    }
  }

  /** From where, who asks, and may they: before a byte of the body is read. */
  async function throughRow(passage: Passage, found: Found<Located>): Promise<Outcome> {
    const { served, name, audit } = found.target;
    if (audit?.record === 'every call') proveRecordable(passage);
    if (passage.pass !== undefined) return await perform(passage, passage.pass);
    await knock(passage);
    const refusal = served.anonymous ? undefined : await authenticate(passage, name);
    if (refusal !== undefined) return challenged(passage, refusal);
    const visit = visitOf(passage, found);
    passage.visit = visit;
    const admitted = await served.admit(visit);
    passage.admitted = true;
    if (served.mode === 'write') return await handOver(passage, found, visit, admitted);
    passage.pass = newPass(passage, found, visit, admitted);
    return await perform(passage, passage.pass);
  }

  async function perform(passage: Passage, pass: Pass<Located>): Promise<Outcome> {
    const { served, habits } = pass.found.target;
    const body = await bodyOf(passage, habits);
    if (pass.text !== undefined) return answered(passage, pass, new JsonText(pass.text));
    const { requestId } = passage;
    const result = await pass.admitted.run({ ...pass.call, requestId, body: parse(served.shapes.body, body, habits) });
    if (!served.steady || isReply(result)) return answered(passage, pass, result);
    // Written once, for as long as the pass holds.
    pass.text = JSON.stringify(result);
    return answered(passage, pass, new JsonText(pass.text));
  }

  /** What the body holds. Waits only for one that has not come yet. */
  function bodyOf({ request }: Passage, habits: Habits): unknown {
    const bytes = request.body();
    const type = request.headers['content-type'];
    return bytes instanceof Promise ? bytes.then((whole) => readBody(whole, type, habits)) : readBody(bytes, type, habits);
  }

  function answered(passage: Passage, { admitted, found }: Pick<Pass<Located>, 'admitted' | 'found'>, result: unknown): Outcome {
    return { answer: answerOf(result, admitted, exchange(passage), found.target.habits), reason: undefined };
  }

  function visitOf({ caller, arrival, address, requestId, request }: Passage, { target, named, query }: Found<Located>): Visit {
    return {
      caller,
      host: arrival.host,
      origin: arrival.origin,
      address,
      apiVersion: query['api-version'],
      requestId,
      path: named,
      ...(target.served.anonymous ? { authorization: request.headers.authorization } : {}),
    };
  }

  /** Kept when a token was asked for, and one whose end is known. */
  function newPass(passage: Passage, found: Found<Located>, visit: Visit, admitted: Admitted): Pass<Located> {
    const { passKey: key, caller, epoch, until, stop } = passage;
    const { requestId: _, ...asked } = visit;
    const call = { ...asked, ...parseAddress(found.target.served, visit, found.query, stop.habits) };
    const pass = { found, admitted, call, facts: common(passage, stop.audit ?? UNKNOWN_OPERATION), until, epoch };
    if (key !== undefined && caller.kind !== 'anonymous' && until > 0) passes.keep(key, pass);
    return pass;
  }

  /** To the thread that has the writer, which records the call with its change. */
  async function handOver(passage: Passage, found: Found<Located>, visit: Visit, admitted: Admitted): Promise<Outcome> {
    const { room, row, audit, habits } = found.target;
    const body = await bodyOf(passage, habits);
    passage.recorded = true;
    const carried = { query: found.query, body };
    const result = await write({ room, row, visit, carried, facts: facts(passage, audit ?? UNKNOWN_OPERATION) });
    return answered(passage, { admitted, found }, typeof result === 'string' ? new JsonText(result) : result);
  }

  /** Before anything is done; what is refused here for want of a record has none. */
  function proveRecordable(passage: Passage): void {
    passage.recorded = true;
    recorder.prove();
    passage.recorded = false;
  }

  /** Throws when the room lets nobody in from there. */
  function knock({ stop, arrival, address }: Passage): Promise<void> | undefined {
    return roomNamed.get(stop.name)?.gate?.({ host: arrival.host, address });
  }

  /** Undefined when the caller is known now; else why not. */
  async function authenticate(passage: Passage, name: Room['name']): Promise<Refusal | undefined> {
    const [, token] = /^bearer +([^\s]+)$/i.exec(passage.request.headers.authorization ?? '') ?? [];
    if (token === undefined) return { description: undefined };
    const check = await verifyToken(token, AUDIENCES[name]);
    if (!check.valid) return check;
    passage.caller = check.caller;
    passage.until = check.until ?? 0;
    return undefined;
  }

  function challenged(passage: Passage, refusal: Refusal): Outcome {
    return { answer: passage.stop.habits.challenge(exchange(passage), refusal), reason: refusal.description ?? NO_TOKEN };
  }

  /** An address that no table has: the HSMs ask from where and who first, as they do everywhere. */
  async function throughNothing(passage: Passage): Promise<Outcome> {
    const { stop, arrival, request } = passage;
    if (arrival.place === 'stranger') {
      const words =
        'This service does not answer for that host name. Use the names in connection.json, or start the service with --domain.';
      throw new Failure(421, 'MisdirectedRequest', words);
    }
    if (closedFor !== undefined) throw closedFor(stop.habits === habitsOf.oauth);
    await knock(passage);
    const refusal = stop.name === 'hsm' ? await authenticate(passage, stop.name) : undefined;
    if (refusal !== undefined) return challenged(passage, refusal);
    throw stop.habits.notFound(pathOf(request.url));
  }

  function stopWithout({ place }: Arrival, url: string, route: 'unknown' | 'unreadable'): Stop {
    if (place === 'stranger') return { route: 'stranger', name: 'management', habits: habitsOf.arm, audit: undefined };
    const isHsm = place === 'hsm';
    if (!isHsm && closedFor === undefined && /^\/(?:v1\.0|beta)\//i.test(pathOf(url)))
      return { route, name: 'graph', habits: habitsOf.graph, audit: undefined };
    const stop = { name: isHsm ? ('hsm' as const) : ('management' as const), habits: isHsm ? habitsOf.keyvault : habitsOf.arm };
    if (closedFor === undefined) return { ...stop, route, audit: isHsm ? UNKNOWN_OPERATION : undefined };
    const habits = !isHsm && /\/(?:oauth2|adfs)(?:\/|$)/i.test(pathOf(url)) ? habitsOf.oauth : stop.habits;
    return { ...stop, habits, route: 'closed', audit: undefined };
  }

  function refused(passage: Passage, error: unknown): Outcome {
    const { stop, requestId } = passage;
    const failure = failureOf(error, stop.habits);
    // Of calls refused for want of a record there may be thousands; the audit itself says once what is wrong.
    if (failure.status >= 500 && failure.code !== AUDIT_UNAVAILABLE && closedFor === undefined)
      log.error({ requestId, err: error, route: stop.route }, 'a request failed');
    else if (failure.cause !== undefined)
      log.debug({ requestId, cause: String(failure.cause), route: stop.route }, 'a request was refused');
    return { answer: failureAnswer(failure, exchange(passage), stop.habits), reason: reasonOf(failure) };
  }

  /** The outcome once its record is on disk. Without the record another answer leaves: 503. */
  async function recorded(passage: Passage, outcome: Outcome): Promise<Outcome> {
    const { stop, time } = passage;
    const { status } = outcome.answer;
    if (passage.recorded || !isRecorded(stop.audit, status)) return outcome;
    passage.recorded = true;
    const { reason } = outcome;
    const decision = decisionOn(passage.admitted, status, reason);
    try {
      const like = passage.pass?.facts;
      await recorder.record(facts(passage, stop.audit), { decision, status, reason, duration: clock.now() - time }, like);
      return outcome;
    } catch (error) {
      const failure = failureOf(error, stop.habits);
      if (failure.code !== AUDIT_UNAVAILABLE) log.error({ requestId: passage.requestId, err: error }, 'a request could not be recorded');
      return { answer: failureAnswer(failure, exchange(passage), stop.habits), reason: failure.code };
    }
  }

  function leave({ request, stop, began, requestId, arrival, address, caller }: Passage, send: Send, { answer, reason }: Outcome) {
    const { method } = request;
    const milliseconds = performance.now() - began;
    metrics.observe(reason === undefined ? stop.name : 'refused', method, stop.route, answer.status, milliseconds / 1000);
    if (log.isLevelEnabled('info')) {
      // The route and not the address: a query may hold what is no log's business.
      const said = {
        requestId,
        method,
        host: arrival.host,
        route: stop.route,
        status: answer.status,
        ms: Math.round(milliseconds * 10) / 10,
      };
      log.info({ ...said, address, ...(caller.kind === 'anonymous' ? {} : { caller: caller.objectId }) }, 'request');
    }
    send(answer);
  }

  function facts(passage: Passage, audit: RowAudit): CallFacts {
    const { request, requestId, time, degraded, pass } = passage;
    return factsOf(pass?.facts ?? common(passage, audit), request, requestId, time, degraded);
  }

  function common(passage: Passage, audit: RowAudit): CommonFacts {
    const { request, stop, arrival, address, caller, visit } = passage;
    return commonFacts({ room: stop.name, audit, method: request.method, url: request.url, arrival, address, caller, visit });
  }

  function exchange({ request, requestId, address, arrival, began }: Passage): Exchange {
    return new RequestExchange(request, requestId, address, arrival.origin, began, clock.now());
  }

  return openListener((request, send) => {
    serve(request, send).catch((error: unknown) => {
      log.error({ err: error }, 'an answer could not be sent');
      request.socket.destroy();
    });
  }, proxies);
}
