// The anchor of an embedded database: a note beside it, marked under the root key, that says which database this folder had last, and after a stop exactly
// how its file was. A database that was changed, cut off, replaced or set back meanwhile is refused, never mended in silence.
//
//   stopped: the file must be, byte for byte, what it was at the stop (up to 64 MB; of a larger one its size, beginning and end)
//   killed:  the file must be whole, and from the last run or the start that was cut off

import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import type { RootKeys } from '../crypto/root-keys.ts';
import { isMarked, marksOf } from '../crypto/root-mac.ts';
import { databaseExists, databaseFile, openEmbeddedStore, peekMeta } from '../store/embedded.ts';
import { factsOf, hasLog, isSmall, structuralDamage, visibleDamage } from '../store/inspect.ts';
import { writeMeta } from '../store/meta.ts';
import { openStore, type StorePlace } from '../store/open.ts';
import type { Store, StoreOptions } from '../store/store.ts';
import { writeFileWhole } from '../terminal/files.ts';
import { refuseMarked } from './store-mark.ts';
import { noteStore, refuseForgottenStore } from './store-note.ts';

/** How many times the database was opened for writing, in the database itself. */
export const GENERATION = 'generation';
const KIND = 'anchor';

const Facts = v.object({ size: v.number(), sha256: v.string() });
const Anchor = v.object({
  version: v.literal(1),
  generation: v.number(),
  /** The file as it was at the stop; null while the service runs. */
  stopped: v.nullable(Facts),
  marks: v.record(v.string(), v.string()),
});
const AnchorText = v.pipe(v.string(), v.parseJson(), Anchor);
type Said = Pick<v.InferOutput<typeof Anchor>, 'generation' | 'stopped'>;

export interface AnchoredStore extends Store {
  /** Marks the anchor under the root keys that are accepted now: before and after the root key changes. */
  remark(): Promise<void>;
}

export function anchorFile(dataFolder: string): string {
  return join(dataFolder, 'strongroom.anchor');
}

/** The store of a service, wherever it is. A server keeps watch over its own files, so only the embedded database has an anchor. */
export async function openServiceStore(place: StorePlace, rootKeys: RootKeys, options: StoreOptions): Promise<AnchoredStore> {
  await refuseForgottenStore(place);
  const store = await openStoreForCopy(place, rootKeys, options);
  try {
    await refuseMarked(store.read);
    if (place.store.engine === 'postgres') await noteStore(place);
    return store;
  } catch (failure) {
    await store.close();
    throw failure;
  }
}

/** The same, also of a store that was copied or is a copy. */
export async function openStoreForCopy(place: StorePlace, rootKeys: RootKeys, options: StoreOptions): Promise<AnchoredStore> {
  if (place.store.engine === 'embedded') return openAnchoredStore(place.dataFolder, rootKeys, options);
  return { ...(await openStore(place, options)), remark: async () => undefined };
}

/**
 * Opens the store of this folder, which nobody else has open, when it is the database that the folder had last. Throws an Error for the operator
 * otherwise, before anything is changed. Closing it says how the file is then.
 */
export async function openAnchoredStore(dataFolder: string, rootKeys: RootKeys, options: StoreOptions): Promise<AnchoredStore> {
  const before = await provenGeneration(dataFolder, rootKeys);
  let said: Said = { generation: before, stopped: null };
  const remark = (): Promise<void> => writeAnchor(dataFolder, rootKeys, said);
  await sweepDrafts(dataFolder);
  // In this order: what a kill leaves between two of these is one of the two generations that the next start takes.
  await remark();
  const store = await openEmbeddedStore(dataFolder, options);
  try {
    const generation = before + 1;
    await store.write((writer) => writeMeta(writer, GENERATION, String(generation)));
    said = { generation, stopped: null };
    await remark();
  } catch (failure) {
    await store.close();
    throw failure;
  }
  return {
    read: store.read,
    write: store.write,
    remark,
    close: async () => {
      await store.close();
      said = { ...said, stopped: await factsOf(databaseFile(dataFolder)) };
      await remark();
    },
  };
}

/**
 * What can be said against an embedded database before anything opens it: a file that was cut off, or is none; and a write-ahead log that is there after a stop, which
 * would be put into the database by whoever opens it first. Throws as `openAnchoredStore`.
 */
