// The Azure SDK for Go, set up by `connect env` and `connect go` and nothing else, does everything with keys of each type.

import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { go } from '../toolchains.ts';
import { CLOSED, OPEN, setStage, toldToTheEnd } from './sdk.ts';
import { run } from './service.ts';

test('the Go SDK does everything with RSA, EC and symmetric keys, with challenge verification on', async (t) => {
  const compiler = await go();
  if ('missing' in compiler) return t.skip(compiler.missing);
  const stage = await setStage(t, 'go', 'strongroom.go');
  if (stage === undefined) return;
  for (const file of ['story.go', 'go.mod', 'go.sum']) await copyFile(resolve(import.meta.dirname, 'go', file), join(stage.folder, file));
  // In the machine's own environment, where Go's caches are; nothing but what go.sum knows comes in.
  const build = [compiler.path, 'build', '-mod=readonly', '-trimpath', '-o', 'story', '.'];
  const built = await run(build, stage.folder, { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '-buildvcs=false' });
  assert.equal(built.status, 0, built.stderr);
  toldToTheEnd(await stage.run([join(stage.folder, 'story'), OPEN, CLOSED]));
});
