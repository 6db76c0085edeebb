// The data plane of every HSM. The gate asks, before anything else, whether the HSM's network rules let the client's address in. Admission proves, in this
// order, before a body is read: the api-version is one that exists, the HSM is there and in a
// state that answers, and the caller may perform the row's data action at the row's scope.

import { accessDenied, clientNotAuthorized, notActivated, unsupportedApiVersion } from '../core/errors-keyvault.ts';
import { type Knock, type Room, serveRows, type Visit } from '../core/route.ts';
import type { DataAction } from './access/actions.ts';
import { isAllowed } from './access/decide.ts';
import { openAccessCache } from './access/grants.ts';
import { openKeyCache } from './keys/cache.ts';
import { openPool, proveActive } from './pool.ts';
import { activeRows, earlyRows } from './routes.ts';
import type { ActiveHsm, ActiveReads, ActiveWrites, Hsm, HsmParts, HsmReads, HsmWrites } from './world.ts';

/** Every version that any client sends has one of these forms; one implementation serves them all. */
const API_VERSION = /^(?:7\.[0-6](?:-preview(?:\.[12])?)?|202[5-9]-\d{2}-\d{2}(?:-preview)?)$/i;

export function hsmRoom(parts: HsmParts): Room {
  const { read, crypto, clock, versions, write = refuseToWrite } = parts;
  const pool = openPool(parts);
  const access = openAccessCache(read, versions);
  const keys = openKeyCache(parts);

  async function gate({ host, address }: Knock): Promise<void> {
    const hsm = await pool.findAt(host);
    if (hsm?.admits(address) === false) throw clientNotAuthorized(address);
  }

  async function early(row: { readonly path: string; readonly action: DataAction }, visit: Visit): Promise<HsmReads> {
    checkApiVersion(visit.apiVersion);
    const hsm = await pool.hsmAt(visit.host);
    return { hsm, caller: await authorised(hsm, row, visit), read, crypto, clock };
  }

  async function active(row: { readonly path: string; readonly action: DataAction }, visit: Visit): Promise<ActiveReads> {
    checkApiVersion(visit.apiVersion);
    const hsm = await pool.hsmAt(visit.host);
    if (hsm.state !== 'active') throw notActivated();
    return { hsm, caller: await authorised(hsm, row, visit), read, crypto, clock, keys };
  }

  async function authorised(
    hsm: Hsm,
    { path, action }: { readonly path: string; readonly action: DataAction },
    { caller, path: named }: Visit,
  ) {
    const scope = scopeOf(path, named);
    if (caller.kind === 'anonymous') throw accessDenied(action, scope);
    const principals = [caller.objectId, ...caller.groups];
    const grants = await access.grantsOf(hsm.id, principals);
    if (!isAllowed(grants, principals, action, scope)) throw accessDenied(action, scope);
    return caller;
  }

  function writeTo(hsm: ActiveHsm): ActiveWrites['write'] {
    return (job) =>
      write(async (writer) => {
        await proveActive(writer, hsm);
        return job(writer);
      });
  }

  const headers = ({ hsm }: HsmReads): Readonly<Record<string, string>> => ({ 'x-ms-keyvault-region': hsm.region });
  const rows = [
    ...serveRows<DataAction, HsmReads, HsmWrites, undefined>(earlyRows, {
      read: early,
      write: async (row, visit) => ({ ...(await early(row, visit)), write }),
      headers,
    }),
    ...serveRows<DataAction, ActiveReads, ActiveWrites, undefined>(activeRows, {
      read: active,
      write: async (row, visit) => {
        const world = await active(row, visit);
        return { ...world, write: writeTo(world.hsm) };
      },
      headers,
    }),
  ];
  return { name: 'hsm', dialect: 'keyvault', rows, gate };
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
