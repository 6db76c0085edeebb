// A webhook: events in order as JSON over HTTPS, `{"records":[{seq, hash, event}, …]}`. Taken means any 2xx. Redirects are not followed.

import { createHash } from 'node:crypto';
import { Agent, request } from 'node:https';
import { eventNumberIn } from '../chain-reader.ts';
import type { Sink } from './sink.ts';

const ANSWER_WITHIN = 10_000;

export interface WebhookPlace {
  readonly url: string;
  /** Certificate authorities in PEM, instead of the usual ones. */
  readonly ca: string | undefined;
  /** The Authorization header. */
  readonly authorization: string | undefined;
}

export function webhookSink(place: WebhookPlace): Sink {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ...(place.ca === undefined ? {} : { ca: place.ca }) });
  return {
    kind: 'webhook',
    // The address may have a secret in it.
    id: `webhook ${createHash('sha256').update(place.url).digest('hex').slice(0, 16)}`,
    deliver: async (lines) => {
      const events = lines.filter((line) => eventNumberIn(line) !== undefined);
      if (events.length > 0) await post(place, agent, `{"records":[${events.join(',')}]}`);
    },
    close: async () => agent.destroy(),
  };
}

function post({ url, authorization }: WebhookPlace, agent: Agent, body: string): Promise<void> {
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'user-agent': 'strongroom-audit',
    ...(authorization === undefined ? {} : { authorization }),
  };
  return new Promise((done, failed) => {
    const call = request(url, { method: 'POST', agent, headers, signal: AbortSignal.timeout(ANSWER_WITHIN) }, (answer) => {
      const status = answer.statusCode ?? 0;
      answer.on('error', failed).on('end', () => {
        if (status >= 200 && status < 300) done();
        else failed(new Error(`it answered ${status}`));
      });
      answer.resume();
    });
    // The system's word alone: its message names the address.
    call.on('error', (error: NodeJS.ErrnoException) =>
      failed(new Error(error.name === 'TimeoutError' ? 'no answer within 10 s' : (error.code ?? 'no connection'))),
    );
    call.end(body);
  });
}
