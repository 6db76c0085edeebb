// The administration SDK for Python, set up by `connect env` and `connect python` and nothing else: access control and settings.

import { randomUUID } from 'node:crypto';
import { copyFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { pythonWithSdk } from '../toolchains.ts';
import { OPEN, setStage, toldToTheEnd } from './sdk.ts';

test('the administration SDK for Python handles roles, role assignments and settings', async (t) => {
  const python = await pythonWithSdk();
  if ('missing' in python) return t.skip(python.missing);
  const stage = await setStage(t, 'python', 'strongroom.py');
  if (stage === undefined) return;
  await copyFile(resolve(import.meta.dirname, 'python/administration.py'), join(stage.folder, 'administration.py'));
  toldToTheEnd(await stage.run([python.path, 'administration.py', OPEN, stage.principalId, randomUUID()]));
});
