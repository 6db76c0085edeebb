// The segments of a chain as files of a folder, and what the last one says about where the chain goes on.

import type { KeyObject } from 'node:crypto';
import { open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { chained, type Entry, entryIn, lineOf, segmentName, segmentNamed, signatureOver } from './chain.ts';
import { ChainCheck, type Keys, type Problem } from './check.ts';
import type { Head } from './ledger.ts';
import { SegmentFile } from './segment-file.ts';

/** The numbers of a chain's segments, ascending. */
export async function segmentNumbers(folder: string, chain: string): Promise<readonly number[]> {
  const files = await readdir(folder);
  const numbers = files.map(segmentNamed).flatMap((named) => (named?.chain === chain ? [named.number] : []));
  return numbers.sort((a, b) => a - b);
}

const Opened = v.object({ opened: v.string() });
const HEAD_BYTES = 4096;

/** When a segment was opened, in milliseconds since 1970. Infinitely late when it cannot be told: what is not understood is kept. */
export async function openedAt(folder: string, chain: string, number: number): Promise<number> {
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

/** Where the chain goes on, and what is wrong with where it ended. */
export interface End {
  readonly start: Head;
  readonly broken: string | undefined;
}

interface EndParts {
  readonly folder: string;
  readonly chain: string;
  /** How far the store knows that the chain came. */
  readonly known: Head | undefined;
  readonly keys: Keys;
  readonly signingKey: { readonly kid: string; readonly privateKey: KeyObject };
  /** ISO 8601. */
  readonly now: string;
}

const NOTHING: Head = { sequence: 0, hash: '', segment: 0 };

/**
 * Looks at the last segment. One that was left open by a service that ended is closed: bytes of a line that was never finished, and so never
 * answered for, are cut off, and the seal says how many. One that is not what was written is left as it is.
 */
export async function findEnd(parts: EndParts): Promise<End> {
  const { folder, chain, known = NOTHING } = parts;
  const number = (await segmentNumbers(folder, chain)).at(-1);
  if (number === undefined) {
    return { start: known, broken: known.segment === 0 ? undefined : `the segments up to ${known.segment} are missing` };
  }
  const file = join(folder, segmentName(chain, number));
  const problems: Problem[] = [];
  const hashes = new Set<string>();
  let first = 0;
  const check = new ChainCheck({
    keys: parts.keys,
    problem: (problem) => problems.push(problem),
    entry: ({ hash, kind, seq }) => {
      hashes.add(hash);
      if (kind === 'segment') first = seq + 1;
    },
  });
  await check.segment(file, true);
  const { progress } = check;
  if (hashes.size === 0) {
    // Nothing was ever answered for here: the service ended between making the file and its first line.
    await rm(file);
    return findEnd(parts);
  }
  const broken = brokenWords(number, problems, known, progress.sequence, hashes);
  let head: Head = { sequence: Math.max(progress.sequence, known.sequence), hash: progress.hash, segment: Math.max(number, known.segment) };
  if (broken === undefined && !progress.isSealed)
    head = await closeLeft(parts, file, { ...head, sequence: progress.sequence }, first, progress);
  return { start: head, broken };
}

function brokenWords(
  number: number,
  [problem]: readonly Problem[],
  known: Head,
  sequence: number,
  hashes: ReadonlySet<string>,
): string | undefined {
  if (problem !== undefined) return `segment ${number}, line ${problem.line} ${problem.what}`;
  if (known.segment > number) return `the segments ${number + 1} to ${known.segment} are missing`;
  if (known.sequence > sequence) return `the records ${sequence + 1} to ${known.sequence} are missing`;
  if (known.segment === number && !hashes.has(known.hash)) return `segment ${number} is not the one that was written`;
  return undefined;
}

async function closeLeft(
  { signingKey, now }: EndParts,
  file: string,
  head: Head,
  first: number,
  { length, torn }: { readonly length: number; readonly torn: number },
): Promise<Head> {
  const body = JSON.stringify({ first, last: head.sequence, closed: now, key: signingKey.kid, left: { torn } });
  const hash = chained(head.hash, 'seal', head.sequence, body);
  const seal: Entry = { seq: head.sequence, hash, kind: 'seal', body, signature: signatureOver(hash, signingKey.privateKey) };
  const opened = await SegmentFile.reopen(file, length);
  try {
    await opened.append(Buffer.from(lineOf(seal)));
  } finally {
    await opened.close();
  }
  return { ...head, hash };
}
