// Two data folders of one store must not have one name: each has an audit chain of its own.

import { chainsIn } from '../audit/verify.ts';
import type { Reader } from '../store/store.ts';
import { isThere } from '../terminal/files.ts';

/** Throws an Error for the operator when the store knows a chain of this node that is not in this data folder. */
export async function refuseOthersName(read: Reader, node: string, auditFolder: string): Promise<void> {
  const known = await read.selectFrom('audit_chains').select('chain').where('chain', '=', node).executeTakeFirst();
  if (known === undefined || ((await isThere(auditFolder)) && (await chainsIn(auditFolder)).has(node))) return;
  throw new Error(
    `the store has an audit chain of '${node}', which is not in this data folder: give this node a name of its own with --node`,
  );
}
