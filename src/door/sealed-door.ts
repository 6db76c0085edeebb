// The door of a service that waits for its passphrase: the same names, ports and certificates, and one answer for everybody, in the dialect of whom they
// meant to ask.

import type { Logger } from 'pino';
import { noRecorder } from '../core/audit.ts';
import type { Clock } from '../core/clock.ts';
import { Versions } from '../core/coherence.ts';
import { Failure } from '../core/failure.ts';
import type { Urls } from '../core/urls.ts';
import { type Door, openDoor } from './door.ts';
import { doorMetrics } from './metrics.ts';

export function openSealedDoor(parts: {
  readonly urls: Urls;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly addresses: readonly string[];
  readonly trustedProxies: readonly string[];
  readonly proxyProtocol: boolean;
}): Door {
  const unreachable = (): never => {
    throw new Error('a sealed service has no operations');
  };
  const metrics = doorMetrics();
  return openDoor({
    ...parts,
    tenantId: 'common',
    rooms: [],
    versions: new Versions(Versions.allocate()),
    inFlight: Number.POSITIVE_INFINITY,
    verifyToken: unreachable,
    recorder: noRecorder,
    write: unreachable,
    metrics,
    closedFor: sealed,
  });
}

function sealed(login: boolean): Failure {
  const words = 'The service is sealed: it waits for the passphrase of its root key. Its operator opens it with ./strongroom unseal.';
  return new Failure(503, login ? 'temporarily_unavailable' : 'ServiceUnavailable', words, {
    ...(login ? {} : { inner: 'ServiceSealed' }),
    headers: { 'retry-after': '10' },
  });
}
