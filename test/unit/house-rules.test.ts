// Holds the house to its plan: who may import whom, where time and native code may be touched, and what may not get into a tracked file.
// Reads the source as text; knows nothing of what it does.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';

const root = resolve(import.meta.dirname, '../..');

/** What each folder of src/ may import of ours. `types of x`: only with `import type`. A folder may always import itself. */
const FOLDERS: Readonly<Record<string, readonly string[]>> = {
  core: [],
  crypto: ['core'],
  store: ['core'],
  door: ['core'],
  audit: ['core', 'store'],
  identity: ['core', 'store', 'types of crypto'],
  graph: ['core', 'store'],
  management: ['core', 'store'],
  hsm: ['core', 'store', 'types of crypto'],
  shell: ['core'],
  ceremony: ['core', 'crypto', 'terminal', 'types of shell'],
  rehearsal: ['bundle', 'core', 'crypto', 'hsm', 'ceremony', 'terminal', 'shell', 'types of store', 'connection-file.ts'],
  terminal: [],
  bundle: ['cli.ts'],
  operator: ['core', 'crypto', 'store', 'audit', 'door', 'hsm', 'identity', 'terminal', 'config.ts'],
};

/** The files beside the folders. Only main.ts, with its opening.ts, and rooms.ts know every room. */
const ENTRANCES: Readonly<Record<string, readonly string[]>> = {
  'main.ts': ['*'],
  'rooms.ts': ['core', 'crypto', 'graph', 'hsm', 'identity', 'management', 'store'],
  'data-folder.ts': ['terminal'],
  'opening.ts': ['*'],
  'undoing.ts': [],
  'service-status.ts': ['audit', 'core', 'door', 'operator', 'store', 'backup-crew.ts'],
  'sweeping.ts': ['audit', 'core', 'hsm', 'identity', 'management', 'operator', 'store', 'backup-crew.ts', 'rooms.ts'],
  'worker-crew.ts': ['audit', 'bundle', 'core', 'door', 'hsm', 'identity', 'store', 'compile-cache.ts', 'rooms.ts'],
  'worker.ts': ['audit', 'core', 'crypto', 'door', 'hsm', 'identity', 'store', 'rooms.ts', 'worker-crew.ts'],
  'compile-cache.ts': ['bundle'],
  'config.ts': ['core', 'connection-file.ts', 'terminal'],
  'backup-thread.ts': ['core', 'crypto', 'hsm', 'store'],
  'backup-crew.ts': ['bundle', 'core', 'hsm', 'store', 'backup-thread.ts'],
  'connection-file.ts': ['core'],
  'connect.ts': ['core', 'shell', 'connection-file.ts'],
  'audit-command.ts': ['audit', 'core', 'store', 'connection-file.ts', 'config.ts'],
  'doctor.ts': ['core', 'shell', 'operator', 'connection-file.ts'],
  'quickstart.ts': ['bundle', 'core', 'shell', 'connection-file.ts', 'config.ts'],
  'byok.ts': ['core', 'crypto', 'shell', 'terminal'],
  'verify-attestation.ts': ['core', 'terminal', 'connection-file.ts'],
  'cli.ts': [
    'core',
    'shell',
    'operator',
    'ceremony',
    'rehearsal',
    'main.ts',
    'compile-cache.ts',
    'config.ts',
    'connection-file.ts',
    'audit-command.ts',
    'byok.ts',
    'connect.ts',
    'doctor.ts',
    'quickstart.ts',
    'verify-attestation.ts',
  ],
};

/** Packages with one home: what only one folder may import. */
const HOMES: Readonly<Record<string, string>> = {
  koffi: 'crypto',
  'node:sqlite': 'store',
  pg: 'store',
  'find-my-way': 'door',
  '@azure/storage-blob': 'hsm',
};

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typesOnly: boolean;
}

const sources = globSync('src/**/*.ts', { cwd: root }).sort();
const text = (file: string): string => readFileSync(join(root, file), 'utf8');
const imports = sources.flatMap((file) => importsOf(file));

test('rooms import only what the table of the house allows', () => {
  const broken = imports.filter((edge) => edge.to.startsWith('src/') && !mayImport(edge));
  assert.deepEqual(broken.map(sentence), []);
});

test('every file of src/ has a place in the table of the house', () => {
  const homeless = sources.filter((file) => !(placeOf(file) in FOLDERS) && !(placeOf(file) in ENTRANCES));
  assert.deepEqual(homeless, []);
});

test('no files import each other in a circle', () => {
  assert.deepEqual(circles(), []);
});

