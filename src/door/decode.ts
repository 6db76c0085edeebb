// From bytes to a parsed call: the body as its content type says, then path, query and body through the operation's shapes.

import * as v from 'valibot';
import { readJson } from '../core/json.ts';
import type { Call, ServedRow, Visit } from '../core/route.ts';
import type { Habits } from './dialects.ts';

/** What a request carries, as plain data that can cross threads. */
export interface Carried {
  readonly query: Readonly<Record<string, string>>;
  /** Parsed JSON, the fields of a form, or undefined when there was no body. */
  readonly body: unknown;
}

const FORM = 'application/x-www-form-urlencoded';

/** The query with one value for each name; `api-version` in any spelling. */
export function readQuery(query: unknown): Readonly<Record<string, string>> {
  const values: Record<string, string> = {};
  for (const [name, value] of Object.entries(query as Record<string, string | string[]>)) {
    const first = Array.isArray(value) ? value[0] : value;
    const key = name.toLowerCase() === 'api-version' ? 'api-version' : name;
    if (first !== undefined && key !== '__proto__') values[key] = first;
  }
  return values;
}

/** Throws the dialect's own error for what is neither a form nor JSON. */
export function readBody(bytes: Buffer | undefined, contentType: string | undefined, habits: Habits): unknown {
  if (bytes === undefined || bytes.length === 0) return undefined;
  if (contentType?.toLowerCase().startsWith(FORM)) return formFields(bytes);
  const read = readJson(bytes);
  if ('wrong' in read) throw habits.malformed(`The request body ${read.wrong}.`, false);
  return read.value;
}

function formFields(bytes: Buffer): Record<string, string> {
  const fields: Record<string, string> = {};
  // RFC 6749 section 3.2: parameters must not be repeated. The first counts, so that nothing appended later can replace it.
  for (const [name, value] of new URLSearchParams(bytes.toString('utf8'))) if (name !== '__proto__') fields[name] ??= value;
  return fields;
}

/** Shapes that give no words of their own leave them to us: the library's would quote what was sent, and what was sent may be a key. */
const PARSING = { abortEarly: true, abortPipeEarly: true, message: () => '' };

/** Path and query as a row's operation takes them. */
export interface Address {
  readonly path: unknown;
  readonly query: unknown;
}

/** The call that the operation takes; throws the dialect's error with the shape's own words. */
export function parseCall(row: ServedRow, visit: Visit, carried: Carried, habits: Habits): Call<unknown, unknown, unknown> {
  return { ...visit, ...parseAddress(row, visit, carried.query, habits), body: parse(row.shapes.body, carried.body, habits) };
}

export function parseAddress({ shapes }: ServedRow, visit: Visit, query: Carried['query'], habits: Habits): Address {
  return { path: parse(shapes.path, visit.path, habits), query: parse(shapes.query, query, habits) };
}

export function parse(schema: v.GenericSchema, value: unknown, habits: Habits): unknown {
  // Nothing is asked of it.
  if (schema.type === 'unknown') return value;
  const parsed = v.safeParse(schema, value, PARSING);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw habits.malformed(issue.message === '' ? wordsFor(issue) : issue.message, value === undefined);
}

function wordsFor(issue: v.BaseIssue<unknown>): string {
  const place = v.getDotPath(issue);
  if (place === null) return 'The request content is not valid.';
  return issue.received === 'undefined' ? `Property ${place} is required.` : `Property ${place} is not valid.`;
}
