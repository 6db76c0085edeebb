// Where a plain server listens, and one that only this machine reaches.

import type { Server } from 'node:http';
import type { AddressInfo, Server as TcpServer } from 'node:net';

export interface LoopbackPort {
  readonly port: number;
  close(): Promise<void>;
}

/** Resolves with the port; rejects when it is taken. Port 0 picks a free one. */
export async function listenAt(server: TcpServer, at: { readonly host: string; readonly port: number }): Promise<number> {
  await new Promise<void>((done, failed) => {
    server.once('error', failed);
    server.listen(at, () => {
      server.off('error', failed);
      done();
    });
  });
  // A server that listens on TCP has an address with a port.
  return (server.address() as AddressInfo).port;
}

/** Listens on 127.0.0.1, as `listenAt` does. */
export async function listenOnLoopback(server: Server, port: number): Promise<LoopbackPort> {
  return {
    port: await listenAt(server, { host: '127.0.0.1', port }),
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}
