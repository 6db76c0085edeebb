// The open end of a chain on disk: one file that grows by whole, synced pieces, and the reserve that keeps room for the last of them.
// Whatever was not acknowledged is cut off again, so that the file ends where the chain does.

import { constants, write } from 'node:fs';
import { type FileHandle, open, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** O_DSYNC: a write is answered when it is on disk, in one call instead of two. Windows has no such flag. */
const SYNCED: number | undefined = constants.O_DSYNC;
const APPEND = constants.O_WRONLY | (SYNCED ?? 0);
const CREATE = APPEND | constants.O_CREAT | constants.O_EXCL;

export class SegmentFile {
  readonly #handle: FileHandle;
  #length = 0;
  #endsCleanly = true;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** A new file for its owner alone, with these bytes; that it is there is on disk too. Leaves none behind when it cannot, nor touches another. */
  static async create(file: string, bytes: Buffer): Promise<SegmentFile> {
    const created = new SegmentFile(await open(file, CREATE, 0o600));
    try {
      await created.append(bytes);
      await syncFolder(dirname(file));
      return created;
    } catch (error) {
      await created.close().catch(() => undefined);
      await rm(file, { force: true });
      throw error;
    }
  }

  /** An existing file of which the first `length` bytes are kept. */
  static async reopen(file: string, length: number): Promise<SegmentFile> {
    const opened = new SegmentFile(await open(file, APPEND));
    opened.#length = length;
    opened.#endsCleanly = false;
    return opened;
  }

  get length(): number {
    return this.#length;
  }

  /** Resolves when all of it is on disk. When it rejects, nothing of it is in the file. */
  async append(bytes: Buffer): Promise<void> {
    if (!this.#endsCleanly) await this.#cut();
    try {
      for (let done = 0; done < bytes.length; ) {
        done += await written(this.#handle.fd, bytes, done, this.#length + done);
      }
      if (SYNCED === undefined) await this.#handle.datasync();
    } catch (error) {
      this.#endsCleanly = false;
      // If this fails as well, the next append begins with it.
      await this.#cut().catch(() => undefined);
      throw error;
    }
    this.#length += bytes.length;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async #cut(): Promise<void> {
    await this.#handle.truncate(this.#length);
    await this.#handle.datasync();
    this.#endsCleanly = true;
  }
}

/** Bytes that were written and synced. Not the handle's own method: on the way of every call its promises cost more than the rest of this. */
function written(fd: number, bytes: Buffer, from: number, position: number): Promise<number> {
  return new Promise((done, failed) => {
    write(fd, bytes, from, bytes.length - from, position, (error, count) => (error === null ? done(count) : failed(error)));
  });
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Room on the disk that is taken before it is needed, and given back when nothing else is left. */
export class Reserve {
  readonly #file: string;
  readonly #bytes: number;

  constructor(folder: string, bytes: number) {
    this.#file = join(folder, 'reserve');
    this.#bytes = bytes;
  }

  /** Resolves when the room is taken; throws when there is not enough, leaving nothing behind. */
  async take(): Promise<void> {
    const there = await stat(this.#file).catch(() => undefined);
    if (there?.size === this.#bytes) return;
    try {
      const handle = await open(this.#file, 'w', 0o600);
      try {
        // Not zeros, which some file systems do not store.
        const piece = Buffer.alloc(1 << 18, 'reserve\n');
        for (let left = this.#bytes; left > 0; left -= piece.length)
          await handle.writeFile(piece.subarray(0, Math.min(left, piece.length)));
        await handle.sync();
      } finally {
        await handle.close();
      }
    } catch (error) {
      await this.give();
      throw error;
    }
  }

  async give(): Promise<void> {
    await rm(this.#file, { force: true });
  }
}

/** ENOSPC and EDQUOT: it is the room that lacks, and not the disk that fails. */
export function isNoRoom(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}
