// Marks under the root key, for notes that lie beside the database in the clear: whoever has no root key can read them and cannot write them.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { type RootKeys, rootKeyId } from './root-keys.ts';
import { subkey } from './seal.ts';

/** One mark for each root key that is accepted now, by its id. `kind` says what the text is: a mark for one kind is none for another. */
export function marksOf(keys: RootKeys, kind: string, text: string): Record<string, string> {
  return Object.fromEntries(keys.accepted.map((key) => [rootKeyId(key), mark(key, kind, text).toString('hex')]));
}

/** Whether one of the marks is of the root key in charge and of just this text. */
export function isMarked(keys: RootKeys, kind: string, text: string, marks: Readonly<Record<string, string>>): boolean {
  const found = Buffer.from(marks[rootKeyId(keys.current)] ?? '', 'hex');
  const right = mark(keys.current, kind, text);
  return found.length === right.length && timingSafeEqual(found, right);
}

function mark(rootKey: Uint8Array, kind: string, text: string): Buffer {
  const key = subkey(rootKey, 'mark');
  try {
    return createHmac('sha256', key).update(`${kind}\0`).update(text).digest();
  } finally {
    key.fill(0);
  }
}
