// Backups that are made by themselves: the schedule of an HSM as its administrators set it, the moment when one is due, and how many of them stay.
// What grants access to the storage is kept sealed. Source: none, the real service leaves schedules to others.

import type { Selectable } from 'kysely';
import * as v from 'valibot';
import { seconds } from '../../core/clock.ts';
import { badParameter, resourceNotFound } from '../../core/errors-keyvault.ts';
import { nothing } from '../../core/reply.ts';
import { operation } from '../../core/route.ts';
import type { CryptoModule } from '../../crypto/module.ts';
import type { Tables } from '../../store/schema.ts';
import type { Reader } from '../../store/store.ts';
import { activeHsm } from '../pool.ts';
import type { ActiveReads, ActiveWrites, HsmWriteParts } from '../world.ts';
import { folderFor, insertJob, type JobRow, jobUnderWay, placeOf, TOKEN_PURPOSE } from './jobs.ts';
import { type Named, placeIn, StorageBody } from './place.ts';

export type ScheduleRow = Selectable<Tables['backup_schedules']>;

export const HOUR = 3_600_000;
/** Hours between two backups: up to a year. */
const LONGEST = 8760;
const MOST_KEPT = 1000;

const whole = (least: number, most: number) => v.pipe(v.number(), v.integer(), v.minValue(least), v.maxValue(most));

const ScheduleBody = v.object({ ...StorageBody.entries, everyHours: whole(1, LONGEST), keep: whole(1, MOST_KEPT) });

const anything = { path: v.unknown(), query: v.unknown() };

/** PUT /strongroom/backupschedule. The first backup is made at once. Without a token the one that is kept stays, for the same place. */
export const putSchedule = operation({ ...anything, body: ScheduleBody }, (world: ActiveWrites, { body }) => {
  const { hsm, write, crypto, clock, backups } = world;
  return write(async (writer) => {
    const known = await scheduleOf(writer, hsm.id);
    const kept = known === undefined ? undefined : keptToken(crypto, known);
    const isSamePlace = known !== undefined && placeOf(known)?.uri === body.storageResourceUri?.replace(/\/+$/, '');
    const named = placeIn(body.token || !isSamePlace ? body : { ...body, token: kept }, backups.settings);
    if (named === undefined) throw badParameter('storageResourceUri is missing.');
    const values = {
      place_json: JSON.stringify(named.place),
      sealed_token: named.token === undefined ? null : crypto.sealSecret(TOKEN_PURPOSE, hsm.id, Buffer.from(named.token)),
      every_hours: body.everyHours,
      keep: body.keep,
      next_at: clock.now(),
      trouble: null,
      updated_at: clock.now(),
    };
    await writer
      .insertInto('backup_schedules')
      .values({ hsm_id: hsm.id, ...values })
      .onConflict((row) => row.column('hsm_id').doUpdateSet(values))
      .execute();
    return wireSchedule(writer, { hsm_id: hsm.id, ...values });
  });
});

export const getSchedule = operation({ ...anything, body: v.unknown() }, async ({ hsm, read }: ActiveReads) => {
  const row = await scheduleOf(read, hsm.id);
  if (row === undefined) throw noSchedule();
  return wireSchedule(read, row);
});

/** The backups that there are stay. */
export const deleteSchedule = operation({ ...anything, body: v.unknown() }, ({ hsm, write }: ActiveWrites) =>
  write(async (writer) => {
    if ((await scheduleOf(writer, hsm.id)) === undefined) throw noSchedule();
    await writer.deleteFrom('backup_schedules').where('hsm_id', '=', hsm.id).execute();
    return nothing();
  }),
);

function noSchedule() {
  return resourceNotFound('The HSM has no backup schedule.');
}

export function scheduleOf(read: Reader, hsmId: string): Promise<ScheduleRow | undefined> {
  return read.selectFrom('backup_schedules').selectAll().where('hsm_id', '=', hsmId).executeTakeFirst();
}

