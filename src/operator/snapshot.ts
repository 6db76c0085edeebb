// A snapshot of a data folder: everything that another machine needs to be the same service, as it was at one moment, while the service runs or not. Files in
// a folder, and a manifest that names each with its hash, marked under the root key. The manifest is written last: a folder without one is no snapshot.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import * as v from 'valibot';
import { forgetKey, readRootKeyFile } from '../crypto/root-key.ts';
import type { RootKeys } from '../crypto/root-keys.ts';
import { isMarked, marksOf } from '../crypto/root-mac.ts';
import { copyDatabaseFile } from '../store/copy.ts';
import { databaseFile } from '../store/embedded.ts';
import { structuralDamage } from '../store/inspect.ts';
import { readMeta } from '../store/meta.ts';
import { schemaOf } from '../store/migrate.ts';
import { openReader } from '../store/sqlite.ts';
import { diskTrouble } from '../store/storage-errors.ts';
import { isThere, readText, syncFolder, writeFileWhole } from '../terminal/files.ts';
import { acceptDatabase, GENERATION } from './anchor.ts';
import { ROOT_KEY_ID } from './root-key-change.ts';

const DATABASE = 'strongroom.db';
const ROOT_KEY = 'root.key';
const KIND = 'snapshot';
/** Files of the data folder that are taken as they are, where they are there. */
const PLAIN = ['ca.pem', 'ca-key.pem'];
const AUDIT = 'audit';
const AUDIT_FILES = /^[\w.-]+\.(?:jsonl|pem)$/;

/** What a data folder has besides, and why it is not in a snapshot. */
export const NOT_IN_IT: readonly string[] = [
  'root.key, unless it was asked for: whoever has it and the snapshot has every key',
  'connection.json, ca-bundle.pem, server-certificate.json and attestation-root.pem: a start writes them anew',
  'session.json: sign in again',
  'strongroom.schema-N.db: copies from before an upgrade',
  'files that settings point to elsewhere: trusted issuers, audit sinks, backups',
];

const Path = v.pipe(v.string(), v.regex(/^(?:audit\/)?[A-Za-z0-9][\w.-]*$/));
const Manifest = v.object({
  version: v.literal(1),
  program: v.string(),
  takenAt: v.string(),
  schema: v.number(),
  generation: v.number(),
  rootKeyId: v.string(),
  files: v.array(v.object({ path: Path, size: v.number(), sha256: v.string() })),
  marks: v.record(v.string(), v.string()),
});
export type Manifest = v.InferOutput<typeof Manifest>;

export interface SnapshotWish {
  readonly dataFolder: string;
  readonly rootKeyFile: string;
  /** A folder that is not there yet. */
  readonly target: string;
  readonly withRootKey: boolean;
  readonly program: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Marks of a text under the root keys that are accepted now: the running service's, or of the key in hand. */
  readonly marks: (text: string) => Promise<Readonly<Record<string, string>>>;
}

/** Marks for `SnapshotWish`, by whoever has the root key. */
export function snapshotMarks(rootKeys: RootKeys, text: string): Record<string, string> {
  return marksOf(rootKeys, KIND, text);
}

/** Takes a snapshot. Throws an Error for the operator, and nothing is left of it then; what a kill leaves is no snapshot. */
export async function takeSnapshot(wish: SnapshotWish): Promise<Manifest> {
  const { target } = wish;
  await mkdir(dirname(target), { recursive: true });
  await mkdir(target, { mode: 0o700 }).catch((cause: NodeJS.ErrnoException) => {
    throw new Error(`cannot make '${target}': ${cause.code === 'EEXIST' ? 'it is there already' : (cause.code ?? cause.message)}`);
  });
  try {
    return await fill(wish);
  } catch (cause) {
    await rm(target, { recursive: true, force: true }).catch(() => undefined);
    const trouble = diskTrouble(cause);
    throw trouble === undefined ? cause : new Error(`the snapshot could not be written to '${target}': ${trouble}`, { cause });
  }
}

/** The folder is there and empty. The manifest comes last. */
async function fill({ dataFolder, target, program, now, ...wish }: SnapshotWish): Promise<Manifest> {
  copyDatabaseFile(databaseFile(dataFolder), join(target, DATABASE));
  const facts = await factsInside(join(target, DATABASE));
  // The records of the database's changes are older than the database: the chain may only be ahead of it.
  await copyAudit(join(dataFolder, AUDIT), join(target, AUDIT));
  for (const name of PLAIN) if (await isThere(join(dataFolder, name))) await copyDurably(join(dataFolder, name), join(target, name));
  if (wish.withRootKey) await copyRootKey(wish.rootKeyFile, join(target, ROOT_KEY), facts.rootKeyId);

  const files = [];
  for (const path of await filesIn(target)) files.push({ path, ...(await hashOf(join(target, path))) });
  const unmarked = { version: 1 as const, program, takenAt: new Date(now).toISOString(), ...facts, files };
  const manifest: Manifest = { ...unmarked, marks: { ...(await wish.marks(textOf(unmarked))) } };
  if (manifest.marks[facts.rootKeyId] === undefined)
    throw new Error('the root key was changed while the snapshot was taken; take it again');
  await writeFileWhole(join(target, 'manifest.json'), `${JSON.stringify(manifest, undefined, 2)}\n`, { mode: 0o600 });
  await syncFolder(target);
  return manifest;
}

export interface Verified {
  readonly manifest: Manifest;
  /** Whether the mark was looked at: only with the root key. */
  readonly isMarked: boolean;
}

