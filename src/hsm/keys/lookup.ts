// From an address to a key: the key that is there, or the service's KeyNotFound; and for its use, the proof that it may be used now.

import { seconds } from '../../core/clock.ts';
import { keyDisabled, keyExpired, keyNotFound, keyNotYetValid, operationNotPermitted } from '../../core/errors-keyvault.ts';
import type { KeyOperation } from '../../crypto/algorithms.ts';
import type { ActiveReads } from '../world.ts';
import type { KeyVersion } from './key-version.ts';
import { keyAddress } from './names.ts';

/** An address as parsed; without a version it is the latest. */
export interface KeyRef {
  readonly name: string;
  readonly version?: string | undefined;
}

export async function existingKey({ hsm, keys }: Pick<ActiveReads, 'hsm' | 'keys'>, { name, version }: KeyRef): Promise<KeyVersion> {
  const key = await keys.find(hsm, name, version);
  if (key === undefined) throw keyNotFound(keyAddress(hsm, name));
  return key;
}

/** Outside their time keys make nothing new, but what they made before can still be read and checked. */
const IN_TIME_ONLY: ReadonlySet<KeyOperation> = new Set(['encrypt', 'sign', 'wrapKey']);

/** The key, if it may do this now: enabled, made for the operation, and in its time where that counts. */
export async function usableKey(world: ActiveReads, ref: KeyRef, operation: KeyOperation): Promise<KeyVersion> {
  const key = await existingKey(world, ref);
  if (!key.enabled) throw keyDisabled(operation);
  if (!key.keyOps.includes(operation)) throw operationNotPermitted(operation);
  if (IN_TIME_ONLY.has(operation)) {
    const now = seconds(world.clock.now());
    if (key.nbf !== undefined && now < key.nbf) throw keyNotYetValid(operation);
    if (key.exp !== undefined && now >= key.exp) throw keyExpired(operation);
  }
  return key;
}
