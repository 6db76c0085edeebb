// The writer of one chain: takes events, gives each its number and hash, and answers when they are on disk, many with one sync. Signs where the
// chain has come to, closes segments and begins new ones. When the disk does not take a record it closes the gate, and opens it when it does again.

import type { KeyObject } from 'node:crypto';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { auditUnavailable } from '../core/audit.ts';
import type { Clock } from '../core/clock.ts';
import { chained, type Kind, lineOf, type SegmentHead, segmentName, signatureOver } from './chain.ts';
import type { Gate } from './gate.ts';
import { isNoRoom, type Reserve, SegmentFile } from './segment-file.ts';

/** How far a chain has come. */
export interface Head {
  /** Of its last event. */
  readonly sequence: number;
  /** Of its last line. */
  readonly hash: string;
  /** Of the segment that the last line stands in; 0 before the first. */
  readonly segment: number;
}

export interface LedgerParts {
  readonly folder: string;
  readonly chain: string;
  readonly start: Head;
  /** What is wrong with the end of the chain so far; written into the next segment. */
  readonly broken: string | undefined;
  readonly signingKey: { readonly kid: string; readonly privateKey: KeyObject };
  readonly gate: Gate;
  readonly reserve: Reserve;
  readonly clock: Clock;
  readonly log: Logger;
  /** Bytes after which a segment is closed. */
  readonly segmentBytes: number;
  /** JSON text of an event about the audit itself. */
  readonly ownEvent: (operation: string, properties: Readonly<Record<string, unknown>>) => string;
  /** Called when a signed line is on disk: somebody else keeps how far the chain came, so that a cut end is noticed. */
  readonly signed: (head: Head) => void;
}

interface Waiting {
  readonly events: readonly string[];
  resolve(): void;
  reject(reason: unknown): void;
}

/** Milliseconds between signatures, as long as there is something new to sign. */
const SIGN_EVERY = 10_000;
const RETRY_EVERY = 1000;
/** A segment is closed after a day, full or not. */
const LONGEST_SEGMENT = 86_400_000;
const LARGEST_GROUP = 2000;
/** Milliseconds that events may take for which nobody waits. */
const UNHURRIED = 10;

export class Ledger {
  readonly #parts: LedgerParts;
  readonly #waiting: Waiting[] = [];
  /** For which nobody waits. */
  readonly #unhurried: Waiting[] = [];
  #unhurriedTimer: NodeJS.Timeout | undefined;
  readonly #listeners: (() => void)[] = [];
  readonly #timers: NodeJS.Timeout[] = [];
  #running: Promise<void> | undefined;
  #file: SegmentFile | undefined;
  #openedAt = 0;
  #head: Head;
  #first = 0;
  #signedHash: string | undefined;
  #broken: string | undefined;
  #closedSince: number | undefined;
  #problem: string | undefined;
  #written = 0;
  #closedLength = 0;
  #reserving: Promise<void> = Promise.resolve();

  constructor(parts: LedgerParts) {
    this.#parts = parts;
    this.#head = parts.start;
    this.#broken = parts.broken;
    this.#timers.push(setInterval(() => this.sign().catch((error: unknown) => this.#shut(error)), SIGN_EVERY).unref());
    this.#timers.push(setInterval(() => this.#retry(), RETRY_EVERY).unref());
  }

  get head(): Head {
    return this.#head;
  }

