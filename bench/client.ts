// Requests that are each sent once, which wrk cannot do: ready-made bytes over TLS sockets, one after the other on each. What it costs beside the
// server is a share of the figure where both are on the same cores, so it does no more than find the end of an answer and its status.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type TLSSocket } from 'node:tls';
import type { ConnectionFile } from '../src/connection-file.ts';
import type { Request } from './load.ts';

export interface Client {
  /** Sends each request once, in order, the next one whenever a connection is free; resolves with the seconds that all of them took. Throws at an answer that is not a 2xx. */
  each(requests: readonly Request[], connections: number): Promise<number>;
  close(): void;
}

const END_OF_HEAD = '\r\n\r\n';

export function openClient({ caFile, resourceManager }: ConnectionFile): Client {
  const ca = readFileSync(caFile);
  const port = Number(new URL(resourceManager).port);
  const open: Line[] = [];
  const lines = async (count: number): Promise<readonly Line[]> => {
    while (open.length < count) open.push(await openLine(port, ca));
    return open.slice(0, count);
  };
  return {
    each: async (requests, connections) => {
      const wires = requests.map(wireOf);
      const free = await lines(Math.min(connections, requests.length));
      let next = 0;
      const began = performance.now();
      const work = async (line: Line): Promise<void> => {
        for (let wire = wires[next++]; wire !== undefined; wire = wires[next++]) await line.ask(wire);
      };
      await Promise.all(free.map(work));
      return (performance.now() - began) / 1000;
    },
    close: () => {
      for (const line of open) line.close();
    },
  };
}

function wireOf({ port, host = `localhost:${port}`, method, path, body, token }: Request): string {
  const fields = {
    Host: host,
    ...(body === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }),
    ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
  };
  const head = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${head.join('')}\r\n${body ?? ''}`;
}

/** A connection that is asked one thing at a time. */
interface Line {
  ask(wire: string): Promise<void>;
  close(): void;
}

async function openLine(port: number, ca: Buffer): Promise<Line> {
  const socket = connect({ host: '127.0.0.1', port, ca, servername: 'localhost' });
  await once(socket, 'secureConnect');
  socket.setNoDelay().setEncoding('latin1');
  return {
    ask: (wire) => {
      const answer = answered(socket);
      socket.write(wire);
      return answer.catch((cause: unknown) => {
        throw new Error(`${wire.slice(0, wire.indexOf('?'))}: ${String(cause)}`);
      });
    },
    close: () => socket.destroy(),
  };
}

/** Settles when a whole answer has come: a head, and as many bytes as it says. */
function answered(socket: TLSSocket): Promise<void> {
  let text = '';
  return new Promise((done, failed) => {
    const settle = (failure?: string): void => {
      socket.off('data', more).off('close', cut);
      if (failure === undefined) done();
      else failed(failure);
    };
    const more = (piece: string): void => {
      text += piece;
      const end = text.indexOf(END_OF_HEAD);
      if (end < 0) return;
      const head = text.slice(0, end);
      const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? (/^HTTP\/1.1 204/.test(head) ? 0 : Number.NaN));
      if (Number.isNaN(length)) settle(`an answer without a length\n${head}`);
      else if (text.length >= end + END_OF_HEAD.length + length) settle(/^HTTP\/1.1 2/.test(head) ? undefined : text);
    };
    const cut = (): void => settle('the connection was closed');
    socket.on('data', more).on('close', cut);
  });
}
