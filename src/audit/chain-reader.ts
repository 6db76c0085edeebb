// Reads a chain from a place in it onwards, while its writer goes on writing. Knows files and places in them, not what the lines say.

import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { segmentName } from './chain.ts';
import { segmentNumbers } from './segments.ts';

/** Before the byte `position` of a segment. */
export interface Place {
  readonly segment: number;
  readonly position: number;
}

export interface Piece {
  readonly lines: readonly string[];
  /** Where the next piece begins. */
  readonly next: Place;
  /** Segments that were gone when their turn came: their time was over. */
  readonly skipped: number;
}

const PIECE_BYTES = 1 << 18;
const NEWLINE = 0x0a;

/**
 * Whole lines from a place on, a piece at a time; undefined when there is nothing yet. Reads up to `end`, which is how far the writer is sure of: what
 * stands behind it may still be taken back.
 */
export async function pieceAt(folder: string, chain: string, at: Place, end: Place | undefined): Promise<Piece | undefined> {
  let { segment, position } = at;
  const numbers = await segmentNumbers(folder, chain);
  const last = end?.segment ?? numbers.at(-1) ?? 0;
  for (;;) {
    const there = numbers.find((number) => number >= segment && number <= last);
    if (there === undefined) return undefined;
    const skipped = there - segment;
    if (skipped > 0) position = 0;
    const limit = end !== undefined && there === end.segment ? end.position : Number.POSITIVE_INFINITY;
    const read = await linesOf(join(folder, segmentName(chain, there)), position, limit);
    if (read.lines.length > 0) return { lines: read.lines, next: { segment: there, position: position + read.bytes }, skipped };
    if (there >= last) return undefined;
    segment = there + 1;
    position = 0;
  }
}

async function linesOf(file: string, from: number, limit: number): Promise<{ readonly lines: readonly string[]; readonly bytes: number }> {
  const length = Math.min(PIECE_BYTES, limit - from);
  const nothing = { lines: [], bytes: 0 };
  if (length <= 0) return nothing;
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    // It went between the listing and now.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return nothing;
    throw error;
  }
  try {
    const buffer = Buffer.alloc(length);
    const { bytesRead } = await handle.read(buffer, 0, length, from);
    const end = buffer.subarray(0, bytesRead).lastIndexOf(NEWLINE) + 1;
    if (end === 0) return nothing;
    return { lines: buffer.toString('utf8', 0, end - 1).split('\n'), bytes: end };
  } finally {
    await handle.close();
  }
}

const EVENT = /^\{"seq":(\d+),"hash":"([\w-]+)","event":/;

/** The number of the event in a line; undefined for the lines that hold the chain together. */
export function eventNumberIn(line: string): number | undefined {
  const [, seq] = EVENT.exec(line) ?? [];
  return seq === undefined ? undefined : Number(seq);
}

/** The event in such a line, as JSON text. */
export function eventIn(line: string): string {
  return line.replace(EVENT, '').slice(0, -1);
}
