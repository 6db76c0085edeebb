// The root key in its file: 32 random bytes that unseal every domain key, in the clear for its owner alone or locked under a passphrase. Made once,
// durably; replaced only by a new one that was announced beside it. Knows files; not what the key opens.

import { createHash, randomBytes } from 'node:crypto';
import { type FileHandle, link, open, readdir, realpath, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fromHex, putHex } from './hex.ts';
import { lockedText, parseLocked, unlock } from './root-key-lock.ts';
import { newRootKey, ROOT_KEY_LENGTH, rootKeyId } from './root-keys.ts';

const CHECK_LENGTH = 8;
/** The whole file in the clear: `strongroom-root-key-1 {key in hex} {check value in hex}` and a line feed. */
const PREFIX = Buffer.from('strongroom-root-key-1 ', 'ascii');
const KEY_AT = PREFIX.length;
const CHECK_AT = KEY_AT + 2 * ROOT_KEY_LENGTH + 1;
const FILE_LENGTH = CHECK_AT + 2 * CHECK_LENGTH + 1;
/** A locked file is a little longer, and shorter than this. */
export const LONGEST_ROOT_KEY = 512;
const SPACE = 0x20;
const LINE_FEED = 0x0a;

const OWNER_ONLY = 0o600;
const ANYONE_ELSE = 0o077;

/** A root key file that was read. `id` names the key (`rootKeyId`). The caller zeroes the key. */
export type RootKeyFile =
  | { readonly kind: 'open'; readonly id: string; readonly key: Buffer }
  | {
      readonly kind: 'locked';
      readonly id: string;
      /** The key, or undefined when it is the wrong passphrase. Takes a good part of a second, on purpose. */
      unlock(passphrase: Uint8Array): Promise<Buffer | undefined>;
    };

/**
 * The root key file, made when there is none and `mayCreate` is given: with a fresh key, locked when `passphrase` is given, on disk before this returns.
 * Throws, with words that say how to mend it, when the file is missing and may not be made, is damaged, or is open to others than its owner.
 */
export async function openRootKeyFile(
  path: string,
  { mayCreate, passphrase }: { readonly mayCreate: boolean; readonly passphrase?: Uint8Array | undefined },
): Promise<RootKeyFile> {
  const found = await readRootKeyFile(path);
  if (found !== undefined) return found;
  if (!mayCreate) {
    throw new Error(
      `The root key file ${path} is missing, but there is a database that only this key opens. Put the file back from your backup; a new key would leave everything in the database unreadable.`,
    );
  }
  const key = newRootKey();
  try {
    await writeUnlessThere(path, key, passphrase);
  } finally {
    key.fill(0);
  }
  // Read back: what another process put there meanwhile counts, and what cannot be read again shows now.
  const made = await readRootKeyFile(path);
  if (made === undefined) throw new Error(`The root key file ${path} vanished while it was being made.`);
  return made;
}

/** The file as it is, or undefined when there is none. Throws as `openRootKeyFile`. */
export async function readRootKeyFile(path: string): Promise<RootKeyFile | undefined> {
  const file = await openIfThere(path);
  if (file === undefined) return undefined;
  const text = Buffer.alloc(LONGEST_ROOT_KEY);
  try {
    await refuseOthers(file, path);
    const { bytesRead } = await file.read(text, 0, text.length, 0);
    const found = rootKeyIn(text.subarray(0, bytesRead));
    if (found !== undefined) return found;
    throw new Error(`The root key file ${path} is damaged. Put the file back from your backup; do not edit it.`);
  } finally {
    text.fill(0);
    await file.close();
  }
}

/** For whoever wanted to know which key it is, and not the key. */
export function forgetKey(file: RootKeyFile | undefined): void {
  if (file?.kind === 'open') file.key.fill(0);
}

/** What a program printed of a root key: the text of its file, with or without the line feed at its end. Undefined when it is anything else. */
export function printedRootKey(printed: Uint8Array): RootKeyFile | undefined {
  if (printed.length >= LONGEST_ROOT_KEY) return undefined;
  const text = Buffer.alloc(printed.length + 1, LINE_FEED);
  text.set(printed);
  try {
    return rootKeyIn(printed.at(-1) === LINE_FEED ? text.subarray(0, printed.length) : text);
  } finally {
    text.fill(0);
  }
}

function rootKeyIn(text: Buffer): RootKeyFile | undefined {
  const key = parse(text);
  if (key !== undefined) return { kind: 'open', id: rootKeyId(key), key };
  const locked = parseLocked(text.toString('latin1'));
  return locked === undefined ? undefined : { kind: 'locked', id: locked.id, unlock: (passphrase) => unlock(locked, passphrase) };
}

