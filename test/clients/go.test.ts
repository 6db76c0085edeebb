// The Azure SDK for Go, set up by `connect env` and `connect go` and nothing else, does everything with keys of each type. After it, in the same HSM, the seal
// of Vault and OpenBao, which takes its login from the environment and has no setting for where it is.

import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { go } from '../toolchains.ts';
import { CLOSED, OPEN, setStage, toldToTheEnd } from './sdk.ts';
import { run } from './service.ts';

test('the Go SDK does everything with RSA, EC and symmetric keys, with challenge verification on; a seal of Vault wraps with one', async (t) => {
  const compiler = await go();
  if ('missing' in compiler) return t.skip(compiler.missing);
  const stage = await setStage(t, 'go', 'strongroom.go');
  if (stage === undefined) return;
  await cp(resolve(import.meta.dirname, 'go'), stage.folder, { recursive: true });
  toldToTheEnd(await stage.run([await built(compiler.path, stage.folder), OPEN, CLOSED]));

  const seal = join(stage.folder, 'seal');
  await cp(resolve(import.meta.dirname, 'go-seal'), seal, { recursive: true });
  toldToTheEnd(await stage.run([await built(compiler.path, seal), OPEN, 'imported-rsa'], 'export AZURE_TENANT_ID=adfs'));
});

/** In the machine's own environment, where Go's caches are; nothing but what go.sum knows comes in. */
async function built(compiler: string, folder: string): Promise<string> {
  const words = [compiler, 'build', '-mod=readonly', '-trimpath', '-o', 'program', '.'];
  const { status, stderr } = await run(words, folder, { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '-buildvcs=false' });
  assert.equal(status, 0, stderr);
  return join(folder, 'program');
}
