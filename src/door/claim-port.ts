// A port to listen on, found before anything listens, and the words for one that cannot be had.

import { createServer } from 'node:net';

interface Wanted {
  /** 0 picks a free one. */
  readonly port: number;
  readonly hosts: readonly string[];
  /** Whether the hosts were asked for; an address that a machine lacks is then an error. */
  readonly hostsGiven: boolean;
}

/**
 * A port that nobody listens on: the one that was asked for, or a free one. Worker threads share their port (`reusePort`), which would let two services
 * of one account share it unawares; binding without sharing first finds the other one out.
 */
export async function claimPort({ port, hosts, hostsGiven }: Wanted): Promise<number> {
  let claimed = port;
  for (const host of hosts) {
    try {
      claimed = await bindOnce(host, claimed);
    } catch (cause) {
      const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
      if (!hostsGiven && (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT')) continue;
      throw portTaken(cause, claimed, host, '--port');
    }
  }
  return claimed;
}

function bindOnce(host: string, port: number): Promise<number> {
  return new Promise((done, failed) => {
    const probe = createServer();
    probe.once('error', failed);
    probe.listen({ host, port, ipv6Only: host.includes(':') }, () => {
      const address = probe.address();
      const bound = typeof address === 'object' && address !== null ? address.port : port;
      probe.close(() => done(bound));
    });
  });
}

export function portTaken(cause: unknown, port: number, host: string, flag: string): Error {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: 'something else listens there',
    EACCES: 'this account may not listen there',
    EADDRNOTAVAIL: 'this machine does not have that address',
  };
  return new Error(`cannot listen on ${host} port ${port}: ${reasons[code] ?? code}; choose another with ${flag} (0 picks a free one)`, {
    cause,
  });
}
