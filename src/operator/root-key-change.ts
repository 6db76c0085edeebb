// A new root key without a pause: every thread opens with both, everything is sealed anew in one transaction, and then the old one is forgotten.
//
//   announced beside the file ──▶ known to the database, under the old key ──▶ everything under the new key ──▶ in its place ──▶ the old key forgotten
//
// Whatever happens between two of these steps, the next start finds the root key that the database says, and finishes or takes back the rest.

import type { Logger } from 'pino';
import { fromBase64url, toBase64url } from '../core/encoding.ts';
import type { CryptoModule } from '../crypto/module.ts';
import { announceRootKey, installAnnouncedRootKey, withdrawAnnouncedRootKey } from '../crypto/root-key.ts';
import { newRootKey, type RootKeys, rootKeyId } from '../crypto/root-keys.ts';
import { readMeta, writeMeta } from '../store/meta.ts';
import { runningNodes } from '../store/nodes.ts';
import { ALONE, type Store, type Writer } from '../store/store.ts';
import { resealEverything } from './reseal.ts';

export interface RootKeyParts {
  /** Where the root key file is. */
  readonly file: string;
  /** Whether it is in no file, but printed by a command of the operator's: nobody can put another one there. */
  readonly isCommanded: boolean;
  readonly rootKeys: RootKeys;
  readonly crypto: CryptoModule;
  readonly store: Pick<Store, 'read' | 'write'>;
  /** Called when other root keys are accepted than before: what is marked under them is marked anew. */
  readonly remark: () => Promise<void>;
}

/** The id of the root key that the database's secrets are sealed under. */
export const ROOT_KEY_ID = 'root-key-id';
/** During a change: the other root key, sealed under the one of that id. */
const OTHER = 'root-key-other';

/**
 * At start, with the root key in hand: it is the database's, and a change that was cut off is finished or taken back.
 * Throws an Error for the operator when the key opens something else than this database.
 */
export async function settleRootKey(parts: RootKeyParts): Promise<void> {
  const { rootKeys, store } = parts;
  const id = rootKeyId(rootKeys.current);
  const known = await readMeta(store.read, ROOT_KEY_ID);
  if (known !== undefined && known !== id) throw wrongRootKey(parts.file);
  const other = await readMeta(store.read, OTHER);
  if (other !== undefined) {
    const key = parts.crypto.openSecret('root-key', id, fromBase64url(other) ?? Buffer.alloc(0));
    rootKeys.accept(key);
    key.fill(0);
    await forgetOtherRootKey(parts);
  } else if (known === undefined) {
    // A database from before root keys had ids, or a new one: what is in it must open.
    await store.write(async (writer) => {
      // Another node may have come first, with a root key of its own.
      const first = await readMeta(writer, ROOT_KEY_ID);
      if (first !== undefined && first !== id) throw wrongRootKey(parts.file);
      await resealEverything(writer, parts.crypto).catch((cause: unknown) => {
        throw wrongRootKey(parts.file, cause);
      });
      await writeMeta(writer, ROOT_KEY_ID, id);
    });
  }
  await withdrawAnnouncedRootKey(parts.file);
}

/** Why it is not replaced. */
export const COMMANDED =
  'the root key comes from a command (--root-key-command), which cannot be given a new one; start once with the key in its file instead, rotate, and give the file to what the command asks';

/**
 * Puts a new root key in charge; the file holds it in the clear, or locked when there is a passphrase. The old one still opens until
 * `forgetOtherRootKey`, which has to come when no request can be under way that began before. Throws, with the old one in charge, when it cannot be done.
 * @returns the id of the new root key.
 */
export async function changeRootKey(parts: RootKeyParts, passphrase: Uint8Array | undefined): Promise<string> {
  const { file, rootKeys, store } = parts;
  if (parts.isCommanded) throw new Error(COMMANDED);
  if ((await readMeta(store.read, OTHER)) !== undefined) throw new Error('the root key was changed a moment ago; wait a minute');
  const key = newRootKey();
  const id = rootKeyId(key);
  try {
    await announceRootKey(file, key, passphrase);
    rootKeys.accept(key);
    await parts.remark();
    await store.write((writer) => rememberOther(writer, parts, key));
    await store.write((writer) => changeWithin(writer, parts, id));
  } catch (failure) {
    // What was sealed under the new key meanwhile comes back under the old one, now or at the next start.
    if (rootKeyId(rootKeys.current) === id) rootKeys.change();
    await forgetOtherRootKey(parts)
      .then(() => withdrawAnnouncedRootKey(file))
      .catch(() => undefined);
    throw failure;
  } finally {
    key.fill(0);
  }
  await installAnnouncedRootKey(file);
  return id;
}

