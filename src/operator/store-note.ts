// A note in a data folder whose store is on a server: without it, a start that forgot to say so would begin with an empty database of its own.

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { shownStore } from '../core/store-address.ts';
import type { StorePlace } from '../store/open.ts';
import { isThere, readText, writeFileWhole } from '../terminal/files.ts';

function noteIn(dataFolder: string): string {
  return join(dataFolder, 'strongroom.store');
}

/** Throws an Error for the operator when the folder's store is on a server and this is not the place that was given. */
export async function refuseForgottenStore({ dataFolder, store }: StorePlace): Promise<void> {
  const note = noteIn(dataFolder);
  if (store.engine !== 'embedded' || !(await isThere(note))) return;
  const where = (await readText(note)).trim();
  throw new Error(`the data folder '${dataFolder}' has its store in ${where}: name it with --store or $STRONGROOM_STORE`);
}

export async function noteStore({ dataFolder, store }: StorePlace): Promise<void> {
  const text = `${shownStore(store)}\n`;
  const note = noteIn(dataFolder);
  if ((await isThere(note)) && (await readText(note)) === text) return;
  await writeFileWhole(note, text, { mode: 0o600, replace: true });
}

/** The store is in the folder again. */
export async function forgetStoreNote(dataFolder: string): Promise<void> {
  await rm(noteIn(dataFolder), { force: true });
}
