// The heavy part of backups and restores: reading, sealing, sending, fetching, opening. Runs in a thread of its own, one call for each step; what has to be
// written to the store it hands back. One chunk is in memory at a time.

import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Clock } from '../../core/clock.ts';
import { backupDoesNotOpen, jobFailure, jobTaken } from '../../core/errors-backup.ts';
import { Failure } from '../../core/failure.ts';
import type { CryptoModule } from '../../crypto/module.ts';
import { asSealedKey, type KeyMaterial } from '../../crypto/types.ts';
import { contentOf, type PlacedRow } from '../../store/hsm-content.ts';
import type { OpenReader } from '../../store/store.ts';
import { ADMINISTRATOR } from '../access/built-in-roles.ts';
import { keyTermsOf, type VersionRow } from '../keys/key-version.ts';
import { nameKey } from '../keys/names.ts';
import { writeWhole } from './folder-storage.ts';
import {
  type BackupOf,
  chunkName,
  chunksWith,
  LARGEST_MANIFEST,
  lineOf,
  MANIFEST,
  type Manifest,
  openChunk,
  openManifest,
  readManifest,
  writeBackup,
} from './format.ts';
import { TOKEN_PURPOSE } from './jobs.ts';
import { openStorage } from './open-storage.ts';
import type { BackupSettings } from './place.ts';
import { AGAIN_AFTER } from './replace.ts';
import type { Place, Storage } from './storage.ts';

/** What a step needs to know of its job. Plain data: it crosses threads. */
export interface Order {
  readonly jobId: string;
  readonly hsm: BackupOf;
  readonly place: Place;
  /** Sealed for this job. */
  readonly sealedToken: Uint8Array | null;
  readonly folder: string;
}

export interface Counts {
  readonly keys: number;
  readonly versions: number;
}

export interface BackupWork {
  /** Takes the backup and brings it to its place; goes on where it was when the service ended in the middle. */
  backup(order: Order): Promise<Counts>;
  /** Whether a backup could be written: a small file is, and removed again. */
  probe(order: Order): Promise<void>;
  /** Whether there is a backup that this HSM can read, by its manifest. */
  look(order: Order): Promise<void>;
  /** Reads the whole backup and opens every key in it; nothing is kept. */
  verify(order: Order): Promise<Counts>;
  /** Reads the whole backup, seals every key for its new place, and hands the rows on in order. Answers who administers the HSM in it. */
  stage(order: Order): Promise<Counts & { readonly batches: number; readonly administrators: readonly string[] }>;
  /** The rows of one key, sealed for their new place; none when the backup does not have it. */
  find(order: Order, keyName: string): Promise<readonly PlacedRow[]>;
  /** Removes a backup that a schedule no longer keeps. */
  remove(order: Order): Promise<void>;
  /** Ends what is under way, for the service is ending. */
  close(): void;
}

export interface WorkParts {
  readonly crypto: CryptoModule;
  readonly clock: Clock;
  readonly settings: BackupSettings;
  /** The store as of one moment. */
  snapshot(): OpenReader | Promise<OpenReader>;
  /** Keeps rows of a restore until all are there. */
  keep(batch: { readonly jobId: string; readonly sequence: number; readonly rows: string }): Promise<void>;
  /** Whether the job is still this node's, which may have slept. Rejects when the store cannot say. */
  isOurs(job: Pick<Order, 'jobId' | 'folder'>): Promise<boolean>;
  identityToken(hsmId: string): Promise<{ readonly token: string; readonly expiresAt: number }>;
}

/** Rows that are handed on at a time: few enough for the one writer to take between other changes. */
const BATCH_ROWS = 250;
const BATCH_LENGTH = 1 << 20;
const PROBE = 'check';
/** Milliseconds for which an ending service removes what is not its own any more. */
const DISCARDED_WITHIN = 10_000;

