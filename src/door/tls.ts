// Server certificates by the name that a client asks for (SNI, RFC 6066 section 3), as ready-made contexts of this thread.

import { createSecureContext, type SecureContext } from 'node:tls';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../core/clock.ts';
import { isOurName, type Leaf } from './certificate-authority.ts';

const CONTEXTS = 512;

export interface Certificates {
  /** The context for this name: its own if it is ours, else the one of the service's fixed names. */
  contextFor(serverName: string): Promise<SecureContext>;
  /** For clients that name nobody, because they called an IP address: the certificate of the fixed names. */
  fixed(): Promise<Leaf>;
}

interface Entry {
  readonly renewAt: number;
  readonly context: SecureContext;
}

/** `leaf` issues; it lives with the authority's key on the main thread. `addresses` are IP addresses that the fixed certificate names too. */
export function certificates(
  leaf: (names: readonly string[]) => Promise<Leaf>,
  domain: string,
  addresses: readonly string[],
  clock: Clock,
): Certificates {
  const contexts = new LRUCache<string, Entry>({ max: CONTEXTS });
  const names = fixedNames(domain, addresses);

  async function context(wanted: readonly string[]): Promise<SecureContext> {
    const place = wanted.join(' ');
    const known = contexts.get(place);
    if (known !== undefined && clock.now() < known.renewAt) return known.context;
    const { key, cert, renewAt } = await leaf(wanted);
    const made = createSecureContext({ key, cert, minVersion: 'TLSv1.2' });
    contexts.set(place, { renewAt, context: made });
    return made;
  }

  return {
    contextFor: (serverName) => {
      const name = serverName.toLowerCase().replace(/\.$/, '');
      return context(isOurName(name, domain) && !names.includes(name) ? [name] : names);
    },
    fixed: () => leaf(names),
  };
}

function fixedNames(domain: string, addresses: readonly string[]): string[] {
  const ours = ['management', 'login', 'graph', 'managedhsm'].map((first) => `${first}.${domain}`);
  const wildcards = new Set(['0.0.0.0', '::']);
  return [...new Set(['localhost', domain, ...ours, '127.0.0.1', '::1', ...addresses.filter((address) => !wildcards.has(address))])];
}
