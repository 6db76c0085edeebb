// IP addresses and ranges of them, as people and proxies write them. One client has one spelling here, whatever the spelling it came in:
// rules, throttles and the audit record compare text.

import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

type Address = ReturnType<typeof ipaddr.process>;
type Range = readonly [address: Address, prefix: number];

/** The address in its shortest lower-case form, without a zone; an IPv4 address in the clothes of IPv6 (`::ffff:10.0.0.1`) is the IPv4 address. */
export function plainAddress(text: string): string | undefined {
  return addressIn(text)?.toString();
}

/** The network of so many bits that an IPv6 address is in, `2001:db8::/64`; an IPv4 address is a network of its own. */
export function networkOf(text: string, bits: number): string | undefined {
  const address = addressIn(text);
  if (address === undefined) return undefined;
  if (address.kind() === 'ipv4') return address.toString();
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${address}/${bits}`)}/${bits}`;
}

/** Why this is not a range that a rule may have, in words; undefined when it is one: `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`. */
export function wrongRange(text: string): string | undefined {
  const range = rangeIn(text);
  if (range === undefined) return 'is not an IPv4 or IPv6 address, nor a range of them in CIDR notation';
  const [address, prefix] = range;
  const kind = address.kind() === 'ipv4' ? ipaddr.IPv4 : ipaddr.IPv6;
  const first = kind.networkAddressFromCIDR(`${address}/${prefix}`).toString();
  // 10.0.0.5/8 may mean one address or sixteen million: whoever wrote it should say which.
  return first === address.toString() ? undefined : `has bits behind its prefix: write ${first}/${prefix}, or the address alone`;
}

export interface Ranges {
  /** Whether any of the ranges holds the address; an address that cannot be read is in none. */
  has(address: string): boolean;
}

/** Ranges that were checked; any other is left out. */
export function rangesOf(texts: readonly string[]): Ranges {
  const ranges = texts.map(rangeIn).filter((range) => range !== undefined);
  return {
    has: (text) => {
      const address = addressIn(text);
      if (address === undefined) return false;
      return ranges.some(([start, prefix]) => start.kind() === address.kind() && address.match(start, prefix));
    },
  };
}

function addressIn(text: string): Address | undefined {
  const bare = text.replace(/%.*$/, '');
  // The library would take 127.1 and 0x7f000001 too.
  return isIP(bare) === 0 ? undefined : ipaddr.process(bare);
}

function rangeIn(text: string): Range | undefined {
  const [, written = '', digits] = /^([0-9a-f.:]+)(?:\/(\d{1,3}))?$/i.exec(text) ?? [];
  const address = addressIn(written);
  if (address === undefined) return undefined;
  const bits = address.kind() === 'ipv4' ? 32 : 128;
  const prefix = digits === undefined ? bits : Number(digits);
  // A prefix that counts the bits of the IPv6 clothes says something else about the IPv4 address in them.
  const isDressed = digits !== undefined && written.includes(':') && address.kind() === 'ipv4';
  return prefix > bits || isDressed ? undefined : [address, prefix];
}
