// The Azure SDK for Python, set up by `connect env` and `connect python` and nothing else, does everything with keys of each type.

import { copyFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { pythonWithSdk } from '../toolchains.ts';
import { CLOSED, OPEN, setStage, toldToTheEnd } from './sdk.ts';

test('the Python SDK does everything with RSA, EC and symmetric keys, with challenge verification on', async (t) => {
  const python = await pythonWithSdk();
  if ('missing' in python) return t.skip(python.missing);
  const stage = await setStage(t, 'python', 'strongroom.py');
  if (stage === undefined) return;
  await copyFile(resolve(import.meta.dirname, 'python/story.py'), join(stage.folder, 'story.py'));
  toldToTheEnd(await stage.run([python.path, 'story.py', OPEN, CLOSED]));
});

test('when its token is revoked the Python SDK answers the claims challenge and goes on', async (t) => {
  const python = await pythonWithSdk();
  if ('missing' in python) return t.skip(python.missing);
  const stage = await setStage(t, 'python', 'strongroom.py');
  if (stage === undefined) return;
  await copyFile(resolve(import.meta.dirname, 'python/revocation.py'), join(stage.folder, 'revocation.py'));
  toldToTheEnd(await stage.run([python.path, 'revocation.py', OPEN]));
});
