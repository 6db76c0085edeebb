// What the launcher runs: the program from its bundle, which is made first where there is none of the source files as they are; from the source files where
// it cannot be made. `node src/cli.ts` is the program from the source files, always.

import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { BUNDLES, freshBundle } from './manifest.ts';

const root = resolve(import.meta.dirname, '../..');

/** Milliseconds; it takes about a second. */
const MADE_WITHIN = 60_000;

/** Made in a process of its own, so that what that takes does not stay with the service. */
function made(): string | undefined {
  if (!hasPlace()) return undefined;
  spawnSync(process.execPath, [join(import.meta.dirname, 'build.ts')], { stdio: ['ignore', 'ignore', 'inherit'], timeout: MADE_WITHIN });
  return freshBundle(root);
}

/** Whether a bundle may be written and would be used: not through a link into another checkout. */
function hasPlace(): boolean {
  const folders = [BUNDLES, 'node_modules/.cache', 'node_modules'].map((folder) => join(root, folder));
  const nearest = folders.find((folder) => existsSync(folder)) ?? root;
  try {
    accessSync(nearest, constants.W_OK);
    return realpathSync(nearest) === nearest;
  } catch {
    return false;
  }
}

const bundle = freshBundle(root) ?? made();
await import(bundle === undefined ? '../cli.ts' : pathToFileURL(join(bundle, 'cli.mjs')).href);
