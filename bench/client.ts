// Requests that are each sent once, which wrk cannot do: over kept-alive connections of Node's own client. It costs more than wrk, so let it run
// on another core than the server whose time is counted, or say that its share is in the figure.

import { readFileSync } from 'node:fs';
import { Agent, request as send } from 'node:https';
import type { ConnectionFile } from '../src/connection-file.ts';
import type { Request } from './load.ts';

export interface Client {
  /** Sends each request once, in order, the next one whenever a connection is free; resolves with the seconds that all of them took. Throws at an answer that is not a 2xx. */
  each(requests: readonly Request[], connections: number): Promise<number>;
  close(): void;
}

export function openClient({ caFile }: ConnectionFile): Client {
  const agent = new Agent({ keepAlive: true, ca: readFileSync(caFile) });
  return {
    each: async (requests, connections) => {
      let next = 0;
      const began = performance.now();
      const lane = async (): Promise<void> => {
        for (let request = requests[next++]; request !== undefined; request = requests[next++]) await ask(agent, request);
      };
      await Promise.all(Array.from({ length: Math.min(connections, requests.length) }, lane));
      return (performance.now() - began) / 1000;
    },
    close: () => agent.destroy(),
  };
}

function ask(agent: Agent, { port, host = 'localhost', method, path, body, token }: Request): Promise<void> {
  const headers = {
    host,
    ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  };
  return new Promise((done, failed) => {
    const call = send({ agent, host: '127.0.0.1', servername: host.replace(/:\d+$/, ''), port, method, path, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      response.on('error', failed).on('end', () => {
        const { statusCode = 0 } = response;
        if (statusCode >= 200 && statusCode < 300) done();
        else failed(new Error(`${method} ${path}: ${statusCode} ${text}`));
      });
    });
    call.on('error', failed).end(body);
  });
}