export async function refuseAtSight({ dataFolder, store }: StorePlace): Promise<void> {
  if (store.engine !== 'embedded' || !databaseExists(dataFolder)) return;
  const damage = await visibleDamage(dataFolder);
  if (damage !== undefined) throw refused(dataFolder, damage);
  const text = await textOfAnchor(dataFolder);
  const parsed = v.safeParse(AnchorText, text);
  if (parsed.success && parsed.output.stopped !== null && (await hasLog(dataFolder))) {
    throw refused(dataFolder, 'there is a write-ahead log beside it that the service did not leave');
  }
}

/** Says that the database is this folder's, however it came there. For the operator who knows why. */
export async function acceptDatabase(dataFolder: string, rootKeys: RootKeys): Promise<{ readonly generation: number }> {
  const file = databaseFile(dataFolder);
  const damage = (await visibleDamage(dataFolder)) ?? structuralDamage(file, true);
  if (damage !== undefined) throw new Error(`'${file}' is damaged (${damage}); take one from a snapshot`);
  const generation = Number((await peekMeta(dataFolder, GENERATION)) ?? 0);
  await writeAnchor(dataFolder, rootKeys, { generation, stopped: await factsOf(file) });
  return { generation };
}

/** The generation that the database has, when there is nothing to say against it. */
async function provenGeneration(dataFolder: string, rootKeys: RootKeys): Promise<number> {
  const anchor = await readAnchor(dataFolder, rootKeys);
  if (!databaseExists(dataFolder)) {
    if (anchor === undefined || (anchor.generation === 0 && anchor.stopped === null)) return 0;
    throw refused(dataFolder, 'it is gone', `put it back; to begin with an empty one, remove '${anchorFile(dataFolder)}' too`);
  }
  const damage = await visibleDamage(dataFolder);
  if (damage !== undefined) throw refused(dataFolder, damage);
  if (anchor?.stopped != null) {
    const { size, sha256 } = await factsOf(databaseFile(dataFolder));
    if (size !== anchor.stopped.size || sha256 !== anchor.stopped.sha256) throw refused(dataFolder, 'it is not as the service left it');
  }
  const generation = Number((await peekMeta(dataFolder, GENERATION)) ?? 0);
  if (anchor === undefined) throw refused(dataFolder, 'nothing says that it belongs here');
  if (anchor.stopped !== null) return generation;
  if (generation !== anchor.generation && generation !== anchor.generation + 1) {
    throw refused(dataFolder, `it is ${generation < anchor.generation ? 'an older' : 'another'} one than the service had last`);
  }
  const broken = (await isSmall(dataFolder)) ? structuralDamage(databaseFile(dataFolder), false) : undefined;
  if (broken !== undefined) throw refused(dataFolder, `it is damaged (${broken})`);
  return generation;
}

function refused(dataFolder: string, why: string, remedy?: string): Error {
  const usual = `take the right one from a snapshot, or, if you know why it is so, run: ./strongroom accept-database --data ${dataFolder}`;
  return new Error(`the database '${databaseFile(dataFolder)}' is refused: ${why}. Nothing was changed; ${remedy ?? usual}`);
}

async function readAnchor(dataFolder: string, rootKeys: RootKeys): Promise<Said | undefined> {
  const text = await textOfAnchor(dataFolder);
  if (text === undefined) return undefined;
  const parsed = v.safeParse(AnchorText, text);
  if (!parsed.success || !isMarked(rootKeys, KIND, textOf(parsed.output), parsed.output.marks)) {
    throw refused(dataFolder, `its anchor, '${anchorFile(dataFolder)}', is not one that this service wrote`);
  }
  return parsed.output;
}

/** What a kill left of an anchor that was being written. */
async function sweepDrafts(dataFolder: string): Promise<void> {
  const drafts = (await readdir(dataFolder)).filter((name) => /^strongroom\.anchor\.[0-9a-f]{12}\.new$/.test(name));
  for (const name of drafts) await rm(join(dataFolder, name), { force: true });
}

async function textOfAnchor(dataFolder: string): Promise<string | undefined> {
  try {
    return await readFile(anchorFile(dataFolder), 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw cause;
  }
}

async function writeAnchor(dataFolder: string, rootKeys: RootKeys, said: Said): Promise<void> {
  const anchor = { version: 1, ...said, marks: marksOf(rootKeys, KIND, textOf(said)) } satisfies v.InferOutput<typeof Anchor>;
  await writeFileWhole(anchorFile(dataFolder), `${JSON.stringify(anchor)}\n`, { mode: 0o600, replace: true });
}

function textOf({ generation, stopped }: Said): string {
  return JSON.stringify([generation, stopped?.size ?? null, stopped?.sha256 ?? null]);
}
