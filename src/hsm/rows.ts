// How the data plane's tables are written: a row names its data action, and the states in which the HSM answers it by which list it stands in.

import type { Method, Operation, ReadRow, WriteRow } from '../core/route.ts';
import type { DataAction } from './access/actions.ts';
import type { ActiveReads, ActiveWrites, HsmReads, HsmWrites } from './world.ts';

/** A data action, or `signed in` where a valid token is enough and the answer depends on who asks. */
export type RowAction = DataAction | 'signed in';

/** A row that an HSM answers only when it is active. */
export type ActiveRow = ReadRow<RowAction, ActiveReads, undefined> | WriteRow<RowAction, ActiveWrites, undefined>;

/** A row that an HSM answers before its activation too (those of the security domain), or while it is being restored. */
export type EarlyRow = ReadRow<RowAction, HsmReads, undefined> | WriteRow<RowAction, HsmWrites, undefined>;

/** A row that only reads, or uses keys without changing anything. */
export function reads<World>(
  method: Method,
  path: string,
  action: RowAction,
  operation: Operation<World>,
): ReadRow<RowAction, World, undefined> {
  return { mode: 'read', method, path, action, guard: undefined, operation };
}

/** A row that may write. */
export function writes<World>(
  method: Method,
  path: string,
  action: RowAction,
  operation: Operation<World>,
): WriteRow<RowAction, World, undefined> {
  return { mode: 'write', method, path, action, guard: undefined, operation };
}
