// The root key at start: the file that belongs to this database, or what the operator's command prints instead, opened with what the operator said, or by
// whoever brings the passphrase.

import type { Config } from '../config.ts';
import {
  announcedPath,
  forgetKey,
  installAnnouncedRootKey,
  LONGEST_ROOT_KEY,
  openRootKeyFile,
  printedRootKey,
  type RootKeyFile,
  readRootKeyFile,
} from '../crypto/root-key.ts';
import { RootKeys } from '../crypto/root-keys.ts';
import { peekMeta, storeExists } from '../store/open.ts';
import { passphraseFor } from '../terminal/ask.ts';
import { printedSecret } from '../terminal/printed-secret.ts';
import { nameOf, readSecret, type SecretSource } from '../terminal/secret-source.ts';
import { ROOT_KEY_ID, wrongRootKey } from './root-key-change.ts';

/** Tries a passphrase: the root key, which the caller zeroes, or undefined when it is the wrong one. */
export type Unlock = (passphrase: Uint8Array) => Promise<Buffer | undefined>;

type Place = Pick<Config, 'dataFolder' | 'store' | 'rootKeyFile' | 'rootKeyCommand' | 'rootKeyPassphrase'>;

/**
 * The root key of this data folder, made at the first start. `wait` is asked for it when it is locked and nothing says where the passphrase is.
 * `before` is what may bring the file there, and is given the passphrase under which it is to be locked.
 * Throws an Error for the operator when the file is missing, damaged, open to others, another database's, or does not open.
 */
export async function openRootKeys(
  place: Place,
  wait: (unlock: Unlock) => Promise<Buffer>,
  before?: (passphrase: Uint8Array | undefined) => Promise<void>,
): Promise<RootKeys> {
  const source = place.rootKeyPassphrase;
  const passphrase = source === undefined ? undefined : await readSecret(source);
  let key: Buffer | undefined;
  try {
    await before?.(passphrase);
    const file = await fileOf(place, passphrase);
    if (file.kind === 'open') {
      key = file.key;
      if (source !== undefined) throw unlocked(place);
    } else if (source === undefined || passphrase === undefined) {
      key = await wait(file.unlock);
    } else {
      key = await file.unlock(passphrase);
      if (key === undefined) throw new Error(`the root key ${whereOf(place)} does not open with ${nameOf(source)}`);
    }
    return RootKeys.of(key);
  } finally {
    key?.fill(0);
    passphrase?.fill(0);
  }
}

/** The file of the root key that the database says, whichever of the two it is: a new one may have been announced and not put in its place. */
async function fileOf(place: Place, passphrase: Uint8Array | undefined): Promise<RootKeyFile> {
  const { rootKeyFile, rootKeyCommand } = place;
  const id = await peekMeta(place, ROOT_KEY_ID);
  if (rootKeyCommand !== undefined) {
    await refuseBoth(rootKeyFile);
    const printed = await commandedRootKey(rootKeyCommand);
    if (id === undefined || printed.id === id) return printed;
    forgetKey(printed);
    throw new Error('the root key that the command printed is not the one that this database is sealed under. Nothing was changed');
  }
  if (id === undefined) return openRootKeyFile(rootKeyFile, { mayCreate: !(await storeExists(place)), passphrase });
  const file = await openRootKeyFile(rootKeyFile, { mayCreate: false });
  if (file.id === id) return file;
  forgetKey(file);
  const announced = await readRootKeyFile(await announcedPath(rootKeyFile));
  if (announced?.id !== id) {
    forgetKey(announced);
    throw wrongRootKey(rootKeyFile);
  }
  await installAnnouncedRootKey(rootKeyFile);
  return announced;
}

/** A file that is left beside the command would be what the command is there to spare. */
async function refuseBoth(rootKeyFile: string): Promise<void> {
  const file = await readRootKeyFile(rootKeyFile);
  forgetKey(file);
  if (file !== undefined)
    throw new Error(
      `there is a root key in '${rootKeyFile}', although --root-key-command was given; take it away once you know that the command has it`,
    );
}

/** What the command prints. Throws an Error for the operator, without any of it. */
export async function commandedRootKey([program = '', ...args]: readonly string[]): Promise<RootKeyFile> {
  const printed = await printedSecret({ program, args, called: 'the root key command', longest: LONGEST_ROOT_KEY });
  try {
    const file = printedRootKey(printed);
    if (file === undefined) throw new Error('what the root key command printed is no root key: it has to be what is in a root key file');
    return file;
  } finally {
    printed.fill(0);
  }
}

function whereOf({ rootKeyFile, rootKeyCommand }: Place): string {
  return rootKeyCommand === undefined ? `in '${rootKeyFile}'` : 'that the command printed';
}

function unlocked(place: Place): Error {
  const mended =
    place.rootKeyCommand === undefined
      ? 'lock it with: ./strongroom root-key rotate --lock'
      : 'leave that out, or have it print a locked one';
  return new Error(`the root key ${whereOf(place)} is in the clear, although --root-key-passphrase was given; ${mended}`);
}

/** The same for a command of the operator's, who is asked for the passphrase where nothing says it. */
export function openRootKeysHere(place: Omit<Place, 'rootKeyPassphrase'>, from: SecretSource | undefined, flag: string): Promise<RootKeys> {
  return openRootKeys({ ...place, rootKeyPassphrase: undefined }, (unlock) => typedKey(unlock, from, flag));
}

/** The root key of this id in a file that is not in its place: a snapshot's. The passphrase of a locked one is asked for where nothing says it. */
export async function rootKeysIn(path: string, id: string, from: SecretSource | undefined, flag: string): Promise<RootKeys> {
  const file = await openRootKeyFile(path, { mayCreate: false });
  if (file.id !== id) {
    forgetKey(file);
    throw new Error(`the root key in '${path}' is another one than the snapshot's`);
  }
  const key = file.kind === 'open' ? file.key : await typedKey(file.unlock, from, flag);
  try {
    return RootKeys.of(key);
  } finally {
    key.fill(0);
  }
}

async function typedKey(unlock: Unlock, from: SecretSource | undefined, flag: string): Promise<Buffer> {
  const passphrase = await passphraseFor({ says: 'Passphrase of the root key', from, flag, isNew: false });
  try {
    const key = await unlock(passphrase);
    if (key === undefined) throw new Error('the passphrase is wrong');
    return key;
  } finally {
    passphrase.fill(0);
  }
}
