// Which calls are recorded, and what the audit is told of one: facts of the request and its fate, never a token, a body or a query.

import type { CallFacts, CommonFacts, RowAudit } from '../core/audit.ts';
import type { Caller } from '../core/caller.ts';
import type { Visit } from '../core/route.ts';
import { echoed } from './answers.ts';
import type { Arrival } from './hosts.ts';
import type { Incoming } from './incoming.ts';

/** What no table of an HSM has is recorded too: somebody was looking for it. */
export const UNKNOWN_OPERATION: RowAudit = { operation: 'UnknownOperation', action: '', record: 'every call', scope: () => '/' };

export function isRecorded(audit: RowAudit | undefined, status: number): audit is RowAudit {
  return audit !== undefined && (audit.record === 'every call' || status === 401 || status === 403);
}

/** Who asks for what, from where. */
export interface Asked {
  readonly room: CommonFacts['room'];
  readonly audit: RowAudit;
  readonly method: string;
  /** As the client wrote it, query and all. */
  readonly url: string;
  readonly arrival: Arrival;
  readonly address: string;
  readonly caller: Caller;
  readonly visit: Pick<Visit, 'path' | 'apiVersion'> | undefined;
}

export function commonFacts({ room, audit, method, url, arrival, address, caller, visit }: Asked): CommonFacts {
  const named = plainNames(visit?.path ?? {});
  return {
    room,
    operation: audit.operation,
    action: audit.action,
    scope: audit.scope(named),
    apiVersion: visit?.apiVersion,
    host: arrival.host,
    origin: arrival.origin,
    method,
    path: pathOf(url),
    named,
    address,
    caller,
  };
}

/** Facts of one call. */
export function factsOf(common: CommonFacts, { headers }: Incoming, requestId: string, time: number, degraded: boolean): CallFacts {
  return {
    ...common,
    requestId,
    time,
    client: headers['user-agent'],
    correlationId: echoed(headers['x-ms-correlation-request-id'] ?? headers['x-ms-client-request-id'] ?? headers['client-request-id']),
    ...(degraded ? { degraded } : {}),
  };
}

/** As nearly all of them are: no letter outside of ASCII, nothing encoded. */
const PLAIN_PATH = /^[\w/.~-]*/;
const PLAIN_NAME = /^[\w.~-]{1,256}$/;

/** Up to whatever may be a query, in whichever disguise: a query may hold what is no record's business. */
export function pathOf(url: string): string {
  const [path = ''] = PLAIN_PATH.exec(url) ?? [];
  const next = url[path.length];
  if (next === undefined || next === '?') return path;
  return url.replace(/(?:\?|#|;|&|%3f|%23|%3b|%26).*$/is, '');
}

/** Names as they stand in a path. What can be no name may be a query in disguise, and is not repeated. */
function plainNames(named: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.values(named).every(isPlain)
    ? named
    : Object.fromEntries(Object.entries(named).map(([at, name]) => [at, isPlain(name) ? name : '(no name)']));
}

function isPlain(name: string): boolean {
  return PLAIN_NAME.test(name) || /^[^?#;&=%\s\p{Cc}\p{Cf}]{1,256}$/u.test(name);
}
