// The wire's shapes of role definitions and role assignments, and what their paths and filters may say.

import * as v from 'valibot';
import { badParameter } from '../../core/errors-keyvault.ts';
import { KeyPath } from '../keys/names.ts';
import { ACTION_PREFIX } from './actions.ts';
import type { RoleDefinition } from './built-in-roles.ts';

const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function isGuid(text: string): boolean {
  return GUID.test(text);
}

/** `:key` is there for the scope of one key. */
export const ScopePath = v.object({ key: v.optional(KeyPath.entries.name) });
export const NamedPath = v.object({ ...ScopePath.entries, id: v.string() });
export const ListQuery = v.object({ $filter: v.optional(v.string()) });

export interface Assignment {
  /** The assignment's GUID in lower case. */
  readonly name: string;
  /** `/`, `/keys` or `/keys/{name}`, as it was written. */
  readonly scope: string;
  /** GUID in lower case. */
  readonly roleDefinitionId: string;
  readonly principalId: string;
}

/** Sources: recordings of the live service; its ids lack the scope, and that of a definition lacks the first slash. */
export function wireAssignment({ name, scope, roleDefinitionId, principalId }: Assignment) {
  return {
    id: `/providers/Microsoft.Authorization/roleAssignments/${name}`,
    name,
    properties: { principalId, roleDefinitionId: definitionId(roleDefinitionId), scope },
    type: 'Microsoft.Authorization/roleAssignments',
  };
}

export function wireDefinition({ name, roleName, description, type, assignableScopes, dataActions, notDataActions }: RoleDefinition) {
  const prefixed = (actions: readonly string[]): string[] => actions.map((action) => ACTION_PREFIX + action);
  return {
    id: definitionId(name),
    name,
    properties: {
      assignableScopes,
      description,
      permissions: [{ actions: [], dataActions: prefixed(dataActions), notActions: [], notDataActions: prefixed(notDataActions) }],
      roleName,
      type,
    },
    type: 'Microsoft.Authorization/roleDefinitions',
  };
}

function definitionId(name: string): string {
  return `Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/${name}`;
}

/** One clause of a filter and what joins it to the next. A quote inside a quoted value is written twice (OData). */
const CLAUSE =
  /^(?:(atScope\(\))|(atScopeAndBelow(?:\(\))?)|(principalId|roleName)\s+eq\s+(?:'((?:[^']|'')*)'|(\{?[0-9a-f-]+\}?)))(?:\s+and\s+(?=\S)|$)/i;

export interface Filter {
  readonly principalId?: string;
  readonly roleName?: string;
  /** What reaches the scope from above too. */
  readonly above: boolean;
  readonly below: boolean;
}

/** The clauses of `$filter` that clients send, joined by `and`; values in lower case. Throws BadParameter for any other. A principal alone is sought everywhere. */
export function readFilter(filter = ''): Filter {
  const found: { principalId?: string; roleName?: string } = {};
  let [atScope, atScopeAndBelow] = [false, false];
  for (let rest = filter.trim(); rest !== ''; ) {
    const clause = CLAUSE.exec(rest);
    if (clause === null)
      throw badParameter(
        "$filter is not supported: use atScope(), atScopeAndBelow(), principalId eq '{guid}' or roleName eq '{name}', joined by 'and'.",
      );
    const [whole, at, andBelow, property = '', quoted, bare] = clause;
    const value = (quoted?.replaceAll("''", "'") ?? bare ?? '').toLowerCase();
    if (at !== undefined) atScope = true;
    else if (andBelow !== undefined) atScopeAndBelow = true;
    else if (property.toLowerCase() === 'principalid') found.principalId = value.replace(/^\{|\}$/g, '');
    else found.roleName = value;
    rest = rest.slice(whole.length);
  }
  const isAnywhere = found.principalId !== undefined && !atScope && !atScopeAndBelow;
  return { ...found, above: atScope || isAnywhere, below: atScopeAndBelow || isAnywhere };
}
