// Microsoft.Authorization/roleAssignments: who has which role where. Whoever may write them at a scope may give any role there and below, and nowhere
// else; the subscription never loses its last owner.

import * as v from 'valibot';
import {
  armBadRequest,
  armNotSupported,
  armRoleAssignmentExists,
  armRoleAssignmentNotFound,
  invalidPrincipalId,
  invalidRoleAssignmentId,
  lastOwner,
  roleAssignmentLimitExceeded,
  roleAssignmentUpdateNotPermitted,
  roleDefinitionDoesNotExist,
} from '../../core/errors-arm.ts';
import { created, nothing, type Reply, reply } from '../../core/reply.ts';
import { operation } from '../../core/route.ts';
import type { Tables } from '../../store/schema.ts';
import type { Reader, Writer } from '../../store/store.ts';
import { ARM_ACCESS, ARM_ROLES, type ArmRole, isWithin } from '../access.ts';
import type { ArmReads, ArmWrites } from '../world.ts';
import { definitionId } from './role-definitions.ts';

/** Limit of the service for one subscription (Azure RBAC limits). */
const ASSIGNMENTS = 4000;

const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

type AssignmentRow = Tables['arm_role_assignments'];

const ListQuery = v.object({ $filter: v.optional(v.string(), '') });

/** Those at the scope, above it and below it. */
export const listRoleAssignments = operation(
  { path: v.unknown(), query: ListQuery, body: v.unknown() },
  async ({ read, place, groupsOf }: ArmReads, { query }) => {
    const scope = place.scope.toLowerCase();
    const filter = readFilter(query.$filter);
    const whose = filter.assignedTo === undefined ? undefined : [filter.assignedTo, ...(await groupsOf(filter.assignedTo))];
    const rows = await assignmentsIn(read, place.subscriptionId);
    const shown = rows.filter(
      (row) =>
        (isWithin(scope, row.scope) || (!filter.atScope && isWithin(row.scope, scope))) &&
        (filter.principalId === undefined || row.principal_id === filter.principalId) &&
        (whose === undefined || whose.includes(row.principal_id)),
    );
    return { value: await wireAssignments(read, place.subscriptionId, shown) };
  },
);

const NamedPath = v.object({ id: v.string() });

export const getRoleAssignment = operation(
  { path: NamedPath, query: v.unknown(), body: v.unknown() },
  async ({ read, place }: ArmReads, { path }) => {
    const row = await assignmentAt(read, place.scope, path.id);
    if (row === undefined) throw armRoleAssignmentNotFound(path.id);
    return wireAssignment(read, place.subscriptionId, row);
  },
);

const Text = v.nullish(v.string());

/** Source: Microsoft.Authorization, roleAssignments 2022-04-01. */
const PRINCIPAL_TYPES: readonly string[] = ['User', 'Group', 'ServicePrincipal', 'ForeignGroup', 'Device'];

/** In the service's spelling. */
function principalTypeOf(text: string | null | undefined): string | undefined {
  return PRINCIPAL_TYPES.find((type) => type.toLowerCase() === text?.toLowerCase());
}

function isPrincipalType(text: string): boolean {
  return principalTypeOf(text) !== undefined;
}

const AssignmentBody = v.object({
  properties: v.object({
    roleDefinitionId: v.string(),
    principalId: v.string(),
    principalType: v.nullish(v.pipe(v.string(), v.check(isPrincipalType, `principalType is one of ${PRINCIPAL_TYPES.join(', ')}`))),
    description: v.nullish(v.pipe(v.string(), v.maxLength(1024, 'description is longer than 1024 characters'))),
    condition: Text,
    delegatedManagedIdentityResourceId: Text,
  }),
});

