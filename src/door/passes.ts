// What was found out a moment ago about a caller at an address of an HSM: the row, who it is, that it may pass, and the address as the row reads it. Good as
// long as nothing at all has been committed since, the token lasts, and it is known what other nodes commit; otherwise everything is asked again.

import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { CommonFacts } from '../core/audit.ts';
import type { Clock } from '../core/clock.ts';
import type { Versions } from '../core/coherence.ts';
import type { Admitted, Call } from '../core/route.ts';
import type { Incoming } from './incoming.ts';
import type { Found } from './router.ts';

export interface Pass<Target> {
  readonly found: Found<Target>;
  readonly admitted: Admitted;
  /** What an operation is told, but for the request's own id and body. Its path and query are as they were sent where another thread reads them. */
  readonly call: Omit<Call<unknown, unknown, unknown>, 'requestId' | 'body'>;
  /** For the records of its calls. */
  readonly facts: CommonFacts;
  /** Of the caller's token, in milliseconds since 1970; 0 when that is not known. */
  readonly until: number;
  /** The answer's text, where the row is steady and has been asked. */
  text?: string;
  /** Of all commits, from before anything was asked. */
  readonly epoch: number;
}

export interface Passes<Target> {
  find(key: string): Pass<Target> | undefined;
  keep(key: string, pass: Pass<Target>): void;
}

const KEPT = 4096;

export function openPasses<Target>(versions: Versions, clock: Clock): Passes<Target> {
  const kept = new LRUCache<string, Pass<Target>>({ max: KEPT });
  return {
    find: (key) => {
      const pass = kept.get(key);
      return pass !== undefined && pass.epoch === versions.epoch && versions.areCurrent && clock.now() < pass.until ? pass : undefined;
    },
    keep: (key, pass) => void kept.set(key, pass),
  };
}

/**
 * All of a request that decides whether it may pass: undefined when it has no token. The token goes in as its SHA-256, so that none is kept. Nothing before
 * the URL has a blank in it.
 */
export function passKey({ method, url, headers: { host, authorization } }: Incoming, address: string): string | undefined {
  if (authorization === undefined) return undefined;
  return `${method} ${host} ${address} ${hash('sha256', authorization, 'base64url')} ${url}`;
}
