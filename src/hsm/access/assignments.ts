// Role assignments: who has which role where. The rules that keep an HSM governable stand here: limits, no duplicates, never without an administrator.

import type { Selectable } from 'kysely';
import * as v from 'valibot';
import {
  badParameter,
  conflict,
  roleAssignmentExists,
  roleAssignmentNotFound,
  roleDefinitionNotFound,
} from '../../core/errors-keyvault.ts';
import { created } from '../../core/reply.ts';
import { operation } from '../../core/route.ts';
import type { Tables } from '../../store/schema.ts';
import type { Reader, Writer } from '../../store/store.ts';
import type { ActiveReads, ActiveWrites } from '../world.ts';
import { ADMINISTRATOR } from './built-in-roles.ts';
import { isWholeHsm, WHOLE_HSM } from './decide.ts';
import { accessTag, allRoles } from './grants.ts';
import { type Assignment, isGuid, ListQuery, NamedPath, readFilter, ScopePath, wireAssignment } from './shapes.ts';

/** Limits of the service (Managed HSM role management, "limits"). */
const AT_HSM = 50;
const AT_KEY = 10;

const AssignmentBody = v.object(
  { properties: v.object({ roleDefinitionId: v.string(), principalId: v.string() }) },
  'The request needs properties with roleDefinitionId and principalId.',
);

/** At `/` and `/keys` those of the whole HSM, at a key those of the key; a filter adds what reaches a key from above, or what is below. */
export const listAssignments = (base: string) =>
  operation({ path: ScopePath, query: ListQuery, body: v.unknown() }, async ({ read, hsm }: ActiveReads, { path, query }) => {
    const scope = scopeOf(base, path.key).toLowerCase();
    const filter = readFilter(query.$filter);
    const roles = new Map((await allRoles(read, hsm.id)).map((role) => [role.name, role.roleName.toLowerCase()]));
    const shown = (await assignmentsOf(read, hsm.id)).filter((assignment) => {
      const at = assignment.scope.toLowerCase();
      const reaches = isWholeHsm(scope) ? isWholeHsm(at) || filter.below : at === scope || (filter.above && isWholeHsm(at));
      if (!reaches) return false;
      if (filter.principalId !== undefined && assignment.principalId !== filter.principalId) return false;
      return filter.roleName === undefined || roles.get(assignment.roleDefinitionId) === filter.roleName;
    });
    return { value: shown.map(wireAssignment) };
  });

export const getAssignment = (base: string) =>
  operation({ path: NamedPath, query: v.unknown(), body: v.unknown() }, async ({ read, hsm }: ActiveReads, { path }) =>
    wireAssignment(await assignmentNamed(read, hsm.id, scopeOf(base, path.key), path.id)),
  );

export const putAssignment = (base: string) =>
  operation({ path: NamedPath, query: v.unknown(), body: AssignmentBody }, async ({ hsm, write, clock }: ActiveWrites, { path, body }) => {
    const scope = scopeOf(base, path.key);
    const name = path.id.toLowerCase();
    if (!isGuid(name)) throw badParameter(`The name of a role assignment is a GUID, and '${path.id}' is none.`);
    const principalId = body.properties.principalId.toLowerCase();
    if (!isGuid(principalId)) throw badParameter('principalId is the object id of a user, group or service principal: a GUID.');
    const roleDefinitionId = definitionIn(body.properties.roleDefinitionId);
    const assignment = { name, scope, roleDefinitionId, principalId };
    await write(async (writer) => {
      const roles = await allRoles(writer, hsm.id);
      if (!roles.some((role) => role.name === roleDefinitionId)) throw roleDefinitionNotFound();
      await refuseDuplicate(writer, hsm.id, assignment);
      await refuseTooMany(writer, hsm.id, scope);
      await addAssignment(writer, hsm.id, assignment, clock.now());
    });
    return created(wireAssignment(assignment));
  });

export const deleteAssignment = (base: string) =>
  operation({ path: NamedPath, query: v.unknown(), body: v.unknown() }, ({ hsm, write }: ActiveWrites, { path }) =>
    write(async (writer) => {
      const assignment = await assignmentNamed(writer, hsm.id, scopeOf(base, path.key), path.id);
      await refuseToOrphan(writer, hsm.id, assignment);
      await writer.deleteFrom('role_assignments').where('hsm_id', '=', hsm.id).where('name', '=', assignment.name).execute();
      writer.touch(accessTag(hsm.id));
      return wireAssignment(assignment);
    }),
  );

