// Every address of backup and restore. The status of a job is answered while the HSM is being restored too.

import { type ActiveRow, type EarlyRow, reads, writes } from '../rows.ts';
import { checkRestore, jobStatus, startBackup, startKeyRestore, startRestore } from './operations.ts';
import { deleteSchedule, getSchedule, putSchedule } from './schedule.ts';

// biome-ignore format: a table reads by its columns
export const backupRows: readonly ActiveRow[] = [
  writes('POST', '/backup',               'backup/start/action',   startBackup('backup')),
  writes('POST', '/prebackup',            'backup/start/action',   startBackup('prebackup')),
  writes('PUT',  '/restore',              'restore/start/action',  startRestore),
  writes('PUT',  '/prerestore',           'restore/start/action',  checkRestore),
  writes('PUT',  '/keys/:name/restore',   'restore/start/action',  startKeyRestore),
  reads ('GET',    '/strongroom/backupschedule', 'backup/status/action', getSchedule),
  writes('PUT',    '/strongroom/backupschedule', 'backup/start/action',  putSchedule),
  writes('DELETE', '/strongroom/backupschedule', 'backup/start/action',  deleteSchedule),
];

// biome-ignore format: a table reads by its columns
export const backupStatusRows: readonly EarlyRow[] = [
  reads ('GET',  '/backup/:job/pending',  'backup/status/action',  jobStatus('backup')),
  reads ('GET',  '/restore/:job/pending', 'restore/status/action', jobStatus('restore')),
];
