// What can go wrong with a backup or a restore, as its job reports it: the storage's own code where it has one, and words that say what to do.
// No word of these repeats a SAS token.

import { Failure } from './failure.ts';

/** The carrier of a job's error; the status is never seen. */
export function jobFailure(code: string, message: string, cause?: unknown): Failure {
  return new Failure(400, code, message, { cause });
}

/** This node was taken for dead while it did the job; nobody is told but its own code. */
export function jobTaken(): Failure {
  return jobFailure('JobTaken', 'Another node of the service has this job now.');
}

export function anotherJobRuns(kind: 'backup' | 'restore'): Failure {
  return new Failure(409, 'Conflict', `Another ${kind} operation is in progress.`);
}

export function hsmRestoring(): Failure {
  return new Failure(409, 'Conflict', 'The HSM is being restored from a backup and answers nothing else until that has ended.', {
    inner: 'HsmRestoring',
  });
}

export function backupNotFound(folder: string, cause?: unknown): Failure {
  return jobFailure(
    'BackupNotFound',
    `There is no complete backup in '${folder}'. Check the name of the folder; a backup that did not end has none.`,
    cause,
  );
}

/** One answer for a changed, a truncated and a made-up backup, and for one of another domain that claims to be of this one. */
export function backupDoesNotOpen(file: string): Failure {
  return jobFailure(
    'BackupCorrupted',
    `'${file}' of the backup is not what was written: it was changed, cut off, or belongs to another backup. Nothing was restored.`,
  );
}

export function otherDomain(): Failure {
  return jobFailure(
    'SecurityDomainMismatch',
    'The backup was made by an HSM of another security domain. Only an HSM of the same security domain can restore it.',
  );
}

export function noIdentity(): Failure {
  return jobFailure(
    'ManagedIdentityNotFound',
    'The HSM has no managed identity, or it is disabled. Give it a user-assigned one (Update-AzKeyVaultManagedHsm -UserAssignedIdentity), or use a SAS token.',
  );
}

export function serviceEnded(what: string): Failure {
  return jobFailure('ServiceRestarted', `The service ended, or its store went away, while this was under way. ${what}`);
}