/** Adds one that has been checked. */
export async function addAssignment(
  writer: Writer,
  hsmId: string,
  { name, scope, roleDefinitionId, principalId }: Assignment,
  now: number,
): Promise<void> {
  await writer
    .insertInto('role_assignments')
    .values({
      hsm_id: hsmId,
      name,
      scope,
      scope_key: scope.toLowerCase(),
      role_definition_id: roleDefinitionId,
      principal_id: principalId,
      created_at: now,
    })
    .execute();
  writer.touch(accessTag(hsmId));
}

/** `base` is the fixed part of the row's path: '', '/keys' or '/keys/:key'. */
function scopeOf(base: string, key: string | undefined): string {
  return key === undefined ? base || '/' : `/keys/${key}`;
}

/** The role's GUID at the end of whichever spelling of its id the client uses. */
function definitionIn(id: string): string {
  const guid = id.slice(id.lastIndexOf('/') + 1).toLowerCase();
  if (!isGuid(guid)) throw roleDefinitionNotFound();
  return guid;
}

async function assignmentsOf(read: Reader, hsmId: string): Promise<readonly Assignment[]> {
  const rows = await read
    .selectFrom('role_assignments')
    .selectAll()
    .where('hsm_id', '=', hsmId)
    .orderBy('created_at')
    .orderBy('name')
    .execute();
  return rows.map(assignmentIn);
}

function assignmentIn(row: Selectable<Tables['role_assignments']>): Assignment {
  return { name: row.name, scope: row.scope, roleDefinitionId: row.role_definition_id, principalId: row.principal_id };
}

/** One of the whole HSM is found at `/` and at `/keys`; one of a key only there. */
async function assignmentNamed(read: Reader, hsmId: string, scope: string, name: string): Promise<Assignment> {
  const wanted = scope.toLowerCase();
  const row = await read
    .selectFrom('role_assignments')
    .selectAll()
    .where('hsm_id', '=', hsmId)
    .where('name', '=', name.toLowerCase())
    .executeTakeFirst();
  const at = row?.scope_key;
  if (row === undefined || at === undefined || (at !== wanted && !(isWholeHsm(at) && isWholeHsm(wanted)))) throw roleAssignmentNotFound();
  return assignmentIn(row);
}

async function refuseDuplicate(writer: Writer, hsmId: string, wanted: Assignment): Promise<void> {
  const twin = await writer
    .selectFrom('role_assignments')
    .select('name')
    .where('hsm_id', '=', hsmId)
    .where((is) =>
      is.or([
        is('name', '=', wanted.name),
        is.and([
          is('scope_key', '=', wanted.scope.toLowerCase()),
          is('role_definition_id', '=', wanted.roleDefinitionId),
          is('principal_id', '=', wanted.principalId),
        ]),
      ]),
    )
    .executeTakeFirst();
  if (twin !== undefined) throw roleAssignmentExists();
}

async function refuseTooMany(writer: Writer, hsmId: string, scope: string): Promise<void> {
  const wanted = scope.toLowerCase();
  const [limit, scopes] = isWholeHsm(wanted) ? [AT_HSM, WHOLE_HSM] : [AT_KEY, [wanted]];
  const { there } = await writer
    .selectFrom('role_assignments')
    .select((of) => of.fn.countAll<number>().as('there'))
    .where('hsm_id', '=', hsmId)
    .where('scope_key', 'in', scopes)
    .executeTakeFirstOrThrow();
  if (Number(there) >= limit)
    throw badParameter(`There are ${limit} role assignments at this scope, which is the limit. Remove one, or assign the role to a group.`);
}

/** Without an administrator nobody could ever assign a role again. */
async function refuseToOrphan(writer: Writer, hsmId: string, { name, roleDefinitionId }: Assignment): Promise<void> {
  if (roleDefinitionId !== ADMINISTRATOR) return;
  const other = await writer
    .selectFrom('role_assignments')
    .select('name')
    .where('hsm_id', '=', hsmId)
    .where('name', '!=', name)
    .where('role_definition_id', '=', ADMINISTRATOR)
    .where('scope_key', 'in', WHOLE_HSM)
    .executeTakeFirst();
  if (other === undefined)
    throw conflict('This is the last Managed HSM Administrator of the HSM. Make another principal an administrator first.');
}