export function openBackupWork(parts: WorkParts): BackupWork {
  const { crypto, clock, settings, snapshot, keep } = parts;
  const ending = new AbortController();

  async function within<Result>(order: Order, use: (storage: Storage) => Promise<Result>, signal = ending.signal): Promise<Result> {
    const sealed = order.sealedToken;
    const token = sealed === null ? undefined : crypto.openSecret(TOKEN_PURPOSE, order.jobId, sealed).toString();
    const access = { token, identityToken: () => parts.identityToken(order.hsm.id), signal };
    const storage = await openStorage(order.place, order.folder, access, settings);
    try {
      return await use(storage);
    } finally {
      storage.close();
    }
  }

  /** The sealed backup in the spool, taken now unless it was taken before the service ended. */
  async function spooled(order: Order): Promise<{ readonly folder: string; readonly manifest: Manifest; readonly isOld: boolean }> {
    const folder = join(settings.spool, order.jobId);
    const known = await readFile(join(folder, MANIFEST)).catch(() => undefined);
    if (known !== undefined) return { folder, manifest: readManifest(known).manifest, isOld: true };
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const now = await snapshot();
    try {
      const rows = contentOf(now.read, order.hsm.id);
      const { file, manifest } = await writeBackup(
        crypto,
        order.hsm,
        { id: order.jobId, takenAt: clock.now(), rows },
        async (name, bytes) => {
          ending.signal.throwIfAborted();
          await writeWhole(join(folder, name), bytes);
        },
      );
      await writeWhole(join(folder, MANIFEST), file);
      return { folder, manifest, isOld: false };
    } catch (cause) {
      throw noRoom(cause)
        ? jobFailure('InsufficientStorage', 'The data folder of the service has no room for the backup on its way.', cause)
        : cause;
    } finally {
      now.close();
    }
  }

  /** Asks until the store answers: of a job that another node has by now there may not be a second backup, nor half of one. */
  async function proveOurs({ jobId, folder }: Order): Promise<void> {
    for (;;) {
      ending.signal.throwIfAborted();
      const isOurs = await parts.isOurs({ jobId, folder }).catch(() => undefined);
      if (isOurs === true) return;
      if (isOurs === false) throw jobTaken();
      await pause(AGAIN_AFTER, undefined, { signal: ending.signal }).catch(() => undefined);
    }
  }

  /** A backup that failed, or is another node's job by now, leaves nothing behind where that can be had. The service may be ending. */
  async function discard(order: Order, written: readonly string[]): Promise<void> {
    await rm(join(settings.spool, order.jobId), { recursive: true, force: true });
    const signal = ending.signal.aborted ? AbortSignal.timeout(DISCARDED_WITHIN) : ending.signal;
    await within(order, (storage) => removeAll(storage, written), signal).catch(() => undefined);
  }

  async function backup(order: Order): Promise<Counts> {
    return within(order, async (storage) => {
      const written: string[] = [];
      try {
        await tryOut(storage);
        const { folder, manifest, isOld } = await spooled(order);
        for (const name of [...manifest.chunks.keys()].map(chunkName).concat(MANIFEST)) {
          ending.signal.throwIfAborted();
          const bytes = await readFile(join(folder, name));
          written.push(name);
          if (name === MANIFEST) await proveOurs(order);
          if (!(isOld && (await storage.has(name, bytes)))) await storage.put(name, bytes);
        }
        // It may have stood still between the question and the last file.
        await proveOurs(order);
        await rm(folder, { recursive: true, force: true });
        return countsOf(manifest);
      } catch (error) {
        // What was interrupted goes on after the restart, if it is still ours then.
        const goesOn = ending.signal.aborted && (await parts.isOurs({ jobId: order.jobId, folder: order.folder }).catch(() => true));
        if (!goesOn) await discard(order, written.toReversed());
        throw error;
      }
    });
  }

  /** Each chunk's rows with keys sealed for this HSM: all of a genuine backup, or a Failure. */
  async function* adopted(order: Order, storage: Storage, wanted?: (index: Index) => readonly number[]): AsyncGenerator<PlacedRow[]> {
    const { hsm } = order;
    const { manifest, index } = openManifest(crypto, hsm, await storage.get(MANIFEST, LARGEST_MANIFEST));
    const numbers = wanted?.(index) ?? [...manifest.chunks.keys()];
    for (const number of numbers) {
      ending.signal.throwIfAborted();
      const bytes = await storage.get(chunkName(number), manifest.chunks[number]?.bytes ?? 0);
      yield openChunk(crypto, hsm.domain, manifest, number, bytes).map((placed) => forHsm(placed, manifest, hsm));
    }
  }

  function forHsm({ table, row }: PlacedRow, manifest: Manifest, hsm: BackupOf): PlacedRow {
    if (table !== 'key_versions') return { table, row };
    try {
      const material: KeyMaterial = JSON.parse(String(row.material_json));
      const identity = { name: String(row.name_key), version: String(row.version) };
      const made = {
        material,
        terms: keyTermsOf(row as VersionRow),
        sealed: asSealedKey(row.sealed instanceof Uint8Array ? row.sealed : new Uint8Array()),
      };
      const sealed = crypto.adopt(hsm.domain, made, { hsmId: manifest.hsmId, ...identity }, { hsmId: hsm.id, ...identity });
      return { table, row: { ...row, sealed } };
    } catch {
      throw backupDoesNotOpen(`the key ${String(row.name_key)}`);
    }
  }

  async function verify(order: Order): Promise<Counts> {
    return within(order, async (storage) => {
      let counts = { keys: 0, versions: 0 };
      for await (const rows of adopted(order, storage)) counts = plus(counts, rows);
      return counts;
    });
  }

  async function stage(order: Order) {
    return within(order, async (storage) => {
      let counts = { keys: 0, versions: 0 };
      let batches = 0;
      const administrators: string[] = [];
      for await (const rows of adopted(order, storage)) {
        counts = plus(counts, rows);
        administrators.push(...rows.filter(isAdministrator).map(({ row }) => String(row.principal_id)));
        for (const lines of batched(rows.map(lineOf))) {
          await keep({ jobId: order.jobId, sequence: batches, rows: lines.join('\n') });
          batches += 1;
        }
      }
      return { ...counts, batches, administrators };
    });
  }

  async function find(order: Order, keyName: string): Promise<readonly PlacedRow[]> {
    const name = nameKey(keyName);
    const tables = ['keys', 'key_versions', 'rotation_policies'] as const;
    const chunks = (index: Index) => [...new Set(tables.flatMap((table) => chunksWith(index, table, name)))].sort((a, b) => a - b);
    return within(order, async (storage) => {
      const found: PlacedRow[] = [];
      for await (const rows of adopted(order, storage, chunks)) found.push(...rows.filter(({ row }) => row.name_key === name));
      return found;
    });
  }

  async function remove(order: Order): Promise<void> {
    await within(order, async (storage) => {
      const { manifest } = readManifest(await storage.get(MANIFEST, LARGEST_MANIFEST));
      // Without its manifest it is no backup any more, however far the rest gets.
      await removeAll(storage, [MANIFEST, ...[...manifest.chunks.keys()].map(chunkName)]);
    });
  }

  return {
    backup,
    probe: (order) => within(order, tryOut),
    look: (order) =>
      within(order, async (storage) => {
        openManifest(crypto, order.hsm, await storage.get(MANIFEST, LARGEST_MANIFEST));
      }),
    verify,
    stage,
    find,
    remove,
    close: () => ending.abort(),
  };
}