/** A root key that came from elsewhere, in a file that is not there yet, on disk before this returns. */
export async function keepRootKey(path: string, key: Uint8Array, passphrase: Uint8Array | undefined): Promise<void> {
  await writeUnlessThere(path, key, passphrase);
}

/**
 * Where the announcement of a new root key lies: beside the file, behind any link, so that it can take its place in one step. Something that is there
 * was announced and not finished.
 */
export async function announcedPath(path: string): Promise<string> {
  const real = await realpath(path).catch((cause: unknown) => {
    if (isCode(cause, 'ENOENT')) return path;
    throw cause;
  });
  return `${real}.next`;
}

/** Writes the new root key beside the old one, on disk before this returns. Replaces an earlier announcement. */
export async function announceRootKey(path: string, key: Uint8Array, passphrase?: Uint8Array): Promise<void> {
  const next = await announcedPath(path);
  const draft = await writeDraft(next, key, passphrase);
  await rename(draft, next);
  await syncFolder(dirname(next));
}

/** The announced root key takes the place of the old one. */
export async function installAnnouncedRootKey(path: string): Promise<void> {
  const next = await announcedPath(path);
  await rename(next, next.slice(0, -'.next'.length));
  await syncFolder(dirname(next));
}

/** Takes an announcement back, and with it the drafts of a process that was killed while it wrote: each of them is a root key. */
export async function withdrawAnnouncedRootKey(path: string): Promise<void> {
  const next = await announcedPath(path);
  const file = basename(next.slice(0, -'.next'.length));
  for (const name of await readdir(dirname(next)))
    if (name === basename(next) || (name.startsWith(file) && DRAFT.test(name.slice(file.length))))
      await unlinkIfThere(join(dirname(next), name));
}

async function unlinkIfThere(path: string): Promise<void> {
  await unlink(path).catch((cause: unknown) => {
    if (!isCode(cause, 'ENOENT')) throw cause;
  });
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (cause) {
    if (isCode(cause, 'ENOENT')) return undefined;
    throw new Error(`The root key file ${path} cannot be opened; it must be readable by the user that runs the service.`, { cause });
  }
}

async function refuseOthers(file: FileHandle, path: string): Promise<void> {
  const status = await file.stat();
  if (!status.isFile()) throw new Error(`The root key ${path} is not a file.`);
  // Windows has no such bits: its answer says nothing about who may read.
  if (process.platform !== 'win32' && (status.mode & ANYONE_ELSE) !== 0) {
    const mode = (status.mode & 0o777).toString(8).padStart(4, '0');
    throw new Error(
      `The root key file ${path} is open to other users (mode ${mode}). Run: chmod 600 '${path}', and consider who may have read it meanwhile.`,
    );
  }
}

/** Written beside its place, synced, then linked there, which fails when another process was first: a key is never half there nor overwritten. */
async function writeUnlessThere(path: string, key: Uint8Array, passphrase: Uint8Array | undefined): Promise<void> {
  const draft = await writeDraft(path, key, passphrase);
  try {
    await link(draft, path);
  } catch (cause) {
    if (!isCode(cause, 'EEXIST')) throw cause;
  } finally {
    await unlink(draft);
  }
  await syncFolder(dirname(path));
}

/** What `writeDraft` puts behind the name of a root key or of its announcement. */
const DRAFT = /^(\.next)?\.[0-9a-f]{12}\.new$/;

async function writeDraft(path: string, key: Uint8Array, passphrase: Uint8Array | undefined): Promise<string> {
  const draft = `${path}.${randomBytes(6).toString('hex')}.new`;
  const text = passphrase === undefined ? format(key) : Buffer.from(await lockedText(key, passphrase), 'latin1');
  const file = await open(draft, 'wx', OWNER_ONLY);
  try {
    await file.writeFile(text);
    await file.sync();
    return draft;
  } catch (failure) {
    await unlink(draft).catch(() => undefined);
    throw failure;
  } finally {
    text.fill(0);
    await file.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function format(key: Uint8Array): Buffer {
  const text = Buffer.alloc(FILE_LENGTH, SPACE);
  PREFIX.copy(text);
  putHex(text, KEY_AT, key);
  putHex(text, CHECK_AT, checkValue(key));
  text[FILE_LENGTH - 1] = LINE_FEED;
  return text;
}

/** The key, or undefined when the text is not exactly what `format` writes. */
function parse(text: Buffer): Buffer | undefined {
  const key = fromHex(text, KEY_AT, ROOT_KEY_LENGTH);
  const right = format(key);
  const same = text.equals(right);
  right.fill(0);
  if (same) return key;
  key.fill(0);
  return undefined;
}

/** Finds damage; says nothing about the key to those who do not have it. */
function checkValue(key: Uint8Array): Buffer {
  return createHash('sha256').update(PREFIX).update(key).digest().subarray(0, CHECK_LENGTH);
}