  /** How much of the chain is sure: up to this byte of this segment. */
  get end(): { readonly segment: number; readonly position: number; readonly sequence: number } {
    const { segment, sequence } = this.#head;
    return { segment, position: this.#file?.length ?? this.#closedLength, sequence };
  }

  /** The number of the first event that can stand in the open segment. */
  get first(): number {
    return this.#first;
  }

  /** Records written since the start. */
  get written(): number {
    return this.#written;
  }

  /** Why no records are taken now, in a few words. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Resolves when the head-room has been taken, or was not to be had. */
  get reserved(): Promise<void> {
    return this.#reserving;
  }

  /** Told each time that something was appended. */
  onAppend(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Resolves when the events are on disk, in this order; rejects with auditUnavailable when they are not, and then none of them is. */
  append(events: readonly string[]): Promise<void> {
    if (events.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#hurry();
      this.#waiting.push({ events, resolve, reject });
      this.#running ??= this.#drain();
    });
  }

  /**
   * The same for events that are kept elsewhere meanwhile, and for which nobody waits: they share a sync with those of the next moment, instead of taking the
   * disk from the next change. The order is kept: whatever is appended after them comes after them.
   */
  appendUnhurried(events: readonly string[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#unhurried.push({ events, resolve, reject });
      this.#unhurriedTimer ??= setTimeout(() => {
        this.#hurry();
        if (this.#waiting.length > 0) this.#running ??= this.#drain();
      }, UNHURRIED);
    });
  }

  #hurry(): void {
    clearTimeout(this.#unhurriedTimer);
    this.#unhurriedTimer = undefined;
    this.#waiting.push(...this.#unhurried.splice(0));
  }

  /** Begins the first segment, and takes the reserve without being waited for. What goes wrong closes the gate, and is tried again. */
  async open(): Promise<void> {
    await this.#exclusively(async () => {
      await this.#segment();
    }).catch((error: unknown) => this.#shut(error));
    this.#reserving = this.#parts.reserve.take().catch((error: unknown) => this.#shut(error));
  }

  /** Signs how far the chain has come, if it has come further. */
  async sign(): Promise<void> {
    const isNew = this.#file !== undefined && this.#signedHash !== this.#head.hash && this.#head.sequence >= this.#first;
    if (!isNew || !this.#parts.gate.isOpen) return;
    const body = JSON.stringify({ time: new Date(this.#parts.clock.now()).toISOString(), key: this.#parts.signingKey.kid });
    await this.#exclusively(() => this.#append('checkpoint', [body]));
  }

  /** Writes what was accepted, and closes the segment with its signature. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#hurry();
    if (this.#waiting.length > 0) this.#running ??= this.#drain();
    await this.#reserving;
    await this.#exclusively(() => this.#seal()).catch((error: unknown) => {
      this.#parts.log.error({ err: error }, 'the last segment of the audit could not be closed; the next start closes it');
    });
  }

  /** Runs nothing else meanwhile, and after what was accepted. */
  async #exclusively(job: () => Promise<void>): Promise<void> {
    while (this.#running !== undefined) await this.#running;
    const running = job();
    this.#running = running.then(
      () => undefined,
      () => undefined,
    );
    try {
      await running;
    } finally {
      this.#running = undefined;
      if (this.#waiting.length > 0) this.#running ??= this.#drain();
    }
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, LARGEST_GROUP);
      try {
        await this.#write(group.flatMap(({ events }) => events));
        for (const { resolve } of group) resolve();
        this.#tell();
      } catch (error) {
        this.#shut(error);
        for (const { reject } of group) reject(auditUnavailable(error));
      }
    }
    this.#running = undefined;
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  /** With the reserve given back when there is no room: what is under way still gets its record. */
  async #write(events: readonly string[]): Promise<void> {
    try {
      await this.#append('event', events);
    } catch (error) {
      if (!isNoRoom(error)) throw error;
      this.#shut(error);
      await this.#parts.reserve.give();
      await this.#append('event', events);
    }
    this.#written += events.length;
  }

  async #append(kind: Kind, bodies: readonly string[]): Promise<void> {
    const file = await this.#segment();
    let { sequence, hash } = this.#head;
    let text = '';
    for (const body of bodies) {
      if (kind === 'event') sequence += 1;
      hash = chained(hash, kind, sequence, body);
      const signature = kind === 'event' ? undefined : signatureOver(hash, this.#parts.signingKey.privateKey);
      text += lineOf({ seq: sequence, hash, kind, body, signature });
    }
    await file.append(Buffer.from(text));
    this.#head = { ...this.#head, sequence, hash };
    this.#parts.gate.reach(this.#head.segment, file.length);
    if (kind !== 'event') this.#wasSigned();
  }

  /** The segment that is written to; a new one when there is none, or when this one is full. */
  async #segment(): Promise<SegmentFile> {
    const isFull = this.#file !== undefined && (this.#file.length >= this.#parts.segmentBytes || this.#age() >= LONGEST_SEGMENT);
    if (isFull) await this.#seal();
    this.#file ??= await this.#begin();
    return this.#file;
  }

  #age(): number {
    return this.#parts.clock.now() - this.#openedAt;
  }

  async #begin(): Promise<SegmentFile> {
    const { folder, chain, clock } = this.#parts;
    const { sequence, hash: previous, segment } = this.#head;
    const number = segment + 1;
    const opened = clock.now();
    const head: SegmentHead = {
      format: 1,
      chain,
      number,
      first: sequence + 1,
      previous,
      opened: new Date(opened).toISOString(),
      ...(this.#broken === undefined ? {} : { broken: this.#broken }),
    };
    const body = JSON.stringify(head);
    const hash = chained(previous, 'segment', sequence, body);
    const line = lineOf({ seq: sequence, hash, kind: 'segment', body, signature: undefined });
    const file = await SegmentFile.create(join(folder, segmentName(chain, number)), Buffer.from(line));
    this.#openedAt = opened;
    this.#first = sequence + 1;
    this.#broken = undefined;
    this.#head = { sequence, hash, segment: number };
    this.#parts.gate.reach(number, file.length);
    return file;
  }

  async #seal(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    const { clock, signingKey } = this.#parts;
    const { sequence } = this.#head;
    const body = JSON.stringify({ first: this.#first, last: sequence, closed: new Date(clock.now()).toISOString(), key: signingKey.kid });
    const hash = chained(this.#head.hash, 'seal', sequence, body);
    const signature = signatureOver(hash, signingKey.privateKey);
    await file.append(Buffer.from(lineOf({ seq: sequence, hash, kind: 'seal', body, signature })));
    this.#head = { ...this.#head, hash };
    this.#file = undefined;
    this.#closedLength = file.length;
    await file.close();
    this.#wasSigned();
  }

  #wasSigned(): void {
    this.#signedHash = this.#head.hash;
    this.#parts.signed(this.#head);
  }

  #shut(error: unknown): void {
    const { gate, log, clock } = this.#parts;
    this.#problem = isNoRoom(error) ? 'there is no room on the disk' : 'the disk does not take it';
    if (!gate.isOpen) return;
    gate.close();
    this.#closedSince = clock.now();
    log.error({ err: error }, 'the audit record cannot be written; operations are refused until it can');
  }

  /** While the gate is closed: once there is the reserve again and a record of the time without, it opens. */
  #retry(): void {
    const { gate, reserve, ownEvent, log } = this.#parts;
    if (gate.isOpen || this.#running !== undefined) return;
    this.#exclusively(async () => {
      await reserve.take();
      const refused = gate.takeTurnedAway();
      const since = new Date(this.#closedSince ?? 0).toISOString();
      await this.#append('event', [ownEvent('AuditResumed', { since, refused, problem: this.#problem })]);
      this.#written += 1;
      this.#problem = undefined;
      gate.open();
      log.info({ refused }, 'the audit record can be written again');
      this.#tell();
    }).catch((error: unknown) => {
      this.#problem = isNoRoom(error) ? 'there is no room on the disk' : 'the disk does not take it';
    });
  }
}
