// Looking at managed HSMs: one, those of a group, those of a subscription, and whether a name is free.

import * as v from 'valibot';
import { armResourceNotFound } from '../../core/errors-arm.ts';
import { nothing } from '../../core/reply.ts';
import { operation } from '../../core/route.ts';
import type { Reader } from '../../store/store.ts';
import { nextLink, pageQuery } from '../pages.ts';
import type { ArmReads, Place } from '../world.ts';
import { isHsmName, NAME_RULE } from './check.ts';
import { hsmNamed } from './put.ts';
import { HsmPath, type HsmRow, hsmId, settingsOf, wireHsm, wireRegion } from './shapes.ts';

export const getHsm = operation({ path: HsmPath, query: v.unknown(), body: v.unknown() }, async (world: ArmReads, { path }) => {
  const row = await liveHsm(world, path.hsm);
  return wireHsm(row, world, await world.hsms.isActivated(world.read, row.id));
});

/** Resources_CheckExistenceById of the REST reference: 204, or 404. */
export const headHsm = operation({ path: HsmPath, query: v.unknown(), body: v.unknown() }, async (world: ArmReads, { path }) => {
  await liveHsm(world, path.hsm);
  return nothing();
});

const ListQuery = v.object(pageQuery);

export const listHsms = operation(
  { path: v.object({ group: v.optional(v.string()) }), query: ListQuery, body: v.unknown() },
  async (world: ArmReads, { path, query, origin }) => {
    const { read, place, hsms } = world;
    const found = await visibleHsms(world, path.group, query);
    const shown = found.slice(0, query.$top);
    const active = await hsms.activatedAmong(
      read,
      shown.map(({ id }) => id),
    );
    const value = shown.map((row) => wireHsm(row, world, active.has(row.id)));
    const last = shown.at(-1);
    if (found.length <= query.$top || last === undefined) return { value };
    const inGroup = path.group === undefined ? '' : `/resourceGroups/${place.group}`;
    const next = `${origin}/subscriptions/${place.subscriptionId}${inGroup}/providers/Microsoft.KeyVault/managedHSMs`;
    return { value, nextLink: nextLink(world, next, query.$top, last.name_key) };
  },
);

/** Those that the caller sees, in the order of names: one more than the page has, when there are more. */
async function visibleHsms(
  { read, place, sees }: ArmReads,
  group: string | undefined,
  { $top, $skiptoken }: v.InferOutput<typeof ListQuery>,
): Promise<readonly HsmRow[]> {
  const found: HsmRow[] = [];
  for (let after = $skiptoken; found.length <= $top; ) {
    let asked = read
      .selectFrom('managed_hsms')
      .selectAll()
      .where('subscription_id', '=', place.subscriptionId)
      .where('deleted_at', 'is', null)
      .where('name_key', '>', after);
    if (group !== undefined) asked = asked.where('group_key', '=', group.toLowerCase());
    const rows = await asked
      .orderBy('name_key')
      .limit($top + 1)
      .execute();
    found.push(...rows.filter((row) => sees(hsmId(row))));
    const last = rows.at(-1);
    if (last === undefined || rows.length <= $top) break;
    after = last.name_key;
  }
  return found;
}

export const checkName = operation(
  { path: v.unknown(), query: v.unknown(), body: v.object({ name: v.string() }) },
  async ({ read }: ArmReads, { body }) => {
    if (!isHsmName(body.name))
      return { nameAvailable: false, reason: 'AccountNameInvalid', message: `A managed HSM name has ${NAME_RULE}.` };
    if ((await hsmNamed(read, body.name)) === undefined) return { nameAvailable: true };
    return { nameAvailable: false, reason: 'AlreadyExists', message: `The name '${body.name}' is already in use.` };
  },
);

export const listRegions = operation({ path: HsmPath, query: v.unknown(), body: v.unknown() }, async (world: ArmReads, { path }) => {
  const row = await liveHsm(world, path.hsm);
  const { regions = [] } = settingsOf(row);
  return { value: [wireRegion(row.location, true), ...regions.map((name) => wireRegion(name, false))] };
});

export const listPrivateLinkResources = operation(
  { path: HsmPath, query: v.unknown(), body: v.unknown() },
  async (world: ArmReads, { path }) => {
    const row = await liveHsm(world, path.hsm);
    const resource = {
      id: `${hsmId(row)}/privateLinkResources/managedhsm`,
      name: 'managedhsm',
      type: 'Microsoft.KeyVault/managedHSMs/privateLinkResources',
      properties: {
        groupId: 'managedhsm',
        requiredMembers: ['default'],
        requiredZoneNames: [`privatelink.managedhsm.${world.urls.domain}`],
      },
    };
    return { value: [resource] };
  },
);

/** The HSM of this name in this group, not deleted. */
export async function liveHsm({ read, place }: { readonly read: Reader; readonly place: Place }, name: string): Promise<HsmRow> {
  const row = await hsmNamed(read, name);
  const isThere = row?.deleted_at === null && row.subscription_id === place.subscriptionId && row.group_key === place.group.toLowerCase();
  if (row === undefined || !isThere) throw armResourceNotFound(`Microsoft.KeyVault/managedHSMs/${name}`, place.group);
  return row;
}
