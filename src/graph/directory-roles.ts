// Who may change the directory: the holders of its one role, people and programs named one by one. A subscription's owner is none of them by that.

import { CoherentCache, type Versions } from '../core/coherence.ts';
import { GLOBAL_ADMINISTRATOR } from '../core/directory.ts';
import type { Reader, Writer } from '../store/store.ts';

export const ROLES_TAG = 'directory-roles';

export const ROLE_ENTITIES = [
  {
    id: GLOBAL_ADMINISTRATOR,
    deletedDateTime: null,
    description: 'Can make, change and remove everything in the directory.',
    displayName: 'Global Administrator',
    roleTemplateId: GLOBAL_ADMINISTRATOR,
  },
] as const;

/** Asks whether a principal may change the directory; kept until a commit touches it. */
export function administrators(read: Reader, versions: Versions): (objectId: string) => Promise<boolean> {
  const cache = new CoherentCache<ReadonlySet<string>>(versions, { max: 1 });
  return async (objectId) => (await cache.get('all', ROLES_TAG, async () => new Set(await holders(read)))).has(objectId);
}

async function holders(read: Reader): Promise<readonly string[]> {
  const rows = await read
    .selectFrom('links')
    .select('member_id')
    .where('kind', '=', 'role')
    .where('object_id', '=', GLOBAL_ADMINISTRATOR)
    .execute();
  return rows.map((row) => row.member_id);
}

/** Whether the principal holds the role and is enabled, asked of the rows themselves. */
export async function isHolder(read: Reader, objectId: string): Promise<boolean> {
  if (!(await holders(read)).includes(objectId)) return false;
  const row = await read.selectFrom('principals').select('enabled').where('id', '=', objectId).executeTakeFirst();
  return row?.enabled === 1;
}

/** Whether somebody else than this principal holds the role and can sign in. Asked inside the transaction that takes it away. */
export async function isLastAdministrator(writer: Writer, objectId: string): Promise<boolean> {
  const all = await holders(writer);
  if (!all.includes(objectId)) return false;
  const others = all.filter((id) => id !== objectId);
  if (others.length === 0) return true;
  const enabled = await writer.selectFrom('principals').select('id').where('id', 'in', others).where('enabled', '=', 1).executeTakeFirst();
  return enabled === undefined;
}
