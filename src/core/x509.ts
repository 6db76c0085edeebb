// Certificates are made with @peculiar/x509. Here is what all makers of them share: the library, loaded when it is needed, serial numbers and lifetimes.

import { randomBytes, X509Certificate } from 'node:crypto';
import type { Clock } from './clock.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** 126 random bits after a leading 01: positive, of fixed length, and never the same twice (RFC 5280 section 4.1.2.2). */
export function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

export interface Lifetime {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** From an hour ago, for clocks that are behind; in whole seconds, as a certificate has them; never beyond `limit`. */
export function validity(clock: Clock, days: number, limit?: Date): Lifetime {
  const now = Math.floor(clock.now() / 1000) * 1000;
  const end = now + days * DAY;
  return { notBefore: new Date(now - HOUR), notAfter: new Date(Math.min(end, limit?.getTime() ?? end)) };
}

/** The certificates of a PEM text, in its order. Throws when one of them is none. */
export function certificatesIn(pem: string): readonly X509Certificate[] {
  return (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map((one) => new X509Certificate(one));
}

/** Loaded when a certificate is made, not at start: it is the largest library that we use. */
export function loadX509(): Promise<typeof import('@peculiar/x509')> {
  provideMetadata();
  return import('@peculiar/x509');
}

/**
 * The library's dependency injection refuses to load without three functions of the abandoned Reflect metadata proposal.
 * They are a map from object and key to value, looked up along the prototypes; an implementation that is already there is left alone.
 */
function provideMetadata(): void {
  if ('getMetadata' in Reflect) return;
  const kept = new WeakMap<object, Map<unknown, unknown>>();
  const getOwnMetadata = (key: unknown, target: object): unknown => kept.get(target)?.get(key);
  const getMetadata = (key: unknown, target: object): unknown => {
    for (let place: object | null = target; place !== null; place = Reflect.getPrototypeOf(place)) {
      if (kept.get(place)?.has(key)) return getOwnMetadata(key, place);
    }
    return undefined;
  };
  const defineMetadata = (key: unknown, value: unknown, target: object): void => {
    kept.set(target, (kept.get(target) ?? new Map<unknown, unknown>()).set(key, value));
  };
  Object.assign(Reflect, { getOwnMetadata, getMetadata, defineMetadata });
}
