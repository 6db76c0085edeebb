// Who is in which group, who owns what, and who holds the directory's role: the lists of links, from both ends.

import * as v from 'valibot';
import { meNeedsAUser } from '../core/errors-graph.ts';
import { operation, type Visit } from '../core/route.ts';
import type { Reader } from '../store/store.ts';
import { existing, listed, odata } from './answers.ts';
import { COLLECTIONS, type Collection, entitiesWithIds, entityNamed } from './entities.ts';
import { IdPath, NoPath, Nothing, QueryShape } from './shapes.ts';
import type { GraphReads, GraphVersion } from './world.ts';

/** Where a list begins: an entity of a collection that the path names, or the caller. */
export type Start = Collection | 'me';

/** What a list of links follows. */
const LISTS = {
  members: { kinds: ['member'], from: 'object_id', to: 'member_id' },
  owners: { kinds: ['owner'], from: 'object_id', to: 'member_id' },
  holders: { kinds: ['role'], from: 'object_id', to: 'member_id' },
  memberOf: { kinds: ['member', 'role'], from: 'member_id', to: 'object_id' },
  ownedObjects: { kinds: ['owner'], from: 'member_id', to: 'object_id' },
} as const;

/** Groups within groups are followed this far. */
const DEEPEST = 10;
const MOST = 10_000;

/** GET {start}/{name}: what is linked to it directly. `name` is how the address calls the list. */
export function linked(version: GraphVersion, start: Start, name: string, list: keyof typeof LISTS) {
  return listing(version, start, name, async ({ read }, id) => {
    const { kinds, from, to } = LISTS[list];
    const rows = await read
      .selectFrom('links')
      .select(to)
      .where('kind', 'in', kinds)
      .where(from, '=', id)
      .orderBy('created_at')
      .orderBy(to)
      .execute();
    return rows.map((row) => row[to as keyof typeof row]);
  });
}

/** GET {start}/transitiveMemberOf: also the groups that its groups are in. */
export function transitiveMemberOf(version: GraphVersion, start: Start) {
  return listing(version, start, 'transitiveMemberOf', ({ directory }, id) => directory.groupsOf(id));
}

/** GET groups/{id}/transitiveMembers: also the members of the groups in it. */
export function transitiveMembers(version: GraphVersion) {
  return listing(version, COLLECTIONS.groups, 'transitiveMembers', ({ read }, id) => membersWithin(read, id));
}

function listing(version: GraphVersion, start: Start, name: string, idsOf: (world: GraphReads, id: string) => Promise<readonly string[]>) {
  const path = start === 'me' ? NoPath : IdPath;
  return operation({ path, query: QueryShape, body: Nothing }, async (world: GraphReads, { origin, path, query }) => {
    const id = await startOf(world, start, path);
    const entities = await entitiesWithIds(world.read, await idsOf(world, id));
    const place = start === 'me' ? `me/${name}` : `${start.name}/${id}/${name}`;
    return listed(world.read, { origin, version }, { path: place, context: 'directoryObjects' }, entities, query);
  });
}

/** POST …/getMemberGroups and …/getMemberObjects: the ids of all groups, also of those that its groups are in. */
export function memberGroups(version: GraphVersion, start: Start | 'directoryObjects') {
  return idsAnswer(version, start, v.optional(v.object({ securityEnabledOnly: v.optional(v.nullable(v.boolean())) })), (ids) => ids);
}

/** POST …/checkMemberGroups: which of the named groups it is in. */
export function checkMemberGroups(version: GraphVersion, start: Start | 'directoryObjects') {
  const groupIds = v.pipe(v.array(v.string("The 'groupIds' must be text.")), v.maxLength(20, "The 'groupIds' may be 20 at most."));
  const Body = v.object({ groupIds }, "The request body must contain the property 'groupIds'.");
  return idsAnswer(version, start, Body, (ids, body) => body.groupIds.filter((id) => ids.includes(id.toLowerCase())));
}

function idsAnswer<Body extends v.GenericSchema>(
  version: GraphVersion,
  start: Start | 'directoryObjects',
  body: Body,
  choose: (ids: readonly string[], body: v.InferOutput<Body>) => readonly string[],
) {
  const path = start === 'me' ? NoPath : IdPath;
  return operation({ path, query: QueryShape, body }, async (world: GraphReads, { origin, path, body }) => {
    const id = start === 'directoryObjects' ? await anyObject(world, path) : await startOf(world, start, path);
    const value = choose(await world.directory.groupsOf(id), body);
    return odata({ '@odata.context': `${origin}/${version}/$metadata#Collection(Edm.String)`, value });
  });
}

async function startOf({ read, caller }: GraphReads, start: Start, path: Visit['path']): Promise<string> {
  if (start !== 'me') return existing(await entityNamed(read, start, path.id ?? ''), path.id ?? '').id;
  if (caller.kind !== 'user') throw meNeedsAUser();
  return caller.objectId;
}

async function anyObject({ read }: GraphReads, { id = '' }: Visit['path']): Promise<string> {
  const [found] = await entitiesWithIds(read, [id]);
  return existing(found, id).id;
}

/** Breadth first, each once. */
async function membersWithin(read: Reader, groupId: string): Promise<readonly string[]> {
  const found = new Set<string>();
  let level = [groupId];
  for (let depth = 0; level.length > 0 && depth < DEEPEST && found.size < MOST; depth++) {
    const rows = await read.selectFrom('links').select('member_id').where('kind', '=', 'member').where('object_id', 'in', level).execute();
    level = [...new Set(rows.map((row) => row.member_id))].filter((id) => !found.has(id));
    for (const id of level) found.add(id);
  }
  return [...found].slice(0, MOST);
}
