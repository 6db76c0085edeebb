// Pages that are written from tables say what the tables say.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { writtenDocs } from '../docs.ts';

const root = resolve(import.meta.dirname, '../..');

test('docs/keys.md and test/README.md are what `npm run docs` writes: every operation and every algorithm with the test that shows it', async () => {
  for (const [file, text] of Object.entries(await writtenDocs())) {
    assert.equal(readFileSync(join(root, file), 'utf8'), text, `${file} is out of date: npm run docs`);
  }
});
