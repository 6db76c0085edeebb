// From an address to a key that is about to be used: the proof that it may be, now and for this.

import { seconds } from '../../core/clock.ts';
import { keyDisabled, keyExpired, keyNotYetValid, operationNotPermitted } from '../../core/errors-keyvault.ts';
import type { KeyOperation } from '../../crypto/algorithms.ts';
import type { ActiveReads } from '../world.ts';
import type { KeyVersion } from './key-version.ts';

/** An address as parsed; without a version it is the latest. */
export interface KeyRef {
  readonly name: string;
  readonly version?: string | undefined;
}

/** Outside their time keys make nothing new, but what they made before can still be read and checked. */
const IN_TIME_ONLY: ReadonlySet<KeyOperation> = new Set(['encrypt', 'sign', 'wrapKey']);

/** The key, if it may do this now: enabled, made for the operation, and in its time where that counts. */
export async function usableKey(world: ActiveReads, ref: KeyRef, operation: KeyOperation): Promise<KeyVersion> {
  const key = await world.keys.find(world.hsm, ref.name, ref.version);
  if (!key.enabled) throw keyDisabled(operation);
  if (!key.keyOps.includes(operation)) throw operationNotPermitted(operation);
  if (IN_TIME_ONLY.has(operation)) {
    const now = seconds(world.clock.now());
    if (key.nbf !== undefined && now < key.nbf) throw keyNotYetValid(operation);
    if (key.exp !== undefined && now >= key.exp) throw keyExpired(operation);
  }
  return key;
}
