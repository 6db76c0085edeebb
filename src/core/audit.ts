// What a record of a call says: the words that the door, the rooms' tables and the audit share. Knows neither HTTP nor where records are kept.

import type { Caller } from './caller.ts';
import { Failure } from './failure.ts';

/** How a row is recorded; every room says it for each of its rows. */
export interface RowAudit {
  /** `KeySign`: the record's operationName. */
  readonly operation: string;
  /** What the caller must be allowed to do. */
  readonly action: string;
  /** Every call of an HSM is recorded; where little is decided, only who was turned away. */
  readonly record: 'every call' | 'refusals';
  /** Where the action has to be allowed, for the named segments of the call's path. */
  scope(path: Readonly<Record<string, string>>): string;
}

/** `not decided`: refused before it came to that, for its address, its version or the HSM's state. */
export type Decision = 'allowed' | 'refused' | 'not authenticated' | 'not decided';

/** What is the same in each call of one caller to one address. */
export interface CommonFacts {
  readonly room: 'hsm' | 'identity' | 'graph' | 'management';
  readonly operation: string;
  readonly action: string;
  readonly scope: string;
  readonly apiVersion: string | undefined;
  readonly host: string;
  readonly origin: string;
  readonly method: string;
  /** Without its query. */
  readonly path: string;
  /** The named segments of a path that a table has. */
  readonly named: Readonly<Record<string, string>>;
  /** The client's address. */
  readonly address: string;
  readonly caller: Caller;
}

/** A call as it came in. Plain data, so that it can cross threads; no token, body or query is in it. */
export interface CallFacts extends CommonFacts {
  readonly requestId: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** What the client says it is. */
  readonly client: string | undefined;
  /** What the client calls this call, or the undertaking it belongs to. */
  readonly correlationId: string | undefined;
  /** Decided by what was last known, because the store could not be reached. */
  readonly degraded?: boolean;
  /** Object id of whoever a call is about that comes before anybody is known: the account of a sign-in. */
  readonly subject?: string | undefined;
}

/** During a call: tells whom it is about. */
export type AboutWhom = (objectId: string) => void;

/** What the service does by itself because it is due, inside the transaction that does it. */
export interface Deed {
  /** `KeyRotateIfDue`: the record's operationName. */
  readonly operation: string;
  /** The name of the HSM. */
  readonly hsm: string;
  readonly key?: string | undefined;
}

/** What became of it. */
export interface Outcome {
  readonly decision: Decision;
  readonly status: number;
  /** Why it was refused, as a code of ours: nothing that the caller sent. */
  readonly reason: string | undefined;
  /** Milliseconds. */
  readonly duration: number;
}

/** How far a call came, from the answer that it gets. `admitted`: whether its room had let it pass. */
export function decisionOn(admitted: boolean, status: number, code: string | undefined): Decision {
  if (code !== undefined && REFUSALS.has(code)) return 'refused';
  if (admitted) return 'allowed';
  return status === 401 ? 'not authenticated' : 'not decided';
}

/** The codes with which the rooms say that a caller may not. */
const REFUSALS: ReadonlySet<string> = new Set([
  'AccessDenied',
  'AuthorizationFailed',
  'Authorization_RequestDenied',
  'Forbidden/ForbiddenByFirewall',
]);

/** The code of a failure with its inner one: the reason as a record has it. */
export function reasonOf({ code, inner }: Failure): string {
  return inner === undefined ? code : `${code}/${inner}`;
}

/** Which records of an HSM somebody wants to see; times in milliseconds since 1970. */
export interface RecordsQuery {
  readonly from: number | undefined;
  readonly to: number | undefined;
  /** Object id of the caller, in lower case. */
  readonly principalId: string | undefined;
  readonly operation: string | undefined;
  readonly key: string | undefined;
  readonly result: 'Success' | 'Failed' | undefined;
  readonly top: number;
  /** Those of the node that is asked, from its own files; or those that all nodes keep in the store. */
  readonly nodes: 'this' | 'all';
  /** As the page before gave it; undefined for the beginning. */
  readonly cursor: string | undefined;
}

export interface RecordsPage {
  readonly records: readonly { readonly node: string; readonly sequence: number; readonly hash: string; readonly event: unknown }[];
  /** Where the next page begins, also when there is nothing yet. Undefined: the query's cursor was none of ours. */
  readonly cursor: string | undefined;
  /** Whether there may be more already. */
  readonly more: boolean;
  /** Where all nodes were asked: what cannot be had from here. */
  readonly missing?: readonly MissingRecords[];
}

/** Records of a node, of whatever HSM, by the first and the last number. */
export interface MissingRecords {
  readonly node: string;
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}

/** Reads the records of one HSM, oldest first. */
export type ReadRecords = (hsmId: string, query: RecordsQuery) => Promise<RecordsPage>;

/** Where the door takes its records. */
export interface Recorder {
  /** Throws auditUnavailable when no record could be kept now, so that nothing is done that would have to be undone. */
  prove(): void;
  /**
   * Resolves when the record is on disk, and rejects with auditUnavailable when it is not: the answer must not leave then. `like` is the same object for
   * calls whose CommonFacts are the same.
   */
  record(facts: CallFacts, outcome: Outcome, like?: object): Promise<void>;
}

/** Where the operator asked for no records. */
export const noRecorder: Recorder = { prove: () => undefined, record: () => Promise.resolve() };

export const AUDIT_UNAVAILABLE = 'AuditUnavailable';

/** 503: what cannot be recorded is not done. */
export function auditUnavailable(cause?: unknown): Failure {
  const message = 'The audit record cannot be written, so the operation was refused. The service log and its readiness page say why.';
  return new Failure(503, AUDIT_UNAVAILABLE, message, { headers: { 'retry-after': '5' }, cause });
}
