// Resource groups. Deleting one deletes every HSM in it softly.

import * as v from 'valibot';
import {
  armNotSupported,
  invalidGroupLocation,
  invalidResourceName,
  locationNotAvailableForGroup,
  locationRequired,
  resourceGroupNotFound,
} from '../core/errors-arm.ts';
import { REGION_NAMES, regionNamed } from '../core/regions.ts';
import { created, nothing, type Reply, reply } from '../core/reply.ts';
import { operation } from '../core/route.ts';
import { forgetRolesWithin } from './authorization/role-assignments.ts';
import { type GroupRow, groupId, groupNamed } from './group-rows.ts';
import { softDeleteHsm } from './managed-hsms/delete.ts';
import { removeIdentitiesOf } from './managed-identities.ts';
import { acceptedAt, recordResult } from './operations.ts';
import { nextLink, pageOf, pageQuery } from './pages.ts';
import { hasTag, ResourceTags, tagsIn } from './tags.ts';
import type { ArmReads, ArmWrites } from './world.ts';

const GroupPath = v.object({ group: v.string() });
const anything = { query: v.unknown(), body: v.unknown() };

const MANAGED_BY = v.nullish(v.string());
const GroupBody = v.object({ location: v.nullish(v.string()), tags: ResourceTags, managedBy: MANAGED_BY });

export const putGroup = operation(
  { path: GroupPath, query: v.unknown(), body: GroupBody },
  async ({ place, write, clock }: ArmWrites, { path, body }) => {
    const name = checkedName(path.group);
    refuseManager(body.managedBy);
    if (body.location === undefined || body.location === null || body.location === '') throw locationRequired();
    const location = regionNamed(body.location);
    if (location === undefined) throw locationNotAvailableForGroup(body.location, REGION_NAMES);
    const tags = JSON.stringify(body.tags ?? {});
    return write(async (writer): Promise<Reply> => {
      const known = await groupNamed(writer, place.subscriptionId, name);
      if (known !== undefined && known.location !== location) throw invalidGroupLocation(location, known.location);
      if (known !== undefined) {
        await writer
          .updateTable('resource_groups')
          .set({ tags_json: tags })
          .where('subscription_id', '=', place.subscriptionId)
          .where('name_key', '=', known.name_key)
          .execute();
        return reply(200, wireGroup({ ...known, tags_json: tags }));
      }
      const row: GroupRow = {
        subscription_id: place.subscriptionId,
        name,
        name_key: name.toLowerCase(),
        location,
        tags_json: tags,
        state: 'Succeeded',
        created_at: clock.now(),
      };
      await writer.insertInto('resource_groups').values(row).execute();
      return created(wireGroup(row));
    });
  },
);

export const patchGroup = operation(
  { path: GroupPath, query: v.unknown(), body: v.object({ tags: ResourceTags, managedBy: MANAGED_BY }) },
  ({ place, write }: ArmWrites, { path, body }) => {
    refuseManager(body.managedBy);
    return write(async (writer) => {
      const known = await groupNamed(writer, place.subscriptionId, path.group);
      if (known === undefined) throw resourceGroupNotFound(path.group);
      const tags = body.tags === undefined || body.tags === null ? known.tags_json : JSON.stringify(body.tags);
      await writer
        .updateTable('resource_groups')
        .set({ tags_json: tags })
        .where('subscription_id', '=', place.subscriptionId)
        .where('name_key', '=', known.name_key)
        .execute();
      return wireGroup({ ...known, tags_json: tags });
    });
  },
);

function refuseManager(managedBy: string | null | undefined): void {
  if ((managedBy ?? '') !== '') throw armNotSupported('managedBy: groups that another resource manages are not in this version.');
}

export const getGroup = operation({ path: GroupPath, ...anything }, async ({ read, place }: ArmReads, { path }) => {
  const row = await groupNamed(read, place.subscriptionId, path.group);
  if (row === undefined) throw resourceGroupNotFound(path.group);
  return wireGroup(row);
});

export const headGroup = operation({ path: GroupPath, ...anything }, async ({ read, place }: ArmReads, { path }) =>
  (await groupNamed(read, place.subscriptionId, path.group)) === undefined ? reply(404) : nothing(),
);

const TAG_FILTER = /^tagname eq '((?:[^']|'')*)'(?: and tagvalue eq '((?:[^']|'')*)')?$/i;

export const listGroups = operation(
  {
    path: v.unknown(),
    query: v.object({
      ...pageQuery,
      $filter: v.optional(v.pipe(v.string(), v.regex(TAG_FILTER, "$filter may be: tagName eq 'a' and tagValue eq 'b'"))),
    }),
    body: v.unknown(),
  },
  async (world: ArmReads, { query, origin }) => {
    const { read, place, sees } = world;
    const all = await read
      .selectFrom('resource_groups')
      .selectAll()
      .where('subscription_id', '=', place.subscriptionId)
      .orderBy('name_key')
      .execute();
    const rows = all.filter((row) => sees(groupId({ subscriptionId: place.subscriptionId, group: row.name })));
    const [, name, tag] = TAG_FILTER.exec(query.$filter ?? '') ?? [];
    const found =
      name === undefined ? rows : rows.filter(({ tags_json }) => hasTag(tags_json, name.replaceAll("''", "'"), tag?.replaceAll("''", "'")));
    const { shown, after } = pageOf(found, query, ({ name_key }) => name_key);
    const value = shown.map(wireGroup);
    if (after === undefined) return { value };
    const list = `${origin}/subscriptions/${place.subscriptionId}/resourcegroups`;
    return { value, nextLink: nextLink(world, list, query.$top, after, { $filter: query.$filter }) };
  },
);

export const deleteGroup = operation({ path: GroupPath, ...anything }, async (world: ArmWrites, { path, origin }) => {
  const { place, write } = world;
  const id = await write(async (writer) => {
    const known = await groupNamed(writer, place.subscriptionId, path.group);
    if (known === undefined) throw resourceGroupNotFound(path.group);
    const hsms = await writer
      .selectFrom('managed_hsms')
      .selectAll()
      .where('subscription_id', '=', place.subscriptionId)
      .where('group_key', '=', known.name_key)
      .where('deleted_at', 'is', null)
      .execute();
    for (const hsm of hsms) await softDeleteHsm(writer, world, hsm);
    await writer
      .deleteFrom('resource_groups')
      .where('subscription_id', '=', place.subscriptionId)
      .where('name_key', '=', known.name_key)
      .execute();
    await removeIdentitiesOf(writer, world, place);
    await forgetRolesWithin(writer, place.subscriptionId, place.scope);
    return recordResult(writer, world, undefined);
  });
  return acceptedAt(world, origin, 'operationresults', id);
});

/** Rules of resource group names (Azure naming rules). */
function checkedName(name: string): string {
  if (name.length <= 90 && /^[-\w._()]+$/u.test(name) && !name.endsWith('.')) return name;
  throw invalidResourceName(
    `The provided resource group name '${name.slice(0, 100)}' is not valid: 1 to 90 letters, digits, underscores, parentheses, hyphens and periods, without a period at its end.`,
  );
}

function wireGroup({ subscription_id, name, location, tags_json, state }: GroupRow) {
  const tags = tagsIn(tags_json);
  return {
    id: groupId({ subscriptionId: subscription_id, group: name }),
    name,
    type: 'Microsoft.Resources/resourceGroups',
    location,
    ...(Object.keys(tags).length === 0 ? {} : { tags }),
    properties: { provisioningState: state },
  };
}
