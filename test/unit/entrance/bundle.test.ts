// When a bundle is what the files of a checkout would be, and when it is not: files in a folder of the test's own, with times that are set as they please.

import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, realpath, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { build, type Plugin } from 'esbuild';
import { noteInputs } from '../../../src/bundle/inputs.ts';
import { BUNDLES, freshBundle, inputAsItIs, type Manifest, manifestFile } from '../../../src/bundle/manifest.ts';
import { outlived } from '../../../src/bundle/outlived.ts';

const LONG_AGO = new Date('2020-01-01');
const LATER = 3_000_000_000_000;

async function withBundled(
  use: (root: string, bundle: string) => Promise<void>,
  { now = LATER, node = process.version } = {},
): Promise<void> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'strongroom-bundled-')));
  try {
    await mkdir(join(root, 'src'));
    await mkdir(join(root, BUNDLES, 'made'), { recursive: true });
    for (const name of ['one', 'two']) await writeFile(join(root, `src/${name}.ts`), `export const ${name} = 1;\n`);
    await utimes(join(root, 'src/one.ts'), LONG_AGO, LONG_AGO);
    const inputs = ['src/one.ts', 'src/two.ts'].map((path) => inputAsItIs(root, path, now).input);
    await writeManifest(root, inputs, node);
    await use(root, join(root, BUNDLES, 'made'));
  } finally {
    await rm(root, { recursive: true });
  }
}

function writeManifest(root: string, inputs: Manifest['inputs'], node = process.version): Promise<void> {
  const manifest: Manifest = { folder: 'made', node, inputs };
  return writeFile(manifestFile(root), JSON.stringify(manifest));
}

for (const [files, now] of [
  ['old', LATER],
  ['as young as the bundle', 0],
] as const) {
  test(`a bundle of files that are ${files} is used until one of them changes, even to the same size and time`, () =>
    withBundled(
      async (root, bundle) => {
        assert.equal(freshBundle(root), bundle);
        await writeFile(join(root, 'src/one.ts'), 'export const one = 2;\n');
        await utimes(join(root, 'src/one.ts'), LONG_AGO, LONG_AGO);
        assert.equal(freshBundle(root), undefined);
        await writeFile(join(root, 'src/one.ts'), 'export const one = 1;\n');
        assert.equal(freshBundle(root), bundle, 'what it was again');
      },
      { now },
    ));
}

test('a bundle of a file that is gone, or was replaced by another, is not used', () =>
  withBundled(async (root) => {
    await rename(join(root, 'src/two.ts'), join(root, 'src/one.ts'));
    assert.equal(freshBundle(root), undefined);
  }));

test('a bundle during whose making a file that it had read was edited is not used', () =>
  withBundled(async (root) => {
    const [first, edited] = ["import './two.ts';\n", "import './two.ts'; // mended\n"];
    await writeFile(join(root, 'src/one.ts'), first);
    const { plugin, found } = noteInputs(root, 0);
    // Asked once the first file has been read.
    const editing: Plugin = {
      name: 'editing',
      setup: ({ onResolve }) =>
        onResolve({ filter: /two/ }, async () => {
          await writeFile(join(root, 'src/one.ts'), edited);
          return undefined;
        }),
    };
    await build({ absWorkingDir: root, entryPoints: ['src/one.ts'], bundle: true, write: false, plugins: [editing, plugin] });
    await writeManifest(root, [...found.values()]);
    assert.deepEqual([...found.keys()], ['src/one.ts', 'src/two.ts']);
    assert.equal(freshBundle(root), undefined);
    await writeFile(join(root, 'src/one.ts'), first);
    assert.ok(freshBundle(root));
  }));

test('a bundle that was cleared away is not used, although its manifest is there', () =>
  withBundled(async (root, bundle) => {
    await rm(bundle, { recursive: true });
    assert.equal(freshBundle(root), undefined);
  }));

test('a bundle comes along when the checkout is copied, and is not used through a link from another one', () =>
  withBundled(async (root) => {
    const [copy, linked] = [`${root}-copy`, `${root}-linked`];
    try {
      await cp(root, copy, { recursive: true });
      assert.equal(freshBundle(copy), join(copy, BUNDLES, 'made'));
      await cp(join(root, 'src'), join(linked, 'src'), { recursive: true });
      await symlink(join(root, 'node_modules'), join(linked, 'node_modules'));
      assert.equal(freshBundle(linked), undefined);
    } finally {
      for (const folder of [copy, linked]) await rm(folder, { recursive: true, force: true });
    }
  }));

test('what a service may run from outlives what an editing hand leaves: a month after it was replaced, not after it was made', () => {
  const hour = 3_600_000;
  const now = 10_000 * hour;
  // One for each of the last ten minutes, and before them one that was the current one for a year.
  const edits = Array.from({ length: 10 }, (_, i) => ({ path: `edit ${i}`, since: now - i * 60_000 }));
  const year = { path: 'year', since: now - 9000 * hour };
  const bundles = [year, ...edits];
  assert.deepEqual(outlived(bundles, now), []);
  const youngest = edits.slice(0, 4).map(({ path }) => path);
  const brief = edits.slice(4).map(({ path }) => path);
  assert.deepEqual(outlived(bundles, now + 25 * hour), brief);
  assert.deepEqual(outlived(bundles, now + 29 * 24 * hour), brief);
  assert.deepEqual(outlived(bundles, now + 31 * 24 * hour), [...brief, 'year']);
  assert.deepEqual(
    youngest.filter((path) => outlived(bundles, now + 9999 * hour).includes(path)),
    [],
  );
});

test('a bundle for another Node is not used', () =>
  withBundled(async (root) => assert.equal(freshBundle(root), undefined), { node: 'v1.0.0' }));

test('a manifest that cannot be read is none', () =>
  withBundled(async (root) => {
    for (const text of ['{"folder":"ma', 'null', '{}']) {
      await writeFile(manifestFile(root), text);
      assert.equal(freshBundle(root), undefined, text);
    }
  }));
