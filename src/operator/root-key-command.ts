// `strongroom root-key` and `strongroom unseal`: what the operator does with the root key, of a running service or of one that is stopped.

import { type Config, readConfig } from '../config.ts';
import { Versions } from '../core/coherence.ts';
import { openCryptoModule } from '../crypto/openssl-module.ts';
import { forgetKey, openRootKeyFile, readRootKeyFile } from '../crypto/root-key.ts';
import { lockFolder } from '../store/folder-lock.ts';
import { storeExists } from '../store/open.ts';
import { passphraseFor } from '../terminal/ask.ts';
import { parseSecretSource, SECRET_SOURCES, type SecretSource } from '../terminal/secret-source.ts';
import { UsageError } from '../terminal/usage-error.ts';
import { print, readWords, say } from '../terminal/words.ts';
import { openServiceStore, refuseAtSight } from './anchor.ts';
import { NotRunning, tellService } from './control-file.ts';
import { COMMANDED, changeRootKey, forgetOtherRootKey, settleRootKey } from './root-key-change.ts';
import { commandedRootKey, openRootKeysHere } from './root-key-opening.ts';
import { refuseForgottenStore } from './store-note.ts';

export const ROOT_KEY_HELP = `usage: ./strongroom root-key create|status|rotate [--data DIR] [--root-key FILE] …

  create [--lock]    makes the root key of a data folder that has no database yet; the first start does it too
  status             whether it is locked, and the id of the key
  rotate             puts a new root key in charge and seals everything anew under it, while the service runs or not.
                     It stays locked or unlocked as it was, unless told otherwise:
    --lock           under a passphrase: every start then needs it (./strongroom unseal, or start --root-key-passphrase)
    --unlock         in the clear, in a file for its owner alone

  --passphrase-from SOURCE       where the new passphrase is: ${SECRET_SOURCES}. Asked for otherwise.
  --old-passphrase-from SOURCE   where the present one is, when the root key is locked and the service does not run
`;

export const UNSEAL_HELP = `usage: ./strongroom unseal [--data DIR] [--passphrase-from SOURCE]

Gives the passphrase of the root key to a service that waits for it. SOURCE is ${SECRET_SOURCES}; without it, it is asked for.
`;

interface Given {
  readonly verb: string | undefined;
  readonly config: Config;
  readonly lock: boolean | undefined;
  readonly from: SecretSource | undefined;
  readonly oldFrom: SecretSource | undefined;
}

/** Returns the exit status. Throws Errors for the operator. */
export async function runRootKey(args: readonly string[]): Promise<number> {
  const given = readArguments(args, ROOT_KEY_HELP);
  const run = { create, status, rotate }[given.verb ?? ''];
  if (run === undefined) throw new UsageError(ROOT_KEY_HELP);
  return run(given);
}

export async function runUnseal(args: readonly string[]): Promise<number> {
  const { config, from } = readArguments(args, UNSEAL_HELP);
  const passphrase = await passphraseFor({ says: 'Passphrase of the root key', from, flag: '--passphrase-from', isNew: false });
  try {
    await tellService(config.dataFolder, 'unseal', {}, passphrase);
  } finally {
    passphrase.fill(0);
  }
  say('unsealed');
  return 0;
}

async function create({ config, lock, from }: Given): Promise<number> {
  await refuseForgottenStore(config);
  if (await storeExists(config)) throw new UsageError(`'${config.dataFolder}' has a database already, and with it a root key; use rotate`);
  const present = await readRootKeyFile(config.rootKeyFile);
  forgetKey(present);
  if (present !== undefined) throw new UsageError(`there is a root key in '${config.rootKeyFile}' already`);
  const passphrase = lock === true ? await newPassphrase(from) : undefined;
  const { mkdir } = await import('node:fs/promises');
  await mkdir(config.dataFolder, { recursive: true, mode: 0o700 });
  const file = await openRootKeyFile(config.rootKeyFile, { mayCreate: true, passphrase }).finally(() => passphrase?.fill(0));
  forgetKey(file);
  print(`root key ${file.id}, ${lock === true ? 'locked' : 'in the clear'}, in ${config.rootKeyFile}`);
  return 0;
}

