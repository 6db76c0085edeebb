// What all objects of the directory have in common when they are made and when they go.

import { randomUUID } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { OUTSIDE_TAG } from '../core/directory.ts';
import { directoryQuota, graphResourceNotFound, lastAdministrator, managedIdentityKept } from '../core/errors-graph.ts';
import { reply } from '../core/reply.ts';
import { operation } from '../core/route.ts';
import type { Tables } from '../store/schema.ts';
import type { Writer } from '../store/store.ts';
import { isLastAdministrator } from './directory-roles.ts';
import { COLLECTIONS, type Collection, entityNamed } from './entities.ts';
import { insertLink, touchLinks } from './links.ts';
import { IdPath, Nothing, QueryShape } from './shapes.ts';
import type { GraphWrites } from './world.ts';

type PrincipalRow = Tables['principals'];

/** Lists are filtered in memory, so a directory has an end. */
const MOST: Readonly<Record<PrincipalRow['kind'] | 'application', number>> = {
  user: 10_000,
  servicePrincipal: 10_000,
  application: 10_000,
  group: 1000,
};

/** Makes a principal's row. `id` is for one who is known by that id elsewhere. */
export async function insertPrincipal(
  writer: Writer,
  clock: Clock,
  row: Pick<PrincipalRow, 'kind' | 'display_name'> & Partial<PrincipalRow>,
): Promise<string> {
  const { count } = await writer
    .selectFrom('principals')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('kind', '=', row.kind)
    .executeTakeFirstOrThrow();
  if (count >= MOST[row.kind]) throw directoryQuota(MOST[row.kind]);
  const blank = { upn: null, upn_key: null, app_id: null, enabled: 1, details_json: '{}', session: 0, valid_from: 0, resource_id: null };
  const whole = { id: randomUUID(), ...blank, created_at: clock.now(), ...row };
  await writer.insertInto('principals').values(whole).execute();
  writer.touch(`principal:${whole.id}`);
  return whole.id;
}

export async function insertApplication(
  writer: Writer,
  clock: Clock,
  row: Pick<Tables['applications'], 'display_name' | 'details_json'>,
): Promise<string> {
  const { count } = await writer
    .selectFrom('applications')
    .select((select) => select.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  if (count >= MOST.application) throw directoryQuota(MOST.application);
  const whole = { id: randomUUID(), app_id: randomUUID(), ...row, created_at: clock.now() };
  await writer.insertInto('applications').values(whole).execute();
  return whole.id;
}

/** Links that a new object comes with. */
export async function insertLinks(
  writer: Writer,
  clock: Clock,
  objectId: string,
  { members = [], owners = [] }: { readonly members?: readonly string[]; readonly owners?: readonly string[] },
): Promise<void> {
  for (const id of members) await insertLink(writer, clock, 'member', objectId, id);
  for (const id of owners) await insertLink(writer, clock, 'owner', objectId, id);
}

/** DELETE {collection}/{id}. What was signed in as it is refused by the next request; nothing brings it back. */
export function remove(collection: Collection) {
  return operation({ path: IdPath, query: QueryShape, body: Nothing }, async (world: GraphWrites, { path }) => {
    await world.write(async (writer) => {
      const object = await entityNamed(writer, collection, path.id);
      if (object === undefined) throw graphResourceNotFound(path.id);
      if (object.servicePrincipalType === 'ManagedIdentity') throw managedIdentityKept();
      await removeObject(writer, world, object.id);
      if (collection.kind !== 'application') return;
      // An application takes its service principal with it.
      const { id } = (await servicePrincipalOf(writer, String(object.appId))) ?? {};
      if (id !== undefined) await removeObject(writer, world, id);
    });
    return reply(204);
  });
}

/** One object with all that hangs on it, inside the caller's transaction. */
export async function removeObject(writer: Writer, { directory }: Pick<GraphWrites, 'directory'>, id: string): Promise<void> {
  if (await isLastAdministrator(writer, id)) throw lastAdministrator();
  await directory.forgetFirstSecret(writer, id);
  await writer
    .deleteFrom('links')
    .where((is) => is.or([is('object_id', '=', id), is('member_id', '=', id)]))
    .execute();
  await writer.deleteFrom('credentials').where('object_id', '=', id).execute();
  await writer.deleteFrom('federated_credentials').where('object_id', '=', id).execute();
  await writer.deleteFrom('applications').where('id', '=', id).execute();
  await writer.deleteFrom('principals').where('id', '=', id).execute();
  writer.touch(`principal:${id}`);
  writer.touch(OUTSIDE_TAG);
  touchLinks(writer, 'member');
  touchLinks(writer, 'role');
}

/** What is known of a principal, changed: the details that are given, and columns of its own. Throws Request_ResourceNotFound. */
export async function changePrincipal(
  writer: Writer,
  kind: PrincipalRow['kind'],
  id: string,
  { details, ...columns }: { readonly details: object } & Partial<PrincipalRow>,
): Promise<PrincipalRow> {
  const row = await writer.selectFrom('principals').selectAll().where('id', '=', id).where('kind', '=', kind).executeTakeFirst();
  if (row === undefined) throw graphResourceNotFound(id);
  const details_json = JSON.stringify({ ...JSON.parse(row.details_json), ...details });
  await writer
    .updateTable('principals')
    .set({ ...columns, details_json })
    .where('id', '=', id)
    .execute();
  writer.touch(`principal:${id}`);
  return row;
}

/** Nobody signs in as it any more. Refuses what would leave nobody to change the directory. */
export async function disable(writer: Writer, { directory }: Pick<GraphWrites, 'directory'>, id: string): Promise<void> {
  if (await isLastAdministrator(writer, id)) throw lastAdministrator();
  await writer.updateTable('principals').set({ enabled: 0 }).where('id', '=', id).execute();
  await directory.endSessions(writer, id);
}

export function servicePrincipalOf(writer: Writer, appId: string): Promise<PrincipalRow | undefined> {
  return writer
    .selectFrom('principals')
    .selectAll()
    .where('app_id', '=', appId.toLowerCase())
    .where('kind', '=', COLLECTIONS.servicePrincipals.kind)
    .executeTakeFirst();
}
