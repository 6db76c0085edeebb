// Which of our names a request came to: one HSM's, one of the others, or none of ours. The router sees the answer as the first segment of the path.

import { LRUCache } from 'lru-cache';
import { isOurName } from './certificate-authority.ts';
import type { Incoming } from './incoming.ts';

export type Place = 'hsm' | 'service' | 'stranger';

export interface Arrival {
  readonly place: Place;
  /** Lower case, without port or brackets. */
  readonly host: string;
  /** `https://` with host and port as the client wrote them. */
  readonly origin: string;
}

/** First segments that no client can send, since what a client sends is put behind one of them. */
export const PREFIX: Readonly<Record<Place, string>> = { hsm: '/~hsm', service: '/~service', stranger: '/~stranger' };

const KNOWN_HEADERS = 1000;
const HOST_HEADER = /^(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::(\d{1,5}))?$/;

/** Reads Host headers for a domain; `addresses` are the IP addresses that this service was told to listen on. */
export function arrivals(domain: string, addresses: readonly string[]): (header: string | undefined) => Arrival {
  const suffix = `.managedhsm.${domain.toLowerCase()}`;
  const known = new LRUCache<string, Arrival>({ max: KNOWN_HEADERS });

  function read(header: string): Arrival {
    const written = header.toLowerCase();
    const [, name = '', port] = HOST_HEADER.exec(written) ?? [];
    const host = name.replace(/^\[|\]$/g, '').replace(/\.$/, '');
    const origin = `https://${name.replace(/\.$/, '')}${port === undefined || port === '443' ? '' : `:${port}`}`;
    const isOurs = isOurName(host, domain) || addresses.includes(host);
    if (!isOurs || !URL.canParse(origin)) return { place: 'stranger', host, origin };
    return { place: host.endsWith(suffix) ? 'hsm' : 'service', host, origin };
  }

  return (header = '') => {
    const remembered = known.get(header);
    if (remembered !== undefined) return remembered;
    const arrival = read(header);
    if (arrival.place !== 'stranger') known.set(header, arrival);
    return arrival;
  };
}

/** The URL for the router. An absolute-form target (RFC 9112 section 3.2.2) is for proxies, which this is not. */
export function routed(place: Place, url: string): string {
  return url.startsWith('/') ? PREFIX[place] + url : PREFIX.stranger;
}

const OVERRIDABLE = new Set(['PUT', 'PATCH', 'DELETE']);

/** Where verbs are blocked on the way, a POST to an HSM may name the one it stands for (Key Vault REST reference, "X-HTTP-METHOD"). */
export function overrideMethod(request: Incoming): void {
  const wanted = request.headers['x-http-method'];
  if (request.method === 'POST' && typeof wanted === 'string' && OVERRIDABLE.has(wanted.toUpperCase()))
    request.method = wanted.toUpperCase();
}
