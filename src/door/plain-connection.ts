// One connection as long as its requests are plain: one after another, each head whole in one piece, with a short body or none. Everything else,
// and from then on whatever the connection brings, is handed over to Node's HTTP server. Half a request costs nobody a place here, but for a short body's end.

import type { TLSSocket } from 'node:tls';
import { headOf } from './answers.ts';
import type { Answer } from './exchange.ts';
import type { Answering } from './incoming.ts';
import { type PlainRequest, readPlain } from './plain-request.ts';
import { clientGone } from './request-body.ts';

export interface PlainParts {
  readonly answer: Answering;
  /** Takes the connection over, with what came last in front of whatever comes. */
  readonly handOver: (socket: TLSSocket) => void;
  readonly isClosing: () => boolean;
  readonly firstRequestWithin: number;
  readonly idle: number;
  readonly bodyWithin: number;
}

export interface PlainConnection {
  /** Ends the connection: when it has been quiet for a moment, or with the answer that is under way then. */
  close(): void;
  destroy(): void;
}

/** Longer heads and bodies are Node's. */
const LONGEST_HEAD = 16 << 10;
const LONGEST_BODY = 64 << 10;
/** Milliseconds that a client may come late to what it was told. */
const IDLE_BUFFER = 1000;
/** Milliseconds that a connection has been quiet before a service that closes ends it. */
const LINGER = 500;
const CLOSE = 'Connection: close\r\n';
const TIMED_OUT = 'HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n';

/** A body that has not come yet, or not whole. */
interface Awaited {
  readonly pieces: Buffer[];
  missing: number;
  readonly whole: PromiseWithResolvers<Buffer>;
  readonly late: NodeJS.Timeout;
}

/** Serves the connection's plain requests. `left` is called once, when the connection is gone or handed over. */
export function openPlain(socket: TLSSocket, parts: PlainParts, left: () => void): PlainConnection {
  const keepAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${parts.idle / 1000}\r\n`;
  let isNew = true;
  let activeAt = performance.now();
  let isAnswering = false;
  let isEnding = false;
  let awaited: Awaited | undefined;
  /** What came before its time. */
  let early: Buffer | undefined;

  function take(chunk: Buffer): void {
    if (awaited !== undefined) takeBody(awaited, chunk);
    else if (isAnswering) keep(chunk);
    else begin(chunk);
  }

  function begin(chunk: Buffer): void {
    const end = chunk.indexOf('\r\n\r\n');
    const request = end < 0 || end > LONGEST_HEAD ? undefined : readPlain(chunk.toString('latin1', 0, end + 2));
    const rest = chunk.length - end - 4;
    if (request === undefined || request.length > LONGEST_BODY || rest > request.length) handOver(chunk);
    else answer(request, chunk.subarray(end + 4));
  }

  function answer({ method, url, headers, length }: PlainRequest, rest: Buffer): void {
    isAnswering = true;
    const body = length === 0 ? undefined : rest.length === length ? rest : awaitBody(rest, length);
    parts.answer({ method, url, headers, socket, body: () => body }, send);
  }

  function awaitBody(piece: Buffer, length: number): Promise<Buffer> {
    const whole = Promise.withResolvers<Buffer>();
    // Whoever is refused before the body is asked for leaves nobody to hear that it did not come.
    whole.promise.catch(() => undefined);
    const late = setTimeout(() => {
      socket.end(TIMED_OUT);
      socket.destroySoon();
    }, parts.bodyWithin);
    awaited = { pieces: [piece], missing: length - piece.length, whole, late };
    return whole.promise;
  }

  function takeBody(body: Awaited, chunk: Buffer): void {
    body.pieces.push(chunk.subarray(0, body.missing));
    if (chunk.length > body.missing) early = chunk.subarray(body.missing);
    body.missing -= Math.min(chunk.length, body.missing);
    if (body.missing > 0) return;
    clearTimeout(body.late);
    awaited = undefined;
    if (early !== undefined) socket.pause();
    body.whole.resolve(Buffer.concat(body.pieces));
    if (!isAnswering) next();
  }

  /** Nobody is read ahead of: one piece at most waits for the answer before it. */
  function keep(chunk: Buffer): void {
    early = early === undefined ? chunk : Buffer.concat([early, chunk]);
    socket.pause();
  }

  function send(answer: Answer): void {
    if (socket.destroyed || socket.writableEnded) return;
    isEnding ||= parts.isClosing() || answer.headers.connection === 'close';
    socket.write(headOf(answer, isEnding ? CLOSE : keepAlive) + (answer.body ?? ''));
    isAnswering = false;
    activeAt = performance.now();
    if (isNew) socket.setTimeout(parts.idle + IDLE_BUFFER);
    isNew = false;
    if (isEnding) socket.end();
    // A body that was not waited for comes first.
    else if (awaited === undefined) next();
  }

  function next(): void {
    if (early === undefined) return;
    const chunk = early;
    early = undefined;
    socket.resume();
    begin(chunk);
  }

  function handOver(chunk: Buffer): void {
    leave();
    socket.off('error', ended);
    socket.setTimeout(0);
    socket.unshift(chunk);
    parts.handOver(socket);
    socket.resume();
  }

  function leave(): void {
    socket.off('data', take).off('end', halfClosed).off('timeout', idle).off('close', ended);
    left();
  }

  /** The client sends nothing more; it has the answer that it waits for. */
  function halfClosed(): void {
    giveUpBody();
    end();
  }

  /** Whoever has just come, or has just been answered, may have something under way that cannot be seen yet: that is answered too. */
  function close(): void {
    const left = LINGER - (performance.now() - activeAt);
    if (left > 0) setTimeout(end, left);
    else end();
  }

  function end(): void {
    isEnding = true;
    if (!isAnswering && awaited === undefined) socket.end();
  }

  function idle(): void {
    if (!isAnswering && awaited === undefined) socket.destroy();
  }

  function giveUpBody(): void {
    if (awaited === undefined) return;
    clearTimeout(awaited.late);
    awaited.whole.reject(clientGone());
    awaited = undefined;
  }

  function ended(): void {
    giveUpBody();
    leave();
    socket.destroy();
  }

  socket.on('data', take).on('end', halfClosed).on('timeout', idle).on('error', ended).on('close', ended);
  socket.setTimeout(parts.firstRequestWithin);
  return { close, destroy: () => socket.destroy() };
}
