// Keeps what Node makes of a source file (types stripped, compiled) from one start to the next: importing this file before others does that for them.
// A place that cannot be written only means that nothing is kept.

import { enableCompileCache } from 'node:module';
import { resolve } from 'node:path';
import { ROOT } from './bundle/beside.ts';

/** For threads and processes that load the same files: they take it from the environment (`NODE_COMPILE_CACHE`). */
export const COMPILE_CACHE = process.env.NODE_COMPILE_CACHE ?? resolve(ROOT, 'node_modules/.cache/strongroom/compile');

enableCompileCache(COMPILE_CACHE);
