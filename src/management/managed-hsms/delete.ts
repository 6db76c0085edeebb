// The end of a managed HSM: deleted softly, listed while it can be recovered, purged by hand or when its retention is over.

import * as v from 'valibot';
import { deletedHsmNotFound, hsmPurgeProtected } from '../../core/errors-arm.ts';
import { nothing } from '../../core/reply.ts';
import { operation } from '../../core/route.ts';
import type { Reader, Writer } from '../../store/store.ts';
import { forgetRolesWithin } from '../authorization/role-assignments.ts';
import { acceptedAt, hsmResults, recordResult } from '../operations.ts';
import type { ArmReads, ArmWrites, ManagementParts } from '../world.ts';
import { HsmPath, type HsmRow, hsmId, wireDeletedHsm } from './shapes.ts';

const DAY = 86_400_000;

export const deleteHsm = operation({ path: HsmPath, query: v.unknown(), body: v.unknown() }, (world: ArmWrites, { path, origin }) =>
  world.write(async (writer) => {
    const row = await writer
      .selectFrom('managed_hsms')
      .selectAll()
      .where('name_key', '=', path.hsm.toLowerCase())
      .where('subscription_id', '=', world.place.subscriptionId)
      .where('group_key', '=', world.place.group.toLowerCase())
      .where('deleted_at', 'is', null)
      .executeTakeFirst();
    // Deleting what is not there is done (REST reference: 204).
    if (row === undefined) return nothing();
    await softDeleteHsm(writer, world, row);
    return acceptedAt(world, origin, hsmResults(row.location), await recordResult(writer, world, undefined));
  }),
);

/** From now on nothing answers for it; recovering brings all of it back but the roles of the resource manager at it. */
export async function softDeleteHsm(writer: Writer, { clock, hsms }: Pick<ArmWrites, 'clock' | 'hsms'>, row: HsmRow): Promise<void> {
  const now = clock.now();
  await forgetRolesWithin(writer, row.subscription_id, hsmId(row));
  await writer
    .updateTable('managed_hsms')
    .set({ deleted_at: now, scheduled_purge_at: now + row.retention_days * DAY })
    .where('id', '=', row.id)
    .execute();
  await hsms.softDelete(writer, row.id);
}

export const listDeletedHsms = operation(
  { path: v.unknown(), query: v.unknown(), body: v.unknown() },
  async ({ read, place }: ArmReads) => {
    const rows = await read
      .selectFrom('managed_hsms')
      .selectAll()
      .where('subscription_id', '=', place.subscriptionId)
      .where('deleted_at', 'is not', null)
      .orderBy('name_key')
      .execute();
    return { value: rows.map(wireDeletedHsm) };
  },
);

const DeletedPath = v.object({ location: v.string(), hsm: v.string() });

export const getDeletedHsm = operation(
  { path: DeletedPath, query: v.unknown(), body: v.unknown() },
  async ({ read, place }: ArmReads, { path }) => wireDeletedHsm(await deletedHsm(read, place.subscriptionId, path)),
);

export const purgeHsm = operation({ path: DeletedPath, query: v.unknown(), body: v.unknown() }, (world: ArmWrites, { path, origin }) =>
  world.write(async (writer) => {
    const row = await deletedHsm(writer, world.place.subscriptionId, path);
    if (row.purge_protection === 1) throw hsmPurgeProtected();
    await purge(writer, world, row.id);
    return acceptedAt(world, origin, hsmResults(row.location), await recordResult(writer, world, undefined));
  }),
);

/** Everything of it is gone, for good. */
export async function purge(writer: Writer, { hsms }: Pick<ManagementParts, 'hsms'>, id: string): Promise<void> {
  await writer.deleteFrom('managed_hsms').where('id', '=', id).execute();
  await hsms.purge(writer, id);
}

async function deletedHsm(
  read: Reader,
  subscriptionId: string,
  { location, hsm }: { readonly location: string; readonly hsm: string },
): Promise<HsmRow> {
  const row = await read
    .selectFrom('managed_hsms')
    .selectAll()
    .where('name_key', '=', hsm.toLowerCase())
    .where('subscription_id', '=', subscriptionId)
    .where('location', '=', location.toLowerCase().replaceAll(' ', ''))
    .where('deleted_at', 'is not', null)
    .executeTakeFirst();
  if (row === undefined) throw deletedHsmNotFound(hsm);
  return row;
}