async function wireSchedule(read: Reader, row: ScheduleRow) {
  const place = placeOf(row);
  const last = await lastGood(read, row.hsm_id);
  return {
    everyHours: row.every_hours,
    keep: row.keep,
    lastBackup: last === undefined ? null : { endTime: seconds(last.ended_at ?? 0), folder: `${placeOf(last)?.uri}/${last.folder}` },
    nextTime: seconds(row.next_at),
    storageResourceUri: place?.uri,
    trouble: row.trouble,
    useManagedIdentity: place?.kind === 'blobs' && place.useManagedIdentity,
  };
}

/** The latest backup that succeeded and is still there, scheduled or not. */
export function lastGood(read: Reader, hsmId: string): Promise<JobRow | undefined> {
  return read
    .selectFrom('backup_jobs')
    .selectAll()
    .where('hsm_id', '=', hsmId)
    .where('kind', '=', 'backup')
    .where('status', '=', 'Succeeded')
    .where('removed', '=', 0)
    .orderBy('started_at', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** The token of the schedule, in clear for as long as it takes to seal it for a job. */
export function keptToken(crypto: Pick<CryptoModule, 'openSecret'>, { hsm_id, sealed_token }: ScheduleRow): string | undefined {
  return sealed_token === null ? undefined : crypto.openSecret(TOKEN_PURPOSE, hsm_id, sealed_token).toString();
}

/** Begins the backups that are due, one for each HSM however long the service was not running. */
export async function beginDueBackups(parts: HsmWriteParts): Promise<void> {
  const { read, write, clock, crypto, backups } = parts;
  if (backups === undefined) return;
  const due = await read.selectFrom('backup_schedules').selectAll().where('next_at', '<=', clock.now()).execute();
  for (const schedule of due) {
    const hsm = await activeHsm(parts, schedule.hsm_id);
    // A deleted HSM waits for its recovery, and one that has another job for its end.
    if (hsm === undefined || (await jobUnderWay(read, hsm.id)) !== undefined) continue;
    const place = placeOf(schedule);
    if (place === undefined) continue;
    const named: Named = { place, token: keptToken(crypto, schedule) };
    const now = clock.now();
    const begun = await write(async (writer) => {
      const still = await scheduleOf(writer, hsm.id);
      if (still?.next_at !== schedule.next_at || (await jobUnderWay(writer, hsm.id)) !== undefined) return undefined;
      const next_at = now + schedule.every_hours * HOUR;
      await writer.updateTable('backup_schedules').set({ next_at }).where('hsm_id', '=', hsm.id).execute();
      writer.note({ operation: 'BackupCreateIfDue', hsm: hsm.name });
      const job = { hsmId: hsm.id, kind: 'backup', named, folder: folderFor(hsm.name, now), scheduled: true } as const;
      return insertJob(writer, crypto, job, now);
    });
    if (begun !== undefined) backups.start(begun.id);
  }
}

/** How old the last good backup of an HSM with a schedule is. */
export interface BackupAge {
  /** The name of the HSM. */
  readonly hsm: string;
  /** Milliseconds since the last good backup, or since the schedule was set when there is none. */
  readonly age: number;
  /** Older than two of its intervals. */
  readonly isOld: boolean;
}

/** For operators: ages and names of HSMs, nothing else. */
export async function backupAges(read: Reader, now: number): Promise<readonly BackupAge[]> {
  const rows = await read
    .selectFrom('backup_schedules')
    .innerJoin('hsms', 'hsms.id', 'backup_schedules.hsm_id')
    .leftJoin('backup_jobs', (join) =>
      join
        .onRef('backup_jobs.hsm_id', '=', 'backup_schedules.hsm_id')
        .on('backup_jobs.kind', '=', 'backup')
        .on('backup_jobs.status', '=', 'Succeeded'),
    )
    .select(({ fn }) => [
      'hsms.name',
      'backup_schedules.every_hours',
      'backup_schedules.updated_at',
      fn.max('backup_jobs.started_at').as('last_at'),
    ])
    .where('hsms.deleted', '=', 0)
    .groupBy(['hsms.name', 'backup_schedules.every_hours', 'backup_schedules.updated_at'])
    .execute();
  return rows.map(({ name, every_hours, updated_at, last_at }) => {
    const age = now - Number(last_at ?? updated_at);
    return { hsm: name, age, isOld: age > 2 * every_hours * HOUR };
  });
}
