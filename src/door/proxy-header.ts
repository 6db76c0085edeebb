// Load balancers that pass TLS through say in front of it who the client is: the PROXY protocol, version 2 (binary), of HAProxy. It is read from connections of
// proxies that the operator has named and has to be there; from nobody else is it taken. Knows no request.
// Source: haproxy.org, proxy-protocol.txt, section 2.2.

import type { Server, Socket } from 'node:net';
import { plainAddress, rangesOf } from '../core/addresses.ts';

/** Says who is at the other end of a connection that a proxy passed on; undefined where no proxy said so. */
export type Proxied = (socket: Socket) => string | undefined;

export interface ProxyHeaders {
  /** Stands between the server and its connections; what the proxy says is gone when TLS begins. */
  before(server: Server): void;
  readonly clientOf: Proxied;
}

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const HEAD = 16;
/** Addresses take 12 or 36 bytes; what may follow them is not read by us. */
const LONGEST = 1024;
const WITHIN = 5000;

const LOCAL = 0x20;
const PROXY = 0x21;
const TCP4 = 0x11;
const TCP6 = 0x21;

export function openProxyHeaders(trustedProxies: readonly string[]): ProxyHeaders {
  const proxies = rangesOf(trustedProxies);
  /** By the proxy's end of the connection, which is one connection's alone. */
  const clients = new Map<string, string>();

  async function take(socket: Socket, begin: () => void): Promise<void> {
    const client = await clientIn(socket);
    if (socket.destroyed) return;
    if (client !== undefined) {
      const end = endOf(socket);
      clients.set(end, client);
      socket.once('close', () => clients.delete(end));
    }
    begin();
  }

  return {
    before: (server) => {
      const [secure] = server.listeners('connection');
      if (secure === undefined) throw new Error('the server takes no connections');
      server.removeAllListeners('connection').on('connection', (socket: Socket) => {
        const begin = (): unknown => secure.call(server, socket);
        if (!proxies.has(socket.remoteAddress ?? '')) return begin();
        take(socket, begin).catch(() => socket.destroy());
      });
    },
    clientOf: (socket) => clients.get(endOf(socket)),
  };
}

function endOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}

/** Reads just the header. Undefined when the proxy speaks for itself: it looks whether we are there. Rejects for anything else. */
async function clientIn(socket: Socket): Promise<string | undefined> {
  const late = setTimeout(() => socket.destroy(), WITHIN);
  try {
    const head = await bytes(socket, HEAD);
    if (!head.subarray(0, SIGNATURE.length).equals(SIGNATURE)) throw new Error('no PROXY header');
    const [command, family, length] = [head[12], head[13], head.readUInt16BE(14)];
    if (length > LONGEST) throw new Error('the PROXY header is too long');
    const rest = length === 0 ? Buffer.alloc(0) : await bytes(socket, length);
    if (command === LOCAL) return undefined;
    const address =
      command !== PROXY ? undefined : family === TCP4 ? rest.subarray(0, 4).join('.') : family === TCP6 ? ip6(rest) : undefined;
    const client = rest.length >= (family === TCP4 ? 12 : 36) ? plainAddress(address ?? '') : undefined;
    if (client === undefined) throw new Error('the PROXY header names no client');
    return client;
  } finally {
    clearTimeout(late);
  }
}

function ip6(bytes: Buffer): string {
  return (bytes.toString('hex', 0, 16).match(/.{4}/g) ?? []).join(':');
}

/** Rejects when the connection ends before there are so many. */
function bytes(socket: Socket, count: number): Promise<Buffer> {
  return new Promise((done, failed) => {
    const look = (): void => {
      const read: Buffer | null = socket.read(count);
      // At the end of a stream what is left is given, however little.
      if (read === null) return;
      leave();
      if (read.length === count) done(read);
      else failed(new Error('the connection ended'));
    };
    const fail = (): void => {
      leave();
      failed(new Error('the connection ended'));
    };
    const leave = (): void => {
      socket.off('readable', look).off('end', fail).off('close', fail).off('error', fail);
    };
    socket.on('readable', look).on('end', fail).on('close', fail).on('error', fail);
    look();
  });
}
