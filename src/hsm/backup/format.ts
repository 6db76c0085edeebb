// What a backup consists of: sealed chunks of rows, and a manifest that says how many there are, in which order, with which sums. Knows no storage.
//
//   manifest.json   { manifest: text, seal }   the text in clear; its seal holds the index and opens only with this text
//   chunk-00000 …   sealed JSON lines, [table, row]; each bound to this backup and its place in it; keys in the rows stay sealed as they were
//
// Whoever has no key can count, and compare sums. Whoever has the domain key knows that nothing was changed, left out, added or moved.

import * as v from 'valibot';
import { backupDoesNotOpen, jobFailure, otherDomain } from '../../core/errors-backup.ts';
import type { CryptoModule } from '../../crypto/module.ts';
import type { DomainAtRest } from '../../crypto/types.ts';
import { CONTENT_TABLES, type ContentRow, HSM_CONTENT, type PlacedRow } from '../../store/hsm-content.ts';
import { SCHEMA } from '../../store/migrate.ts';
import { sha256 } from './storage.ts';

export const MANIFEST = 'manifest.json';
const FORMAT = 1;
/** A chunk is closed when its rows have this many bytes. */
const CHUNK = 4 << 20;
/** A row is some hundred kilobytes at most, so no chunk of ours comes near this. */
export const LARGEST_CHUNK = 16 << 20;
export const LARGEST_MANIFEST = 4 << 20;

const Count = v.pipe(v.number(), v.integer(), v.minValue(0));
const Hex = (digits: number) => v.pipe(v.string(), v.regex(new RegExp(`^[0-9a-f]{${digits}}$`)));

const ManifestShape = v.strictObject({
  format: v.literal(FORMAT),
  /** 32 hexadecimal digits, the job that made it. */
  id: Hex(32),
  /** The HSM's name and id when it was made. */
  hsm: v.string(),
  hsmId: v.string(),
  /** The security domain's GUID. */
  domain: v.string(),
  /** Milliseconds: the moment whose state it is. */
  takenAt: Count,
  /** Which schema the rows are of. */
  schema: Count,
  rows: v.record(v.string(), Count),
  chunks: v.array(v.strictObject({ bytes: v.pipe(Count, v.maxValue(LARGEST_CHUNK)), sha256: Hex(64) })),
});

export type Manifest = v.InferOutput<typeof ManifestShape>;

const Outer = v.strictObject({ manifest: v.string(), seal: v.pipe(v.string(), v.regex(/^[\w-]+$/)) });
const Index = v.array(v.tuple([v.picklist(CONTENT_TABLES), v.string()]));

/** Where each chunk begins: its first row's table, and the first column of that table's order (a key's name in lower case). */
export type Index = v.InferOutput<typeof Index>;

/** Who made the backup, or whose backups can be read. */
export interface BackupOf {
  readonly id: string;
  readonly name: string;
  readonly domainId: string;
  readonly domain: DomainAtRest;
}

export function chunkName(index: number): string {
  return `chunk-${String(index).padStart(5, '0')}`;
}

/**
 * Seals rows into chunks as they come, one chunk in memory at a time, and answers the manifest's file.
 * @param write takes each chunk in order.
 */
export async function writeBackup(
  crypto: Pick<CryptoModule, 'sealBackupPart'>,
  hsm: BackupOf,
  backup: { readonly id: string; readonly takenAt: number; readonly rows: AsyncIterable<PlacedRow> },
  write: (name: string, bytes: Buffer) => Promise<void>,
): Promise<{ readonly file: Buffer; readonly manifest: Manifest }> {
  const chunks: { bytes: number; sha256: string }[] = [];
  const index: [Index[number][0], string][] = [];
  const rows: Record<string, number> = Object.fromEntries(CONTENT_TABLES.map((table) => [table, 0]));
  let lines: Buffer[] = [];
  let length = 0;

  async function close(): Promise<void> {
    if (lines.length === 0) return;
    const sealed = crypto.sealBackupPart(hsm.domain, backup.id, ['chunk', String(chunks.length)], Buffer.concat(lines));
    lines = [];
    length = 0;
    await write(chunkName(chunks.length), sealed);
    chunks.push({ bytes: sealed.length, sha256: sha256(sealed) });
  }

  for await (const placed of backup.rows) {
    if (lines.length === 0) index.push([placed.table, positionOf(placed)]);
    const line = Buffer.from(`${lineOf(placed)}\n`);
    lines.push(line);
    length += line.length;
    rows[placed.table] = (rows[placed.table] ?? 0) + 1;
    if (length >= CHUNK) await close();
  }
  await close();
  const manifest: Manifest = {
    format: FORMAT,
    id: backup.id,
    hsm: hsm.name,
    hsmId: hsm.id,
    domain: hsm.domainId,
    takenAt: backup.takenAt,
    schema: SCHEMA,
    rows,
    chunks,
  };
  const text = JSON.stringify(manifest);
  const seal = crypto.sealBackupPart(hsm.domain, backup.id, ['manifest', sha256(Buffer.from(text))], Buffer.from(JSON.stringify(index)));
  return { file: Buffer.from(JSON.stringify({ manifest: text, seal: seal.toString('base64url') })), manifest };
}

