// Points in the work on a backup at which a test stops the service's process, or makes it wait. Preloaded into every thread of a node; a file of the node's own
// says which point comes next. Without such a file nothing is different.

import { mkdirSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';

/** Before or after the file of that name in a backup is there. */
export interface Point {
  readonly when: 'before' | 'after';
  readonly file: string;
  /** `stop`: the whole process, as SIGSTOP does; `wait`: this piece of work, until `Points.clear`. */
  readonly how: 'stop' | 'wait';
}

export interface Points {
  /** What the node is started with. */
  readonly environment: NodeJS.ProcessEnv;
  set(point: Point): void;
  clear(): Promise<void>;
}

/** `backups`: the folder that backups go to; files elsewhere meet no point. */
export function pointsOf(place: string, node: string, backups: string): Points {
  const folder = join(place, 'points');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, node);
  return {
    environment: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(preload(file, `${backups}/`))}` },
    set: (point) => writeFileSync(file, JSON.stringify(point)),
    clear: () => rm(file, { force: true }),
  };
}

/**
 * Files of a backup get their names by `rename`. A process that sends itself SIGSTOP may go on for a moment, on another core, so the thread waits for longer
 * than that.
 */
function preload(file: string, backups: string): string {
  return `
import { promises, readFileSync, rmSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
const { rename } = promises;
const next = () => { try { return JSON.parse(readFileSync(${JSON.stringify(file)}, 'utf8')); } catch { return undefined; } };
async function meet(when, name) {
  const point = next();
  if (point?.when !== when || !name.startsWith(${JSON.stringify(backups)}) || !name.endsWith('/' + point.file)) return;
  if (point.how === 'stop') {
    rmSync(${JSON.stringify(file)});
    process.kill(process.pid, 'SIGSTOP');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
  } else while (next() !== undefined) await new Promise((wake) => setTimeout(wake, 20));
}
promises.rename = async (from, to) => {
  await meet('before', String(to));
  await rename(from, to);
  await meet('after', String(to));
};
syncBuiltinESMExports();
`;
}
