// Principals and the groups that they are in, kept by each thread until a commit touches them: what every request asks.

import { CoherentCache, type Versions } from '../core/coherence.ts';
import { GROUPS_TAG } from '../core/directory.ts';
import type { Reader } from '../store/store.ts';
import { groupsOf } from './groups.ts';
import { type Principal, principalById } from './principals.ts';
import { Ended } from './refusals.ts';

const KNOWN = 10_000;

export interface Who {
  /** The principal, if it is there and enabled. Throws Ended. */
  enabled(objectId: string): Promise<Principal>;
  /** Object ids. */
  groupsAround(objectId: string): Promise<readonly string[]>;
}

export function openWho({ read, versions }: { readonly read: Reader; readonly versions: Versions }): Who {
  const principals = new CoherentCache<Principal>(versions, { max: KNOWN });
  const groups = new CoherentCache<readonly string[]>(versions, { max: KNOWN });

  async function load(objectId: string): Promise<Principal> {
    const found = await principalById(read, objectId);
    if (found === undefined) throw new Ended('The token was issued to a principal that no longer exists.');
    return found;
  }

  return {
    async enabled(objectId) {
      const tag = `principal:${objectId}`;
      const principal = principals.peek(objectId, tag) ?? (await principals.get(objectId, tag, () => load(objectId)));
      if (!principal.enabled) throw new Ended('The token was issued to a principal that is disabled.');
      return principal;
    },
    async groupsAround(objectId) {
      return groups.peek(objectId, GROUPS_TAG) ?? groups.get(objectId, GROUPS_TAG, () => groupsOf(read, objectId));
    },
  };
}
