// Bytes on a socket, as no client library would send them.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import type { ConnectionFile } from '../src/connection-file.ts';

export function portOf({ resourceManager }: ConnectionFile): number {
  return Number(new URL(resourceManager).port);
}

/** A TLS connection that has shaken hands. */
export async function opened(connection: ConnectionFile): Promise<TLSSocket> {
  const ca = readFileSync(connection.caFile);
  const socket = connect({ host: '127.0.0.1', port: portOf(connection), ca, servername: 'localhost' });
  await once(socket, 'secureConnect');
  // What comes after is looked at by whoever waits for the end.
  socket.on('error', () => undefined);
  return socket;
}

/** A connection on which nobody has said anything yet. */
export async function bare(connection: ConnectionFile): Promise<Socket> {
  const socket = connectPlain({ host: '127.0.0.1', port: portOf(connection) });
  await once(socket, 'connect');
  socket.on('error', () => undefined);
  return socket;
}

/** All that the other side says until it ends the connection. */
export function heard(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('latin1').on('data', (piece: string) => (text += piece));
  return new Promise((done) => socket.on('close', () => done(text)));
}

/** The status of each answer in what was heard. */
export function statuses(text: string): readonly number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
}
