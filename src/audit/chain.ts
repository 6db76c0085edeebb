// The form of the chain: what a line is, and how each line's hash holds everything before it. Pure; the writer and the verifier share it.
//
//   {"seq":7,"hash":"…","event":{…}}
//
// hash = SHA-256( previous hash ‖ kind ‖ seq ‖ body ), newlines between, base64url, over the body's very bytes as they stand in the line.
// A segment is a file: a `segment` line, `event` lines and signed `checkpoint` lines, and when it is closed one signed `seal` line.

import { hash, type KeyObject, sign, verify } from 'node:crypto';

export type Kind = 'segment' | 'event' | 'checkpoint' | 'seal';

export interface Entry {
  /** The number of the event; for other lines, of the last event before them. */
  readonly seq: number;
  readonly hash: string;
  readonly kind: Kind;
  /** JSON text. */
  readonly body: string;
  /** Ed25519 over `statement(hash)`, base64url: on checkpoints and seals alone. */
  readonly signature: string | undefined;
}

/** What the first line of a segment says. */
export interface SegmentHead {
  readonly format: 1;
  readonly chain: string;
  /** 1 for the first of a chain. */
  readonly number: number;
  /** The number of the first event that can stand here. */
  readonly first: number;
  /** The hash of the last line of the segment before; empty in the first. */
  readonly previous: string;
  readonly opened: string;
  /** What the service found wrong with the end of the segment before. */
  readonly broken?: string;
}

export const START = '';

export function chained(previous: string, kind: Kind, seq: number, body: string): string {
  return hash('sha256', `${previous}\n${kind}\n${seq}\n${body}`, 'base64url');
}

export function lineOf({ seq, hash: of, kind, body, signature }: Entry): string {
  return `{"seq":${seq},"hash":"${of}","${kind}":${body}${signature === undefined ? '' : `,"signature":"${signature}"`}}\n`;
}

const LINE =
  /^\{"seq":(0|[1-9]\d{0,15}),"hash":"([\w-]{43})","(segment|event|checkpoint|seal)":(\{.*\})(?:,"signature":"([\w-]{86})")?\}$/s;

/** The entry in a line without its newline; undefined when it is none, or has a signature where none belongs. */
export function entryIn(line: string): Entry | undefined {
  const [, seq, of, kind, body, signature] = LINE.exec(line) ?? [];
  if (of === undefined || body === undefined || !isKind(kind)) return undefined;
  if ((signature !== undefined) !== isSigned(kind)) return undefined;
  return { seq: Number(seq), hash: of, kind, body, signature };
}

export function isSigned(kind: Kind): boolean {
  return kind === 'checkpoint' || kind === 'seal';
}

function isKind(kind: string | undefined): kind is Kind {
  return kind === 'segment' || kind === 'event' || kind === 'checkpoint' || kind === 'seal';
}

function statement(of: string): Buffer {
  return Buffer.from(`strongroom audit 1\n${of}`);
}

/** Ed25519 (RFC 8032) over the hash of a line, and so over everything before it. */
export function signatureOver(of: string, privateKey: KeyObject): string {
  return sign(null, statement(of), privateKey).toString('base64url');
}

export function isSignature(of: string, signature: string, publicKey: KeyObject): boolean {
  return verify(null, statement(of), publicKey, Buffer.from(signature, 'base64url'));
}

/** `node-1.00000042.jsonl`. */
export function segmentName(chain: string, number: number): string {
  return `${chain}.${String(number).padStart(8, '0')}.jsonl`;
}

/** The chain and number in a segment's file name. */
export function segmentNamed(file: string): { readonly chain: string; readonly number: number } | undefined {
  const [, chain, number] = /^([\w-]+)\.(\d{8,})\.jsonl$/.exec(file) ?? [];
  return chain === undefined ? undefined : { chain, number: Number(number) };
}
