// Who is at the other end: the address that the connection comes from, or, behind proxies that the operator has named, the one they say it comes from.
// Nobody else's word about an address is taken.

import type { Socket } from 'node:net';
import { plainAddress, rangesOf } from '../core/addresses.ts';
import type { Incoming } from './incoming.ts';
import type { Proxied } from './proxy-header.ts';

/** What nobody can read is nobody's address: no rule admits it. */
const UNKNOWN = 'unknown';

/** Reads the client's address off a request. `trustedProxies` are addresses and ranges in CIDR notation; `proxied` is what was said in front of a connection. */
export function clientAddresses(trustedProxies: readonly string[], proxied: Proxied = () => undefined): (request: Incoming) => string {
  const proxies = rangesOf(trustedProxies);
  const peers = new WeakMap<Socket, string>();

  function peerOf(socket: Socket): string {
    const known = peers.get(socket);
    if (known !== undefined) return known;
    const peer = proxied(socket) ?? plainAddress(socket.remoteAddress ?? '') ?? UNKNOWN;
    peers.set(socket, peer);
    return peer;
  }

  return ({ socket, headers }) => {
    const peer = peerOf(socket);
    const said = headers['x-forwarded-for'];
    if (trustedProxies.length === 0 || said === undefined || !proxies.has(peer)) return peer;
    // Each proxy adds the address it was called from behind what it was given; so the last one that is no proxy of ours is the client's.
    const hops = [said].flat().join(',').split(',').map(hopIn).reverse();
    return hops.find((hop) => !proxies.has(hop)) ?? hops.at(-1) ?? peer;
  };
}

/** Some proxies write the port too: `203.0.113.7:4711`, `[2001:db8::7]:4711`. */
function hopIn(text: string): string {
  const hop = text.trim();
  const [, inBrackets] = /^\[([^\]]*)\](?::\d+)?$/.exec(hop) ?? [];
  const [, withoutPort] = /^([\d.]+):\d+$/.exec(hop) ?? [];
  return plainAddress(inBrackets ?? withoutPort ?? hop) ?? UNKNOWN;
}