async function status({ config }: Given): Promise<number> {
  const { rootKeyFile, rootKeyCommand } = config;
  const file = rootKeyCommand === undefined ? await readRootKeyFile(rootKeyFile) : await commandedRootKey(rootKeyCommand);
  if (file === undefined) throw new Error(`there is no root key in '${rootKeyFile}'`);
  forgetKey(file);
  const where = rootKeyCommand === undefined ? `in ${rootKeyFile}` : 'printed by the command';
  print(`root key ${file.id}, ${file.kind === 'locked' ? 'locked' : 'in the clear'}, ${where}`);
  return 0;
}

async function rotate({ config, lock, from, oldFrom }: Given): Promise<number> {
  if (config.rootKeyCommand !== undefined) throw new Error(COMMANDED);
  const file = await readRootKeyFile(config.rootKeyFile);
  if (file === undefined) throw new Error(`there is no root key in '${config.rootKeyFile}'`);
  forgetKey(file);
  const locks = lock ?? file.kind === 'locked';
  const passphrase = locks ? await newPassphrase(from) : undefined;
  try {
    const id = await rotateRunning(config, passphrase).catch((failure: unknown) => {
      if (failure instanceof NotRunning) return rotateStopped(config, passphrase, oldFrom);
      throw failure;
    });
    print(`root key ${id}, ${locks ? 'locked' : 'in the clear'}, in ${config.rootKeyFile}`);
  } finally {
    passphrase?.fill(0);
  }
  say('copies of the old root key open old copies of the database; destroy both when you no longer need them');
  return 0;
}

async function rotateRunning({ dataFolder }: Config, passphrase: Buffer | undefined): Promise<string> {
  const answer = await tellService(dataFolder, 'root-key/rotate', { lock: passphrase === undefined ? 'no' : 'yes' }, passphrase);
  return String((answer as { id: string }).id);
}

async function rotateStopped(config: Config, passphrase: Buffer | undefined, oldFrom: SecretSource | undefined): Promise<string> {
  await refuseForgottenStore(config);
  if (!(await storeExists(config))) throw new Error(`'${config.dataFolder}' has no database; there is nothing to seal anew`);
  const lock = lockFolder(config.dataFolder);
  try {
    await refuseAtSight(config);
    const rootKeys = await openRootKeysHere(config, oldFrom, '--old-passphrase-from');
    const store = await openServiceStore(config, rootKeys, {
      versions: new Versions(Versions.allocate()),
      committed: () => undefined,
    });
    const crypto = openCryptoModule({ rootKey: rootKeys });
    try {
      const isCommanded = config.rootKeyCommand !== undefined;
      const parts = { file: config.rootKeyFile, isCommanded, rootKeys, crypto, store, remark: store.remark };
      await settleRootKey(parts);
      const id = await changeRootKey(parts, passphrase);
      await forgetOtherRootKey(parts);
      return id;
    } finally {
      crypto.close();
      await store.close();
      rootKeys.close();
    }
  } finally {
    lock.release();
  }
}

function newPassphrase(from: SecretSource | undefined): Promise<Buffer> {
  return passphraseFor({ says: 'New passphrase of the root key', from, flag: '--passphrase-from', isNew: true });
}

function readArguments(args: readonly string[], help: string): Given {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const options = { data: text, 'root-key': text, lock: flag, unlock: flag, 'passphrase-from': text, 'old-passphrase-from': text };
  const { values, positionals } = readWords(args, options, help);
  if (positionals.length > 1 || (values.lock === true && values.unlock === true)) throw new UsageError(help);
  const place = [
    ...(values.data === undefined ? [] : ['--data', values.data]),
    ...(values['root-key'] === undefined ? [] : ['--root-key', values['root-key']]),
  ];
  const source = (name: 'passphrase-from' | 'old-passphrase-from'): SecretSource | undefined => {
    const given = values[name];
    return given === undefined ? undefined : parseSecretSource(given, `--${name}`);
  };
  return {
    verb: positionals[0],
    config: readConfig(place),
    lock: values.lock === true ? true : values.unlock === true ? false : undefined,
    from: source('passphrase-from'),
    oldFrom: source('old-passphrase-from'),
  };
}
