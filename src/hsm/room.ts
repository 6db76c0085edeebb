// The data plane of every HSM. The gate asks, before anything else, whether the HSM's network rules let the client's address in. Admission proves, in this
// order, before a body is read: the api-version is one that exists, the HSM is there and in a
// state that answers, and the caller may perform the row's data action at the row's scope.

import type { RowAudit } from '../core/audit.ts';
import { principalsOf, type SignedIn } from '../core/caller.ts';
import { accessDenied, clientNotAuthorized, servedElsewhere, unsupportedApiVersion } from '../core/errors-keyvault.ts';
import type { Failure } from '../core/failure.ts';
import { type Knock, type Room, serveRows, type Visit } from '../core/route.ts';
import type { Store } from '../store/store.ts';
import { ACTION_PREFIX } from './access/actions.ts';
import { type Access, accessOf } from './access/decide.ts';
import { loadGrants, openAccessCache } from './access/grants.ts';
import { openKeyCache } from './keys/cache.ts';
import { operationName } from './operation-names.ts';
import { notAnswering, openPool, proveActive } from './pool.ts';
import { activeRows, earlyRows, restoringRows } from './routes.ts';
import type { ActiveRow, EarlyRow, RowAction } from './rows.ts';
import type { ActiveReads, ActiveWrites, Backups, Hsm, HsmReads, HsmRoomParts, HsmWrites } from './world.ts';

/** Every version that any client sends has one of these forms; one implementation serves them all. */
const API_VERSION = /^(?:7\.[0-6](?:-preview(?:\.[12])?)?|202[5-9]-\d{2}-\d{2}(?:-preview)?)$/i;

/** What a row asks of whoever comes. */
interface Asked {
  readonly path: string;
  readonly action: RowAction;
}

export function hsmRoom(parts: HsmRoomParts): Room {
  const {
    read,
    crypto,
    clock,
    versions,
    region,
    records,
    groupsOf,
    issuerKeys,
    signers,
    write = refuseToWrite,
    backups = noBackups,
  } = parts;
  const pool = openPool(parts);
  const access = openAccessCache(read, versions);
  const keys = openKeyCache(parts);

  function gate({ host, address }: Knock): Promise<void> | undefined {
    const known = pool.peekAt(host);
    if (known === undefined) return pool.findAt(host).then((hsm) => refuseFrom(address, hsm));
    refuseFrom(address, known);
    return undefined;
  }

  async function servedAt(host: string): Promise<Hsm> {
    const hsm = await pool.hsmAt(host);
    const regions = [hsm.region, ...hsm.otherRegions];
    if (region !== undefined && !regions.includes(region)) throw servedElsewhere(hsm.origin, region, regions);
    return hsm;
  }

  async function early(row: Asked, visit: Visit): Promise<HsmReads> {
    checkApiVersion(visit.apiVersion);
    const hsm = await servedAt(visit.host);
    return { hsm, caller: await authorised(hsm, row, visit), read, crypto, clock, records };
  }

  async function whileRestoring(row: Asked, visit: Visit): Promise<HsmReads> {
    const world = await early(row, visit);
    const { state } = world.hsm;
    if (state !== 'active' && state !== 'restoring') throw notAnswering(state);
    return world;
  }

  async function active(row: Asked, visit: Visit): Promise<ActiveReads> {
    checkApiVersion(visit.apiVersion);
    const hsm = await servedAt(visit.host);
    if (hsm.state !== 'active') throw notAnswering(hsm.state);
    const caller = await authorised(hsm, row, visit);
    return { hsm, caller, read, crypto, clock, records, keys, groupsOf, issuerKeys, signers, again: () => active(row, visit) };
  }

  async function authorised(hsm: Hsm, row: Asked, { caller, path }: Visit): Promise<SignedIn> {
    if (caller.kind === 'anonymous') throw refusal(row, path);
    if (!mayPass(await access.accessOf(hsm.id, principalsOf(caller)), row, path)) throw refusal(row, path);
    return caller;
  }

  /** What was true at admission may be true no longer when the change gets its turn, so the transaction asks again. */
  function writeTo({ hsm, caller }: HsmReads, row: Asked, { path }: Visit): Store['write'] {
    return (job) =>
      write(async (writer) => {
        if (hsm.state === 'active') await proveActive(writer, hsm);
        if (!mayPass(accessOf(await loadGrants(writer, hsm.id, principalsOf(caller))), row, path)) throw refusal(row, path);
        return job(writer);
      });
  }

  const audit = (row: ActiveRow | EarlyRow): RowAudit => ({
    operation: operationName(row),
    action: row.action === 'signed in' ? row.action : ACTION_PREFIX + row.action,
    record: 'every call',
    scope: (named) => scopeOf(row.path, named),
  });
  const headers = ({ hsm }: HsmReads): Readonly<Record<string, string>> => ({ 'x-ms-keyvault-region': region ?? hsm.region });
  const writing =
    <World extends HsmReads>(admit: (row: Asked, visit: Visit) => Promise<World>) =>
    async (row: Asked, visit: Visit) => {
      const world = await admit(row, visit);
      return { ...world, write: writeTo(world, row, visit), backups };
    };
  const rows = [
    ...serveRows<RowAction, HsmReads, HsmWrites, undefined>(earlyRows, { read: early, write: writing(early), audit, headers }),
    ...serveRows<RowAction, HsmReads, HsmWrites, undefined>(restoringRows, {
      read: whileRestoring,
      write: writing(whileRestoring),
      audit,
      headers,
    }),
    ...serveRows<RowAction, ActiveReads, ActiveWrites, undefined>(activeRows, { read: active, write: writing(active), audit, headers }),
  ];
  return { name: 'hsm', dialect: 'keyvault', rows, gate };
}

function refuseFrom(address: string, hsm: Hsm | undefined): void {
  if (hsm?.admits(address) === false) throw clientNotAuthorized(address);
}

function mayPass(access: Access, { action, path }: Asked, named: Visit['path']): boolean {
  return action === 'signed in' || access.allows(action, scopeOf(path, named));
}

function refusal({ action, path }: Asked, named: Visit['path']): Failure {
  return accessDenied(action, scopeOf(path, named));
}

/** Missing is the newest: the service's own polling addresses and next links come without. */
function checkApiVersion(version: string | undefined): void {
  if (version !== undefined && !API_VERSION.test(version)) throw unsupportedApiVersion(version);
}

/**
 * Where a row's action has to be allowed: at the key that its address names, at `/keys` for all keys, and at `/` for everything else. `key` is the
 * name's place in the addresses of a key's roles, `name` in those of the key itself.
 */
function scopeOf(path: string, named: Readonly<Record<string, string>>): string {
  if (!/^\/(?:deleted)?keys(?:\/|$)/.test(path)) return '/';
  const key = /^\/(?:deleted)?keys\/:(?:name|key)(?:\/|$)/.test(path) ? (named.name ?? named.key) : undefined;
  return key === undefined ? '/keys' : `/keys/${key}`;
}

function refuseToWrite(): never {
  throw new Error('this thread only reads');
}

/** For a thread that only reads: nothing that needs this runs there. */
const noBackups: Backups = {
  settings: { folder: undefined, outbound: { privateHosts: [], authorities: [], within: 0 }, spool: '' },
  start: refuseToWrite,
};
