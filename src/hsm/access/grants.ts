// What a caller may do in an HSM, read from the store and added up once, and kept until a commit touches the access to it. Every thread has its own copy.

import { CoherentCache, type Versions } from '../../core/coherence.ts';
import { prepared } from '../../store/prepared.ts';
import type { Tables } from '../../store/schema.ts';
import type { Reader } from '../../store/store.ts';
import type { DataAction } from './actions.ts';
import { actionsOf, BUILT_IN_ROLES, type RoleDefinition } from './built-in-roles.ts';
import { type Access, accessOf, allowedBy, type Grant } from './decide.ts';

const CALLERS = 1000;

/** What commits that change the access to this HSM touch. */
export function accessTag(hsmId: string): string {
  return `access:${hsmId}`;
}

export interface AccessCache {
  /** What these principals may do, all of them together. */
  accessOf(hsmId: string, principals: readonly string[]): Promise<Access>;
}

/** Kept for each caller: a commit that changes somebody's access has each who calls next read their own again, and not those of all. */
export function openAccessCache(read: Reader, versions: Versions): AccessCache {
  const cache = new CoherentCache<Access>(versions, { max: CALLERS });
  return {
    accessOf: (hsmId, principals) =>
      cache.get(`${hsmId} ${principals.join(' ')}`, accessTag(hsmId), async () => accessOf(await loadGrants(read, hsmId, principals))),
  };
}

/** A grant with the names of what it comes from. */
export interface HeldGrant extends Grant {
  /** The assignment's GUID. */
  readonly assignment: string;
  readonly principalId: string;
  readonly role: RoleDefinition;
}

/** Reads what these principals hold in an HSM: inside a transaction, its own changes included. */
export async function loadGrants(read: Reader, hsmId: string, principals: readonly string[]): Promise<readonly HeldGrant[]> {
  return grantsBy(read, hsmId, await assignmentsTo(read, { hsmId, principals }));
}

const assignmentsTo = prepared((read: Reader, { hsmId, principals }: { readonly hsmId: string; readonly principals: readonly string[] }) =>
  read
    .selectFrom('role_assignments')
    .select(['name', 'principal_id', 'scope_key', 'role_definition_id'])
    .where('hsm_id', '=', hsmId)
    .where('principal_id', 'in', principals),
);

type AssignmentRow = Pick<Tables['role_assignments'], 'name' | 'principal_id' | 'scope_key' | 'role_definition_id'>;

async function grantsBy(read: Reader, hsmId: string, rows: readonly AssignmentRow[]): Promise<readonly HeldGrant[]> {
  const isBuiltIn = rows.every(({ role_definition_id }) => BUILT_IN.has(role_definition_id));
  const roles = isBuiltIn ? BUILT_IN : new Map([...BUILT_IN, ...(await customRoles(read, hsmId)).map(held)]);
  return rows.flatMap(({ name, principal_id, scope_key, role_definition_id }) => {
    const role = roles.get(role_definition_id);
    return role === undefined ? [] : [{ principalId: principal_id, scope: scope_key, ...role, assignment: name }];
  });
}

type HeldRole = Pick<HeldGrant, 'role' | 'actions'>;

/** The set of a role is made once, however many hold it. */
function held(role: RoleDefinition): readonly [string, HeldRole] {
  return [role.name, { role, actions: allowedBy(actionsOf(role), role.notDataActions) }];
}

const BUILT_IN: ReadonlyMap<string, HeldRole> = new Map(BUILT_IN_ROLES.map(held));

/** Built-in roles first, as the service lists them, then the HSM's own in the order in which they were made. */
export async function allRoles(read: Reader, hsmId: string): Promise<readonly RoleDefinition[]> {
  return [...BUILT_IN_ROLES, ...(await customRoles(read, hsmId))];
}

async function customRoles(read: Reader, hsmId: string): Promise<readonly RoleDefinition[]> {
  const rows = await read
    .selectFrom('role_definitions')
    .selectAll()
    .where('hsm_id', '=', hsmId)
    .orderBy('created_at')
    .orderBy('name')
    .execute();
  return rows.map(customRole);
}

function customRole(row: {
  name: string;
  role_name: string;
  description: string;
  scopes_json: string;
  actions_json: string;
  not_actions_json: string;
}): RoleDefinition {
  const actions = (json: string): readonly DataAction[] => JSON.parse(json);
  return {
    name: row.name,
    roleName: row.role_name,
    description: row.description,
    type: 'CustomRole',
    assignableScopes: JSON.parse(row.scopes_json),
    dataActions: actions(row.actions_json),
    notDataActions: actions(row.not_actions_json),
  };
}
