// The program as the launcher starts it, from the bundle of its source files: in half the processor time that the files themselves take. For `node PROGRAM …`.

import { resolve } from 'node:path';

export const PROGRAM = resolve(import.meta.dirname, '../src/bundle/launch.ts');
