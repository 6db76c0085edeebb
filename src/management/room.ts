// The resource manager. Admission proves, in this order, before a body is read: there is an api-version, the subscription exists, the caller's role
// allows the row's action there, and the group that the address names is there.

import type { RowAudit } from '../core/audit.ts';
import type { SignedIn } from '../core/caller.ts';
import { callerName } from '../core/caller.ts';
import {
  authorizationFailed,
  invalidApiVersion,
  invalidSubscriptionId,
  missingApiVersion,
  resourceGroupNotFound,
  subscriptionNotFound,
} from '../core/errors-arm.ts';
import { type Room, serveRows, type Visit } from '../core/route.ts';
import { armAssignments, mayManage } from './access.ts';
import { groupNamed } from './group-rows.ts';
import { type ArmAction, type ArmRow, armRows, type Guard } from './routes.ts';
import type { ArmReads, ArmWrites, ManagementParts, Place } from './world.ts';

const API_VERSION = /^\d{4}-\d{2}-\d{2}(?:-[a-z]+)?$/i;
const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function managementRoom(parts: ManagementParts): Room {
  const { read, clock, urls, versions, tenantId, hsms, write = refuseToWrite } = parts;
  const assignments = armAssignments(read, versions);

  async function reading(row: ArmRow, visit: Visit): Promise<ArmReads> {
    const apiVersion = checkedApiVersion(row.action, visit.apiVersion);
    const place = await placeOf(row.action, row.guard, visit);
    return { read, clock, urls, tenantId, hsms, caller: visit.caller, place, apiVersion };
  }

  async function writing(row: ArmRow, visit: Visit): Promise<ArmWrites> {
    return { ...(await reading(row, visit)), caller: signedIn(visit), write };
  }

  async function placeOf(action: ArmAction, guard: Guard, visit: Visit): Promise<Place> {
    const { subscription, group } = visit.path;
    if (subscription === undefined) return { subscriptionId: '', group: '' };
    const subscriptionId = subscription.toLowerCase();
    if (!GUID.test(subscriptionId)) throw invalidSubscriptionId(subscription);
    const known = await read.selectFrom('subscriptions').select('id').where('id', '=', subscriptionId).executeTakeFirst();
    if (known === undefined) throw subscriptionNotFound(subscription);
    const scope = `/subscriptions/${subscriptionId}${group === undefined ? '' : `/resourceGroups/${group}`}`;
    await authorise(signedIn(visit), action, scope);
    if (group === undefined) return { subscriptionId, group: '' };
    const found = await groupNamed(read, subscriptionId, group);
    if (found === undefined && guard === 'existing group') throw resourceGroupNotFound(group);
    return { subscriptionId, group: found?.name ?? group };
  }

  async function authorise(caller: SignedIn, action: ArmAction, scope: string): Promise<void> {
    if (!mayManage(await assignments(), [caller.objectId, ...caller.groups], action, scope)) {
      throw authorizationFailed(callerName(caller), caller.objectId, action, scope);
    }
  }

  return { name: 'management', dialect: 'arm', rows: serveRows(armRows, { read: reading, write: writing, audit: auditOf }) };
}

/** The action is the operation's name, as in Azure's activity log; and as there, what is only read is not recorded unless it was refused. */
function auditOf({ action, mode }: ArmRow): RowAudit {
  return { operation: action, action, record: mode === 'write' ? 'every call' : 'refusals', scope: scopeOf };
}

function scopeOf({ subscription, group, hsm }: Readonly<Record<string, string>>): string {
  if (subscription === undefined) return '/';
  const at = `/subscriptions/${subscription}${group === undefined ? '' : `/resourceGroups/${group}`}`;
  return hsm === undefined || group === undefined ? at : `${at}/providers/Microsoft.KeyVault/managedHSMs/${hsm}`;
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
