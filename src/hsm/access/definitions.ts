// Role definitions: the built-in ones, and those that an HSM's administrators make of data actions.

import * as v from 'valibot';
import { badParameter, conflict, forbidden, roleDefinitionNotFound } from '../../core/errors-keyvault.ts';
import { created } from '../../core/reply.ts';
import { operation } from '../../core/route.ts';
import type { ActiveReads, ActiveWrites } from '../world.ts';
import { type DataAction, dataActionNamed } from './actions.ts';
import type { RoleDefinition } from './built-in-roles.ts';
import { accessTag, allRoles } from './grants.ts';
import { isGuid, ListQuery, NamedPath, readFilter, ScopePath, wireDefinition } from './shapes.ts';

/** Limit of the service (Managed HSM role management, "limits"). */
const CUSTOM_ROLES = 50;

const actionNames = v.nullish(v.array(v.string()), []);

const DefinitionBody = v.object({
  properties: v.object({
    roleName: v.pipe(
      v.string(),
      v.trim(),
      v.minLength(1, 'roleName must not be empty.'),
      v.maxLength(128, 'roleName is longer than 128 characters.'),
    ),
    description: v.nullish(v.pipe(v.string(), v.maxLength(1024, 'description is longer than 1024 characters.')), ''),
    assignableScopes: v.nullish(v.array(v.picklist(['/', '/keys'], "assignableScopes may be '/' or '/keys'.")), ['/']),
    // With several, what one takes away another could give; every role seen on the live service has one.
    permissions: v.pipe(
      v.array(v.object({ actions: actionNames, notActions: actionNames, dataActions: actionNames, notDataActions: actionNames })),
      v.length(1, 'permissions must have exactly one entry.'),
    ),
  }),
});

export const listDefinitions = operation(
  { path: ScopePath, query: ListQuery, body: v.unknown() },
  async ({ read, hsm }: ActiveReads, { query }) => {
    const { roleName } = readFilter(query.$filter);
    const roles = await allRoles(read, hsm.id);
    return { value: roles.filter((role) => roleName === undefined || role.roleName.toLowerCase() === roleName).map(wireDefinition) };
  },
);

export const getDefinition = operation(
  { path: NamedPath, query: v.unknown(), body: v.unknown() },
  async ({ read, hsm }: ActiveReads, { path }) => wireDefinition(definitionNamed(await allRoles(read, hsm.id), path.id)),
);

/** Creates or replaces a custom role; 201 for both, as the service does. */
export const putDefinition = operation(
  { path: NamedPath, query: v.unknown(), body: DefinitionBody },
  async ({ hsm, write, clock }: ActiveWrites, { path, body: { properties } }) => {
    const name = path.id.toLowerCase();
    if (!isGuid(name)) throw badParameter(`The name of a role definition is a GUID, and '${path.id}' is none.`);
    const { roleName, description, assignableScopes, permissions } = properties;
    if (permissions.some(({ actions, notActions }) => actions.length + notActions.length > 0)) {
      throw badParameter('actions and notActions belong to the resource manager; a role of an HSM has dataActions and notDataActions.');
    }
    const role: RoleDefinition = {
      name,
      roleName,
      description,
      type: 'CustomRole',
      assignableScopes,
      dataActions: actionsIn(permissions.flatMap(({ dataActions }) => dataActions)),
      notDataActions: actionsIn(permissions.flatMap(({ notDataActions }) => notDataActions)),
    };
    await write(async (writer) => {
      const roles = await allRoles(writer, hsm.id);
      refuseBuiltIn(roles.find((other) => other.name === name));
      if (roles.some((other) => other.name !== name && other.roleName.toLowerCase() === roleName.toLowerCase())) {
        throw conflict(`There is another role with the name '${roleName}'.`);
      }
      const custom = roles.filter(({ type }) => type === 'CustomRole');
      if (custom.length >= CUSTOM_ROLES && !custom.some((other) => other.name === name)) {
        throw badParameter(`There are ${CUSTOM_ROLES} custom roles, which is the limit. Delete one first.`);
      }
      const values = {
        role_name: roleName,
        description,
        scopes_json: JSON.stringify(assignableScopes),
        actions_json: JSON.stringify(role.dataActions),
        not_actions_json: JSON.stringify(role.notDataActions),
      };
      await writer
        .insertInto('role_definitions')
        .values({ hsm_id: hsm.id, name, created_at: clock.now(), ...values })
        .onConflict((row) => row.columns(['hsm_id', 'name']).doUpdateSet(values))
        .execute();
      writer.touch(accessTag(hsm.id));
    });
    return created(wireDefinition(role));
  },
);

export const deleteDefinition = operation(
  { path: NamedPath, query: v.unknown(), body: v.unknown() },
  ({ hsm, write }: ActiveWrites, { path }) =>
    write(async (writer) => {
      const role = definitionNamed(await allRoles(writer, hsm.id), path.id);
      refuseBuiltIn(role);
      const used = await writer
        .selectFrom('role_assignments')
        .select('name')
        .where('hsm_id', '=', hsm.id)
        .where('role_definition_id', '=', role.name)
        .executeTakeFirst();
      if (used !== undefined) throw conflict('The role is assigned to somebody. Remove its role assignments first.');
      await writer.deleteFrom('role_definitions').where('hsm_id', '=', hsm.id).where('name', '=', role.name).execute();
      writer.touch(accessTag(hsm.id));
      return wireDefinition(role);
    }),
);

function definitionNamed(roles: readonly RoleDefinition[], name: string): RoleDefinition {
  const found = roles.find((role) => role.name === name.toLowerCase());
  if (found === undefined) throw roleDefinitionNotFound();
  return found;
}

function refuseBuiltIn(role: RoleDefinition | undefined): void {
  if (role?.type === 'AKVBuiltInRole') throw forbidden(`'${role.roleName}' is a built-in role and cannot be changed or deleted.`);
}

function actionsIn(names: readonly string[]): readonly DataAction[] {
  const actions = names.map((name) => {
    const action = dataActionNamed(name);
    if (action === undefined) throw badParameter(`'${name.slice(0, 120)}' is not a data action of a managed HSM.`);
    return action;
  });
  return [...new Set(actions)];
}
