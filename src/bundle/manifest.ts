// What a bundle was made of, and whether that is still so: each file by its size, times and number, and by its content where those differ, as Git's index
// does it. A file whose content has changed is never taken for the one it was. Read at every start, so it loads little.

import { hash } from 'node:crypto';
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Where bundles are, within the checkout. */
export const BUNDLES = 'node_modules/.cache/strongroom';
const MANIFEST = join(BUNDLES, 'bundle.json');

/** npm writes here what it has installed, version by version with each one's hash, whenever it installs: packages change with it. */
export const INSTALLED = 'node_modules/.package-lock.json';

/** A file as it was: path within the checkout; size, times of change in ms and file number, joined; SHA-256. */
export type Input = readonly [path: string, state: string, content: string];

export interface Manifest {
  /** Of BUNDLES. */
  readonly folder: string;
  readonly node: string;
  readonly inputs: readonly Input[];
}

/** Files that changed this short a time ago (ms) may change again without another time being seen: their content alone counts. */
const TOO_YOUNG = 3000;

/** The folder of the bundle that is what the files of this checkout would be; undefined when there is none. */
export function freshBundle(root: string): string | undefined {
  try {
    const { folder, node, inputs }: Manifest = JSON.parse(readFileSync(manifestFile(root), 'utf8'));
    if (node !== process.version || !inputs.every((input) => isAsItWas(root, input))) return undefined;
    const bundle = join(root, BUNDLES, folder);
    // Packages are found from where the files really are: not when node_modules is a link to another checkout's.
    return realpathSync(bundle) === bundle ? bundle : undefined;
  } catch {
    return undefined;
  }
}

/** The file, and the very bytes that it is described by. `now` in ms: taken before. */
export function inputAsItIs(root: string, path: string, now: number): { readonly input: Input; readonly bytes: Buffer } {
  const { state, changed } = stateOf(join(root, path));
  const bytes = readFileSync(join(root, path));
  return { input: [path, now - changed < TOO_YOUNG ? '' : state, hash('sha256', bytes)], bytes };
}

export function manifestFile(root: string): string {
  return join(root, MANIFEST);
}

function isAsItWas(root: string, [path, state, content]: Input): boolean {
  const file = join(root, path);
  return stateOf(file).state === state || hash('sha256', readFileSync(file)) === content;
}

function stateOf(file: string): { readonly state: string; readonly changed: number } {
  const { size, mtimeMs, ctimeMs, ino } = statSync(file);
  return { state: `${size} ${mtimeMs} ${ctimeMs} ${ino}`, changed: Math.max(mtimeMs, ctimeMs) };
}
