// The resource manager. Admission proves, in this order, before a body is read: there is an api-version, the subscription exists, the caller's role
// allows the row's action there, and what the address names is there.

import type { RowAudit } from '../core/audit.ts';
import { callerName, principalsOf, type SignedIn } from '../core/caller.ts';
import {
  armResourceNotFound,
  authorizationFailed,
  invalidApiVersion,
  invalidSubscriptionId,
  missingApiVersion,
  resourceGroupNotFound,
  subscriptionNotFound,
} from '../core/errors-arm.ts';
import { type Room, serveRows, type Visit } from '../core/route.ts';
import type { Store } from '../store/store.ts';
import { type ArmGrant, armGrants, loadArmGrants, mayManage, mayManageBelow } from './access.ts';
import { groupNamed } from './group-rows.ts';
import { type ArmAction, type ArmRow, armRows } from './routes.ts';
import type { ArmReads, ArmWrites, ManagementRoomParts, Place } from './world.ts';

const API_VERSION = /^\d{4}-\d{2}-\d{2}(?:-[a-z]+)?$/i;
const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

const NOWHERE: Place = { subscriptionId: '', group: '', scope: '' };

export function managementRoom(parts: ManagementRoomParts): Room {
  const { read, clock, urls, versions, tenantId, hsms, nodeRegions, identities, groupsOf, write = refuseToWrite } = parts;
  const grants = armGrants(read, versions);

  async function reading(row: ArmRow, visit: Visit): Promise<ArmReads> {
    const apiVersion = checkedApiVersion(row.action, visit.apiVersion);
    const { caller } = visit;
    const held = await grants();
    const principals = caller.kind === 'anonymous' ? [] : principalsOf(caller);
    const place = await placeOf(row, visit, held);
    const sees = (scope: string): boolean => mayManage(held, principals, row.action, scope);
    return { read, clock, urls, tenantId, hsms, nodeRegions, identities, groupsOf, caller, sees, place, apiVersion };
  }

  async function writing(row: ArmRow, visit: Visit): Promise<ArmWrites> {
    const world = await reading(row, visit);
    const caller = signedIn(visit);
    const held = await grants();
    const also = (action: string, scope: string): void => {
      if (!mayManage(held, principalsOf(caller), action, scope))
        throw authorizationFailed(callerName(caller), caller.objectId, action, scope);
    };
    return { ...world, caller, write: writeFor(row, caller, world.place.scope), authorise: also };
  }

  /** What was true at admission may be true no longer when the change gets its turn, so the transaction asks again. */
  function writeFor(row: ArmRow, caller: SignedIn, scope: string): Store['write'] {
    return (job) =>
      write(async (writer) => {
        authorise(row, caller, scope, await loadArmGrants(writer, principalsOf(caller)));
        return job(writer);
      });
  }

  async function placeOf(row: ArmRow, visit: Visit, held: readonly ArmGrant[]): Promise<Place> {
    const { subscription, group, hsm } = visit.path;
    if (subscription === undefined) return NOWHERE;
    const subscriptionId = subscription.toLowerCase();
    if (!GUID.test(subscriptionId)) throw invalidSubscriptionId(subscription);
    const known = await read.selectFrom('subscriptions').select('id').where('id', '=', subscriptionId).executeTakeFirst();
    if (known === undefined) throw subscriptionNotFound(subscription);
    authorise(row, signedIn(visit), scopeAt(subscriptionId, group, hsm), held);
    if (group === undefined) return { subscriptionId, group: '', scope: scopeAt(subscriptionId) };
    const found = await groupNamed(read, subscriptionId, group);
    if (found === undefined && row.guard.exists !== 'any') throw resourceGroupNotFound(group);
    const name = row.guard.exists === 'hsm' ? await hsmNamed(subscriptionId, group, hsm ?? '') : hsm;
    return { subscriptionId, group: found?.name ?? group, scope: scopeAt(subscriptionId, found?.name ?? group, name) };
  }

  /** The HSM's own spelling. */
  async function hsmNamed(subscriptionId: string, group: string, hsm: string): Promise<string> {
    const row = await read
      .selectFrom('managed_hsms')
      .select('name')
      .where('name_key', '=', hsm.toLowerCase())
      .where('subscription_id', '=', subscriptionId)
      .where('group_key', '=', group.toLowerCase())
      .where('deleted_at', 'is', null)
      .executeTakeFirst();
    if (row === undefined) throw armResourceNotFound(`Microsoft.KeyVault/managedHSMs/${hsm}`, group);
    return row.name;
  }

  return { name: 'management', dialect: 'arm', rows: serveRows(armRows, { read: reading, write: writing, audit: auditOf }) };
}

/**
 * The action is the operation's name, as in Azure's activity log; and as there, what is only read is not recorded unless it was refused. An HSM's keys are
 * the exception: whoever looks at them here is recorded as whoever looks at them there.
 */
function auditOf({ action, mode, path }: ArmRow): RowAudit {
  const isRecorded = mode === 'write' || path.includes('/:hsm/keys');
  return { operation: action, action, record: isRecorded ? 'every call' : 'refusals', scope: scopeOf };
}

function scopeOf({ subscription, group, hsm }: Visit['path']): string {
  return subscription === undefined ? '/' : scopeAt(subscription, group, hsm);
}

function authorise({ action, guard }: ArmRow, caller: SignedIn, scope: string, grants: readonly ArmGrant[]): void {
  if (action === 'signed in') return;
  const decide = guard.reach === 'below' ? mayManageBelow : mayManage;
  if (!decide(grants, principalsOf(caller), action, scope)) throw authorizationFailed(callerName(caller), caller.objectId, action, scope);
}

function scopeAt(subscriptionId: string, group?: string, hsm?: string): string {
  const inGroup = group === undefined ? '' : `/resourceGroups/${group}`;
  const ofHsm = group === undefined || hsm === undefined ? '' : `/providers/Microsoft.KeyVault/managedHSMs/${hsm}`;
  return `/subscriptions/${subscriptionId}${inGroup}${ofHsm}`;
}

/** The door lets nobody without a token come to a row that is not for anyone. */
function signedIn({ caller }: Visit): SignedIn {
  if (caller.kind === 'anonymous') throw new Error('a row that needs a caller was reached without one');
  return caller;
}

/** Cloud metadata is asked for with `1.0` and by people without any. */
function checkedApiVersion(action: ArmAction, version: string | undefined): string {
  if (action === 'anonymous') return version ?? '2022-09-01';
  if (version === undefined || version === '') throw missingApiVersion();
  if (!API_VERSION.test(version)) throw invalidApiVersion(version);
  return version;
}

function refuseToWrite(): never {
  throw new Error('this thread only reads');
}
