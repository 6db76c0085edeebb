// What an operation returned, or threw, becomes an answer; and an answer becomes the bytes of a response. Knows the dialects' tables and no room.

import type { ServerResponse } from 'node:http';
import { seconds, systemClock } from '../core/clock.ts';
import { Failure } from '../core/failure.ts';
import { STATUS_CODES } from '../core/node-http.ts';
import { isReply } from '../core/reply.ts';
import type { Admitted } from '../core/route.ts';
import type { Habits } from './dialects.ts';
import type { Answer, Exchange } from './exchange.ts';
import type { Incoming } from './incoming.ts';

/** A result that is text already. */
export class JsonText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export function answerOf(result: unknown, { headers: own }: Admitted, exchange: Exchange, habits: Habits): Answer {
  const headers = Object.assign(habits.headers(exchange), habits.successHeaders(exchange), own);
  if (!isReply(result)) {
    headers['content-type'] = habits.contentType;
    return { status: 200, headers, body: result instanceof JsonText ? result.text : JSON.stringify(result) };
  }
  const { status, body, contentType } = result;
  Object.assign(headers, result.headers);
  if (body === undefined) return { status, headers, body: undefined };
  headers['content-type'] = contentType ?? habits.contentType;
  return { status, headers, body: typeof body === 'string' && contentType !== undefined ? body : JSON.stringify(body) };
}

export function failureAnswer(failure: Failure, exchange: Exchange, habits: Habits): Answer {
  const headers = { ...habits.headers(exchange), 'content-type': habits.contentType, ...failure.headers };
  return { status: failure.status, headers, body: JSON.stringify(habits.error(failure, exchange)) };
}

/** Failures are the service's own; whatever else is thrown is our fault. */
export function failureOf(error: unknown, habits: Habits): Failure {
  return error instanceof Failure ? error : habits.internal();
}

/** Sends the answer whole. A client that went away is not told. */
export function write(response: ServerResponse, { status, headers, body }: Answer): void {
  if (response.destroyed) return;
  // RFC 9110 section 8.6: a length where there may be a body, and none with a 204.
  const length = status === 204 ? undefined : Buffer.byteLength(body ?? '');
  response.writeHead(status, length === undefined ? headers : { ...headers, 'content-length': length });
  response.end(body);
}

/** The status line and the fields of an answer, with the empty line behind them. `connection` is the field that says whether it goes on. */
export function headOf({ status, headers, body }: Answer, connection: string): string {
  let fields = '';
  for (const name in headers) {
    const value = headers[name] ?? '';
    if (name === 'connection') continue;
    // What Node's own server refuses to send is not sent here either.
    if (NOT_IN_A_FIELD.test(value)) throw new Error(`the answer's field '${name}' has a character that no field may have`);
    fields += `${name}: ${value}\r\n`;
  }
  const length = status === 204 ? '' : `content-length: ${Buffer.byteLength(body ?? '')}\r\n`;
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${fields}${length}Date: ${date()}\r\n${connection}\r\n`;
}

const NOT_IN_A_FIELD = /[^\t\x20-\x7e]/;

let dated = 0;
let dateText = '';

/** RFC 9110 section 6.6.1, by the machine's clock: written once a second. */
function date(): string {
  const now = seconds(systemClock.now());
  if (now !== dated) dateText = new Date(now * 1000).toUTCString();
  dated = now;
  return dateText;
}

/** The facts of a request that the dialects write down. What only some of them ask for is looked up when they do. */
export class RequestExchange implements Exchange {
  readonly requestId: string;
  readonly method: string;
  readonly address: string;
  readonly origin: string;
  readonly latency: number;
  readonly now: number;
  readonly #headers: Incoming['headers'];

  /** `began` as performance.now() has it; `now` in milliseconds since 1970. */
  constructor({ method, headers }: Incoming, requestId: string, address: string, origin: string, began: number, now: number) {
    this.requestId = requestId;
    this.method = method;
    this.address = address;
    this.origin = origin;
    this.latency = performance.now() - began;
    this.now = now;
    this.#headers = headers;
  }

  get clientRequestId(): string | undefined {
    return echoed(this.#headers['x-ms-client-request-id'] ?? this.#headers['client-request-id']);
  }

  get correlationId(): string | undefined {
    return echoed(this.#headers['x-ms-correlation-request-id']);
  }

  get wantsClientRequestId(): boolean {
    return String(this.#headers['x-ms-return-client-request-id']).toLowerCase() === 'true';
  }
}

/** What clients say of themselves is repeated to them only when it is short and plain. */
export function echoed(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' && /^[\w.:{}-]{1,128}$/.test(value) ? value : undefined;
}
