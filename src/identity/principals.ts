// The tenant's principals: users and service principals as rows, how they are found and how they come to be.

import { randomUUID } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import type { Reader, Writer } from '../store/store.ts';

export interface UserPrincipal {
  readonly kind: 'user';
  readonly id: string;
  readonly displayName: string;
  readonly upn: string;
  readonly enabled: boolean;
  readonly session: number;
  /** When `session` last went up; milliseconds. */
  readonly validFrom: number;
}

export interface ServicePrincipal {
  readonly kind: 'servicePrincipal';
  readonly id: string;
  readonly displayName: string;
  readonly appId: string;
  readonly enabled: boolean;
  readonly session: number;
  /** When `session` last went up; milliseconds. */
  readonly validFrom: number;
  /** Managed identities only: the resource that it is the identity of. */
  readonly resourceId: string | null;
}

export type Principal = UserPrincipal | ServicePrincipal;

export async function principalById(read: Reader, id: string): Promise<Principal | undefined> {
  return principalFrom(await read.selectFrom('principals').selectAll().where('id', '=', id).executeTakeFirst());
}

export async function userByName(read: Reader, upn: string): Promise<UserPrincipal | undefined> {
  const row = await read.selectFrom('principals').selectAll().where('upn_key', '=', upn.toLowerCase()).executeTakeFirst();
  const found = principalFrom(row);
  return found?.kind === 'user' ? found : undefined;
}

export async function applicationByClientId(read: Reader, clientId: string): Promise<ServicePrincipal | undefined> {
  const row = await read.selectFrom('principals').selectAll().where('app_id', '=', clientId.toLowerCase()).executeTakeFirst();
  const found = principalFrom(row);
  return found?.kind === 'servicePrincipal' ? found : undefined;
}

/** The objects whose credentials prove a service principal: itself, and the application that it was made from. */
export async function objectsOf(read: Reader, { id, appId }: ServicePrincipal): Promise<readonly string[]> {
  const application = await read.selectFrom('applications').select('id').where('app_id', '=', appId).executeTakeFirst();
  return application === undefined ? [id] : [id, application.id];
}

interface PrincipalRow {
  readonly id: string;
  readonly kind: string;
  readonly display_name: string;
  readonly upn: string | null;
  readonly app_id: string | null;
  readonly enabled: number;
  readonly session: number;
  readonly valid_from: number;
  readonly resource_id: string | null;
}

/** Groups cannot sign in, so they are no principals here. */
function principalFrom(row: PrincipalRow | undefined): Principal | undefined {
  if (row === undefined) return undefined;
  const common = { id: row.id, displayName: row.display_name, enabled: row.enabled === 1, session: row.session, validFrom: row.valid_from };
  if (row.kind === 'user' && row.upn !== null) return { kind: 'user', ...common, upn: row.upn };
  if (row.kind === 'servicePrincipal' && row.app_id !== null)
    return { kind: 'servicePrincipal', ...common, appId: row.app_id, resourceId: row.resource_id };
  return undefined;
}

export async function createUser(writer: Writer, clock: Clock, user: { displayName: string; upn: string }): Promise<string> {
  return insert(writer, clock, 'user', user.displayName, { upn: user.upn, upn_key: user.upn.toLowerCase(), app_id: null });
}

/** Makes an application and its service principal. Returns the latter's object id; the client id is a GUID of its own. */
export async function createServicePrincipal(
  writer: Writer,
  clock: Clock,
  application: { displayName: string; clientId: string },
): Promise<string> {
  const row = { id: randomUUID(), app_id: application.clientId, display_name: application.displayName, details_json: '{}' };
  await writer
    .insertInto('applications')
    .values({ ...row, created_at: clock.now() })
    .execute();
  return insert(writer, clock, 'servicePrincipal', application.displayName, { upn: null, upn_key: null, app_id: application.clientId });
}

const BLANK = { enabled: 1, details_json: '{}', session: 0, valid_from: 0, resource_id: null };

async function insert(
  writer: Writer,
  clock: Clock,
  kind: Principal['kind'],
  displayName: string,
  names: { upn: string | null; upn_key: string | null; app_id: string | null },
): Promise<string> {
  const id = randomUUID();
  await writer
    .insertInto('principals')
    .values({ id, kind, display_name: displayName, ...names, ...BLANK, created_at: clock.now() })
    .execute();
  writer.touch(`principal:${id}`);
  return id;
}
