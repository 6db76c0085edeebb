// Files that people name: read whole and bounded, written whole and on disk, and never over something that is there unless that was asked for.

import { randomBytes } from 'node:crypto';
import { link, open, readFile, rename, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Longer than anything that a ceremony has. */
const LONGEST = 4 << 20;

const REASONS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'there is no such file or folder'],
  ['EACCES', 'permission denied'],
  ['EISDIR', 'it is a folder'],
  ['ENOTDIR', 'a part of the path is not a folder'],
  ['ENOSPC', 'the disk is full'],
  ['EROFS', 'the file system is read-only'],
  ['EEXIST', 'it is there already'],
]);

export async function readBytes(path: string): Promise<Buffer> {
  try {
    if ((await stat(path)).size > LONGEST) throw new Error(`'${path}' is too long for what it should be`);
    return await readFile(path);
  } catch (cause) {
    throw fileError('read', path, cause);
  }
}

export async function readText(path: string): Promise<string> {
  return (await readBytes(path)).toString('utf8');
}

/** Written beside its place, synced, and put there in one step. An existing file is refused unless `replace` is given. */
export async function writeFileWhole(
  path: string,
  data: string | Uint8Array,
  { mode = 0o644, replace = false }: { readonly mode?: number; readonly replace?: boolean } = {},
): Promise<void> {
  const draft = `${path}.${randomBytes(6).toString('hex')}.new`;
  try {
    const file = await open(draft, 'wx', mode);
    try {
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    if (replace) await rename(draft, path);
    else await placeNew(draft, path);
    await syncFolder(dirname(path));
  } catch (cause) {
    await unlink(draft).catch(() => undefined);
    throw fileError('write', path, cause);
  }
}

/** A link fails when something is there, whoever was first. Memory sticks often have a file system without links; there a look has to do. */
async function placeNew(draft: string, path: string): Promise<void> {
  try {
    await link(draft, path);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'ENOSYS') throw cause;
    if (await isThere(path)) throw Object.assign(new Error('it is there already'), { code: 'EEXIST' });
    await rename(draft, path);
    return;
  }
  await unlink(draft);
}

export async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

export async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function fileError(verb: 'read' | 'write', path: string, cause: unknown): Error {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : undefined;
  if (code === undefined && cause instanceof Error) return cause;
  return new Error(`cannot ${verb} '${path}': ${REASONS.get(code ?? '') ?? code ?? String(cause)}`, { cause });
}