/** Whether the snapshot is whole, and with a root key whether this service's operator made it. Throws an Error that says what is wrong. */
export async function verifySnapshot(folder: string, rootKeys: RootKeys | undefined): Promise<Verified> {
  const manifest = await readManifest(folder);
  const wrong = (what: string): Error => new Error(`'${folder}' is no snapshot to rely on: ${what}`);
  const named = new Set(manifest.files.map(({ path }) => path));
  for (const path of await filesIn(folder)) if (!named.has(path)) throw wrong(`'${path}' is not in its manifest`);
  for (const { path, size, sha256 } of manifest.files) {
    const file = join(folder, path);
    if (!(await isThere(file))) throw wrong(`'${path}' is missing`);
    const found = await hashOf(file);
    if (found.size !== size || found.sha256 !== sha256) throw wrong(`'${path}' was changed`);
  }
  if (rootKeys !== undefined && !isMarked(rootKeys, KIND, textOf(manifest), manifest.marks)) {
    throw wrong('its manifest was not made under this root key, or was changed');
  }
  const damage = structuralDamage(join(folder, DATABASE), true);
  if (damage !== undefined) throw wrong(`the database is damaged (${damage})`);
  const { schema, generation, rootKeyId } = await factsInside(join(folder, DATABASE));
  if (schema !== manifest.schema || generation !== manifest.generation || rootKeyId !== manifest.rootKeyId) {
    throw wrong('its manifest speaks of another database');
  }
  return { manifest, isMarked: rootKeys !== undefined };
}

/** Whether the snapshot has its root key in it. */
export function hasRootKey({ files }: Manifest): boolean {
  return files.some(({ path }) => path === ROOT_KEY);
}

export function rootKeyIn(folder: string): string {
  return join(folder, ROOT_KEY);
}

export async function readManifest(folder: string): Promise<Manifest> {
  const file = join(folder, 'manifest.json');
  if (!(await isThere(file))) throw new Error(`'${folder}' has no manifest.json: it is no snapshot, or one that was cut off`);
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), Manifest), await readText(file));
  if (!parsed.success) throw new Error(`'${file}' is no manifest of a snapshot`);
  return parsed.output;
}

/**
 * Makes a data folder of a snapshot that was verified with its root key. The folder is empty or not there. The database comes first and the anchor last, so
 * that what a kill leaves is refused by the next start. The root key's file is put in its place when it is given.
 */
export async function restoreSnapshot(
  folder: string,
  manifest: Manifest,
  place: { readonly dataFolder: string; readonly rootKeyFile: string; readonly rootKeyFrom: string | undefined },
  rootKeys: RootKeys,
): Promise<void> {
  const { dataFolder, rootKeyFile, rootKeyFrom } = place;
  await mkdir(dataFolder, { recursive: true, mode: 0o700 });
  const others = (await readdir(dataFolder)).filter((name) => join(dataFolder, name) !== rootKeyFile);
  if (others.length > 0) throw new Error(`'${dataFolder}' is not empty; a snapshot is restored to a folder of its own`);
  const paths = manifest.files.map(({ path }) => path).filter((path) => path !== ROOT_KEY);
  for (const path of [DATABASE, ...paths.filter((other) => other !== DATABASE)]) {
    await mkdir(dirname(join(dataFolder, path)), { recursive: true, mode: 0o700 });
    await copyDurably(join(folder, path), join(dataFolder, path));
  }
  if (rootKeyFrom !== undefined && rootKeyFrom !== rootKeyFile) await copyDurably(rootKeyFrom, rootKeyFile);
  await syncFolder(dataFolder);
  await acceptDatabase(dataFolder, rootKeys);
}

/** Schema, generation and root key of a database that nobody else has open. */
async function factsInside(file: string): Promise<Pick<Manifest, 'schema' | 'generation' | 'rootKeyId'>> {
  const connection = openReader(file);
  try {
    const schema = await schemaOf(connection);
    const rootKeyId = await readMeta(connection.db, ROOT_KEY_ID);
    if (rootKeyId === undefined)
      throw new Error('the database does not say which root key it is sealed under; start the service on it once');
    return { schema, generation: Number((await readMeta(connection.db, GENERATION)) ?? 0), rootKeyId };
  } finally {
    connection.close();
  }
}

async function copyAudit(from: string, to: string): Promise<void> {
  const names = await readdir(from).catch(() => []);
  const wanted = names.filter((name) => AUDIT_FILES.test(name));
  if (wanted.length === 0) return;
  await mkdir(to, { mode: 0o700 });
  for (const name of wanted) await copyDurably(join(from, name), join(to, name));
  await syncFolder(to);
}

async function copyRootKey(from: string, to: string, id: string): Promise<void> {
  const file = await readRootKeyFile(from);
  forgetKey(file);
  if (file?.id !== id) throw new Error('the root key is being changed; take the snapshot again');
  await copyDurably(from, to);
}

async function copyDurably(from: string, to: string): Promise<void> {
  await copyFile(from, to);
  const file = await open(to, 'r+');
  try {
    await file.chmod(0o600);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(join(folder, '/').length))
    .filter((path) => path !== 'manifest.json')
    .sort();
}

async function hashOf(file: string): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(piece);
  return { size: (await stat(file)).size, sha256: hash.digest('hex') };
}

/** What is marked: everything but the marks, in one order. */
function textOf({ version, program, takenAt, schema, generation, rootKeyId, files }: Omit<Manifest, 'marks'>): string {
  return JSON.stringify([
    version,
    program,
    takenAt,
    schema,
    generation,
    rootKeyId,
    files.map(({ path, size, sha256 }) => [path, size, sha256]),
  ]);
}
