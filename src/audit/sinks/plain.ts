// Sinks that take text: the process's own streams, which get the events, and a file that rotates, which gets every line so that it can be verified.

import { createHash } from 'node:crypto';
import { open, rename, rm, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { eventNumberIn } from '../chain-reader.ts';
import type { Sink } from './sink.ts';

const FILE_BYTES = 64 << 20;
const FILES_KEPT = 10;

export function streamSink(kind: 'stdout' | 'stderr'): Sink {
  return {
    kind,
    id: kind,
    deliver: (lines) => {
      const events = lines.filter((line) => eventNumberIn(line) !== undefined);
      if (events.length === 0) return Promise.resolve();
      return new Promise((done, failed) => {
        process[kind].write(`${events.join('\n')}\n`, (error) => (error ? failed(error) : done()));
      });
    },
    close: async () => undefined,
  };
}

/** `path`, `path.1`, `path.2`, … : the newest first. */
export function fileSink(path: string, { bytes = FILE_BYTES, kept = FILES_KEPT } = {}): Sink {
  const file = resolve(path);
  return {
    kind: 'file',
    id: `file ${createHash('sha256').update(file).digest('hex').slice(0, 16)}`,
    deliver: async (lines) => {
      if (((await stat(file).catch(() => undefined))?.size ?? 0) >= bytes) await rotate(file, kept);
      // Opened each time: somebody else may have moved it away.
      const handle = await open(file, 'a', 0o600);
      try {
        await handle.writeFile(`${lines.join('\n')}\n`);
        await handle.datasync();
      } finally {
        await handle.close();
      }
    },
    close: async () => undefined,
  };
}

async function rotate(file: string, kept: number): Promise<void> {
  await rm(`${file}.${kept}`, { force: true });
  for (let n = kept - 1; n >= 1; n -= 1) await rename(`${file}.${n}`, `${file}.${n + 1}`).catch(ignoreMissing);
  await rename(file, `${file}.1`);
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
