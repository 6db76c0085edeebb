// Members of groups, owners, and holders of the directory's role: added and taken away, one at a time.

import type { Clock } from '../core/clock.ts';
import { GROUPS_TAG } from '../core/directory.ts';
import { graphBadRequest, graphResourceNotFound, lastAdministrator } from '../core/errors-graph.ts';
import { type Reply, reply } from '../core/reply.ts';
import { operation } from '../core/route.ts';
import type { Tables } from '../store/schema.ts';
import type { Writer } from '../store/store.ts';
import { isLastAdministrator, ROLES_TAG } from './directory-roles.ts';
import { type Collection, entitiesWithIds, entityNamed } from './entities.ts';
import { IdPath, MemberPath, Nothing, QueryShape, Reference } from './shapes.ts';
import type { GraphWrites } from './world.ts';

type Kind = Tables['links']['kind'];

const WORD: Readonly<Record<Kind, string>> = { member: 'members', owner: 'owners', role: 'members' };

/** How many things can be linked to one. */
const MOST: Readonly<Record<Kind, number>> = { member: 10_000, owner: 100, role: 100 };

/** What can be linked: the role is for those who can sign in, so that nobody gets it by the way of a group. */
const CAN_BE: Readonly<Record<Kind, readonly string[]>> = {
  member: ['#microsoft.graph.user', '#microsoft.graph.servicePrincipal', '#microsoft.graph.group'],
  owner: ['#microsoft.graph.user', '#microsoft.graph.servicePrincipal'],
  role: ['#microsoft.graph.user', '#microsoft.graph.servicePrincipal'],
};

/** A group in a group in a group: this deep and no deeper. */
const DEEPEST = 5;

/** POST {collection}/{id}/members/$ref, …/owners/$ref */
export function addLink(kind: Kind, collection: Collection) {
  return operation({ path: IdPath, query: QueryShape, body: Reference }, async (world: GraphWrites, { path, body }): Promise<Reply> => {
    await world.write(async (writer) => {
      const object = await entityNamed(writer, collection, path.id);
      if (object === undefined) throw graphResourceNotFound(path.id);
      await insertLink(writer, world.clock, kind, object.id, body);
    });
    return reply(204);
  });
}

/** DELETE {collection}/{id}/members/{member}/$ref, …/owners/{member}/$ref */
export function removeLink(kind: Kind, collection: Collection) {
  return operation({ path: MemberPath, query: QueryShape, body: Nothing }, async (world: GraphWrites, { path }): Promise<Reply> => {
    await world.write(async (writer) => {
      const [objectId, memberId] = [path.id.toLowerCase(), path.member.toLowerCase()];
      if ((await entityNamed(writer, collection, objectId)) === undefined) throw graphResourceNotFound(path.id);
      if (kind === 'role' && (await isLastAdministrator(writer, memberId))) throw lastAdministrator();
      const link = writer.deleteFrom('links').where('kind', '=', kind).where('object_id', '=', objectId).where('member_id', '=', memberId);
      if ((await link.executeTakeFirst()).numDeletedRows === 0n) throw graphResourceNotFound(path.member);
      touchLinks(writer, kind);
    });
    return reply(204);
  });
}

/** One link, inside the caller's transaction. Throws what Graph says about links that cannot be. */
export async function insertLink(writer: Writer, clock: Clock, kind: Kind, objectId: string, memberId: string): Promise<void> {
  const [member] = await entitiesWithIds(writer, [memberId]);
  if (member === undefined) throw graphResourceNotFound(memberId);
  if (!CAN_BE[kind].includes(String(member['@odata.type'])))
    throw graphBadRequest(`An object of this type cannot be added to '${WORD[kind]}'.`);
  const links = () => writer.selectFrom('links').where('kind', '=', kind).where('object_id', '=', objectId);
  if ((await links().select('member_id').where('member_id', '=', memberId).executeTakeFirst()) !== undefined)
    throw graphBadRequest(`One or more added object references already exist for the following modified properties: '${WORD[kind]}'.`);
  const { count } = await links()
    .select((select) => select.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  if (count >= MOST[kind]) throw graphBadRequest(`There may be ${MOST[kind]} '${WORD[kind]}' at most.`);
  if (kind === 'member' && member['@odata.type'] === '#microsoft.graph.group') await checkNesting(writer, objectId, memberId);
  await writer.insertInto('links').values({ kind, object_id: objectId, member_id: memberId, created_at: clock.now() }).execute();
  touchLinks(writer, kind);
}

export function touchLinks(writer: Writer, kind: Kind): void {
  if (kind === 'member') writer.touch(GROUPS_TAG);
  if (kind === 'role') writer.touch(ROLES_TAG);
}

/** No group is in itself, by whatever way, and the longest way through both is not too long. */
async function checkNesting(writer: Writer, groupId: string, innerId: string): Promise<void> {
  const above = await layers(writer, groupId, 'member_id', 'object_id');
  const below = await layers(writer, innerId, 'object_id', 'member_id');
  if (groupId === innerId || above.ids.has(innerId)) throw graphBadRequest('A group cannot be a member of itself, directly or indirectly.');
  if (above.depth + below.depth > DEEPEST) throw graphBadRequest(`Groups can be nested ${DEEPEST} deep at most.`);
}

/** All groups above (or below) one, and how many layers it is with itself. */
async function layers(
  writer: Writer,
  groupId: string,
  from: 'object_id' | 'member_id',
  to: 'object_id' | 'member_id',
): Promise<{ readonly ids: ReadonlySet<string>; readonly depth: number }> {
  const ids = new Set<string>();
  let level = [groupId];
  let depth = 0;
  for (; level.length > 0 && depth <= DEEPEST; depth++) {
    const rows = await writer
      .selectFrom('links')
      .innerJoin('principals', 'principals.id', `links.${to}`)
      .select('principals.id')
      .where('links.kind', '=', 'member')
      .where(`links.${from}`, 'in', level)
      .where('principals.kind', '=', 'group')
      .execute();
    level = rows.map((row) => row.id);
    for (const id of level) ids.add(id);
  }
  return { ids, depth };
}
