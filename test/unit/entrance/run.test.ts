// What `npm test` says in its last lines: nothing is skipped in silence, be it one test or a whole suite, and under CI=true nothing at all.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';

const ROOT = resolve(import.meta.dirname, '../../..');
const TESTS = `
import { suite, test } from 'node:test';
test('goes', () => undefined);
test('cannot', { skip: 'a program is missing' }, () => undefined);
suite('of many', { skip: 'a server is missing' }, () => { test('inside', () => undefined); });
suite('that goes', () => { test('inside', () => undefined); });
`;

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'strongroom-run-'));
  for (const file of ['test/run.ts', 'src/compile-cache.ts', 'src/bundle/beside.ts', 'package.json'])
    cpSync(join(ROOT, file), join(folder, file));
  mkdirSync(join(folder, 'test/unit'));
  writeFileSync(join(folder, 'test/unit/some.test.ts'), TESTS);
});
after(() => rmSync(folder, { recursive: true }));

function run(ci: string): { readonly status: number | null; readonly lines: readonly string[] } {
  // A run inside a run would otherwise speak to the outer one.
  const { NODE_TEST_CONTEXT: _outer, ...environment } = process.env;
  const { status, stdout } = spawnSync(process.execPath, [join(folder, 'test/run.ts'), 'unit'], {
    encoding: 'utf8',
    env: { ...environment, CI: ci },
  });
  return { status, lines: stdout.trimEnd().split('\n') };
}

test('a test and a suite that are skipped are named with the reason', () => {
  const { status, lines } = run('');
  assert.equal(status, 0);
  assert.deepEqual(lines.slice(-3), [
    'skipped: test/unit/some.test.ts: cannot (a program is missing)',
    'skipped: test/unit/some.test.ts: of many (a server is missing)',
    '2 passed, 0 failed, 2 skipped',
  ]);
});

test('and under CI=true they are a failure', () => {
  const { status, lines } = run('true');
  assert.deepEqual([status, lines.at(-1)], [1, '2 passed, 0 failed, 2 skipped']);
});