export const putRoleAssignment = operation(
  { path: NamedPath, query: v.unknown(), body: AssignmentBody },
  ({ place, caller, clock, write }: ArmWrites, { path, body: { properties } }) => {
    const id = path.id.toLowerCase();
    if (!GUID.test(id)) throw invalidRoleAssignmentId(path.id);
    const principalId = properties.principalId.toLowerCase();
    if (!GUID.test(principalId)) throw invalidPrincipalId();
    // A condition that is not looked at would give more than whoever wrote it meant to give.
    if ((properties.condition ?? '') !== '') throw armNotSupported('Conditions on role assignments are not in this version.');
    if ((properties.delegatedManagedIdentityResourceId ?? '') !== '')
      throw armNotSupported('Delegated identities are not in this version.');
    const row: AssignmentRow = {
      id,
      scope: place.scope.toLowerCase(),
      shown_scope: place.scope,
      principal_id: principalId,
      role: roleWithId(properties.roleDefinitionId).name,
      principal_type: principalTypeOf(properties.principalType) ?? null,
      description: properties.description ?? null,
      created_by: caller.objectId,
      created_at: clock.now(),
      updated_by: null,
      updated_at: null,
    };
    return write((writer) => put(writer, place.subscriptionId, row));
  },
);

/** The same assignment under the same name may be asked for again, as templates do; its description is what may change. */
async function put(writer: Writer, subscriptionId: string, row: AssignmentRow): Promise<Reply> {
  const rows = await assignmentsIn(writer, subscriptionId);
  const known = rows.find(({ id }) => id === row.id);
  const twin = rows.find(({ scope, principal_id, role }) => scope === row.scope && principal_id === row.principal_id && role === row.role);
  if (known !== undefined && known !== twin) throw roleAssignmentUpdateNotPermitted();
  if (known !== undefined) {
    const said = { description: row.description, principal_type: row.principal_type ?? known.principal_type };
    if (said.description === known.description && said.principal_type === known.principal_type)
      return reply(200, await wireAssignment(writer, subscriptionId, known));
    const changes = { ...said, updated_by: row.created_by, updated_at: row.created_at };
    await writer.updateTable('arm_role_assignments').set(changes).where('id', '=', known.id).execute();
    return reply(200, await wireAssignment(writer, subscriptionId, { ...known, ...changes }));
  }
  if (twin !== undefined) throw armRoleAssignmentExists(twin.id);
  if (rows.length >= ASSIGNMENTS) throw roleAssignmentLimitExceeded();
  await writer.insertInto('arm_role_assignments').values(row).execute();
  writer.touch(ARM_ACCESS);
  return created(await wireAssignment(writer, subscriptionId, row));
}

/** Deleting what is not there is done (REST reference: 204). */
export const deleteRoleAssignment = operation(
  { path: NamedPath, query: v.unknown(), body: v.unknown() },
  ({ place, write }: ArmWrites, { path }) =>
    write(async (writer) => {
      const row = await assignmentAt(writer, place.scope, path.id);
      if (row === undefined) return nothing();
      await refuseToOrphan(writer, place.subscriptionId, row);
      await writer.deleteFrom('arm_role_assignments').where('id', '=', row.id).execute();
      writer.touch(ARM_ACCESS);
      return wireAssignment(writer, place.subscriptionId, row);
    }),
);

/** Roles at something that is deleted go with it: whatever gets its name later must not inherit them. */
export async function forgetRolesWithin(writer: Writer, subscriptionId: string, place: string): Promise<void> {
  const gone = (await assignmentsIn(writer, subscriptionId)).filter(({ scope }) => isWithin(scope, place.toLowerCase()));
  if (gone.length === 0) return;
  for (const { id } of gone) await writer.deleteFrom('arm_role_assignments').where('id', '=', id).execute();
  writer.touch(ARM_ACCESS);
}

/** Without an owner nobody could ever assign a role in the subscription again. */
async function refuseToOrphan(writer: Writer, subscriptionId: string, row: AssignmentRow): Promise<void> {
  const whole = `/subscriptions/${subscriptionId}`;
  if (row.role !== 'Owner' || row.scope !== whole) return;
  const owners = (await assignmentsIn(writer, subscriptionId)).filter(({ role, scope }) => role === 'Owner' && scope === whole);
  if (owners.length < 2) throw lastOwner();
}

async function assignmentsIn(read: Reader, subscriptionId: string): Promise<readonly AssignmentRow[]> {
  const rows = await read.selectFrom('arm_role_assignments').selectAll().orderBy('created_at').orderBy('id').execute();
  return rows.filter(({ scope }) => isWithin(scope, `/subscriptions/${subscriptionId}`));
}