/** The manifest without asking whether it is genuine: what can be said without a key. Throws a job's failure. */
export function readManifest(file: Uint8Array): { readonly manifest: Manifest; readonly text: string; readonly seal: Buffer } {
  try {
    const outer = v.parse(Outer, JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(file)));
    const inner: unknown = JSON.parse(outer.manifest);
    refuseLater(inner);
    return { manifest: v.parse(ManifestShape, inner), text: outer.manifest, seal: Buffer.from(outer.seal, 'base64url') };
  } catch (cause) {
    if (cause instanceof SyntaxError || cause instanceof TypeError || v.isValiError(cause)) throw backupDoesNotOpen(MANIFEST);
    throw cause;
  }
}

function refuseLater(manifest: unknown): void {
  const known = v.safeParse(v.looseObject({ format: v.optional(v.number()), schema: v.optional(v.number()) }), manifest);
  if (!known.success) return;
  const { format = FORMAT, schema = 0 } = known.output;
  if (format > FORMAT || schema > SCHEMA) {
    throw jobFailure(
      'BackupTooNew',
      'The backup was made by a later version of this program. Restore it with that version, or a later one.',
    );
  }
}

/** The manifest, once it is certain that an HSM of this domain wrote it. Throws a job's failure. */
export function openManifest(
  crypto: Pick<CryptoModule, 'openBackupPart'>,
  { domainId, domain }: Pick<BackupOf, 'domainId' | 'domain'>,
  file: Uint8Array,
): { readonly manifest: Manifest; readonly index: Index } {
  const { manifest, text, seal } = readManifest(file);
  if (manifest.domain !== domainId) throw otherDomain();
  let index: Index;
  try {
    const part = ['manifest', sha256(Buffer.from(text))];
    index = v.parse(Index, JSON.parse(crypto.openBackupPart(domain, manifest.id, part, seal).toString()));
  } catch {
    throw backupDoesNotOpen(MANIFEST);
  }
  if (index.length !== manifest.chunks.length) throw backupDoesNotOpen(MANIFEST);
  return { manifest, index };
}

/** Whether a chunk's bytes are those of the manifest. Throws a job's failure. */
export function checkChunk(manifest: Manifest, index: number, bytes: Uint8Array): void {
  const expected = manifest.chunks[index];
  if (expected === undefined || bytes.length !== expected.bytes || sha256(bytes) !== expected.sha256)
    throw backupDoesNotOpen(chunkName(index));
}

/** The rows of one chunk of a genuine manifest. Throws a job's failure. */
export function openChunk(
  crypto: Pick<CryptoModule, 'openBackupPart'>,
  domain: DomainAtRest,
  manifest: Manifest,
  index: number,
  bytes: Uint8Array,
): PlacedRow[] {
  checkChunk(manifest, index, bytes);
  let plain: Buffer;
  try {
    plain = crypto.openBackupPart(domain, manifest.id, ['chunk', String(index)], bytes);
  } catch {
    throw backupDoesNotOpen(chunkName(index));
  }
  return rowsIn(plain.toString());
}

/** The chunks in which rows of this table with this position are, by number. */
export function chunksWith(index: Index, table: PlacedRow['table'], position: string): number[] {
  const rank = CONTENT_TABLES.indexOf(table);
  const order = (at: Index[number]): number => {
    const other = CONTENT_TABLES.indexOf(at[0]);
    if (other !== rank) return other - rank;
    // As the store orders text: by its bytes.
    return Buffer.compare(Buffer.from(at[1]), Buffer.from(position));
  };
  // A chunk may hold the row unless the next one begins before it, or this one begins behind it.
  return index.flatMap((at, i) => {
    const next = index[i + 1];
    return order(at) <= 0 && (next === undefined || order(next) >= 0) ? [i] : [];
  });
}

/** Rows as text, one a line, for a chunk and for what waits in the store. */
export function lineOf({ table, row }: PlacedRow): string {
  const bytes: readonly string[] = HSM_CONTENT[table].bytes;
  const plain = Object.entries(row).map(([column, value]) => [
    column,
    bytes.includes(column) && value instanceof Uint8Array ? Buffer.from(value).toString('base64url') : value,
  ]);
  return JSON.stringify([table, Object.fromEntries(plain)]);
}

/** What `lineOf` wrote; only ever read from where it was authenticated. */
export function rowsIn(lines: string): PlacedRow[] {
  return lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [table, row]: [PlacedRow['table'], Record<string, unknown>] = JSON.parse(line);
      const bytes: readonly string[] = HSM_CONTENT[table].bytes;
      for (const column of bytes) {
        const value = row[column];
        if (typeof value === 'string') row[column] = Buffer.from(value, 'base64url');
      }
      return { table, row };
    });
}

function positionOf({ table, row }: PlacedRow): string {
  return String((row as ContentRow)[HSM_CONTENT[table].order[0]]);
}
