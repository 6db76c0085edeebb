// A file system of a few kilobytes, to be filled: a tmpfs of the test's own, mounted where the test has the rights of root.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Why there can be none here; false when there can. */
export const noSmallDisk: string | false =
  process.platform === 'linux' && process.getuid?.() === 0 ? false : 'a small disk can be mounted by root on Linux alone';

export interface SmallDisk {
  readonly folder: string;
  /** Leaves this many bytes free. */
  fill(free: number): void;
  /** Takes away what `fill` wrote. */
  empty(): void;
  /** Nobody may have a file of it open for writing. */
  readOnly(is: boolean): void;
  remove(): void;
}

export function smallDisk(kilobytes: number): SmallDisk {
  const folder = mkdtempSync(join(tmpdir(), 'strongroom-small-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kilobytes}k`, 'tmpfs', folder]);
  const filler = join(folder, 'filler');
  return {
    folder,
    fill: (free) => {
      rmSync(filler, { force: true });
      const { bavail, bsize } = statfsSync(folder);
      writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - free), 'x'));
    },
    empty: () => rmSync(filler, { force: true }),
    readOnly: (is) => execFileSync('mount', ['-o', is ? 'remount,ro' : 'remount,rw', folder]),
    remove: () => {
      execFileSync('umount', ['-l', folder]);
      rmSync(folder, { recursive: true });
    },
  };
}
