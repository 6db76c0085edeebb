// The rooms behind every door, the same on every thread; and what they are built from.

import type { AboutWhom, ReadRecords } from './core/audit.ts';
import type { Clock } from './core/clock.ts';
import type { Tag, Versions } from './core/coherence.ts';
import type { IssuerKeys } from './core/issuer-keys.ts';
import type { Room } from './core/route.ts';
import type { Urls } from './core/urls.ts';
import type { CryptoModule } from './crypto/module.ts';
import { identityPort } from './graph/identity-port.ts';
import { graphRoom } from './graph/room.ts';
import type { Signers } from './hsm/evidence/signers.ts';
import { hsmPort } from './hsm/lifecycle.ts';
import { hsmRoom } from './hsm/room.ts';
import type { Backups } from './hsm/world.ts';
import { directoryPort } from './identity/directory.ts';
import type { OutsideIssuers } from './identity/issuers/outside-token.ts';
import { identityRoom } from './identity/room.ts';
import type { SharedFailures } from './identity/shared-failures.ts';
import { managementRoom } from './management/room.ts';
import type { NodeRegions } from './management/world.ts';
import type { Reader, Store } from './store/store.ts';

/** What every room is built from; `write` is there on this thread alone. */
export interface HouseParts {
  readonly read: Reader;
  readonly write: Store['write'] | undefined;
  readonly crypto: CryptoModule;
  readonly clock: Clock;
  readonly urls: Urls;
  readonly versions: Versions;
  readonly tenantId: string;
  /** Where this node is; undefined: it serves every HSM. */
  readonly region: string | undefined;
  /** Where the nodes are, if there may be others. */
  readonly nodeRegions?: NodeRegions | undefined;
  readonly issuerKeys: IssuerKeys;
  readonly signers: Signers;
  readonly records: ReadRecords | undefined;
  readonly about?: AboutWhom | undefined;
  /** Of sign-ins, if there may be other nodes. */
  readonly failures?: SharedFailures | undefined;
  readonly backups?: Backups;
  readonly outside: OutsideIssuers;
}

/** Every room, in the same order on every thread: a row is known by its numbers. */
export function buildRooms(parts: HouseParts): readonly Room[] {
  const directory = directoryPort(parts);
  return [
    hsmRoom({ ...parts, groupsOf: directory.groupsOf }),
    identityRoom(parts),
    graphRoom({ ...parts, directory }),
    managementRoom({
      ...parts,
      groupsOf: directory.groupsOf,
      hsms: hsmPort(parts),
      nodeRegions: parts.nodeRegions ?? (async () => [parts.region ?? null]),
      identities: identityPort({ ...parts, directory }),
    }),
  ];
}

/** Native forms of keys that were changed or removed are freed on this thread, rather than when the cache gets to them. */
export function freeKeys(crypto: CryptoModule, tags: readonly Tag[]): void {
  for (const tag of tags) {
    const [, hsmId, name] = /^key:([^/]+)\/(.+)$/.exec(tag) ?? [];
    if (hsmId !== undefined && name !== undefined) crypto.dropKey(hsmId, name);
    if (tag.startsWith('domain:')) crypto.dropDomain(tag.slice('domain:'.length));
  }
}
