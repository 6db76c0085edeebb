// `strongroom snapshot`: takes one of a data folder, looks at one, and makes a data folder of one.

import { resolve } from 'node:path';
import { type Config, readConfig } from '../config.ts';
import { systemClock } from '../core/clock.ts';
import type { RootKeys } from '../crypto/root-keys.ts';
import { databaseExists } from '../store/embedded.ts';
import { parseSecretSource, SECRET_SOURCES, type SecretSource } from '../terminal/secret-source.ts';
import { UsageError } from '../terminal/usage-error.ts';
import { print, readWords, say } from '../terminal/words.ts';
import { NotRunning, tellService } from './control-file.ts';
import { openRootKeysHere, rootKeysIn } from './root-key-opening.ts';
import {
  hasRootKey,
  type Manifest,
  NOT_IN_IT,
  readManifest,
  restoreSnapshot,
  rootKeyIn,
  snapshotMarks,
  takeSnapshot,
  verifySnapshot,
} from './snapshot.ts';
import { refuseForgottenStore } from './store-note.ts';

export const SNAPSHOT_HELP = `usage: ./strongroom snapshot FOLDER [--data DIR] [--with-root-key]
       ./strongroom snapshot verify FOLDER [--root-key FILE]
       ./strongroom snapshot restore FOLDER --data DIR [--root-key FILE]

A copy of the whole service as it is at one moment, while it runs or not: database, certificate authority and audit records, with a manifest of hashes.
  FOLDER            where it goes: a folder that is not there yet
  verify            whether every file is as it was, the database whole, and, with the root key, the manifest this service's own
  restore           makes a data folder of it, which is not there or empty. The copy is the same service: do not run both

Not in it:
${NOT_IN_IT.map((line) => `  - ${line}`).join('\n')}

  --with-root-key            puts root.key into the snapshot. Guard it as you guard the data folder
  --root-key FILE            the root key, where it is not in the snapshot (restore) or not in the data folder
  --passphrase-from SOURCE   of a locked root key: ${SECRET_SOURCES}; asked for otherwise
`;

const FLAG = '--passphrase-from';

interface Given {
  readonly config: Config;
  readonly data: string | undefined;
  readonly rootKey: string | undefined;
  readonly from: SecretSource | undefined;
  readonly withRootKey: boolean;
}

/** Returns the exit status. `program` is the version that the manifest names. */
export async function runSnapshot(args: readonly string[], program: string): Promise<number> {
  const text = { type: 'string' } as const;
  const options = { data: text, 'root-key': text, 'passphrase-from': text, 'with-root-key': { type: 'boolean', default: false } } as const;
  const { values, positionals } = readWords(args, options, SNAPSHOT_HELP);
  const place = (['data', 'root-key'] as const).flatMap((name) => (values[name] === undefined ? [] : [`--${name}`, values[name]]));
  const source = values['passphrase-from'];
  const given: Given = {
    config: readConfig(place),
    data: values.data,
    rootKey: values['root-key'],
    from: source === undefined ? undefined : parseSecretSource(source, FLAG),
    withRootKey: values['with-root-key'],
  };
  const [first, folder, ...more] = positionals;
  if (first === undefined || more.length > 0) throw new UsageError(SNAPSHOT_HELP);
  if (folder === undefined) return take(first, given, program);
  if (first === 'verify') return verify(folder, given);
  if (first === 'restore') return restore(folder, given);
  throw new UsageError(SNAPSHOT_HELP);
}

