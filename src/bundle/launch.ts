// What the launcher runs: the program from its bundle, which is made first where there is none of the source files as they are; from the source files where
// it cannot be made. `node src/cli.ts` is the program from the source files, always.

import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { BUNDLES, freshBundle } from './manifest.ts';

const root = resolve(import.meta.dirname, '../..');

/** Made in a process of its own, so that what that takes does not stay with the service. */
function made(): string | undefined {
  if (!mayWrite()) return undefined;
  spawnSync(process.execPath, [join(import.meta.dirname, 'build.ts')], { stdio: ['ignore', 'ignore', 'inherit'] });
  return freshBundle(root);
}

function mayWrite(): boolean {
  const nearest = [BUNDLES, 'node_modules/.cache', 'node_modules'].map((folder) => join(root, folder)).find((folder) => existsSync(folder));
  try {
    accessSync(nearest ?? root, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

const bundle = freshBundle(root) ?? made();
await import(bundle === undefined ? '../cli.ts' : pathToFileURL(join(bundle, 'cli.mjs')).href);
