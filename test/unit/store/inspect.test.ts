// What is compared of a database that was stopped, and what is not: the boundary that docs/security.md names.

import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { factsOf } from '../../../src/store/inspect.ts';

const MB = 1 << 20;

test('of a file up to 64 MB every byte counts; of a larger one its size, its first and its last 4 MB', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'strongroom-inspect-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'file');

  /** The facts of a file of zeros, which takes no room on the disk, with one byte that is none. */
  async function factsWith(size: number, at?: number): Promise<string> {
    const file = openSync(path, 'w');
    ftruncateSync(file, size);
    if (at !== undefined) writeSync(file, Buffer.of(1), 0, 1, at);
    closeSync(file);
    return JSON.stringify(await factsOf(path));
  }

  const whole = await factsWith(64 * MB);
  assert.notEqual(await factsWith(64 * MB, 32 * MB), whole);
  const large = await factsWith(65 * MB);
  for (const at of [0, 4 * MB - 1, 61 * MB, 65 * MB - 1]) assert.notEqual(await factsWith(65 * MB, at), large, String(at));
  for (const at of [4 * MB, 61 * MB - 1]) assert.equal(await factsWith(65 * MB, at), large, String(at));
  assert.notEqual(await factsWith(65 * MB + 1), large);
});
