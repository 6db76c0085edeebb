// Runs the checks and the tests that were asked for, on the pinned Node, and ends with the one line that counts them.
// Knows where tests lie, not what they test. A skip is a failure under CI=true, because there everything needed can be had.

import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { type EventData, run } from 'node:test';
import { COMPILE_CACHE } from '../src/compile-cache.ts';

const root = resolve(import.meta.dirname, '..');

// Every test file is a process, and many start services: none of them should strip the same types again.
process.env.NODE_COMPILE_CACHE = COMPILE_CACHE;

interface Mode {
  readonly checks: boolean;
  readonly files: readonly string[];
}

const MODES: Readonly<Record<'everything' | 'unit' | 'check', Mode>> = {
  everything: { checks: true, files: ['test/{unit,shell}/**/*.test.ts', 'test/!(unit|shell)/**/*.test.ts'] },
  unit: { checks: false, files: ['test/{unit,shell}/**/*.test.ts'] },
  check: { checks: true, files: ['test/unit/house-rules.test.ts', 'test/unit/docs.test.ts', 'test/unit/audit/names.test.ts'] },
};

const CHECKS = [
  { name: 'types (tsc)', script: 'node_modules/typescript/bin/tsc', args: ['-p', '.'] },
  { name: 'format and lint (biome)', script: 'node_modules/@biomejs/biome/bin/biome', args: ['check', '--colors=off', '.'] },
] as const;

/** A file may take this long before it counts as hung. */
const FILE_LIMIT = 8 * 60_000;

/** Files that stand side by side in a folder, and wait for the same installation, run this many files apart: a processor would be idle meanwhile. */
const APART = 8;

const count = { passed: 0, failed: 0 };
const skipped: string[] = [];

const [first, ...others] = process.argv.slice(2);
const named = first === 'unit' || first === 'check';
const mode = MODES[named ? first : 'everything'];
const wanted = named || first === undefined ? others : [first, ...others];

if (mode.checks && wanted.length === 0) for (const check of CHECKS) await runCheck(check);
for (const pattern of mode.files) await runTests(filesOf(pattern));
if (wanted.length > 0 && count.passed + count.failed + skipped.length === 0) fail(`no test file is named like ${wanted.join(' or ')}`, '');

for (const name of skipped) console.log(`skipped: ${name}`);
const refused = process.env.CI === 'true' && skipped.length > 0;
if (refused) console.log('under CI=true a skipped test is a failure');
console.log(`${count.passed} passed, ${count.failed} failed, ${skipped.length} skipped`);
process.exitCode = count.failed > 0 || refused ? 1 : 0;

function filesOf(pattern: string): string[] {
  const found = globSync(pattern, { cwd: root }).sort();
  const files = found.filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)));
  const step = Math.ceil(files.length / APART);
  return Array.from({ length: step }, (_, first) => files.filter((_, at) => at % step === first)).flat();
}

async function runCheck(check: (typeof CHECKS)[number]): Promise<void> {
  const child = spawn(process.execPath, [check.script, ...check.args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (piece: string) => (output += piece));
  const status = await new Promise<number | null>((done) => child.on('close', done));
  if (status === 0) pass(check.name);
  else fail(check.name, output);
}

/** Three files at a time on the two cores that we promise to fit on: many wait for most of their time, for a lease to end or a disk to fill. */
async function runTests(files: readonly string[]): Promise<void> {
  if (files.length === 0) return;
  const seen = new Set<string>();
  const tests = run({ files: files.map((file) => resolve(root, file)), cwd: root, concurrency: 3, timeout: FILE_LIMIT });
  for await (const event of tests) {
    if (event.type === 'test:pass') finished(event.data, seen);
    else if (event.type === 'test:fail') failed(event.data, seen);
    else if (event.type === 'test:stderr') process.stderr.write(event.data.message);
    else if (event.type === 'test:summary' && event.data.file !== undefined && event.data.success)
      pass(relative(root, event.data.file), 0, event.data.duration_ms);
  }
}

function finished(test: EventData.TestPass, seen: Set<string>): void {
  if (isWholeFile(test)) {
    if (!seen.has(test.name)) fail(placeOf(test), 'the file has no test');
    return;
  }
  if (test.file !== undefined) seen.add(test.file);
  const reason = test.skip ?? test.todo;
  const isDone = reason === undefined || reason === false;
  // Its tests are counted; those of a suite that is skipped are not even told of.
  if (isDone && test.details.type === 'suite') return;
  if (isDone) count.passed += 1;
  else skipped.push(`${placeOf(test)}: ${test.name}${typeof reason === 'string' ? ` (${reason})` : ''}`);
}

/** A suite fails with its tests, which have been counted; a parent's own failure is one more. */
function failed(test: EventData.TestFail, seen: Set<string>): void {
  if (test.file !== undefined) seen.add(test.file);
  const { error } = test.details;
  if ('failureType' in error && error.failureType === 'subtestsFailed') return;
  fail(isWholeFile(test) ? placeOf(test) : `${placeOf(test)}: ${test.name}`, whyOf(error));
}

/** Node reports a file that ended badly, or had nothing to say, as a test of the file's name. */
function isWholeFile(test: EventData.TestPass | EventData.TestFail): boolean {
  return test.name === test.file;
}

function placeOf(test: EventData.TestPass | EventData.TestFail): string {
  return test.file === undefined ? '(no file)' : relative(root, test.file);
}

function whyOf(error: Error): string {
  const cause = error.cause ?? error;
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
}

function pass(name: string, tests = 1, milliseconds?: number): void {
  count.passed += tests;
  console.log(`ok  ${name}${milliseconds === undefined ? '' : ` (${(milliseconds / 1000).toFixed(1)} s)`}`);
}

function fail(name: string, why: string): void {
  count.failed += 1;
  console.log(`not ok  ${name}\n${why.trimEnd().replace(/^/gm, '    ')}`);
}
