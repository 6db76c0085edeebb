// HTTPS servers on every address, with the certificates of the names that clients ask for, and their orderly end. Knows no request.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Duplex } from 'node:stream';
import type { SecureContext, TLSSocket } from 'node:tls';
import { STATUS_CODES } from '../core/node-http.ts';
import { table } from '../core/table.ts';
import { write } from './answers.ts';
import type { Answering } from './incoming.ts';
import { openPlain, type PlainConnection } from './plain-connection.ts';
import type { ProxyHeaders } from './proxy-header.ts';
import { readBytes } from './request-body.ts';
import type { Certificates } from './tls.ts';

export interface Listening {
  readonly certificates: Certificates;
  readonly hosts: readonly string[];
  readonly port: number;
  /** Several threads share the port. */
  readonly reusePort: boolean;
  /** Told of an address that this machine does not have; without it that is an error. */
  readonly absent?: ((host: string) => void) | undefined;
}

export interface Listener {
  listen(listening: Listening): Promise<void>;
  /** Takes no new connections and resolves when the requests under way are answered, or when their time is over. */
  close(): Promise<void>;
}

/** Bearer tokens of 16 KB are looked at, so headers must have room for more than one of them. */
const HEADER_LIMIT = 32 << 10;
const HANDSHAKE_WITHIN = 15_000;
const HEADERS_WITHIN = 15_000;
const REQUEST_WITHIN = 60_000;
/** How often connections are looked at for those whose time is over. */
const OVERDUE_CHECK = 5_000;
const IDLE = 75_000;
const DRAIN_WITHIN = 10_000;
const SWEEP_EVERY = 50;
/** Milliseconds for which whoever was refused by the parser may still be speaking. */
const REFUSED_LINGER = 1000;
/** How often the certificate of the fixed names is looked at; it is replaced a month before it ends. */
const RENEWAL_CHECK = 3_600_000;

/** Why Node's parser gave a request up, as the client is told; for whatever else it finds, 400. */
const REFUSALS: Readonly<Record<string, number>> = table({
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
});

/** `proxies`: who may say in front of a connection whose it is. */
export function openListener(answer: Answering, proxies?: ProxyHeaders): Listener {
  const servers: Server[] = [];
  const connections = new Set<PlainConnection>();
  /** The latest answer on a connection of Node's. */
  const answers = new WeakMap<Duplex, ServerResponse>();
  let renewal: NodeJS.Timeout | undefined;
  let isClosing = false;

  function take(request: IncomingMessage, response: ServerResponse): void {
    // Whoever keeps a connection alive is told that this was its last answer.
    if (isClosing) response.shouldKeepAlive = false;
    const { method = '', url = '/', headers, socket } = request;
    answers.set(socket, response);
    answer({ method, url, headers, socket, body: () => readBytes(request) }, (given) => write(response, given));
  }

  /** Every connection begins with plain requests, and goes over to Node's server with the first that is none. */
  function plainFirst(server: Server): void {
    const [handOver] = server.listeners('secureConnection');
    if (handOver === undefined) throw new Error('the HTTPS server takes no connections');
    const parts = {
      answer,
      handOver: (socket: TLSSocket) => handOver.call(server, socket),
      isClosing: () => isClosing,
      firstRequestWithin: HEADERS_WITHIN,
      idle: IDLE,
      bodyWithin: REQUEST_WITHIN,
    };
    server.removeAllListeners('secureConnection').on('secureConnection', (socket) => {
      const connection: PlainConnection = openPlain(socket, parts, () => connections.delete(connection));
      connections.add(connection);
    });
  }

  return {
    async listen({ certificates, hosts, port, reusePort, absent }) {
      const options = {
        ...(await fixedCertificate(certificates)),
        maxHeaderSize: HEADER_LIMIT,
        handshakeTimeout: HANDSHAKE_WITHIN,
        headersTimeout: HEADERS_WITHIN,
        connectionsCheckingInterval: OVERDUE_CHECK,
        requestTimeout: REQUEST_WITHIN,
        keepAliveTimeout: IDLE,
        SNICallback: (name: string, done: (error: Error | null, context?: SecureContext) => void) => {
          certificates.contextFor(name).then(
            (context) => done(null, context),
            (error: Error) => done(error),
          );
        },
      };
      for (const host of hosts) {
        const server = createServer(options, take);
        plainFirst(server);
        server.on('clientError', (error: NodeJS.ErrnoException, socket) => refuse(error, socket, answers.get(socket)));
        proxies?.before(server);
        if (await listening(server, { host, port, reusePort }, absent)) servers.push(server);
      }
      renewal = setInterval(async () => {
        const current = await fixedCertificate(certificates);
        for (const server of servers) server.setSecureContext(current);
      }, RENEWAL_CHECK).unref();
    },
    async close() {
      isClosing = true;
      clearInterval(renewal);
      await Promise.all(servers.map((server) => closed(server, connections)));
    },
  };
}

/** Ends a connection on which no more requests can be told apart: with the reason, unless that would stand in the middle of `answer`. */
function refuse({ code = '' }: NodeJS.ErrnoException, socket: Duplex, answer: ServerResponse | undefined): void {
  const status = REFUSALS[code] ?? (code.startsWith('HPE_') ? 400 : undefined);
  const isInTheMiddle = answer?.headersSent === true && !answer.writableFinished;
  if (status === undefined || isInTheMiddle || !socket.writable) {
    // A second refusal of what is still being said.
    if (!socket.writableEnded) socket.destroy();
    return;
  }
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n\r\n`);
  // Closing a connection on which something is unread resets it, and the client loses the answer. So it is heard out, for a moment, by nobody.
  const hurry = setTimeout(() => socket.destroy(), REFUSED_LINGER);
  socket.removeAllListeners('data').on('data', () => undefined);
  socket.on('end', () => socket.destroy()).on('close', () => clearTimeout(hurry));
  socket.resume();
}

async function fixedCertificate(certificates: Certificates) {
  const { key, cert } = await certificates.fixed();
  return { key, cert, minVersion: 'TLSv1.2' } as const;
}

/** Whether the server listens: false when the machine does not have the address and somebody wants to be told. */
function listening(
  server: Server,
  at: { readonly host: string; readonly port: number; readonly reusePort: boolean },
  absent: ((host: string) => void) | undefined,
): Promise<boolean> {
  return new Promise((done, failed) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (absent === undefined || (error.code !== 'EADDRNOTAVAIL' && error.code !== 'EAFNOSUPPORT')) return failed(error);
      absent(at.host);
      done(false);
    });
    server.listen({ ...at, ipv6Only: at.host.includes(':') }, () => done(true));
  });
}

function closed(server: Server, connections: ReadonlySet<PlainConnection>): Promise<void> {
  return new Promise((done) => {
    const hurry = setTimeout(() => {
      server.closeAllConnections();
      for (const connection of connections) connection.destroy();
    }, DRAIN_WITHIN);
    for (const connection of connections) connection.close();
    // A connection that was answering when this began is idle a moment later.
    const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_EVERY);
    server.close(() => {
      clearTimeout(hurry);
      clearInterval(sweep);
      done();
    });
    server.closeIdleConnections();
  });
}
