// Makes the bundle: the source files and the packages that every start loads, as a few files of JavaScript. A program of its own, run by launch.ts when there
// is no bundle of the files as they are; each bundle has a folder of its own, so that services which run from another one go on.

import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, mkdtempSync, openSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { build } from 'esbuild';
import { noteInputs } from './inputs.ts';
import { BUNDLES, INSTALLED, inputAsItIs, type Manifest, manifestFile } from './manifest.ts';
import { outlived } from './outlived.ts';

/** Native, or loaded by few commands and large: those stay where they are. */
const OUTSIDE = ['koffi', 'pg', 'pgpass', '@azure/*', '@clack/*'];

const PREFIX = 'bundle-';
const root = resolve(import.meta.dirname, '../..');

try {
  await makeBundle();
} catch (error) {
  // Where nothing may be written, it runs from the source files, and nobody needs to hear of it at every start.
  const { code, message } = error as NodeJS.ErrnoException;
  if (code !== 'EACCES' && code !== 'EROFS' && code !== 'EPERM')
    process.stderr.write(`strongroom: could not bundle the source files, so it runs from them as they are: ${message}\n`);
  process.exitCode = 1;
}

async function makeBundle(): Promise<void> {
  const began = performance.now();
  const now = clockOf(join(root, BUNDLES));
  const folder = join(root, BUNDLES, `${PREFIX}${randomUUID()}`);
  mkdirSync(folder);
  try {
    const inputs = await bundleInto(folder, now);
    const manifest: Manifest = { folder: basename(folder), node: process.version, inputs };
    const draft = join(folder, 'manifest.json');
    writeFileSync(draft, JSON.stringify(manifest));
    // What is named by the manifest is whole, whatever happens to the machine.
    for (const file of readdirSync(folder)) sync(join(folder, file));
    sync(folder);
    renameSync(draft, manifestFile(root));
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  process.stderr.write(`strongroom: bundled the source files in ${((performance.now() - began) / 1000).toFixed(1)} s\n`);
  removeOld(now);
}

/** The time by the clock of the file system, whose times it is compared with. */
function clockOf(folder: string): number {
  mkdirSync(folder, { recursive: true });
  const probe = mkdtempSync(join(folder, 'now-'));
  const { mtimeMs } = statSync(probe);
  rmSync(probe, { recursive: true });
  return mtimeMs;
}

/** Returns what it was made of. */
async function bundleInto(folder: string, now: number): Promise<Manifest['inputs']> {
  const before = [INSTALLED, 'src/bundle/build.ts'].map((path) => inputAsItIs(root, path, now).input);
  const { plugin, found } = noteInputs(root, now);
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: ['src/cli.ts', 'src/worker.ts', 'src/backup-thread.ts'],
    inject: ['src/bundle/source-places.ts'],
    outdir: folder,
    // A name that says what it is: of another one, Node would look for the package.json and then at the content.
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: `node${process.versions.node}`,
    mainFields: ['module', 'main'],
    external: OUTSIDE,
    // Packages that are CommonJS ask for Node's own modules.
    banner: { js: "import{createRequire as $createRequire}from'node:module';const require=$createRequire(import.meta.url);" },
    // As Node strips types: an import that is written stays.
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true, target: 'esnext' } },
    minifyWhitespace: true,
    lineLimit: 160,
    sourcemap: true,
    sourcesContent: false,
    plugins: [plugin],
    metafile: true,
    logLevel: 'silent',
  });
  for (const path of Object.keys(metafile.inputs))
    if (!path.includes('node_modules/') && !found.has(path)) throw new Error(`${path} went into it unseen`);
  return [...before, ...found.values()];
}

function sync(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function removeOld(now: number): void {
  const bundles = readdirSync(join(root, BUNDLES))
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => join(root, BUNDLES, name))
    .map((path) => ({ path, since: statSync(path).mtimeMs }));
  for (const path of outlived(bundles, now)) rmSync(path, { recursive: true, force: true });
}
