// Opens the storage that a place names. The client of blob services is loaded only when a job goes there.

import { jobFailure } from '../../core/errors-backup.ts';
import { openFolderStorage } from './folder-storage.ts';
import type { BackupSettings } from './place.ts';
import type { Place, Storage, StorageAccess } from './storage.ts';

export async function openStorage(place: Place, folder: string, access: StorageAccess, settings: BackupSettings): Promise<Storage> {
  if (place.kind === 'blobs') {
    const { openBlobStorage } = await import('./blob-storage.ts');
    return openBlobStorage(place, folder, access, settings.outbound);
  }
  // The job may be older than the setting.
  if (settings.folder === undefined)
    throw jobFailure('BackupFolderNotAllowed', 'The operator of this service no longer allows backups to a folder.');
  return openFolderStorage(settings.folder, place.path, folder);
}
