// One record as it is written: the service's AuditEvent shape as JSON text, in one line. Made of facts alone; knows no token, body or query.
// Source: Key Vault and Managed HSM logging, "Interpret your logs".

import type { CallFacts, Decision, Outcome } from '../core/audit.ts';
import type { Caller } from '../core/caller.ts';
import type { Clock } from '../core/clock.ts';
import { openFlood } from './flood.ts';

/** The HSM that a call came to, as the resource manager knows it. */
export interface HsmPlace {
  readonly hsmId: string;
  /** The record's members that every call to this HSM shares: JSON text without braces. */
  readonly shared: string;
  /** The same for its `properties`. */
  readonly properties: string;
}

/** Categories of Azure's logs: the data plane's own, the resource manager's, the login's and the directory's. */
const CATEGORIES: Readonly<Record<CallFacts['room'], string>> = {
  hsm: 'AuditEvent',
  management: 'Administrative',
  identity: 'SignInLogs',
  graph: 'AuditLogs',
};

/** What a client says of itself is cut here, and so is a path. */
const LONGEST_TEXT = 512;

/** Makes the events of one thread. */
export interface Events {
  /** The event of a call as JSON text in one line; undefined when it has none of its own: it was no decision, or one refusal too many. `like` as in Recorder. */
  of(facts: CallFacts, outcome: Outcome, like?: object): Promise<string | undefined> | string | undefined;
  /** Events that count what had none of its own, once their minute is over. */
  overdue(): readonly string[];
}

export interface EventsParts {
  readonly tenantId: string;
  readonly clock: Clock;
  /** Which HSM a host name belongs to. */
  readonly placeAt: (host: string) => Promise<HsmPlace | undefined> | HsmPlace | undefined;
}

export function openEvents({ tenantId, clock, placeAt }: EventsParts): Events {
  const flood = openFlood();
  const kept = new WeakMap<object, Common>();

  /** Calls come again and again: what all records of one caller at one address have in common is written once. */
  function commonTo(facts: CallFacts, { decision }: Outcome, place: HsmPlace | undefined, like: object | undefined): Common {
    const known = like === undefined ? undefined : kept.get(like);
    if (known !== undefined && known.decision === decision && known.place === place) return known;
    const common = commonText(tenantId, facts, decision, place);
    if (like !== undefined) kept.set(like, common);
    return common;
  }

  return {
    of: (facts, outcome, like) => {
      if (isNoDecision(outcome) || !flood.admits(facts, outcome)) return undefined;
      const place = facts.room === 'hsm' ? placeAt(facts.host) : undefined;
      if (place instanceof Promise) return place.then((found) => eventText(facts, outcome, commonTo(facts, outcome, found, like)));
      return eventText(facts, outcome, commonTo(facts, outcome, place, like));
    },
    overdue: () => {
      const now = clock.now();
      return flood.take(now).map((repeated) => ownEventText(tenantId, now, 'RefusalsRepeated', { ...repeated }));
    },
  };
}

/** A client that polls for a device code is told every second that nobody has decided yet. */
function isNoDecision({ reason }: Outcome): boolean {
  return reason === 'authorization_pending' || reason === 'slow_down';
}

/** An event about the audit itself. */
export function ownEventText(tenantId: string, time: number, operation: string, properties: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({
    time: new Date(time).toISOString(),
    operationName: operation,
    category: 'AuditEvent',
    resultType: 'Success',
    properties,
    TenantId: tenantId,
  });
}

/** The parts of an event that hang on nothing but CommonFacts, the decision and the place. */
interface Common {
  readonly decision: Decision;
  readonly place: HsmPlace | undefined;
  readonly operation: string;
  readonly request: string;
  readonly caller: string;
  readonly key: string;
  readonly end: string;
}

function commonText(tenantId: string, facts: CallFacts, decision: Decision, place: HsmPlace | undefined): Common {
  const { room, operation, apiVersion, origin, path, address, caller, method, action, scope, named } = facts;
  const isStranger = room === 'hsm' && decision === 'not authenticated';
  const who = caller.kind === 'anonymous' ? '' : `,"caller":"${caller.objectId}","callerType":"${caller.kind}"`;
  const key = named.name === undefined || room !== 'hsm' ? '' : `,"key":${quoted(cut(named.name))}`;
  const version = named.version === undefined || room !== 'hsm' ? '' : `,"keyVersion":${quoted(cut(named.version))}`;
  const tried = isStranger ? `,"attempted":${quoted(operation)}` : '';
  return {
    decision,
    place,
    // A caller who did not prove who it is did one thing: try.
    operation: `"operationName":${quoted(isStranger ? 'Authentication' : operation)},"category":"${CATEGORIES[room]}"`,
    request: `"operationVersion":${quoted(apiVersion ?? '')},"requestUri":${quoted(cut(origin + path))},"callerIpAddress":${quoted(address)}`,
    caller: `"identity":${identityOf(caller)},"subnetId":"(unknown)","properties":{${place === undefined ? '' : `${place.properties},`}"requestId":`,
    key: `"method":"${method}","decision":"${decision}","action":${quoted(action)},"scope":${quoted(cut(scope))}${who}${key}${version}${tried}`,
    end: `},${place === undefined ? elsewhere(facts) : place.shared},"TenantId":"${tenantId}"}`,
  };
}

function eventText(facts: CallFacts, { status, reason, duration }: Outcome, { operation, request, caller, key, end }: Common): string {
  const { requestId, time, client, correlationId, subject, degraded } = facts;
  return (
    `{"time":"${new Date(time).toISOString()}",${operation},"resultType":"${status < 400 ? 'Success' : 'Failed'}",` +
    `"httpStatusCode":${status},${reason === undefined ? '' : `"resultDescription":${quoted(reason)},`}"durationMs":${duration},${request},` +
    `"clientInfo":${quoted(cut(client ?? ''))},"correlationId":${quoted(correlationId ?? requestId)},${caller}"${requestId}",${key}` +
    `${subject === undefined ? '' : `,"subject":"${subject}"`}${degraded === true ? ',"degraded":true' : ''}${end}`
  );
}

/** An address that is no HSM's: the resource manager, the login, or an HSM that is not there. */
function elsewhere({ room, host }: CallFacts): string {
  if (room !== 'hsm') return `"resourceId":""`;
  return `"resourceId":"","PoolName":${quoted(host.split('.', 1)[0] ?? '')}`;
}

/** Callers come again and again; what is written of one is kept. */
const identities = new Map<string, string>();
const MOST_IDENTITIES = 10_000;

function identityOf(caller: Caller): string {
  if (caller.kind === 'anonymous') return '"{}"';
  const name = caller.kind === 'user' ? caller.userPrincipalName : '';
  const key = `${caller.objectId} ${caller.clientId} ${name}`;
  let text = identities.get(key);
  if (text === undefined) {
    const claim = {
      appid: caller.clientId,
      http_schemas_microsoft_com_identity: { claims: { objectidentifier: caller.objectId } },
      ...(caller.kind === 'user' ? { http_schemas_xmlsoap_org_ws_2005_05_identity: { claims: { upn: name } } } : {}),
    };
    text = quoted(JSON.stringify({ claim }));
    if (identities.size >= MOST_IDENTITIES) identities.clear();
    identities.set(key, text);
  }
  return text;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}

function cut(text: string): string {
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text;
}
