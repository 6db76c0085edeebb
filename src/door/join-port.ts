// Where a new node comes with its invitation: HTTPS on a port of its own that is open as long as the invitation. Knows one question and one answer; whether
// it is answered is decided elsewhere, and every refusal is the same.

import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:https';
import type { Leaf } from './certificate-authority.ts';
import { listenAt } from './loopback.ts';

export interface JoinPort {
  readonly port: number;
  close(): Promise<void>;
}

export const JOIN_PATH = '/join';
const LONGEST = 2048;
const MOST_CONNECTIONS = 16;
const WITHIN = 10_000;
const LAST_ANSWER = 500;

/** `answer` gives what is sent as JSON, or undefined to refuse. Rejects when the address cannot be listened on; port 0 picks a free one. */
export async function openJoinPort(
  { host, port, leaf }: { readonly host: string; readonly port: number; readonly leaf: Leaf },
  answer: (text: string) => Promise<object | undefined>,
): Promise<JoinPort> {
  const server = createServer({ key: leaf.key, cert: leaf.cert, minVersion: 'TLSv1.3', handshakeTimeout: WITHIN }, (request, response) => {
    const send = (status: number, value: object): void => {
      response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', connection: 'close' });
      response.end(JSON.stringify(value));
    };
    if (request.method !== 'POST' || request.url !== JOIN_PATH) return send(404, { error: 'there is nothing here' });
    bodyOf(request)
      .then(answer)
      .then(
        (value) => (value === undefined ? send(403, { error: REFUSED }) : send(200, value)),
        () => response.destroy(),
      );
  });
  server.headersTimeout = WITHIN;
  server.requestTimeout = WITHIN;
  server.maxConnections = MOST_CONNECTIONS;
  // A client that is no client.
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  return {
    port: await listenAt(server, { host, port }),
    close: () =>
      new Promise((done) => {
        // The answer that ends an invitation is on its way; nobody else is waited for.
        const hurry = setTimeout(() => server.closeAllConnections(), LAST_ANSWER);
        server.close(() => {
          clearTimeout(hurry);
          done();
        });
        server.closeIdleConnections();
      }),
  };
}

/** One for all: unknown, wrong, used, over, tried too often. */
export const REFUSED = 'the invitation is not valid (any more)';

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of request.setEncoding('utf8') as AsyncIterable<string>) {
    text += piece;
    if (text.length > LONGEST) throw new Error('that is too much');
  }
  return text;
}
