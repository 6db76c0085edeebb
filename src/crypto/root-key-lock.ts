// A root key under a passphrase: scrypt (RFC 7914) makes the key that seals it. The parameters stand beside it, and everything that stands there is
// bound by the seal, so that a weaker setting cannot be slipped in. Knows text; not where it is kept.

import { randomBytes, scrypt } from 'node:crypto';
import { ROOT_KEY_LENGTH, rootKeyId } from './root-keys.ts';
import { open, seal } from './seal.ts';

/** What a locked file says. */
export interface LockedKey {
  readonly id: string;
  readonly cost: Cost;
  readonly salt: Buffer;
  readonly sealed: Buffer;
  /** Everything before the sealed key. */
  readonly head: string;
}

interface Cost {
  /** The logarithm of scrypt's N. */
  readonly log2N: number;
  readonly r: number;
  readonly p: number;
}

/** 128 MB and a good part of a second for each guess. */
const COST: Cost = { log2N: 17, r: 8, p: 1 };
/** No file may ask for more: 1 GB. */
const MOST: Cost = { log2N: 20, r: 8, p: 4 };
const SALT_LENGTH = 16;

/** `strongroom-root-key-2 {id} scrypt {log2 N} {r} {p} {salt} {sealed key}`, binary parts in hex, and a line feed. */
const LOCKED = /^(strongroom-root-key-2 ([0-9a-f]{32}) scrypt ([1-9]\d?) ([1-9]\d?) ([1-9]\d?) ([0-9a-f]{32}) )([0-9a-f]{122})\n$/;

/** The text of a file that holds this key under this passphrase. */
export async function lockedText(key: Uint8Array, passphrase: Uint8Array): Promise<string> {
  const salt = randomBytes(SALT_LENGTH);
  const head = `strongroom-root-key-2 ${rootKeyId(key)} scrypt ${COST.log2N} ${COST.r} ${COST.p} ${salt.toString('hex')} `;
  const lock = await stretch(passphrase, salt, COST);
  try {
    return `${head}${seal(lock, 'root key', [head], key).toString('hex')}\n`;
  } finally {
    lock.fill(0);
  }
}

/** Undefined when the text is no locked key, or asks for more work than any of ours does. */
export function parseLocked(text: string): LockedKey | undefined {
  const [, head, id, log2N, r, p, salt, sealed] = LOCKED.exec(text) ?? [];
  if (head === undefined || id === undefined || salt === undefined || sealed === undefined) return undefined;
  const cost = { log2N: Number(log2N), r: Number(r), p: Number(p) };
  if (cost.log2N > MOST.log2N || cost.r > MOST.r || cost.p > MOST.p) return undefined;
  return { id, cost, salt: Buffer.from(salt, 'hex'), sealed: Buffer.from(sealed, 'hex'), head };
}

/** The key, which the caller zeroes; undefined when the passphrase is wrong or the file was changed. */
export async function unlock({ id, cost, salt, sealed, head }: LockedKey, passphrase: Uint8Array): Promise<Buffer | undefined> {
  const lock = await stretch(passphrase, salt, cost);
  let key: Buffer;
  try {
    key = open(lock, 'root key', [head], sealed);
  } catch {
    return undefined;
  } finally {
    lock.fill(0);
  }
  if (key.length === ROOT_KEY_LENGTH && rootKeyId(key) === id) return key;
  key.fill(0);
  return undefined;
}

function stretch(passphrase: Uint8Array, salt: Buffer, { log2N, r, p }: Cost): Promise<Buffer> {
  const N = 2 ** log2N;
  return new Promise((done, failed) => {
    scrypt(passphrase, salt, 32, { N, r, p, maxmem: 256 * N * r }, (error, key) => (error === null ? done(key) : failed(error)));
  });
}
