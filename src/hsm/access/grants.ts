// Who holds what in an HSM, read from the store once and kept until a commit touches it. Every thread has its own copy.

import { CoherentCache, type Versions } from '../../core/coherence.ts';
import { prepared } from '../../store/prepared.ts';
import type { Tables } from '../../store/schema.ts';
import type { Reader, Writer } from '../../store/store.ts';
import type { DataAction } from './actions.ts';
import { actionsOf, BUILT_IN_ROLES, type RoleDefinition } from './built-in-roles.ts';
import type { Grant } from './decide.ts';

const HSMS = 1000;

/** What commits that change the access to this HSM touch. */
export function accessTag(hsmId: string): string {
  return `access:${hsmId}`;
}

/** The grants of one HSM, by the principal that holds them. */
export type Grants = ReadonlyMap<string, readonly Grant[]>;

export interface AccessCache {
  /** Every grant to any of these principals. */
  grantsOf(hsmId: string, principals: readonly string[]): Promise<readonly Grant[]>;
}

export function openAccessCache(read: Reader, versions: Versions): AccessCache {
  const cache = new CoherentCache<Grants>(versions, { max: HSMS });
  return {
    grantsOf: async (hsmId, principals) => {
      const grants = await cache.get(hsmId, accessTag(hsmId), async () => byPrincipal(await loadGrants(read, hsmId)));
      return principals.flatMap((principal) => grants.get(principal) ?? []);
    },
  };
}

/** A grant with the names of what it comes from. */
export interface HeldGrant extends Grant {
  /** The assignment's GUID. */
  readonly assignment: string;
  readonly role: RoleDefinition;
}

/** Reads the grants of an HSM, or those of some principals alone. */
export async function loadGrants(read: Reader, hsmId: string, principals?: readonly string[]): Promise<readonly HeldGrant[]> {
  const assignments = assignmentsIn(read, hsmId);
  const wanted = principals === undefined ? assignments : assignments.where('principal_id', 'in', principals);
  return grantsBy(read, hsmId, await wanted.execute());
}

/** Inside a transaction: what these principals hold, its own changes included. */
export async function grantsNow(writer: Writer, hsmId: string, principals: readonly string[]): Promise<readonly HeldGrant[]> {
  return grantsBy(writer, hsmId, await assignmentsTo(writer, { hsmId, principals }));
}

function assignmentsIn(read: Reader, hsmId: string) {
  return read
    .selectFrom('role_assignments')
    .select(['name', 'principal_id', 'scope_key', 'role_definition_id'])
    .where('hsm_id', '=', hsmId);
}

const assignmentsTo = prepared(
  (writer: Writer, { hsmId, principals }: { readonly hsmId: string; readonly principals: readonly string[] }) =>
    assignmentsIn(writer, hsmId).where('principal_id', 'in', principals),
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

type HeldRole = Pick<HeldGrant, 'role' | 'dataActions' | 'notDataActions'>;

/** The sets of a role are made once, however many hold it. */
function held(role: RoleDefinition): readonly [string, HeldRole] {
  return [role.name, { role, dataActions: new Set(actionsOf(role)), notDataActions: new Set(role.notDataActions) }];
}

const BUILT_IN: ReadonlyMap<string, HeldRole> = new Map(BUILT_IN_ROLES.map(held));

function byPrincipal(all: readonly Grant[]): Grants {
  const grants = new Map<string, Grant[]>();
  for (const grant of all) {
    const own = grants.get(grant.principalId);
    if (own === undefined) grants.set(grant.principalId, [grant]);
    else own.push(grant);
  }
  return grants;
}

/** Built-in roles first, as the service lists them, then the HSM's own in the order in which they were made. */
export async function allRoles(read: Pick<Reader, 'selectFrom'>, hsmId: string): Promise<readonly RoleDefinition[]> {
  return [...BUILT_IN_ROLES, ...(await customRoles(read, hsmId))];
}

async function customRoles(read: Pick<Reader, 'selectFrom'>, hsmId: string): Promise<readonly RoleDefinition[]> {
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