type Index = ReturnType<typeof openManifest>['index'];

/** Removes from the spool what belongs to no job under way. */
export async function sweepSpool(spool: string, underWay: ReadonlySet<string>): Promise<void> {
  const there = await readdir(spool).catch(() => []);
  for (const name of there) if (!underWay.has(name)) await rm(join(spool, name), { recursive: true, force: true });
}

/** Finds out about permissions and immutability before there is something to lose. */
async function tryOut(storage: Storage): Promise<void> {
  await storage.put(PROBE, Buffer.from('strongroom'));
  try {
    await storage.remove(PROBE);
  } catch (error) {
    // A token that may only write is good enough for a backup; the small file stays.
    if (!(error instanceof Failure) || error.code !== 'AuthorizationPermissionMismatch') throw error;
  }
}

async function removeAll(storage: Storage, names: readonly string[]): Promise<void> {
  for (const name of names) await storage.remove(name);
}

function* batched(lines: readonly string[]): Generator<readonly string[]> {
  let batch: string[] = [];
  let length = 0;
  for (const line of lines) {
    batch.push(line);
    length += line.length;
    if (batch.length < BATCH_ROWS && length < BATCH_LENGTH) continue;
    yield batch;
    batch = [];
    length = 0;
  }
  if (batch.length > 0) yield batch;
}

function isAdministrator({ table, row }: PlacedRow): boolean {
  return table === 'role_assignments' && row.role_definition_id === ADMINISTRATOR && (row.scope_key === '/' || row.scope_key === '/keys');
}

function plus(counts: Counts, rows: readonly PlacedRow[]): Counts {
  const of = (table: PlacedRow['table']): number => rows.reduce((sum, row) => sum + (row.table === table ? 1 : 0), 0);
  return { keys: counts.keys + of('keys'), versions: counts.versions + of('key_versions') };
}

function countsOf({ rows }: Manifest): Counts {
  return { keys: rows.keys ?? 0, versions: rows.key_versions ?? 0 };
}

function noRoom(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && (cause.code === 'ENOSPC' || cause.code === 'EDQUOT');
}
