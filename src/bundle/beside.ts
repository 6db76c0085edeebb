// What lies beside the program, whether it runs from its source files or from the bundle that build.ts makes of them: the one place that knows the
// difference. Imports nothing of ours.

import { resolve } from 'node:path';

/** The source files are in src/bundle; the files of a bundle lie side by side in a folder of node_modules/.cache/strongroom. */
const isSource = import.meta.url.endsWith('.ts');

/** The folder of the checkout. */
export const ROOT = resolve(import.meta.dirname, isSource ? '../..' : '../../../..');

/** A file with which a process or a thread of its own begins. */
export function entrance(name: 'cli' | 'worker' | 'backup-thread'): URL {
  return new URL(isSource ? `../${name}.ts` : `./${name}.mjs`, import.meta.url);
}
