// Verification of whole chains, offline: of the folder of a service together with what its store knows, or of files that were taken away from it.

import { createPublicKey } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Reader } from '../store/store.ts';
import { segmentNamed } from './chain.ts';
import { ChainCheck, type CheckOptions, type Keys, type Problem } from './check.ts';
import { keyId } from './keys.ts';
import type { Head } from './ledger.ts';
import { type Link, LinksCheck } from './links-check.ts';

export interface Verdict {
  readonly chain: string;
  readonly problems: readonly Problem[];
  /** What is no problem, and worth knowing. */
  readonly notes: readonly string[];
  readonly segments: number;
  readonly events: number;
  /** Of the last event: its number and its hash. */
  readonly sequence: number;
  readonly hash: string;
}

/** What the store says of a chain. */
export interface Known {
  readonly head: Head | undefined;
  /** Records of changes that have not come into the chain yet. */
  readonly waiting: number;
}

export interface VerifyOptions {
  readonly keys: Keys;
  /** Whether the last segment may be without its seal: the service was still writing it, or was killed. */
  readonly mayBeOpen: boolean;
  /** Whether the first segment has to be the chain's first, or the first after those whose time was over. */
  readonly fromTheBeginning: boolean;
  readonly known?: Known | undefined;
  /** Hashes that records have to have, by their number. */
  readonly expected?: ReadonlyMap<number, string> | undefined;
  /** What other chains say of this one. */
  readonly links?: readonly Link[] | undefined;
  readonly entry?: CheckOptions['entry'];
}

/** The segment files in a folder, in order, by chain. */
export async function chainsIn(folder: string): Promise<ReadonlyMap<string, readonly string[]>> {
  return chainsOf((await readdir(folder)).map((file) => join(folder, file)));
}

/** The segment files among these, in order, by chain. */
export function chainsOf(files: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const chains = new Map<string, { readonly file: string; readonly number: number }[]>();
  for (const file of files) {
    const named = segmentNamed(basename(file));
    if (named !== undefined) chains.set(named.chain, [...(chains.get(named.chain) ?? []), { file, number: named.number }]);
  }
  return new Map([...chains].map(([chain, of]) => [chain, of.sort((a, b) => a.number - b.number).map(({ file }) => file)]));
}

export async function verifyChain(chain: string, files: readonly string[], options: VerifyOptions): Promise<Verdict> {
  const problems: Problem[] = [];
  const notes: string[] = [];
  const { known } = options;
  let isKnownThere = false;
  let lastHash = '';
  const expected = new Map(options.expected);
  const links = new LinksCheck(options.links ?? []);
  const check = new ChainCheck({
    keys: options.keys,
    problem: (problem) => problems.push(problem),
    entry: (entry, file, line) => {
      if (entry.hash === known?.head?.hash) isKnownThere = true;
      links.entry(entry);
      if (entry.kind === 'event') {
        lastHash = entry.hash;
        const hash = expected.get(entry.seq);
        if (hash !== undefined && hash !== entry.hash)
          problems.push({ file, line, what: `is record ${entry.seq}, and has another hash than the one that was noted` });
        expected.delete(entry.seq);
      }
      options.entry?.(entry, file, line);
    },
  });
  for (const [index, file] of files.entries()) await check.segment(file, index === files.length - 1);
  const { progress } = check;
  const last = basename(files.at(-1) ?? '');
  const first = segmentNamed(basename(files[0] ?? ''))?.number ?? 1;

  if (first > 1 && progress.expiredThrough >= first - 1)
    notes.push(`segments 1 to ${first - 1} went when their time was over, as the chain says`);
  else if (first > 1 && options.fromTheBeginning) problems.push({ file: chain, line: 0, what: `lacks its segments 1 to ${first - 1}` });
  else if (first > 1) notes.push(`segments 1 to ${first - 1} are not among these files`);

  if (!progress.isSealed && !options.mayBeOpen)
    problems.push({ file: last, line: 0, what: 'has no seal: its end was cut, or it was still being written' });
  else if (!progress.isSealed) notes.push(`${last} is open; ${progress.unsigned} of its records are not signed yet`);
  if (progress.torn > 0)
    notes.push(`${last} ends with ${progress.torn} bytes of a record that was never finished, and so never answered for`);

  if (known?.head !== undefined && known.head.sequence > progress.sequence) {
    problems.push({
      file: last,
      line: 0,
      what: `was cut: records ${progress.sequence + 1} to ${known.head.sequence} are missing at the end`,
    });
  } else if (known?.head !== undefined && known.head.segment >= first && !isKnownThere) {
    problems.push({ file: last, line: 0, what: 'does not have the end that the store knows: it was cut or written anew' });
  }
  problems.push(...links.problems(last, progress.sequence));
  notes.push(...links.notes());
  for (const number of expected.keys()) problems.push({ file: chain, line: 0, what: `lacks record ${number}, of which a hash was noted` });
  if (known !== undefined && known.waiting > 0)
    notes.push(`${known.waiting} records of changes are in the store, and come into the chain when the service runs`);
  return { chain, problems, notes, segments: files.length, events: progress.events, sequence: progress.sequence, hash: lastHash };
}

/** What the store says: how far each chain came. */
export async function knownOf(read: Reader, chain: string): Promise<Known> {
  const head = await read.selectFrom('audit_chains').select(['sequence', 'hash', 'segment']).where('chain', '=', chain).executeTakeFirst();
  const waiting = await read.selectFrom('audit_changes').select('request_id').where('chain', '=', chain).execute();
  return { head, waiting: waiting.length };
}

/** The public keys that the store has. */
export async function keysOf(read: Reader): Promise<Keys> {
  const rows = await read.selectFrom('audit_keys').select(['public_pem']).execute();
  return keysIn(rows.map((row) => row.public_pem));
}

/** Public keys in PEM, by the id that signatures name them by. */
export function keysIn(pems: readonly string[]): Keys {
  const keys = pems.map((pem) => createPublicKey(pem));
  return new Map(keys.map((key) => [keyId(key), key]));
}

/** The key files that lie beside these files: convenient, and no proof, since whoever changes the one can change the other. */
export async function keysBeside(files: readonly string[]): Promise<Keys> {
  const folders = [...new Set(files.map((file) => dirname(file)))];
  const pems: string[] = [];
  for (const folder of folders) {
    for (const file of await readdir(folder)) {
      if (/^audit-key\..*\.pem$/.test(file)) pems.push(await readFile(join(folder, file), 'utf8'));
    }
  }
  return keysIn(pems);
}
