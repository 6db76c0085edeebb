// `strongroom store`: carries a whole service from the database in its data folder to a PostgreSQL server, or back, while it does not run.

import { resolve } from 'node:path';
import { type Config, readConfig, storeOf } from '../config.ts';
import { Versions } from '../core/coherence.ts';
import { EMBEDDED, type StoreAddress, shownStore } from '../core/store-address.ts';
import type { RootKeys } from '../crypto/root-keys.ts';
import { openEmbeddedStore } from '../store/embedded.ts';
import { lockFolder } from '../store/folder-lock.ts';
import { openStore, storeExists } from '../store/open.ts';
import type { Store } from '../store/store.ts';
import { CARRIED_TABLES, contentOfTable, copyTable } from '../store/whole-copy.ts';
import { parseSecretSource, SECRET_SOURCES, type SecretSource } from '../terminal/secret-source.ts';
import { UsageError } from '../terminal/usage-error.ts';
import { print, readWords, say } from '../terminal/words.ts';
import { acceptDatabase, GENERATION, openStoreForCopy } from './anchor.ts';
import { openRootKeysHere } from './root-key-opening.ts';
import { MARK, markOf, setMark } from './store-mark.ts';
import { forgetStoreNote } from './store-note.ts';

export const STORE_HELP = `usage: ./strongroom store copy FROM TO [--data DIR]
       ./strongroom store reopen PLACE [--data DIR]

copy carries a whole service from one store to another, and compares every table afterwards. The service must not run. FROM and TO are, either way round:
  data-folder       the database in the data folder
  postgres://…      a PostgreSQL database; its password comes from $PGPASSWORD or the password file ($PGPASSFILE)
TO is empty, or what an earlier copy of FROM left when it was cut off. The data folder stays where it is, with root key, certificate authority and audit
record. FROM keeps what it has, marked so that no service starts on it by mistake; reopen takes that mark away.

  --root-key FILE            the file of the root key, when it is not in the data folder
  --passphrase-from SOURCE   of a locked root key: ${SECRET_SOURCES}; asked for otherwise
`;

const FLAG = '--passphrase-from';
/** Facts of one database alone. */
const OWN = [MARK, GENERATION];
const ALONE = { versions: new Versions(Versions.allocate()), committed: () => undefined };

interface Given {
  readonly config: Config;
  readonly source: SecretSource | undefined;
}

/** Returns the exit status. Throws Errors for the operator. */
export async function runStore(args: readonly string[]): Promise<number> {
  const text = { type: 'string' } as const;
  const { values, positionals } = readWords(args, { data: text, 'root-key': text, 'passphrase-from': text }, STORE_HELP);
  const words = (['data', 'root-key'] as const).flatMap((name) => (values[name] === undefined ? [] : [`--${name}`, values[name]]));
  const from = values['passphrase-from'];
  const given = { config: readConfig(words), source: from === undefined ? undefined : parseSecretSource(from, FLAG) };
  const [verb, ...places] = positionals;
  const [first, second] = places.map(placeOf);
  if (verb === 'copy' && first !== undefined && second !== undefined && places.length === 2) return copy(first, second, given);
  if (verb === 'reopen' && first !== undefined && places.length === 1) return reopen(first, given);
  throw new UsageError(STORE_HELP);
}

function placeOf(word: string): StoreAddress {
  return word === 'data-folder' ? EMBEDDED : storeOf(word, undefined);
}

async function copy(from: StoreAddress, to: StoreAddress, given: Given): Promise<number> {
  if (from.engine === to.engine) throw new UsageError(`a copy goes between the data folder and a PostgreSQL database\n\n${STORE_HELP}`);
  const { dataFolder } = given.config;
  if (!(await storeExists({ dataFolder, store: from }))) throw new Error(`there is no service in ${shownStore(from)}`);
  await withRootKeys(given, from, async (rootKeys) => {
    const source = await openStoreForCopy({ dataFolder, store: from }, rootKeys, ALONE);
    try {
      // The file has no anchor before it is whole.
      const target =
        to.engine === 'embedded' ? await openEmbeddedStore(dataFolder, ALONE) : await openStore({ dataFolder, store: to }, ALONE);
      try {
        await beginCopy(source, target, to);
        await copyEverything(source, target);
        if (to.engine === 'postgres') await setMark(target, undefined);
      } finally {
        await target.close();
      }
      if (to.engine === 'embedded') await finishFile(dataFolder, rootKeys);
    } finally {
      await source.close();
    }
  });
  const flag = to.engine === 'embedded' ? 'without --store' : `with --store '${shownStore(to)}'`;
  say(`start the service ${flag}; the other store is kept as it is, and marked so that none starts on it`);
  return 0;
}

/** From here on no service starts on either of the two, until the copy is whole. */
async function beginCopy(source: Store, target: Store, to: StoreAddress): Promise<void> {
  const mark = await markOf(target.read);
  if (mark !== 'target') {
    for (const table of CARRIED_TABLES) {
      if ((await contentOfTable(target.read, table, OWN)).rows > 0)
        throw new Error(`${shownStore(to)} has a service already; nothing was changed`);
    }
  } else say('going on with a copy that was cut off');
  await setMark(target, 'target');
  await setMark(source, 'source');
}

async function copyEverything(source: Store, target: Store): Promise<void> {
  let all = 0;
  for (const table of CARRIED_TABLES) {
    const { rows, sha256 } = await copyTable(source.read, target, table, OWN);
    print(`${table.padEnd(24)} ${String(rows).padStart(9)} rows  ${sha256.slice(0, 16)}`);
    all += rows;
  }
  print(`${all} rows, the same in both`);
}

async function finishFile(dataFolder: string, rootKeys: RootKeys): Promise<void> {
  const target = await openEmbeddedStore(dataFolder, ALONE);
  await setMark(target, undefined);
  await target.close();
  await acceptDatabase(dataFolder, rootKeys);
  await forgetStoreNote(dataFolder);
}

async function reopen(place: StoreAddress, given: Given): Promise<number> {
  const { dataFolder } = given.config;
  if (!(await storeExists({ dataFolder, store: place }))) throw new Error(`there is no service in ${shownStore(place)}`);
  await withRootKeys(given, place, async (rootKeys) => {
    const store = await openStoreForCopy({ dataFolder, store: place }, rootKeys, ALONE);
    try {
      const mark = await markOf(store.read);
      if (mark === 'target') throw new Error(`${shownStore(place)} is a copy that was not finished`);
      await setMark(store, undefined);
    } finally {
      await store.close();
    }
  });
  if (place.engine === 'embedded') await forgetStoreNote(dataFolder);
  print(`${shownStore(place)} is in use again`);
  return 0;
}

async function withRootKeys({ config, source }: Given, store: StoreAddress, use: (rootKeys: RootKeys) => Promise<void>): Promise<void> {
  const lock = lockFolder(resolve(config.dataFolder));
  try {
    const rootKeys = await openRootKeysHere({ ...config, store }, source, FLAG);
    try {
      await use(rootKeys);
    } finally {
      rootKeys.close();
    }
  } finally {
    lock.release();
  }
}
