// After a service that was killed: records of changes that were committed and had not come into the chain come into it now, once each.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CallFacts } from '../core/audit.ts';
import type { Reader } from '../store/store.ts';
import { segmentName } from './chain.ts';
import type { Events } from './event.ts';
import { segmentNumbers } from './segments.ts';

interface SettleParts {
  readonly read: Reader;
  readonly folder: string;
  readonly chain: string;
  readonly events: Events;
  readonly append: (events: readonly string[]) => Promise<void>;
}

/** Said instead of a status that nobody knows any more. */
const UNKNOWN_ANSWER = 'the change was made; the service ended before its answer was recorded';

/** The request ids of all such records: the chain has them when this resolves, and the store may let them go. */
export async function settleChanges({ read, folder, chain, events, append }: SettleParts): Promise<readonly string[]> {
  const rows = await read.selectFrom('audit_changes').selectAll().where('chain', '=', chain).orderBy('after_sequence').execute();
  const [oldest] = rows;
  if (oldest === undefined) return [];
  const ids = rows.map((row) => row.request_id);
  const known = await inChain(folder, chain, oldest.after_sequence, ids);
  for (const { request_id, facts_json } of rows) {
    if (known.has(request_id)) continue;
    const facts: CallFacts = JSON.parse(facts_json);
    const event = await events.of(facts, { decision: 'allowed', status: 0, reason: UNKNOWN_ANSWER, duration: 0 });
    if (event !== undefined) await append([event]);
  }
  return ids;
}

/** Which of these requests have a record behind this number. */
async function inChain(folder: string, chain: string, after: number, ids: readonly string[]): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  const numbers = await segmentNumbers(folder, chain);
  for (const number of numbers.toReversed()) {
    const text = await readFile(join(folder, segmentName(chain, number)), 'utf8');
    for (const id of ids) if (text.includes(`"requestId":"${id}"`)) found.add(id);
    const [, before] = /^\{"seq":(\d+),/.exec(text) ?? [];
    if (before !== undefined && Number(before) <= after) break;
  }
  return found;
}
