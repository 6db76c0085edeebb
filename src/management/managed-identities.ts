// Managed identities as resources: made, listed, tagged, deleted. Whoever may do that may not act as one by it: its credentials are the directory's.
// Source: Microsoft.ManagedIdentity REST reference.

import * as v from 'valibot';
import {
  armResourceNotFound,
  invalidResourceLocation,
  invalidResourceName,
  locationNotAvailableForGroup,
  locationRequired,
} from '../core/errors-arm.ts';
import { REGION_NAMES, regionNamed } from '../core/regions.ts';
import { nothing, reply } from '../core/reply.ts';
import { operation } from '../core/route.ts';
import type { Tables } from '../store/schema.ts';
import type { Reader, Writer } from '../store/store.ts';
import { groupId } from './group-rows.ts';
import { ResourceTags, tagsIn } from './tags.ts';
import type { ArmReads, ArmWrites, Place } from './world.ts';

type Row = Tables['managed_identities'];

export const IDENTITY_TYPE = 'Microsoft.ManagedIdentity/userAssignedIdentities';

const IdentityPath = v.object({ identity: v.string() });
const IdentityBody = v.object({ location: v.nullish(v.string()), tags: ResourceTags });
const anything = { query: v.unknown(), body: v.unknown() };

/** Naming rules of Azure resources. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{2,127}$/;

export const putIdentity = operation(
  { path: IdentityPath, query: v.unknown(), body: IdentityBody },
  async (world: ArmWrites, { path, body }) => {
    const { place, clock, identities, write } = world;
    if (!NAME.test(path.identity)) throw nameRefused(path.identity);
    const tags_json = JSON.stringify(body.tags ?? {});
    return write(async (writer) => {
      const known = await identityNamed(writer, place, path.identity);
      if (known !== undefined) {
        const asked = body.location ? regionNamed(body.location) : known.location;
        if (asked !== known.location) throw invalidResourceLocation(path.identity, known.location, body.location ?? '');
        await setTags(writer, known, tags_json);
        return reply(200, wireIdentity({ ...known, tags_json }, world));
      }
      if (!body.location) throw locationRequired();
      const location = regionNamed(body.location);
      if (location === undefined) throw locationNotAvailableForGroup(body.location, REGION_NAMES);
      const at = { subscription_id: place.subscriptionId, group_name: place.group, name: path.identity };
      const made = await identities.create(writer, { name: path.identity, resourceId: identityId(at) });
      const row: Row = {
        ...at,
        group_key: place.group.toLowerCase(),
        name_key: path.identity.toLowerCase(),
        location,
        tags_json,
        principal_id: made.principalId,
        client_id: made.clientId,
        created_at: clock.now(),
      };
      await writer.insertInto('managed_identities').values(row).execute();
      return reply(201, wireIdentity(row, world));
    });
  },
);

export const patchIdentity = operation(
  { path: IdentityPath, query: v.unknown(), body: IdentityBody },
  async (world: ArmWrites, { path, body }) =>
    world.write(async (writer) => {
      const known = await existingIdentity(writer, world.place, path.identity);
      const tags_json = body.tags === undefined || body.tags === null ? known.tags_json : JSON.stringify(body.tags);
      await setTags(writer, known, tags_json);
      return wireIdentity({ ...known, tags_json }, world);
    }),
);

export const getIdentity = operation({ path: IdentityPath, ...anything }, async (world: ArmReads, { path }) =>
  wireIdentity(await existingIdentity(world.read, world.place, path.identity), world),
);

export const headIdentity = operation({ path: IdentityPath, ...anything }, async (world: ArmReads, { path }) => {
  await existingIdentity(world.read, world.place, path.identity);
  return nothing();
});

export const listIdentities = operation(
  { path: v.object({ group: v.optional(v.string()) }), ...anything },
  async (world: ArmReads, { path }) => {
    const rows = await identitiesIn(world.read, world.place.subscriptionId, path.group);
    return { value: rows.filter((row) => world.sees(identityId(row))).map((row) => wireIdentity(row, world)) };
  },
);

/** Deleting what is not there is done. */
export const deleteIdentity = operation({ path: IdentityPath, ...anything }, async (world: ArmWrites, { path }) =>
  world.write(async (writer) => {
    const known = await identityNamed(writer, world.place, path.identity);
    if (known === undefined) return nothing();
    await removeIdentity(writer, world, known);
    return reply(200);
  }),
);

/** With its group every identity in it goes. */
export async function removeIdentitiesOf(writer: Writer, world: Pick<ArmWrites, 'identities'>, place: Place): Promise<void> {
  for (const row of await identitiesIn(writer, place.subscriptionId, place.group)) await removeIdentity(writer, world, row);
}

async function removeIdentity(writer: Writer, { identities }: Pick<ArmWrites, 'identities'>, row: Row): Promise<void> {
  await identities.remove(writer, row.principal_id);
  await writer
    .deleteFrom('managed_identities')
    .where('subscription_id', '=', row.subscription_id)
    .where('group_key', '=', row.group_key)
    .where('name_key', '=', row.name_key)
    .execute();
}

async function setTags(writer: Writer, row: Row, tags_json: string): Promise<void> {
  await writer.updateTable('managed_identities').set({ tags_json }).where('principal_id', '=', row.principal_id).execute();
}

export async function identitiesIn(read: Reader, subscriptionId: string, group?: string): Promise<readonly Row[]> {
  const all = read.selectFrom('managed_identities').selectAll().where('subscription_id', '=', subscriptionId);
  return (group === undefined ? all : all.where('group_key', '=', group.toLowerCase())).orderBy('name_key').execute();
}

function identityNamed(read: Reader, place: Place, name: string): Promise<Row | undefined> {
  return read
    .selectFrom('managed_identities')
    .selectAll()
    .where('subscription_id', '=', place.subscriptionId)
    .where('group_key', '=', place.group.toLowerCase())
    .where('name_key', '=', name.toLowerCase())
    .executeTakeFirst();
}

async function existingIdentity(read: Reader, place: Place, name: string): Promise<Row> {
  const found = await identityNamed(read, place, name);
  if (found === undefined) throw armResourceNotFound(`${IDENTITY_TYPE}/${name}`, place.group);
  return found;
}

function nameRefused(name: string) {
  const rule = '3 to 128 letters, digits, hyphens and underscores, beginning with a letter or a digit';
  return invalidResourceName(`The name '${name.slice(0, 150)}' of the managed identity is not valid: ${rule}.`);
}

export function identityId({ subscription_id, group_name, name }: Pick<Row, 'subscription_id' | 'group_name' | 'name'>): string {
  return `${groupId({ subscriptionId: subscription_id, group: group_name })}/providers/${IDENTITY_TYPE}/${name}`;
}

function wireIdentity(row: Row, { tenantId }: Pick<ArmReads, 'tenantId'>) {
  return {
    id: identityId(row),
    name: row.name,
    type: IDENTITY_TYPE,
    location: row.location,
    tags: tagsIn(row.tags_json),
    properties: { tenantId, principalId: row.principal_id, clientId: row.client_id },
  };
}
