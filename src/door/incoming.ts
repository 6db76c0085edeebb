// A request as the door sees it, and the way back for its answer: the same for both readers of HTTP, Node's own and the plain one.

import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import type { Answer } from './exchange.ts';

export interface Incoming {
  method: string;
  /** The request target as the client wrote it. */
  readonly url: string;
  /** Names in lower case. */
  readonly headers: IncomingHttpHeaders;
  readonly socket: Socket;
  /** The body's bytes up to a limit; undefined when there are none. Throws or rejects with a Failure. Asked for at most once. */
  body(): Buffer | Promise<Buffer> | undefined;
}

/** Sends the answer whole, once. A client that went away is not told. */
export type Send = (answer: Answer) => void;

export type Answering = (request: Incoming, send: Send) => void;
