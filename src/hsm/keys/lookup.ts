// From an address to a key that is about to be used: the proof that it may be, now and for this.

import { type Clock, seconds } from '../../core/clock.ts';
import { keyDisabled, keyExpired, keyNotYetValid, operationNotPermitted } from '../../core/errors-keyvault.ts';
import type { KeyOperation } from '../../crypto/algorithms.ts';
import type { ActiveReads } from '../world.ts';
import type { KeyVersion } from './key-version.ts';

/** An address as parsed; without a version it is the latest. */
export interface KeyRef {
  readonly name: string;
  readonly version?: string | undefined;
}

/** What a key is used for: an operation with it, or to let another key in that was wrapped for it. */
type Use = KeyOperation | 'import';

/** Outside their time keys make nothing new, but what they made before can still be read and checked. */
const IN_TIME_ONLY: ReadonlySet<Use> = new Set<Use>(['encrypt', 'sign', 'wrapKey', 'secureWrapKey', 'import']);

/** The key, if it may do this now: enabled, made for the operation, and in its time where that counts. */
export async function usableKey(world: ActiveReads, ref: KeyRef, operation: KeyOperation): Promise<KeyVersion> {
  const key = await world.keys.find(world.hsm, ref.name, ref.version);
  refuseUnusable(key, operation, world.clock);
  return key;
}

/** Throws Forbidden, saying why, unless the key may be used for this now. */
export function refuseUnusable(key: KeyVersion, use: Use, clock: Clock): void {
  if (!key.enabled) throw keyDisabled(use);
  if (!key.keyOps.includes(use)) throw operationNotPermitted(use);
  if (!IN_TIME_ONLY.has(use)) return;
  const now = seconds(clock.now());
  if (key.nbf !== undefined && now < key.nbf) throw keyNotYetValid(use);
  if (key.exp !== undefined && now >= key.exp) throw keyExpired(use);
}
