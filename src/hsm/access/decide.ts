// The one decision about access: may somebody who holds these roles do this at this scope? Pure; the rows come from wherever the rows are kept.

import type { DataAction } from './actions.ts';

/** What one role assignment gives. */
export interface Grant {
  /** Lower case: `/`, `/keys` or `/keys/{name}`. */
  readonly scope: string;
  /** What its role allows: see `allowedBy`. */
  readonly actions: ReadonlySet<DataAction>;
}

/** All that one caller may do. */
export interface Access {
  /** `scope` is `/`, `/keys` or `/keys/{name}`, in any case: `/` and `/keys` are the whole HSM, `/keys/{name}` is one key in all its versions. */
  allows(action: DataAction, scope: string): boolean;
}

/** What a role allows: `notDataActions` take away from their own role alone, as in Azure RBAC. */
export function allowedBy(dataActions: readonly DataAction[], notDataActions: readonly DataAction[]): ReadonlySet<DataAction> {
  return new Set(dataActions).difference(new Set(notDataActions));
}

/** Adds grants up by the place they reach, so that a decision costs the same with one role assignment and with a thousand. */
export function accessOf(grants: readonly Grant[]): Access {
  const places = new Map<string, ReadonlySet<DataAction>>();
  for (const { scope, actions } of grants) {
    const place = isWholeHsm(scope) ? '/' : scope;
    const others = places.get(place);
    places.set(place, others === undefined || others === actions ? actions : others.union(actions));
  }
  const everywhere = places.get('/') ?? NOTHING;
  return { allows: (action, scope) => everywhere.has(action) || places.get(scope.toLowerCase())?.has(action) === true };
}

const NOTHING: ReadonlySet<DataAction> = new Set();

/** The scopes that are the whole HSM. */
export const WHOLE_HSM: readonly string[] = ['/', '/keys'];

export function isWholeHsm(scope: string): boolean {
  return scope === '/' || scope === '/keys';
}

/** Whether a role at `granted` reaches `wanted`; both in lower case. */
export function covers(granted: string, wanted: string): boolean {
  return isWholeHsm(granted) || granted === wanted;
}
