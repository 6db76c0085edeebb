// The source files as they go into a bundle, so that its manifest speaks of the very bytes that are in it: whoever edits, or pulls, while it is made gets
// another bundle at the next start.

import { join, relative, sep } from 'node:path';
import type { Plugin } from 'esbuild';
import { type Input, inputAsItIs } from './manifest.ts';

export interface Inputs {
  /** Has esbuild bundle what is noted here. */
  readonly plugin: Plugin;
  /** By path within the checkout. */
  readonly found: ReadonlyMap<string, Input>;
}

/** `now` in ms, by the clock of the file system: taken before. */
export function noteInputs(root: string, now: number): Inputs {
  const found = new Map<string, Input>();
  const plugin: Plugin = {
    name: 'note-inputs',
    setup: (build) =>
      build.onLoad({ filter: /\.ts$/ }, ({ path: file }) => {
        if (!file.startsWith(join(root, 'src') + sep)) return undefined;
        const path = relative(root, file);
        const { input, bytes } = inputAsItIs(root, path, now);
        found.set(path, input);
        return { contents: bytes, loader: 'ts' };
      }),
  };
  return { plugin, found };
}
