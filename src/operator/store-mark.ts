// The mark in a store that no service may use: it is being copied, or was copied and left behind for the other one.

import { readMeta, writeMeta } from '../store/meta.ts';
import type { Reader, Store } from '../store/store.ts';

/** The fact of `meta` that holds it; never copied. */
export const MARK = 'store-copy';

export type Mark = 'source' | 'target';

export async function markOf(read: Reader): Promise<Mark | undefined> {
  const mark = await readMeta(read, MARK);
  return mark === 'source' || mark === 'target' ? mark : undefined;
}

export async function setMark(store: Store, mark: Mark | undefined): Promise<void> {
  await store.write((writer) => writeMeta(writer, MARK, mark));
}

/** Throws an Error for the operator where a service must not start. */
export async function refuseMarked(read: Reader): Promise<void> {
  const mark = await markOf(read);
  if (mark === 'source') {
    throw new Error(
      'this store was copied to another one, or is being copied: start the service there (--store), or take this one back into use with ./strongroom store reopen',
    );
  }
  if (mark === 'target')
    throw new Error('this store is a copy that was not finished: run ./strongroom store copy again with the same two places');
}
