// Disks that fail as a test says: disk-faults.c, compiled with the machine's gcc and preloaded into services that are started under it.

import { mkdtempSync, writeFileSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { aptInstall, type Missing, onPath, run } from './tools.ts';

const SOURCE = resolve(import.meta.dirname, 'disk-faults.c');

/** How the disk fails, by the letter that disk-faults.c knows. */
export const FAULTS = {
  none: '0',
  'syncs fail': 'f',
  'writes fail': 'w',
  'torn writes on a full disk': 't',
  'short writes': 's',
  'read-only': 'r',
} as const;

export interface FaultyDisk {
  /** Everything under it is on that disk. */
  readonly folder: string;
  /** What a process under it is started with; with $STRONGROOM_FAULTY_NAME besides, only files with that in their path are on it. */
  readonly environment: Readonly<Record<string, string>>;
  fail(how: keyof typeof FAULTS): Promise<void>;
  remove(): Promise<void>;
}

export async function faultyDisk(): Promise<FaultyDisk | Missing> {
  if (process.platform !== 'linux') return { missing: 'a library is preloaded as Linux does it' };
  const compiler = (await onPath('gcc')) ?? ((await aptInstall('gcc', 'libc6-dev')) ? await onPath('gcc') : undefined);
  if (compiler === undefined) return { missing: 'gcc is not installed and apt could not install it' };
  const place = mkdtempSync(join(tmpdir(), 'strongroom-faulty-'));
  const library = join(place, 'faults.so');
  const why = await run(compiler, ['-shared', '-fPIC', '-O1', '-o', library, SOURCE, '-ldl']);
  if (why !== undefined) return { missing: `the faults could not be compiled: ${why}` };
  const mode = join(place, 'mode');
  writeFileSync(mode, FAULTS.none);
  const folder = join(place, 'disk');
  return {
    folder,
    environment: { LD_PRELOAD: library, STRONGROOM_FAULTY_FOLDER: folder, STRONGROOM_FAULTY_MODE: mode },
    fail: async (how) => {
      // In place: the running service has it mapped.
      const file = await open(mode, 'r+');
      await file.write(FAULTS[how], 0).finally(() => file.close());
    },
    remove: () => rm(place, { recursive: true }),
  };
}
