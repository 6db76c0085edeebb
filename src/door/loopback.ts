// A server that only this machine reaches.

import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface LoopbackPort {
  readonly port: number;
  close(): Promise<void>;
}

/** Listens on 127.0.0.1; rejects when the port is taken. Port 0 picks a free one. */
export async function listenOnLoopback(server: Server, port: number): Promise<LoopbackPort> {
  await new Promise<void>((done, failed) => {
    server.once('error', failed);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', failed);
      done();
    });
  });
  // A server that listens on TCP has an address with a port.
  const { port: picked } = server.address() as AddressInfo;
  return {
    port: picked,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}
