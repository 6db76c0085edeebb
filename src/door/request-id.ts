// Request ids as the service writes them: version 1 UUIDs (RFC 9562 section 5.1), whose node is random, since ours says nothing about any machine.

import { randomBytes } from 'node:crypto';
import type { Clock } from '../core/clock.ts';

/** 100-nanosecond steps from 1582-10-15 to 1970-01-01. */
const GREGORIAN_OFFSET = 122_192_928_000_000_000n;
const STEPS_PER_MILLISECOND = 10_000n;

/** Makes the ids of one thread; no two are the same. */
export function requestIds(clock: Clock): () => string {
  const node = randomBytes(8);
  // The variant bits before the clock sequence, and the multicast bit that marks a node which is no network card's.
  node.writeUInt8((node.readUInt8(0) & 0x3f) | 0x80, 0);
  node.writeUInt8(node.readUInt8(2) | 0x01, 2);
  const tail = `${node.toString('hex', 0, 2)}-${node.toString('hex', 2)}`;
  let last = 0n;
  return () => {
    const now = BigInt(clock.now()) * STEPS_PER_MILLISECOND + GREGORIAN_OFFSET;
    last = now > last ? now : last + 1n;
    const steps = last.toString(16).padStart(15, '0');
    return `${steps.slice(-8)}-${steps.slice(-12, -8)}-1${steps.slice(-15, -12)}-${tail}`;
  };
}
