// When a bundle is what the files of a checkout would be, and when it is not: files in a folder of the test's own, with times that are set as they please.

import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, realpath, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { BUNDLES, freshBundle, inputAsItIs, type Manifest, manifestFile } from '../../../src/bundle/manifest.ts';

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
    const inputs = ['src/one.ts', 'src/two.ts'].map((path) => inputAsItIs(root, path, now));
    const manifest: Manifest = { folder: 'made', node, inputs };
    await writeFile(manifestFile(root), JSON.stringify(manifest));
    await use(root, join(root, BUNDLES, 'made'));
  } finally {
    await rm(root, { recursive: true });
  }
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

test('a bundle for another Node is not used', () =>
  withBundled(async (root) => assert.equal(freshBundle(root), undefined), { node: 'v1.0.0' }));

test('a manifest that cannot be read is none', () =>
  withBundled(async (root) => {
    await writeFile(manifestFile(root), '{"folder":"ma');
    assert.equal(freshBundle(root), undefined);
  }));
