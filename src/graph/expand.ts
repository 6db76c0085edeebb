// $expand: an entity together with those it is linked to.

import { unsupportedQuery } from '../core/errors-graph.ts';
import type { Reader } from '../store/store.ts';
import { type Entity, entitiesWithIds } from './entities.ts';
import { namesIn, only } from './select.ts';

/** What can be expanded: the kind of link, and at which end the entity stands. */
const LINKS = {
  members: { kind: 'member', here: 'object_id', there: 'member_id' },
  memberof: { kind: 'member', here: 'member_id', there: 'object_id' },
  owners: { kind: 'owner', here: 'object_id', there: 'member_id' },
} as const;

/** Graph expands as many and no more. */
const EXPANDED = 20;

const CLAUSE = /^(members|memberOf|owners)(?:\(\$select=([\w,\s]+)\))?$/i;

/** By entity id, the property with its entities. Throws Request_UnsupportedQuery. */
export async function expanded(read: Reader, entities: readonly Entity[], expand: string): Promise<ReadonlyMap<string, object>> {
  const [, name, select] = CLAUSE.exec(expand) ?? [];
  const found = Object.entries(LINKS).find(([key]) => key === name?.toLowerCase());
  if (name === undefined || found === undefined)
    throw unsupportedQuery(`Unsupported or invalid query expand clause specified: '${expand.slice(0, 200)}'.`);
  const [, { kind, here, there }] = found;
  const property = found[0] === 'memberof' ? 'memberOf' : found[0];
  const names = select === undefined ? undefined : namesIn(select);
  const result = new Map<string, object>();
  for (const { id } of entities) {
    const rows = await read
      .selectFrom('links')
      .select(there)
      .where('kind', '=', kind)
      .where(here, '=', id)
      .orderBy('created_at')
      .limit(EXPANDED)
      .execute();
    const linked = await entitiesWithIds(
      read,
      rows.map((row) => row[there as keyof typeof row]),
    );
    result.set(id, { [property]: names === undefined ? linked : linked.map((entity) => only(entity, names)) });
  }
  return result;
}
