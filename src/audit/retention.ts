// Old segments go when their time is over. The chain says so before they go, so that whoever verifies it can tell this from somebody's hand.

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { segmentName } from './chain.ts';
import { openedAt, segmentNumbers } from './segments.ts';

export interface RetentionParts {
  readonly folder: string;
  readonly chain: string;
  /** Milliseconds since 1970: what was closed before goes. */
  readonly before: number;
  /** Appends an event about the audit itself, and resolves when it is on disk. */
  readonly say: (operation: string, properties: Readonly<Record<string, unknown>>) => Promise<void>;
}

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
