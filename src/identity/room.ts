// The login room: admission finds the tenant that the address names, and hands the operations what they need. Everybody may ask; nobody is known here yet.

import type { RowAudit } from '../core/audit.ts';
import type { Room } from '../core/route.ts';
import { serveRows } from '../core/route.ts';
import { readMeta } from '../store/meta.ts';
import { operationName } from './operation-names.ts';
import { type Guard, identityRows } from './routes.ts';
import { currentSigningKey } from './signing-keys.ts';
import { TENANT_DOMAIN, type Tenant, tenantNamed } from './tenant.ts';
import { newQuota, newThrottle } from './throttle.ts';
import type { IdentityParts, IdentityReads } from './world.ts';

/** That one place may ask for in a minute. */
const DEVICE_CODES = 60;

/** Builds the room for one thread; without `write` its tables are admitted here and run on the main thread. */
export function identityRoom(parts: IdentityParts): Room {
  const { read, crypto, clock, urls, tenantId, outside, write = refuseToWrite, about = () => undefined } = parts;
  const throttle = newThrottle(clock, parts.failures);
  const deviceCodes = newQuota(clock, DEVICE_CODES);
  const currentKey = currentSigningKey(parts);
  let domain: string | undefined;

  async function tenantOf(guard: Guard, segment: string | undefined): Promise<Tenant> {
    // Made once with the tenant, so it is read once.
    domain ??= await readMeta(read, TENANT_DOMAIN);
    if (domain === undefined) throw new Error('the tenant has not been opened');
    return tenantNamed(guard === 'tenant' && segment !== undefined ? segment : tenantId, tenantId, domain);
  }

  async function reading(guard: Guard, path: Readonly<Record<string, string>>): Promise<IdentityReads> {
    return { read, crypto, clock, urls, outside, tenant: await tenantOf(guard, path.tenant) };
  }

  const rows = serveRows(identityRows, {
    read: (row, visit) => reading(row.guard, visit.path),
    write: async (row, visit) => ({ ...(await reading(row.guard, visit.path)), write, throttle, deviceCodes, currentKey, about }),
    audit: (row) => ({ operation: operationName(row), action: row.action, record: recordOf(row.mode), scope: () => '/' }),
  });
  return { name: 'identity', dialect: 'oauth', rows };
}

/** What changes nothing decides little: of the pages and documents of a login only the refusals are kept. */
function recordOf(mode: 'read' | 'write'): RowAudit['record'] {
  return mode === 'write' ? 'every call' : 'refusals';
}

function refuseToWrite(): never {
  throw new Error('this thread only reads');
}
