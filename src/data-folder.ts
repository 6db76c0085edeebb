// The data folder: for its owner alone, as are the files that the service writes into it.

import { chmod, mkdir, readFile, stat } from 'node:fs/promises';
import { writeFileWhole } from './terminal/files.ts';

/** The folder for its owner alone: what is in it opens everything. */
export async function openFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { mode, uid } = await stat(folder);
  if (process.getuid !== undefined && uid !== process.getuid()) {
    throw new Error(
      `the data folder '${folder}' belongs to another account; start the service as that account, or choose another folder with --data`,
    );
  }
  if ((mode & 0o077) !== 0) await chmod(folder, 0o700);
}

/** A file that says what it should already is not written again: that costs a start the wait for the disk. */
export async function keepFile(file: string, text: string): Promise<void> {
  const known = await readFile(file, 'utf8').catch(() => undefined);
  if (known !== text) await writePrivate(file, text);
}

/** Whole or not at all, for its owner alone. */
export function writePrivate(file: string, text: string): Promise<void> {
  return writeFileWhole(file, text, { mode: 0o600, replace: true });
}
