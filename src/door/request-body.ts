// The bytes of a request's body, up to a limit, once it has been decided that they will be read.

import type { IncomingMessage } from 'node:http';
import { Failure } from '../core/failure.ts';

/** Longest body: a security domain of ten custodians and a key backup are far below. */
const LIMIT = 1 << 20;

/** Undefined when there is no body. Throws 413 for one that is too long, and rejects when the client goes away in the middle. */
export function readBytes(request: IncomingMessage): Promise<Buffer> | undefined {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  if (encoding === undefined && (length === undefined || length === '0')) return undefined;
  if (Number(length) > LIMIT) throw tooLarge();
  return new Promise((done, failed) => {
    const pieces: Buffer[] = [];
    let size = 0;
    request.on('data', (piece: Buffer) => {
      size += piece.length;
      if (size > LIMIT) failed(tooLarge());
      else pieces.push(piece);
    });
    request.on('end', () => done(pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces)));
    // Both are the client's doing: it went away, or what followed was no HTTP. Every request closes; an error for each would cost more than reading it.
    for (const end of ['error', 'close'])
      request.on(end, () => {
        if (!request.complete || end === 'error') failed(clientGone());
      });
  });
}

export function clientGone(): Failure {
  return new Failure(400, 'BadRequest', 'The client went away before its request was whole.');
}

/** The rest of such a body is not waited for: the connection ends with the answer. */
function tooLarge(): Failure {
  const headers = { connection: 'close' };
  return new Failure(413, 'RequestEntityTooLarge', `The request body is larger than ${LIMIT} bytes.`, { headers });
}
