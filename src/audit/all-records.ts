// The records of one HSM from every node that keeps a copy of its own in the store (`--audit-sink database`), as one answer: each chain in its order, the chains
// by time. A page goes on after the last number of each chain, so any node can be asked for the next one, and nothing that comes late is passed over.

import type { MissingRecords, RecordsPage, RecordsQuery } from '../core/audit.ts';
import type { Reader } from '../store/store.ts';
import { eventOf, isAskedFor } from './matching.ts';

/** Rows of one chain that are looked at for one page. */
const LOOKED_AT = 1000;
/** Chains that one answer can have. */
const MOST_CHAINS = 32;

type Positions = ReadonlyMap<string, number>;

interface Row {
  readonly chain: string;
  readonly sequence: number;
  readonly hash: string;
  readonly time: number;
  readonly event_json: string;
}

/** Rows of one chain that wait for their turn. `isCut`: there may be more of them. */
interface Waiting {
  readonly rows: Row[];
  readonly isCut: boolean;
}

export async function allRecords(read: Reader, hsmId: string, query: RecordsQuery): Promise<RecordsPage> {
  const began = query.cursor === undefined ? new Map<string, number>() : positionsIn(query.cursor);
  if (began === undefined) return { records: [], cursor: undefined, more: false };
  const { chains, missing } = await chainsOf(read);
  const waiting = await Promise.all(chains.map((chain) => waitingIn(read, hsmId, chain, began.get(chain) ?? 0, query)));
  const positions = new Map(began);
  const records: RecordsPage['records'][number][] = [];
  let more = false;
  for (;;) {
    const next = earliest(waiting);
    // Beyond what was looked at, nobody knows whose turn it is.
    if (next === 'unknown') more = true;
    if (next === undefined || next === 'unknown') break;
    if (records.length === query.top) {
      more = true;
      break;
    }
    const { chain, sequence, hash, event_json } = next;
    positions.set(chain, sequence);
    const event = eventOf(event_json, hsmId);
    if (event !== undefined && isAskedFor(event, query)) records.push({ node: chain, sequence, hash, event });
  }
  return { records, cursor: cursorOf(positions), more, missing };
}

async function waitingIn(read: Reader, hsmId: string, chain: string, after: number, { from, to }: RecordsQuery): Promise<Waiting> {
  let rows = read
    .selectFrom('audit_records')
    .select(['chain', 'sequence', 'hash', 'time', 'event_json'])
    .where('hsm_id', '=', hsmId)
    .where('chain', '=', chain)
    .where('sequence', '>', after);
  if (from !== undefined) rows = rows.where('time', '>=', from);
  if (to !== undefined) rows = rows.where('time', '<=', to);
  const found = await rows.orderBy('sequence').limit(LOOKED_AT).execute();
  return { rows: found, isCut: found.length === LOOKED_AT };
}

/** Takes the row whose turn it is; undefined when there is none left anywhere. */
function earliest(waiting: readonly Waiting[]): Row | 'unknown' | undefined {
  if (waiting.some(({ rows, isCut }) => rows.length === 0 && isCut)) return 'unknown';
  const heads = waiting.filter(({ rows }) => rows.length > 0);
  const time = Math.min(...heads.map(({ rows }) => rows[0]?.time ?? 0));
  return heads.find(({ rows }) => rows[0]?.time === time)?.rows.shift();
}

/** The chains whose records are in the store, and what is not there, as far as the store knows. */
async function chainsOf(read: Reader): Promise<{ readonly chains: readonly string[]; readonly missing: readonly MissingRecords[] }> {
  const heads = await read.selectFrom('audit_chains').select(['chain', 'sequence']).execute();
  const sinks = await read.selectFrom('audit_sinks').select(['chain', 'sequence']).where('sink', '=', 'database').execute();
  const ends = new Map(heads.map(({ chain, sequence }) => [chain, sequence]));
  const copied = new Map(sinks.map(({ chain, sequence }) => [chain, sequence]));
  const missing: MissingRecords[] = [];
  const chains: string[] = [];
  for (const chain of [...new Set([...ends.keys(), ...copied.keys()])].sort()) {
    const [end, copy] = [ends.get(chain) ?? 0, copied.get(chain)];
    if (copy === undefined) {
      if (end > 0) missing.push({ node: chain, from: 1, to: end, reason: NOT_COPIED });
      continue;
    }
    if (chains.length === MOST_CHAINS) {
      missing.push({ node: chain, from: 1, to: end, reason: `One answer has the records of ${MOST_CHAINS} nodes.` });
      continue;
    }
    chains.push(chain);
    const first = await firstOf(read, chain);
    if (first > 1) missing.push({ node: chain, from: 1, to: first - 1, reason: OLDER });
    if (copy < end) missing.push({ node: chain, from: copy + 1, to: end, reason: BEHIND });
  }
  return { chains, missing };
}

async function firstOf(read: Reader, chain: string): Promise<number> {
  const first = await read
    .selectFrom('audit_records')
    .select('sequence')
    .where('chain', '=', chain)
    .orderBy('sequence')
    .limit(1)
    .executeTakeFirst();
  return first?.sequence ?? 1;
}

const NOT_COPIED = 'The node keeps its records in its own data folder alone. Start it with --audit-sink database, or ask it.';
const OLDER = 'They are from before the node kept a copy in the store, or their time is over.';
const BEHIND = 'The node has not copied them into the store yet.';

/** `node-1.204_node-2.17` */
function cursorOf(positions: Positions): string {
  return positions.size === 0 ? NOWHERE : [...positions].map(([chain, sequence]) => `${chain}.${sequence}`).join('_');
}

const NOWHERE = 'beginning';

function positionsIn(cursor: string): Positions | undefined {
  if (cursor === NOWHERE) return new Map();
  const pieces = cursor.split('_').map((piece) => /^([a-z0-9-]{1,64})\.(\d{1,15})$/.exec(piece));
  if (pieces.length > MOST_CHAINS || pieces.includes(null)) return undefined;
  return new Map(pieces.map((piece) => [piece?.[1] ?? '', Number(piece?.[2])]));
}
