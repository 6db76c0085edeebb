// Old segments go when their time is over. The chain says so before they go, so that whoever verifies it can tell this from somebody's hand.

import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { entryIn, segmentName } from './chain.ts';
import { segmentNumbers } from './segments.ts';

export interface RetentionParts {
  readonly folder: string;
  readonly chain: string;
  /** Milliseconds since 1970: what was closed before goes. */
  readonly before: number;
  /** Appends an event about the audit itself, and resolves when it is on disk. */
  readonly say: (operation: string, properties: Readonly<Record<string, unknown>>) => Promise<void>;
}

const Opened = v.object({ opened: v.string() });

const HEAD_BYTES = 4096;

/** Removes what is due, oldest first; never the segment that is open. Resolves to how many went. */
export async function removeExpired({ folder, chain, before, say }: RetentionParts): Promise<number> {
  const numbers = await segmentNumbers(folder, chain);
  let count = 0;
  // A segment was closed when the one after it was opened.
  while (count + 1 < numbers.length && (await openedAt(folder, chain, numbers[count + 1] ?? 0)) < before) count += 1;
  const through = numbers[count - 1];
  if (through === undefined) return 0;
  await say('AuditSegmentsExpired', { through, before: new Date(before).toISOString() });
  for (const number of numbers.slice(0, count)) await rm(join(folder, segmentName(chain, number)), { force: true });
  return count;
}

/** Infinitely late when it cannot be told: what is not understood is kept. */
async function openedAt(folder: string, chain: string, number: number): Promise<number> {
  const handle = await open(join(folder, segmentName(chain, number)), 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    const [line = ''] = buffer.toString('utf8', 0, bytesRead).split('\n', 1);
    const head = v.safeParse(Opened, JSON.parse(entryIn(line)?.body ?? '{}'));
    const time = head.success ? Date.parse(head.output.opened) : Number.NaN;
    return Number.isNaN(time) ? Number.POSITIVE_INFINITY : time;
  } finally {
    await handle.close();
  }
}
