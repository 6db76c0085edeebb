// The one decision about access: may one of these principals do this at this scope? Pure; the rows come from wherever the rows are kept.

import type { DataAction } from './actions.ts';

/** A role assignment with what its role allows. */
export interface Grant {
  readonly principalId: string;
  /** Lower case: `/`, `/keys` or `/keys/{name}`. */
  readonly scope: string;
  readonly dataActions: ReadonlySet<DataAction>;
  readonly notDataActions: ReadonlySet<DataAction>;
}

/**
 * Whether any grant to any of these principals allows the action at the scope. Grants add up; `notDataActions` take away from their own role alone,
 * as in Azure RBAC. `/` and `/keys` are the whole HSM; `/keys/{name}` is one key in all its versions.
 */
export function isAllowed(grants: readonly Grant[], principals: readonly string[], action: DataAction, scope: string): boolean {
  const wanted = scope.toLowerCase();
  return grants.some(
    (grant) =>
      principals.includes(grant.principalId) &&
      covers(grant.scope, wanted) &&
      grant.dataActions.has(action) &&
      !grant.notDataActions.has(action),
  );
}

/** The scopes that are the whole HSM. */
export const WHOLE_HSM: readonly string[] = ['/', '/keys'];

export function isWholeHsm(scope: string): boolean {
  return scope === '/' || scope === '/keys';
}

/** Whether a role at `granted` reaches `wanted`; both in lower case. */
export function covers(granted: string, wanted: string): boolean {
  return isWholeHsm(granted) || granted === wanted;
}
