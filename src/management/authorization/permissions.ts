// Microsoft.Authorization/permissions: what the caller's own roles allow at a scope.

import * as v from 'valibot';
import { principalsOf } from '../../core/caller.ts';
import { operation } from '../../core/route.ts';
import { ARM_ROLES, isWithin, loadArmGrants } from '../access.ts';
import type { ArmReads } from '../world.ts';
import { wirePermission } from './role-definitions.ts';

export const listPermissions = operation(
  { path: v.unknown(), query: v.unknown(), body: v.unknown() },
  async ({ read, place, caller }: ArmReads) => {
    if (caller.kind === 'anonymous') return { value: [] };
    const mine = (await loadArmGrants(read, principalsOf(caller))).filter(({ scope }) => isWithin(place.scope.toLowerCase(), scope));
    return { value: ARM_ROLES.filter(({ name }) => mine.some(({ role }) => role === name)).map(wirePermission) };
  },
);
