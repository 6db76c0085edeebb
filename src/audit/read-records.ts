// The records of one HSM, read from the chain's files by whichever thread is asked. A page looks at a limited piece of the chain and says where it
// stopped, so that no question, however broad, holds a thread up.

import type { ReadRecords, RecordsPage, RecordsQuery } from '../core/audit.ts';
import type { Reader } from '../store/store.ts';
import { allRecords } from './all-records.ts';
import { entryIn } from './chain.ts';
import { type Place, pieceAt } from './chain-reader.ts';
import type { Gate } from './gate.ts';
import { eventOf, isAskedFor } from './matching.ts';
import { openedAt, segmentNumbers } from './segments.ts';

/** Of 256 KB at most, for one page. */
const PIECES = 32;

/** `folder` and `chain` are this node's; what all nodes keep in the store is read there. */
export function recordsReader({ folder, chain, gate, read }: RecordsParts): ReadRecords {
  return async (hsmId, query) => {
    if (query.nodes === 'all') return allRecords(read, hsmId, query);
    const start = query.cursor === undefined ? await placeOf(folder, chain, query.from) : placeIn(query.cursor);
    if (start === undefined) return { records: [], cursor: undefined, more: false };
    return pageFrom(start, chain, hsmId, query, (at) => pieceAt(folder, chain, at, gate.end));
  };
}

export interface RecordsParts {
  readonly folder: string;
  readonly chain: string;
  readonly gate: Gate;
  readonly read: Reader;
}

type Piece = Awaited<ReturnType<typeof pieceAt>>;

async function pageFrom(
  start: Place,
  chain: string,
  hsmId: string,
  query: RecordsQuery,
  pieceFrom: (at: Place) => Promise<Piece>,
): Promise<RecordsPage> {
  const records: RecordsPage['records'][number][] = [];
  let at = start;
  for (let pieces = 0; pieces < PIECES; pieces += 1) {
    const piece = await pieceFrom(at);
    if (piece === undefined) return { records, cursor: cursorOf(at), more: false };
    let position = piece.next.position - piece.lines.reduce((bytes, line) => bytes + lengthOf(line), 0);
    for (const line of piece.lines) {
      position += lengthOf(line);
      const found = recordIn(line, chain, hsmId, query);
      if (found === 'later')
        return { records, cursor: cursorOf({ segment: piece.next.segment, position: position - lengthOf(line) }), more: false };
      if (found !== undefined) records.push(found);
      if (records.length === query.top) return { records, cursor: cursorOf({ segment: piece.next.segment, position }), more: true };
    }
    at = piece.next;
  }
  return { records, cursor: cursorOf(at), more: true };
}

/** With its newline. */
function lengthOf(line: string): number {
  return Buffer.byteLength(line) + 1;
}

/** The record, if it is one of this HSM that was asked for; `later` when it and all after it are past the time that was asked for. */
function recordIn(line: string, chain: string, hsmId: string, query: RecordsQuery): RecordsPage['records'][number] | 'later' | undefined {
  // Cheap, and right: what a client sent cannot have these quotes in a line.
  if (!line.includes(`"hsmId":"${hsmId}"`)) return undefined;
  const entry = entryIn(line);
  if (entry?.kind !== 'event') return undefined;
  const event = eventOf(entry.body, hsmId);
  if (event === undefined) return undefined;
  const time = Date.parse(event.time);
  // Records stand in the order in which calls ended and have the time at which they began.
  if (query.to !== undefined && time > query.to + LONGEST_CALL) return 'later';
  if (query.to !== undefined && time > query.to) return undefined;
  if (query.from !== undefined && time < query.from) return undefined;
  return isAskedFor(event, query) ? { node: chain, sequence: entry.seq, hash: entry.hash, event } : undefined;
}

/** Milliseconds. */
const LONGEST_CALL = 600_000;

/** The last segment that was opened before the time: what is older stands before it. */
async function placeOf(folder: string, chain: string, from: number | undefined): Promise<Place> {
  const numbers = await segmentNumbers(folder, chain);
  if (from === undefined) return { segment: numbers[0] ?? 0, position: 0 };
  for (const segment of numbers.toReversed()) if ((await openedAt(folder, chain, segment)) <= from) return { segment, position: 0 };
  return { segment: numbers[0] ?? 0, position: 0 };
}

function cursorOf({ segment, position }: Place): string {
  return `${segment}.${position}`;
}

function placeIn(cursor: string): Place | undefined {
  const [, segment, position] = /^(\d{1,9})\.(\d{1,10})$/.exec(cursor) ?? [];
  return segment === undefined ? undefined : { segment: Number(segment), position: Number(position) };
}