/** An assignment is found at its own scope and nowhere else. */
function assignmentAt(read: Reader, scope: string, id: string): Promise<AssignmentRow | undefined> {
  return read
    .selectFrom('arm_role_assignments')
    .selectAll()
    .where('id', '=', id.toLowerCase())
    .where('scope', '=', scope.toLowerCase())
    .executeTakeFirst();
}

/** By the GUID at the end of whichever spelling of its id the client uses. */
function roleWithId(text: string): ArmRole {
  const id = text.slice(text.lastIndexOf('/') + 1).toLowerCase();
  const role = ARM_ROLES.find((known) => known.id === id);
  if (role === undefined) throw roleDefinitionDoesNotExist(id, 400);
  return role;
}

const CLAUSE = /^(?:(atScope\(\))|principalId\s+eq\s+'([^']*)'|assignedTo\('([^']*)'\))(?:\s+and\s+(?=\S)|$)/i;

interface Filter {
  readonly atScope: boolean;
  readonly principalId?: string;
  readonly assignedTo?: string;
}

function readFilter(filter: string): Filter {
  const found: { atScope: boolean; principalId?: string; assignedTo?: string } = { atScope: false };
  for (let rest = filter.trim(); rest !== ''; ) {
    const [whole, atScope, principalId, assignedTo] = CLAUSE.exec(rest) ?? [];
    if (whole === undefined) throw armBadRequest("$filter may be: atScope(), principalId eq 'id', assignedTo('id'), joined by 'and'.");
    if (atScope !== undefined) found.atScope = true;
    if (principalId !== undefined) found.principalId = principalId.toLowerCase();
    if (assignedTo !== undefined) found.assignedTo = assignedTo.toLowerCase();
    rest = rest.slice(whole.length);
  }
  return found;
}

async function wireAssignment(read: Reader, subscriptionId: string, row: AssignmentRow) {
  return wireWith(subscriptionId, row, await kindsOf(read, [row]));
}

async function wireAssignments(read: Reader, subscriptionId: string, rows: readonly AssignmentRow[]) {
  const kinds = await kindsOf(read, rows);
  return rows.map((row) => wireWith(subscriptionId, row, kinds));
}

const KINDS = { user: 'User', servicePrincipal: 'ServicePrincipal', group: 'Group' } as const;

/** What the directory says of the principals of which the assignment itself says nothing. */
async function kindsOf(read: Reader, rows: readonly AssignmentRow[]): Promise<ReadonlyMap<string, string>> {
  const unsaid = rows.filter(({ principal_type }) => principalTypeOf(principal_type) === undefined);
  if (unsaid.length === 0) return new Map();
  const ids = [...new Set(unsaid.map(({ principal_id }) => principal_id))];
  const known = await read.selectFrom('principals').select(['id', 'kind']).where('id', 'in', ids).execute();
  return new Map(known.map(({ id, kind }) => [id, KINDS[kind]]));
}

/** Clients of the service count on the kind of the principal and on who made the assignment: nobody, of those of the first start. */
function wireWith(subscriptionId: string, row: AssignmentRow, kinds: ReadonlyMap<string, string>) {
  const role = ARM_ROLES.find(({ name }) => name === row.role);
  const createdBy = row.created_by ?? '';
  const scope = row.shown_scope ?? row.scope;
  return {
    id: `${scope}/providers/Microsoft.Authorization/roleAssignments/${row.id}`,
    name: row.id,
    type: 'Microsoft.Authorization/roleAssignments',
    properties: {
      roleDefinitionId: role === undefined ? '' : definitionId(subscriptionId, role),
      principalId: row.principal_id,
      principalType: principalTypeOf(row.principal_type) ?? kinds.get(row.principal_id) ?? 'User',
      scope,
      ...(row.description === null ? {} : { description: row.description }),
      createdOn: new Date(row.created_at).toISOString(),
      updatedOn: new Date(row.updated_at ?? row.created_at).toISOString(),
      createdBy,
      updatedBy: row.updated_by ?? createdBy,
    },
  };
}
