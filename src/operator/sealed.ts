// A service whose root key is locked: it listens and says so to everybody, until somebody brings the passphrase.

import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import type { Clock } from '../core/clock.ts';
import { systemClock } from '../core/clock.ts';
import { urlsFor } from '../core/urls.ts';
import type { Authority } from '../door/certificate-authority.ts';
import { claimPort } from '../door/claim-port.ts';
import type { Command, Commands } from '../door/control-channel.ts';
import { certificates } from '../door/tls.ts';
import type { Unlock } from './root-key-opening.ts';

export interface SealedDoor {
  /** The port on which it listens, and on which the service will. */
  readonly port: number;
  close(): Promise<void>;
}

/** Nobody wants the service any more, and it never opened. */
export class Stopped extends Error {
  override readonly name = 'Stopped';
}

/** Wrong passphrases that cost nothing but the time that scrypt takes; each one after them doubles the wait. */
const FREE_TRIES = 3;
const LONGEST_WAIT = 60_000;

/** Listens where the service will. */
export async function openSealed(parts: {
  readonly config: Config;
  readonly authority: Authority;
  readonly log: Logger;
  readonly clock: Clock;
  readonly version: string;
}): Promise<SealedDoor> {
  const { config, authority, log, clock, version } = parts;
  const { openSealedDoor } = await import('../door/sealed-door.ts');
  const port = await claimPort(config);
  const urls = urlsFor(config.domain, port);
  const addresses = config.hosts.filter((host) => host !== '0.0.0.0' && host !== '::');
  const door = openSealedDoor({
    urls,
    version,
    clock,
    log,
    addresses,
    trustedProxies: config.trustedProxies,
    proxyProtocol: config.proxyProtocol,
  });
  await door.listen({
    certificates: certificates(authority.leaf, config.domain, addresses, systemClock),
    hosts: config.hosts,
    port,
    // The workers begin to listen before this ends, where several may.
    reusePort: process.platform === 'linux',
    absent: config.hostsGiven ? undefined : (host) => log.debug({ host }, 'this machine does not have that loopback address'),
  });
  log.warn({ origin: urls.origin }, 'sealed: the root key is locked; open it with ./strongroom unseal');
  return { port, close: () => door.close() };
}

/** Resolves with the root key when the command `unseal` brings the passphrase; rejects with Stopped when `stop` comes first. */
export async function unsealed(commands: Commands, clock: Clock, unlock: Unlock, stop: Promise<void> | undefined): Promise<Buffer> {
  const opened = Promise.withResolvers<Buffer>();
  commands.set('unseal', unsealing(clock, unlock, opened.resolve));
  stop?.then(() => opened.reject(new Stopped('the service was stopped before it was unsealed')));
  try {
    return await opened.promise;
  } finally {
    commands.delete('unseal');
  }
}

/** One try at a time, and more slowly with every wrong one. */
function unsealing(clock: Clock, unlock: Unlock, opened: (key: Buffer) => void): (command: Command) => Promise<unknown> {
  let wrong = 0;
  let nextAt = 0;
  let trying = false;
  return async ({ body }) => {
    if (trying) throw new Error('another passphrase is being tried; try again');
    const wait = nextAt - clock.now();
    if (wait > 0) throw new Error(`too many wrong passphrases; try again in ${Math.ceil(wait / 1000)} seconds`);
    trying = true;
    try {
      const key = await unlock(body);
      if (key === undefined) {
        wrong += 1;
        if (wrong >= FREE_TRIES) nextAt = clock.now() + Math.min(LONGEST_WAIT, 1000 * 2 ** (wrong - FREE_TRIES));
        throw new Error('the passphrase is wrong');
      }
      opened(key);
      return { unsealed: true };
    } finally {
      trying = false;
    }
  };
}
