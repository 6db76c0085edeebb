// The two files of a certificate authority, which belong together whenever somebody stops in the middle of writing them; and files that are written whole.

import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

export const KEY_FILE = 'ca-key.pem';
export const CERTIFICATE_FILE = 'ca.pem';

/** The two files of an authority, PEM. */
export interface AuthorityFiles {
  readonly key: string;
  readonly certificate: string;
}

/** As they are in a data folder whose authority was opened. */
export async function readAuthority(dataDir: string): Promise<AuthorityFiles> {
  const [key, certificate] = await Promise.all([
    readFile(join(dataDir, KEY_FILE), 'utf8'),
    readFile(join(dataDir, CERTIFICATE_FILE), 'utf8'),
  ]);
  return { key, certificate };
}

/** Makes this the authority of the folder, or leaves what was there: the certificate waits beside its place until its key is on disk. */
export async function installAuthority(dataDir: string, { key, certificate }: AuthorityFiles): Promise<void> {
  const [keyFile, caFile] = [join(dataDir, KEY_FILE), join(dataDir, CERTIFICATE_FILE)];
  await writeWhole(caFile + WAITING, certificate, 0o644);
  await writeWhole(keyFile, key, 0o600);
  await finishInstalling(keyFile, caFile);
}

const WAITING = '.next';

/** A certificate that waits for a key that came takes its place; one whose key never came is removed. */
export async function finishInstalling(keyFile: string, caFile: string): Promise<void> {
  const waiting = await readIfThere(caFile + WAITING);
  if (waiting === undefined) return;
  const keyText = await readIfThere(keyFile);
  if (keyText !== undefined && isPair(keyText, waiting)) await rename(caFile + WAITING, caFile);
  else await rm(caFile + WAITING);
  await syncFolder(join(caFile, '..'));
}

function isPair(keyText: string, certificateText: string): boolean {
  try {
    return new X509Certificate(certificateText).checkPrivateKey(createPrivateKey(keyText));
  } catch {
    return false;
  }
}

/** Undefined when there is no such file. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw cause;
  }
}

/** Replaces a file in one step: after a crash there is the old content or the new, and it is on disk when this returns. */
export async function writeWhole(path: string, content: string | Buffer, mode: number): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await using file = await open(temporary, 'wx', mode);
    await file.writeFile(content);
    await file.sync();
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw cause;
  }
  await syncFolder(join(path, '..'));
}

async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path);
  await folder.sync();
}
