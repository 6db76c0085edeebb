// A backup in a folder of this machine. Files appear whole, under their name, once they are on disk.

import { mkdir, open, readFile, realpath, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { backupNotFound, jobFailure } from '../../core/errors-backup.ts';
import { type Storage, sha256 } from './storage.ts';

/**
 * `container`: the folder that the client named; `root`: the one that the operator allowed, which it must not lead out of, through symbolic links either;
 * `folder`: the backup's own, made by the first `put`.
 */
export async function openFolderStorage(root: string, container: string, folder: string): Promise<Storage> {
  const inside = await realpath(container).catch((cause: unknown) => {
    throw noSuchFolder(container, cause);
  });
  const way = relative(await realpath(root).catch(() => root), inside);
  if (way.startsWith('..')) throw jobFailure('BackupFolderNotAllowed', `'${container}' leads out of the folder that the operator allowed.`);
  const place = join(inside, folder);

  return {
    put: async (name, bytes) => {
      try {
        // Not recursively: that calls a disk that cannot be written a folder that is not there.
        await mkdir(place, { mode: 0o700 }).catch((error: unknown) => {
          if (codeOf(error) !== 'EEXIST') throw error;
        });
        await writeWhole(join(place, name), bytes);
      } catch (cause) {
        throw whyNotWritten(container, cause);
      }
    },
    has: async (name, bytes) => {
      const there = await stat(join(place, name)).catch(() => undefined);
      return there?.size === bytes.length && sha256(await readFile(join(place, name))) === sha256(bytes);
    },
    get: async (name, largest) => {
      try {
        const { size } = await stat(join(place, name));
        if (size > largest)
          throw jobFailure('BackupCorrupted', `'${name}' of the backup has ${size} bytes; ${largest} are the most there can be.`);
        return await readFile(join(place, name));
      } catch (cause) {
        if (codeOf(cause) === 'ENOENT' || codeOf(cause) === 'ENOTDIR') throw backupNotFound(folder, cause);
        throw codeOf(cause) === undefined
          ? cause
          : jobFailure('BackupUnreadable', `'${name}' of the backup cannot be read: ${codeOf(cause)}.`, cause);
      }
    },
    remove: async (name) => {
      await rm(join(place, name), { force: true });
      // The folder goes with its last file.
      await rmdir(place).catch(() => undefined);
    },
    close: () => undefined,
  };
}

/** The file with these bytes, on disk, or none. */
export async function writeWhole(file: string, bytes: Uint8Array): Promise<void> {
  const draft = `${file}.part`;
  const handle = await open(draft, 'w', 0o600);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(draft, file);
  const folder = await open(dirname(file));
  await folder.sync().finally(() => folder.close());
}

function whyNotWritten(container: string, cause: unknown): unknown {
  const code = codeOf(cause);
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return jobFailure('InsufficientStorage', `There is no room for the backup in '${container}'.`, cause);
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
    return jobFailure('AuthorizationFailure', `The service may not write to '${container}': ${code}.`, cause);
  if (code === 'ENOENT') return noSuchFolder(container, cause);
  return code === undefined ? cause : jobFailure('BackupNotWritten', `The backup cannot be written to '${container}': ${code}.`, cause);
}

function noSuchFolder(container: string, cause: unknown) {
  return jobFailure('ContainerNotFound', `There is no folder '${container}' on the machine of the service. Make it first.`, cause);
}

function codeOf(cause: unknown): string | undefined {
  return cause instanceof Error && 'code' in cause && /^E[A-Z0-9]+$/.test(String(cause.code)) ? String(cause.code) : undefined;
}