test('native code, databases and the HTTP server are imported in one folder each', () => {
  const astray = imports.filter((edge) => (HOMES[edge.to] ?? placeOf(edge.from)) !== placeOf(edge.from) && !edge.typesOnly);
  assert.deepEqual(astray.map(sentence), []);
});

test('the shell runs in a browser: only its Node host imports node modules', () => {
  const bound = imports.filter((edge) => placeOf(edge.from) === 'shell' && edge.to.startsWith('node:') && !/\/node-[^/]*$/.test(edge.from));
  assert.deepEqual(bound.map(sentence), []);
});

test('every source file opens with a comment that says what it is for', () => {
  const files = globSync('{src,test,bench,examples,console}/**/*.{ts,tsx,sh}', { cwd: root });
  const silent = files.filter((file) => !/^(?:#!.*\n)?(?:\/\/|#) ?\S/.test(text(file)));
  assert.deepEqual(silent.sort(), []);
});

test('a table that is looked up by any word has its rows and nothing else', () => {
  const plain = /^(?:export )?const \w+: (?:Readonly<)?Record<string, .+> = \{(?!\};)/m;
  assert.deepEqual(
    sources.filter((file) => plain.test(text(file))),
    [],
  );
});

test('the time of day comes from the clock that was given', () => {
  const allowed = ['src/core/clock.ts', 'src/shell/node-host.ts'];
  const readers = sources.filter((file) => !allowed.includes(file) && /\bDate\.now\(|\bnew Date\(\)/.test(text(file)));
  assert.deepEqual(readers, []);
});

test('the lockfile names no registry, so that it installs from whichever one is configured', () => {
  assert.deepEqual(text('package-lock.json').match(/"resolved": "https?:[^"]*/g) ?? [], []);
});

test('no tracked file names a folder of the machine it was written on', () => {
  const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' });
  const files = tracked.split('\n').filter((file) => file !== '' && !file.startsWith('test/vectors/'));
  const machinePath = /(?<![\w.~:/-])\/(?:work|root|Users)\/\w/;
  assert.deepEqual(
    files.filter((file) => machinePath.test(textIfThere(file))),
    [],
  );
});

function importsOf(file: string): Import[] {
  const source = text(file);
  const fromClauses = source.matchAll(/^(?:import|export)\s+(type\s)?(?:[^;'"]*?\sfrom\s+)?'([^']+)'/gm);
  const calls = source.matchAll(/\bimport\('([^']+)'\)/g);
  return [
    ...[...fromClauses].map(([, type, to]) => ({ from: file, to: target(file, to ?? ''), typesOnly: type !== undefined })),
    ...[...calls].map(([, to]) => ({ from: file, to: target(file, to ?? ''), typesOnly: false })),
  ];
}

function target(from: string, to: string): string {
  return to.startsWith('.') ? relative(root, resolve(root, dirname(from), to)) : to;
}

/** `src/hsm/keys/sign.ts` is in `hsm`; `src/cli.ts` is its own place. */
function placeOf(file: string): string {
  return file.split('/')[1] ?? file;
}

function mayImport({ from, to, typesOnly }: Import): boolean {
  const [here, there] = [placeOf(from), placeOf(to)];
  const allowed = FOLDERS[here] ?? ENTRANCES[here] ?? [];
  if (here === there || allowed.includes('*') || allowed.includes(there)) return true;
  // types.ts has, beside types, the two functions that name what a row holds: they see sealed bytes alone.
  return allowed.includes(`types of ${there}`) && (typesOnly || to === `src/${there}/types.ts`);
}

function sentence({ from, to, typesOnly }: Import): string {
  return `${from} imports ${typesOnly ? 'types of ' : ''}${to}`;
}

/** Follows the imports that remain at run time; returns each file from which one gets back to itself, with the way. */
function circles(): string[] {
  const next = new Map<string, string[]>();
  for (const { from, to, typesOnly } of imports) if (!typesOnly) next.set(from, [...(next.get(from) ?? []), to]);
  const done = new Set<string>();
  const found: string[] = [];
  const walk = (file: string, way: readonly string[]): void => {
    if (way.includes(file)) found.push([...way.slice(way.indexOf(file)), file].join(' → '));
    if (done.has(file)) return;
    done.add(file);
    for (const to of next.get(file) ?? []) walk(to, [...way, file]);
  };
  for (const file of sources) walk(file, []);
  return found;
}

/** A tracked file that was just removed has no text. */
function textIfThere(file: string): string {
  try {
    return text(file);
  } catch {
    return '';
  }
}
