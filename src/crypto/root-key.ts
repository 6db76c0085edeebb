// The root key in its file: 32 random bytes that unseal every domain key. Made once, durably, and never replaced; read only when nobody else
// can read it. Knows files; not what the key opens.

import { createHash, randomBytes } from 'node:crypto';
import { type FileHandle, link, open, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

const KEY_LENGTH = 32;
const CHECK_LENGTH = 8;
/** The whole file: `strongroom-root-key-1 {key in hex} {check value in hex}` and a line feed. */
const PREFIX = Buffer.from('strongroom-root-key-1 ', 'ascii');
const KEY_AT = PREFIX.length;
const CHECK_AT = KEY_AT + 2 * KEY_LENGTH + 1;
const FILE_LENGTH = CHECK_AT + 2 * CHECK_LENGTH + 1;
const SPACE = 0x20;
const LINE_FEED = 0x0a;

const OWNER_ONLY = 0o600;
const ANYONE_ELSE = 0o077;

/**
 * The root key of this file; the caller zeroes it. With `mayCreate` a missing file is made, on disk before this returns.
 * Throws, with words that say how to mend it, when the file is missing and may not be made, is damaged, or is open to others than its owner.
 */
export async function loadOrCreateRootKey(path: string, { mayCreate }: { mayCreate: boolean }): Promise<Buffer> {
  const found = await readRootKey(path);
  if (found !== undefined) return found;
  if (!mayCreate) {
    throw new Error(
      `The root key file ${path} is missing, but there is a database that only this key opens. Put the file back from your backup; a new key would leave everything in the database unreadable.`,
    );
  }
  await createRootKey(path);
  // Read back: what another process put there meanwhile counts, and what cannot be read again shows now.
  const made = await readRootKey(path);
  if (made === undefined) throw new Error(`The root key file ${path} vanished while it was being made.`);
  return made;
}

async function readRootKey(path: string): Promise<Buffer | undefined> {
  const file = await openIfThere(path);
  if (file === undefined) return undefined;
  const text = Buffer.alloc(FILE_LENGTH + 1);
  try {
    await refuseOthers(file, path);
    const { bytesRead } = await file.read(text, 0, text.length, 0);
    const key = parse(text.subarray(0, bytesRead));
    if (key !== undefined) return key;
    throw new Error(`The root key file ${path} is damaged. Put the file back from your backup; do not edit it.`);
  } finally {
    text.fill(0);
    await file.close();
  }
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
async function createRootKey(path: string): Promise<void> {
  const draft = `${path}.${randomBytes(6).toString('hex')}.new`;
  const file = await open(draft, 'wx', OWNER_ONLY);
  const key = randomBytes(KEY_LENGTH);
  const text = format(key);
  try {
    await file.writeFile(text);
    await file.sync();
    await linkUnlessThere(draft, path);
  } finally {
    key.fill(0);
    text.fill(0);
    await file.close();
    await unlink(draft);
  }
  await syncFolder(dirname(path));
}

async function linkUnlessThere(draft: string, path: string): Promise<void> {
  try {
    await link(draft, path);
  } catch (cause) {
    if (!isCode(cause, 'EEXIST')) throw cause;
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

function format(key: Buffer): Buffer {
  const text = Buffer.alloc(FILE_LENGTH, SPACE);
  PREFIX.copy(text);
  putHex(text, KEY_AT, key);
  putHex(text, CHECK_AT, checkValue(key));
  text[FILE_LENGTH - 1] = LINE_FEED;
  return text;
}

/** The key, or undefined when the text is not exactly what `format` writes. */
function parse(text: Buffer): Buffer | undefined {
  const key = Buffer.alloc(KEY_LENGTH);
  for (let index = 0; index < KEY_LENGTH; index += 1) {
    key[index] = 16 * nibble(text[KEY_AT + 2 * index]) + nibble(text[KEY_AT + 2 * index + 1]);
  }
  const right = format(key);
  const same = text.equals(right);
  right.fill(0);
  if (same) return key;
  key.fill(0);
  return undefined;
}

/** Finds damage; says nothing about the key to those who do not have it. */
function checkValue(key: Buffer): Buffer {
  return createHash('sha256').update(PREFIX).update(key).digest().subarray(0, CHECK_LENGTH);
}

// By hand, because Node's own hex passes through strings, which cannot be zeroed.
const DIGITS = Buffer.from('0123456789abcdef', 'ascii');

function putHex(text: Buffer, at: number, bytes: Buffer): void {
  for (const [index, byte] of bytes.entries()) {
    text[at + 2 * index] = DIGITS[byte >> 4] ?? 0;
    text[at + 2 * index + 1] = DIGITS[byte & 15] ?? 0;
  }
}

function nibble(character: number | undefined): number {
  return character === undefined ? 0 : Math.max(0, DIGITS.indexOf(character));
}