/** The last step: what is still sealed under the other root key is sealed anew, and that key is gone, here and in the database. */
export async function forgetOtherRootKey({ rootKeys, crypto, store, remark }: RootKeyParts): Promise<void> {
  await store.write(async (writer) => {
    await resealEverything(writer, crypto);
    await writeMeta(writer, OTHER, undefined);
  });
  rootKeys.forget();
  await remark();
}

async function changeWithin(writer: Writer, parts: RootKeyParts, id: string): Promise<void> {
  const { rootKeys, crypto } = parts;
  const others = writer.holder === ALONE ? [] : await runningNodes(writer, writer.holder);
  if (others.length > 0) {
    const named = others.map(({ name }) => name).join(', ');
    throw new Error(
      `the root key is changed while one node runs alone; stop these first: ${named}. Afterwards they join again, or are given the new file`,
    );
  }
  const old = Buffer.from(rootKeys.current);
  rootKeys.change();
  try {
    await resealEverything(writer, crypto);
    await writeMeta(writer, ROOT_KEY_ID, id);
    await rememberOther(writer, parts, old);
  } catch (failure) {
    rootKeys.change();
    throw failure;
  } finally {
    old.fill(0);
  }
}

async function rememberOther(writer: Writer, { rootKeys, crypto }: RootKeyParts, other: Uint8Array): Promise<void> {
  await writeMeta(writer, OTHER, toBase64url(crypto.sealSecret('root-key', rootKeyId(rootKeys.current), other)));
}

export function wrongRootKey(file: string, cause?: unknown): Error {
  return new Error(
    `the root key in '${file}' is not the one that this database is sealed under; put the right file there from your backup, or, if another node has changed the root key, take this one away and let the node join again. Nothing was changed`,
    { cause },
  );
}

/** Longer than any request lives: after it nobody can hold a row that was sealed under the old root key. */
const REQUESTS_END_WITHIN = 75_000;

export interface RootKeyChange {
  /** The command of the control channel: `lock=yes` with the passphrase as its body, or `lock=no`. */
  rotate(command: { readonly options: URLSearchParams; readonly body: Uint8Array }): Promise<{ readonly id: string }>;
  /** Finishes what a change has left to do. */
  close(): Promise<void>;
}

/**
 * Settles the root key at start, and lets it be changed while the service runs. `isBusy` says that something is under way that takes longer than a request
 * and may hold rows from before: a full backup, say.
 */
export async function openRootKeyChange(
  parts: RootKeyParts,
  log: Pick<Logger, 'error'>,
  isBusy: () => Promise<boolean>,
): Promise<RootKeyChange> {
  await settleRootKey(parts);
  let later: NodeJS.Timeout | undefined;
  let changing = false;
  const forgetLater = (): void => {
    later = setTimeout(() => isBusy().then((busy) => (busy ? forgetLater() : forget()), forgetLater), REQUESTS_END_WITHIN).unref();
  };
  const forget = async (): Promise<void> => {
    clearTimeout(later);
    later = undefined;
    await forgetOtherRootKey(parts).catch((error: unknown) => log.error({ err: error }, 'the old root key is forgotten at the next start'));
  };
  return {
    rotate: async ({ options, body }) => {
      const lock = options.get('lock');
      if (lock !== 'yes' && lock !== 'no') throw new Error('a new root key is locked or not: lock=yes or lock=no');
      if (changing) throw new Error('the root key is being changed by somebody else');
      changing = true;
      try {
        const id = await changeRootKey(parts, lock === 'yes' ? body : undefined);
        forgetLater();
        return { id };
      } finally {
        changing = false;
      }
    },
    close: async () => {
      if (later !== undefined) await forget();
    },
  };
}
