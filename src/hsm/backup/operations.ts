// The addresses of backup and restore: what they accept, and the job that they answer with. The work is the runner's.

import * as v from 'valibot';
import { badParameter, resourceNotFound } from '../../core/errors-keyvault.ts';
import { accepted, reply } from '../../core/reply.ts';
import { operation } from '../../core/route.ts';
import { KeyPath } from '../keys/names.ts';
import type { ActiveWrites, HsmReads } from '../world.ts';
import { folderFor, insertJob, type JobKind, jobNamed, type NewJob, wireJob } from './jobs.ts';
import { folderIn, placeIn, StorageBody, uncut } from './place.ts';

const JobPath = v.object({ job: v.string() });
const folder = v.pipe(v.string(), v.minLength(1), v.maxLength(2048));

/** POST /backup, and /prebackup, which writes and removes a small file to see that a backup could. */
export const startBackup = (kind: 'backup' | 'prebackup') =>
  operation({ path: v.unknown(), query: v.unknown(), body: StorageBody }, (world: ActiveWrites, { body, origin }) => {
    const named = placeIn(body, world.backups.settings);
    if (kind === 'backup' && named === undefined) throw badParameter('storageResourceUri is missing.');
    return begin(world, origin, { hsmId: world.hsm.id, kind, named, folder: folderFor(world.hsm.name, world.clock.now()) });
  });

/** PUT /restore: everything that the HSM holds is replaced. */
export const startRestore = operation(
  { path: v.unknown(), query: v.unknown(), body: v.object({ sasTokenParameters: StorageBody, folderToRestore: folder }) },
  (world: ActiveWrites, { body, origin }) =>
    begin(world, origin, restoreJob(world, 'restore', body.sasTokenParameters, body.folderToRestore)),
);

/** PUT /prerestore: reads the backup from beginning to end and changes nothing. */
export const checkRestore = operation(
  {
    path: v.unknown(),
    query: v.unknown(),
    body: v.object({ sasTokenParameters: v.nullish(StorageBody), folderToRestore: v.nullish(folder) }),
  },
  (world: ActiveWrites, { body, origin }) => {
    const storage = body.sasTokenParameters ?? {};
    if (!storage.storageResourceUri) return begin(world, origin, { hsmId: world.hsm.id, kind: 'prerestore', named: undefined, folder: '' });
    if (!body.folderToRestore) throw badParameter('folderToRestore is missing.');
    return begin(world, origin, restoreJob(world, 'prerestore', storage, body.folderToRestore));
  },
);

/** PUT /keys/{name}/restore: one key comes back, if nothing has its name. */
export const startKeyRestore = operation(
  { path: KeyPath, query: v.unknown(), body: v.object({ sasTokenParameters: StorageBody, folder }) },
  (world: ActiveWrites, { path, body, origin }) => {
    const job = restoreJob(world, 'restore-key', body.sasTokenParameters, body.folder);
    return begin(world, origin, { ...job, keyName: path.name });
  },
);

/** GET /backup/{job}/pending and /restore/{job}/pending: a failed job is an answer too. While the HSM is being restored this is all it answers. */
export const jobStatus = (of: 'backup' | 'restore') =>
  operation({ path: JobPath, query: v.unknown(), body: v.unknown() }, async ({ hsm, read }: HsmReads, { path, origin }) => {
    const job = await jobNamed(read, path.job.toLowerCase());
    if (job === undefined || job.hsm_id !== hsm.id || familyOf(job.kind) !== of) {
      throw resourceNotFound(`There is no ${of} job '${path.job.slice(0, 64)}'.`);
    }
    return job.status === 'InProgress' ? reply(200, wireJob(job), pollHeaders(origin, of, job.id)) : wireJob(job);
  });

function restoreJob({ hsm, backups: { settings } }: ActiveWrites, kind: JobKind, asked: StorageBody, folder: string): NewJob {
  const { body, written } = uncut(asked, folder, settings);
  const named = placeIn(body, settings);
  if (named === undefined) throw badParameter('storageResourceUri is missing.');
  return { hsmId: hsm.id, kind, named, folder: folderIn(written, named.place) };
}

async function begin(world: ActiveWrites, origin: string, job: NewJob) {
  const { write, crypto, clock, backups } = world;
  const row = await write((writer) => insertJob(writer, crypto, job, clock.now()));
  backups.start(row.id);
  const family = familyOf(job.kind);
  return accepted('azure-asyncoperation', pendingAddress(origin, family, row.id), wireJob(row));
}

function familyOf(kind: JobKind): 'backup' | 'restore' {
  return kind === 'backup' || kind === 'prebackup' ? 'backup' : 'restore';
}

function pendingAddress(origin: string, family: 'backup' | 'restore', id: string): string {
  return `${origin}/${family}/${id}/pending`;
}

function pollHeaders(origin: string, family: 'backup' | 'restore', id: string) {
  return { 'azure-asyncoperation': pendingAddress(origin, family, id), 'retry-after': '1' };
}
