// The groups that somebody is in, directly or through other groups.

import type { Reader } from '../store/store.ts';

/** The directory nests groups less deep than this, so every group is found. */
const DEEPEST = 10;
/** Nobody is in more groups than the directory can hold. */
const MOST = 1000;

/** Object ids, nearest first, each once. */
export async function groupsOf(read: Reader, objectId: string): Promise<readonly string[]> {
  const found = new Set<string>();
  let level = [objectId];
  for (let depth = 0; level.length > 0 && depth < DEEPEST && found.size < MOST; depth++) {
    const rows = await read.selectFrom('links').select('object_id').where('kind', '=', 'member').where('member_id', 'in', level).execute();
    level = [...new Set(rows.map((row) => row.object_id))].filter((id) => !found.has(id));
    for (const id of level) found.add(id);
  }
  return [...found];
}