async function take(target: string, { config, from, withRootKey }: Given, program: string): Promise<number> {
  const { dataFolder, rootKeyFile, rootKeyCommand, store } = config;
  if (withRootKey && rootKeyCommand !== undefined)
    throw new UsageError('--with-root-key: the root key comes from a command, and is in no file that could be copied');
  if (store.engine !== 'embedded')
    throw new UsageError(
      'a snapshot is of a data folder with its database in it; copy a database on a server with its own means (docs/cluster.md)',
    );
  await refuseForgottenStore(config);
  if (!databaseExists(dataFolder)) throw new UsageError(`there is no service in '${dataFolder}'`);
  // Before anything is written: a service that runs and cannot mark a snapshot now says why.
  await tellService(dataFolder, 'snapshot/marks').catch((failure: unknown) => {
    if (!(failure instanceof NotRunning)) throw failure;
  });
  const marks = async (text: string): Promise<Record<string, string>> => {
    try {
      return (await tellService(dataFolder, 'snapshot/marks', {}, Buffer.from(text))) as Record<string, string>;
    } catch (failure) {
      if (!(failure instanceof NotRunning)) throw failure;
      const rootKeys = await openRootKeysHere(config, from, FLAG);
      try {
        return snapshotMarks(rootKeys, text);
      } finally {
        rootKeys.close();
      }
    }
  };
  const manifest = await takeSnapshot({
    dataFolder,
    rootKeyFile,
    target: resolve(target),
    withRootKey,
    program,
    now: systemClock.now(),
    marks,
  });
  print(summary(target, manifest));
  const kept = rootKeyCommand === undefined ? `keep a copy of '${rootKeyFile}' in another place` : 'keep what the command prints it from';
  say(
    withRootKey
      ? 'the root key is in it: whoever has this folder has every key'
      : `the root key is not in it, and without it nobody can use it: ${kept}`,
  );
  return 0;
}

async function verify(folder: string, { rootKey, from }: Given): Promise<number> {
  const rootKeys = await rootKeyFor(folder, await readManifest(folder), rootKey, from);
  try {
    const { manifest, isMarked } = await verifySnapshot(folder, rootKeys);
    print(summary(folder, manifest));
    say(
      isMarked
        ? 'every file is as it was, and the manifest is this root key’s'
        : 'every file is as the manifest says; who made the manifest is known with --root-key FILE alone',
    );
    return 0;
  } finally {
    rootKeys?.close();
  }
}

async function restore(folder: string, { config, data, rootKey, from }: Given): Promise<number> {
  if (data === undefined && process.env.STRONGROOM_DATA === undefined)
    throw new UsageError(`--data DIR is needed: where the data folder shall be\n\n${SNAPSHOT_HELP}`);
  const manifest = await readManifest(folder);
  const rootKeyFrom = rootKey ?? (hasRootKey(manifest) ? rootKeyIn(folder) : undefined);
  const rootKeys = await rootKeyFor(folder, manifest, rootKeyFrom, from);
  if (rootKeys === undefined) throw new UsageError(`the root key is not in '${folder}'; name its file with --root-key`);
  try {
    await verifySnapshot(folder, rootKeys);
    const inPlace = rootKey === undefined ? config.rootKeyFile : resolve(config.dataFolder, 'root.key');
    await restoreSnapshot(folder, manifest, { dataFolder: config.dataFolder, rootKeyFile: inPlace, rootKeyFrom }, rootKeys);
  } finally {
    rootKeys.close();
  }
  print(`restored the snapshot of ${manifest.takenAt} to ${config.dataFolder}`);
  say(
    'it is the same service as the one that it was taken from: its names, tokens and keys. Do not run both; start this one with ./strongroom start',
  );
  return 0;
}

/** The root key of this snapshot: in it, or in the file that was named. */
async function rootKeyFor(
  folder: string,
  manifest: Manifest,
  file: string | undefined,
  from: SecretSource | undefined,
): Promise<RootKeys | undefined> {
  const path = file ?? (hasRootKey(manifest) ? rootKeyIn(folder) : undefined);
  return path === undefined ? undefined : rootKeysIn(path, manifest.rootKeyId, from, FLAG);
}

function summary(folder: string, { takenAt, program, schema, files }: Manifest): string {
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  return `${folder}: ${takenAt}, ${files.length} files, ${(bytes / 1e6).toFixed(1)} MB, schema ${schema}, ${program}`;
}
