// Microsoft.Authorization/denyAssignments: there are none, since only Azure itself makes them, for resources that nobody has here.

import * as v from 'valibot';
import { operation } from '../../core/route.ts';
import type { ArmReads } from '../world.ts';

export const listDenyAssignments = operation({ path: v.unknown(), query: v.unknown(), body: v.unknown() }, (_world: ArmReads) => ({
  value: [],
}));
