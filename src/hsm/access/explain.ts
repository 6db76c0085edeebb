// GET /strongroom/access: what a principal may do here and why, and what would have to be granted. An address of ours: Azure has none that begins so.
// It decides nothing; it asks the one decision, and shows what that saw.

import * as v from 'valibot';
import { principalsOf } from '../../core/caller.ts';
import { accessDenied, badParameter } from '../../core/errors-keyvault.ts';
import { operation } from '../../core/route.ts';
import type { ActiveReads } from '../world.ts';
import { ACTION_PREFIX, DATA_ACTIONS, type DataAction, dataActionNamed } from './actions.ts';
import { AUDITOR, actionsOf, BUILT_IN_ROLES, type RoleDefinition } from './built-in-roles.ts';
import { accessOf, covers } from './decide.ts';
import { type HeldGrant, loadGrants } from './grants.ts';
import { isGuid } from './shapes.ts';

const AccessQuery = v.object({
  /** Whose access; the caller's own when it is left out. */
  principalId: v.optional(v.string()),
  /** `keys/sign/action`, with or without what all of them begin with. */
  action: v.optional(v.string()),
  /** `/`, `/keys` or `/keys/{name}`. */
  scope: v.optional(v.string(), '/'),
});

export const explainAccess = operation(
  { path: v.unknown(), query: AccessQuery, body: v.unknown() },
  async ({ read, hsm, caller, groupsOf }: ActiveReads, { query }) => {
    const scope = checkedScope(query.scope);
    const action = query.action === undefined ? undefined : checkedAction(query.action);
    const own = await loadGrants(read, hsm.id, principalsOf(caller));
    const principalId = query.principalId?.toLowerCase() ?? caller.objectId;
    const isOwn = principalId === caller.objectId;
    if (!isGuid(principalId)) throw badParameter('principalId is the object id of a user, group or service principal: a GUID.');
    if (!isOwn && !mayAskAboutOthers(own, scope)) throw accessDenied('roleAssignments/read/action', scope);
    const principals = isOwn ? principalsOf(caller) : [principalId, ...(await groupsOf(principalId))];
    const grants = isOwn ? own : await loadGrants(read, hsm.id, principals);
    const access = accessOf(grants);
    const allows = (wanted: DataAction): boolean => access.allows(wanted, scope);
    return {
      holds: grants.map((grant) => wireGrant(grant, action, scope)),
      may: DATA_ACTIONS.filter(allows).map((allowed) => ACTION_PREFIX + allowed),
      principalId,
      scope,
      ...(action === undefined
        ? {}
        : { action: ACTION_PREFIX + action, allowed: allows(action), ...needed(hsm.name, action, principalId, scope) }),
    };
  },
);

/** Whoever may change role assignments there, and auditors; others could find out who is in which group. */
function mayAskAboutOthers(grants: readonly HeldGrant[], scope: string): boolean {
  const isAuditor = grants.some(({ role, scope: granted }) => role.name === AUDITOR && covers(granted, scope.toLowerCase()));
  return isAuditor || accessOf(grants).allows('roleAssignments/write/action', scope);
}

function wireGrant({ assignment, principalId, role, scope }: HeldGrant, action: DataAction | undefined, wanted: string) {
  return {
    principalId,
    reaches: covers(scope, wanted.toLowerCase()),
    roleAssignment: assignment,
    roleDefinitionId: role.name,
    roleName: role.roleName,
    scope,
    ...(action === undefined ? {} : { gives: actionsOf(role).includes(action), takesAway: role.notDataActions.includes(action) }),
  };
}

/** The built-in roles that give the action, the one that can change least first, and the command that assigns that one. */
function needed(hsmName: string, action: DataAction, principalId: string, scope: string) {
  const roles = BUILT_IN_ROLES.filter((role) => actionsOf(role).includes(action)).toSorted((one, other) => weight(one) - weight(other));
  const [least] = roles;
  const grant =
    least === undefined
      ? {}
      : {
          grant: `New-AzKeyVaultRoleAssignment -HsmName "${hsmName}" -RoleDefinitionName "${least.roleName}" -ObjectId "${principalId}" -Scope "${scope}"`,
        };
  return { ...grant, roles: roles.map(({ roleName }) => roleName) };
}

function weight({ dataActions }: RoleDefinition): number {
  return dataActions.filter((action) => !/\/read(?:\/action)?$/.test(action)).length;
}

function checkedScope(scope: string): string {
  if (/^\/(?:keys(?:\/[0-9a-z-]{1,127})?)?$/i.test(scope)) return scope;
  throw badParameter(`scope is '/', '/keys' or '/keys/{name}', and '${scope.slice(0, 140)}' is none of them.`);
}

function checkedAction(text: string): DataAction {
  const action = dataActionNamed(text) ?? dataActionNamed(ACTION_PREFIX + text);
  if (action === undefined) throw badParameter(`'${text.slice(0, 120)}' is not a data action of a managed HSM.`);
  return action;
}
