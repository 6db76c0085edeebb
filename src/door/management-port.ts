// Health, readiness and metrics over plain HTTP on a loopback port of their own. Tells nothing about principals and keys, and
// of HSMs the names of those whose backups are watched.

import { createServer } from '../core/node-http.ts';
import { type LoopbackPort, listenOnLoopback } from './loopback.ts';

export type State = 'starting' | 'sealed' | 'ready' | 'cut off' | 'degraded' | 'unrecorded' | 'drained' | 'stopping';

/** Whether requests may be sent here. */
export function isServing(state: State): boolean {
  return state === 'ready' || state === 'degraded';
}

export interface ManagementAnswers {
  /**
   * `ready` when requests are being served now and more may come; `sealed` when the service waits for the passphrase of its root key; `cut off` while it does
   * not hear of a database that it shares; `degraded` as long as it uses keys all the same, because the operator allows that; `unrecorded` while operations are refused because they could not be recorded; `drained` while the operator
   * wants requests to go elsewhere.
   */
  state(): State;
  /** What is no reason to send requests elsewhere and should be looked at, a line each. */
  notes(): readonly string[];
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
}

interface Page {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

type Read = (answers: ManagementAnswers) => Page | Promise<Page>;

const TEXT = 'text/plain; charset=utf-8';

// biome-ignore format: a table reads by its columns
const PAGES: ReadonlyMap<string, Read> = new Map<string, Read>([
  ['/healthz', () => ({ status: 200, type: TEXT, text: 'alive\n' })],
  ['/readyz',  readiness],
  ['/metrics', async ({ metrics }) => ({ status: 200, type: metrics.contentType, text: await metrics.text() })],
]);

function readiness(answers: ManagementAnswers): Page {
  const state = answers.state();
  const first = state === 'starting' || state === 'stopping' ? 'not ready' : state;
  return { status: isServing(state) ? 200 : 503, type: TEXT, text: [first, ...answers.notes()].map((line) => `${line}\n`).join('') };
}

/** Listens on 127.0.0.1; rejects when the port is taken. Port 0 picks a free one. */
export async function openManagementPort(port: number, answers: ManagementAnswers): Promise<LoopbackPort> {
  const server = createServer((request, response) => {
    const send = ({ status, type, text }: Page): void => {
      response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
      response.end(request.method === 'HEAD' ? undefined : text);
    };
    const page = PAGES.get((request.url ?? '').replace(/\?.*$/, ''));
    if (request.method !== 'GET' && request.method !== 'HEAD') send({ status: 405, type: TEXT, text: 'only GET\n' });
    else if (page === undefined) send({ status: 404, type: TEXT, text: `one of: ${[...PAGES.keys()].join(' ')}\n` });
    else Promise.resolve(page(answers)).then(send, () => send({ status: 500, type: TEXT, text: 'the figures could not be collected\n' }));
  });
  server.requestTimeout = 10_000;
  return listenOnLoopback(server, port);
}
