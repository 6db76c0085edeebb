// Goes along a chain line by line and says where it is not what was written. Reads files, trusts nothing in them but signatures of given keys.

import type { KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import * as v from 'valibot';
import { chained, type Entry, entryIn, isSignature, START } from './chain.ts';

export interface Problem {
  readonly file: string;
  /** 1 for the first; 0 when it is the file as a whole. */
  readonly line: number;
  readonly what: string;
}

/** Public keys by their id; undefined is: nobody signed. */
export type Keys = ReadonlyMap<string, KeyObject>;

/** How far a check has come. */
export interface Progress {
  /** Of the last event. */
  sequence: number;
  /** Of the last line. */
  hash: string;
  segment: number;
  events: number;
  /** Events after the last signature. */
  unsigned: number;
  /** Whether the last segment ends with its seal. */
  isSealed: boolean;
  /** Bytes after the last whole line of the last file. */
  torn: number;
  /** Bytes of whole lines in the last file. */
  length: number;
  /** Segments up to this one went because their time was over: an event of the chain says so. */
  expiredThrough: number;
}

export interface CheckOptions {
  readonly keys: Keys;
  readonly problem: (problem: Problem) => void;
  /** Every entry that parses, whether it fits or not. */
  readonly entry?: (entry: Entry, file: string, line: number) => void;
}

const Head = v.object({ format: v.literal(1), chain: v.string(), number: v.number(), first: v.number(), previous: v.string() });
const Signed = v.object({ key: v.string() });
const Seal = v.object({ key: v.string(), first: v.number(), last: v.number() });
const Expired = v.object({ operationName: v.literal('AuditSegmentsExpired'), properties: v.object({ through: v.number() }) });

const NEWLINE = 0x0a;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Checks a chain's segments, which are handed to it in order. */
export class ChainCheck {
  readonly #options: CheckOptions;
  readonly progress: Progress = {
    sequence: 0,
    hash: START,
    segment: 0,
    events: 0,
    unsigned: 0,
    isSealed: false,
    torn: 0,
    length: 0,
    expiredThrough: 0,
  };
  #chain: string | undefined;
  #first = 1;

  constructor(options: CheckOptions) {
    this.#options = options;
  }

  /** `isLast`: whether the end of this file may be one that is still being written. */
  async segment(file: string, isLast: boolean): Promise<void> {
    const name = basename(file);
    const bytes = await readFile(file);
    const { progress } = this;
    progress.isSealed = false;
    let start = 0;
    let line = 0;
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
      line += 1;
      this.#line(bytes.subarray(start, end), name, line);
      start = end + 1;
    }
    progress.length = start;
    progress.torn = bytes.length - start;
    if (line === 0) this.#problem(name, 0, 'has no whole line');
    if (progress.torn > 0 && (progress.isSealed || !isLast))
      this.#problem(name, line + 1, 'does not end as a line does: it was cut or added to');
    if (!progress.isSealed && !isLast) this.#problem(name, 0, 'has no seal: its end was cut');
  }

  #line(bytes: Uint8Array, file: string, line: number): void {
    const entry = entryOf(bytes);
    const { progress } = this;
    if (entry === undefined) {
      this.#problem(file, line, 'is no line of a chain: it was altered or added');
      return;
    }
    this.#options.entry?.(entry, file, line);
    if (progress.isSealed) this.#problem(file, line, 'stands after the seal: it was added');
    if (line === 1) this.#open(entry, file);
    else if (entry.kind === 'segment') this.#problem(file, line, 'begins a segment inside another');
    else this.#follow(entry, file, line);
    progress.isSealed = entry.kind === 'seal';
    progress.hash = entry.hash;
    progress.sequence = entry.seq;
  }

  #open(entry: Entry, file: string): void {
    const { progress } = this;
    const head = v.safeParse(Head, JSON.parse(entry.body));
    if (entry.kind !== 'segment' || !head.success) {
      this.#problem(file, 1, 'does not begin a segment: the first line was removed or altered');
      return;
    }
    const { chain, number, first, previous } = head.output;
    const isBeginning = this.#chain === undefined;
    if (chained(previous, 'segment', entry.seq, entry.body) !== entry.hash || entry.seq !== first - 1) {
      this.#problem(file, 1, 'was altered');
    } else if (!isBeginning) {
      if (chain !== this.#chain) this.#problem(file, 1, `belongs to another chain, ${chain}`);
      else if (number !== progress.segment + 1) this.#problem(file, 1, `is segment ${number} and stands after segment ${progress.segment}`);
      else if (first > progress.sequence + 1) this.#problem(file, 1, missing(progress.sequence + 1, first - 1));
      else if (previous !== progress.hash)
        this.#problem(file, 1, 'does not follow from the end of the segment before: that end was altered or cut');
    }
    this.#chain ??= chain;
    this.#first = first;
    progress.segment = number;
  }

  #follow(entry: Entry, file: string, line: number): void {
    const { progress } = this;
    const isEvent = entry.kind === 'event';
    const expected = isEvent ? progress.sequence + 1 : progress.sequence;
    if (entry.seq > expected) this.#problem(file, line, missing(progress.sequence + 1, isEvent ? entry.seq - 1 : entry.seq));
    else if (entry.seq < expected) this.#problem(file, line, `is record ${entry.seq} after record ${progress.sequence}: moved or repeated`);
    else if (chained(progress.hash, entry.kind, entry.seq, entry.body) !== entry.hash) {
      this.#problem(
        file,
        line,
        isEvent ? `is record ${entry.seq}, and it or the line before it was altered` : 'or the line before it was altered',
      );
    }
    if (isEvent) this.#event(entry);
    else this.#signed(entry, file, line);
  }

  #signed(entry: Entry, file: string, line: number): void {
    const { progress } = this;
    const body: unknown = JSON.parse(entry.body);
    const { key } = v.is(Signed, body) ? body : { key: '' };
    const publicKey = this.#options.keys.get(key);
    if (publicKey === undefined) this.#problem(file, line, `is signed with a key that is not given: ${key.slice(0, 64)}`);
    else if (!isSignature(entry.hash, entry.signature ?? '', publicKey))
      this.#problem(file, line, 'has a signature that does not fit: records before it were altered');
    else progress.unsigned = 0;
    if (entry.kind === 'seal' && !(v.is(Seal, body) && body.first === this.#first && body.last === entry.seq)) {
      this.#problem(file, line, 'seals other records than those of its segment');
    }
  }

  /** Some events speak of the chain itself: that segments went because their time was over. */
  #event({ body }: Entry): void {
    this.progress.events += 1;
    this.progress.unsigned += 1;
    if (!body.includes('AuditSegmentsExpired')) return;
    const event: unknown = JSON.parse(body);
    if (v.is(Expired, event)) this.progress.expiredThrough = Math.max(this.progress.expiredThrough, event.properties.through);
  }

  #problem(file: string, line: number, what: string): void {
    this.#options.problem({ file, line, what });
  }
}

function entryOf(bytes: Uint8Array): Entry | undefined {
  try {
    const entry = entryIn(utf8.decode(bytes));
    if (entry !== undefined) JSON.parse(entry.body);
    return entry;
  } catch {
    return undefined;
  }
}

function missing(from: number, to: number): string {
  return from === to ? `record ${from} is missing before it` : `records ${from} to ${to} are missing before it`;
}
