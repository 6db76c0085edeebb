// Readiness on the service's own port, for load balancers: they see what clients would see, over the same TLS, from wherever they stand. Says `ready` or
// not, and nothing else; the management port tells why.

import { monotonic } from '../core/coherence.ts';
import type { Answer } from './exchange.ts';
import type { Incoming } from './incoming.ts';

/** Whether this node wants requests now; asked of the thread that knows. */
export type AskReady = () => Promise<boolean>;

export const READY_PATH = '/readyz';
/** Milliseconds for which an answer serves whoever else asks. */
const SERVES = 200;
const HEADERS = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };

export function isReadinessCheck({ method, url }: Pick<Incoming, 'method' | 'url'>): boolean {
  return url === READY_PATH && method === 'GET';
}

/** Answers any number of checks with few questions. */
export function readinessPage(ask: AskReady): () => Promise<Answer> {
  let asked = Promise.resolve(false);
  let until = monotonic();
  return async () => {
    if (((monotonic() - until) | 0) >= 0) {
      until = (monotonic() + SERVES) | 0;
      asked = ask().catch(() => false);
    }
    const isReady = await asked;
    return { status: isReady ? 200 : 503, headers: HEADERS, body: isReady ? 'ready\n' : 'not ready\n' };
  };
}
