// Requests to addresses that a client of ours has named: to that origin and no other, to public addresses unless the operator allowed a private one, never
// followed elsewhere, bounded in time and size. What is looked at is the address that is connected to, so a name that changes its mind gains nothing.

import { lookup as lookUp } from 'node:dns';
import { Agent, request as secureRequest } from 'node:https';
import type { LookupFunction } from 'node:net';
import { Readable, Transform } from 'node:stream';
import { rootCertificates } from 'node:tls';
import ipaddr from 'ipaddr.js';
import { request as plainRequest } from './node-http.ts';

/** What the operator allowed. */
export interface OutboundRules {
  /** `host` or `host:port`, lower case: these may be at private and loopback addresses, and the loopback ones may do without TLS. */
  readonly privateHosts: readonly string[];
  /** Certificate authorities, PEM, besides the public ones. */
  readonly authorities: readonly string[];
  /** Milliseconds from the beginning of a request to the end of its answer. */
  readonly within: number;
}

export interface Ask {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | undefined;
  /** Bytes; a longer answer is cut off with an error. */
  readonly largest: number;
  readonly signal?: AbortSignal | undefined;
}

export interface Told {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readable;
}

/** Why a request was not made or its answer not taken. The words name hosts and limits, never a path or a query. */
export class OutboundRefusal extends Error {
  override readonly name = 'OutboundRefusal';
  readonly reason: 'address' | 'scheme' | 'origin' | 'redirect' | 'size' | 'time';

  constructor(reason: OutboundRefusal['reason'], message: string) {
    super(message);
    this.reason = reason;
  }
}

/** Asks of one origin. Connections are kept for the next request until `close`. */
export interface Outbound {
  ask(request: Ask): Promise<Told>;
  close(): void;
}

/** `origin`: scheme, host and port of the only place that may be asked. Throws OutboundRefusal when the scheme is not one. */
export function openOutbound(origin: string, rules: OutboundRules): Outbound {
  const place = new URL(origin);
  const mayBePrivate = rules.privateHosts.includes(place.hostname) || rules.privateHosts.includes(place.host);
  if (place.protocol !== 'https:' && !(place.protocol === 'http:' && mayBePrivate)) {
    throw new OutboundRefusal('scheme', `${place.host} is asked over HTTPS or not at all`);
  }
  const mayConnect = (address: string): boolean =>
    place.protocol === 'http:' ? isLoopback(address) : mayBePrivate || isPublicAddress(address);
  const lookup = checkedLookup(place.hostname, mayConnect);
  const ca = rules.authorities.length === 0 ? undefined : [...rootCertificates, ...rules.authorities];
  // Said outright, so that no environment variable turns it off.
  const agent = new Agent({ keepAlive: true, maxSockets: 4, rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) });

  async function ask({ method, url, headers, body, largest, signal }: Ask): Promise<Told> {
    const target = new URL(url);
    if (target.origin !== place.origin) throw new OutboundRefusal('origin', `only ${place.host} is asked, not ${target.host}`);
    // A literal address is connected to without being looked up.
    const literal = target.hostname.replace(/^\[|\]$/g, '');
    if (ipaddr.isValid(literal) && !mayConnect(literal)) throw refusedAddress(place.hostname);
    const timeUp = AbortSignal.timeout(rules.within);
    const stop = signal === undefined ? timeUp : AbortSignal.any([signal, timeUp]);
    const tooSlow = (error: unknown): unknown =>
      timeUp.aborted
        ? new OutboundRefusal('time', `${place.host} did not take the request and answer it within ${rules.within / 1000} s`)
        : error;
    const isPlain = target.protocol === 'http:';
    return new Promise((done, failed) => {
      const options = { method, headers, lookup, signal: stop, ...(isPlain ? {} : { agent }) };
      const asked = (isPlain ? plainRequest : secureRequest)(target, options, (response) => {
        const status = response.statusCode ?? 0;
        if (status >= 300 && status < 400 && status !== 304) {
          response.destroy();
          failed(new OutboundRefusal('redirect', `${place.host} answered with a redirect, which is not followed`));
          return;
        }
        const capped = response.pipe(cap(largest, place.host));
        response.on('error', (error) => capped.destroy(asError(tooSlow(error))));
        capped.on('error', () => response.destroy());
        done({ status, headers: plainHeaders(response.headers), body: Readable.from(capped) });
      });
      asked.on('error', (error) => failed(tooSlow(error)));
      asked.end(body);
    });
  }

  return { ask, close: () => agent.destroy() };
}

/** Whether anyone on the Internet could be there: not loopback, private, link-local, multicast, reserved or translated. */
export function isPublicAddress(address: string): boolean {
  return ipaddr.isValid(address) && ipaddr.process(address).range() === 'unicast';
}

function isLoopback(address: string): boolean {
  return ipaddr.isValid(address) && ipaddr.process(address).range() === 'loopback';
}

/** Looks a name up and refuses it as a whole when any of its addresses is one that must not be connected to. */
function checkedLookup(host: string, mayConnect: (address: string) => boolean): LookupFunction {
  return (name, options, done) => {
    lookUp(name, { ...options, all: true }, (error, found) => {
      if (error !== null) return done(error, []);
      const [first] = found;
      if (first === undefined || !found.every(({ address }) => mayConnect(address))) return done(refusedAddress(host), []);
      if (options.all) done(null, found);
      else done(null, first.address, first.family);
    });
  };
}

function refusedAddress(host: string): OutboundRefusal {
  return new OutboundRefusal(
    'address',
    `${host} is at a private, loopback or otherwise special address, and the operator of this service has not allowed that host`,
  );
}

function cap(largest: number, host: string): Transform {
  let length = 0;
  return new Transform({
    transform(piece: Buffer, _encoding, done) {
      length += piece.length;
      if (length > largest) done(new OutboundRefusal('size', `${host} answered with more than ${largest} bytes`));
      else done(null, piece);
    },
  });
}

function plainHeaders(headers: NodeJS.Dict<string | string[]>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : (value ?? '')]),
  );
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
