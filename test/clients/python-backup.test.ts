// The backup client of the Azure SDK for Python, set up by `connect env` and `connect python` and nothing else, against azurite and a folder.

import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { openStorage } from '../azurite.ts';
import { pythonWithSdk } from '../toolchains.ts';
import { OPEN, setStage, toldToTheEnd } from './sdk.ts';

test('the backup client for Python makes, checks and restores backups, whole and of one key', async (t) => {
  const python = await pythonWithSdk();
  if ('missing' in python) return t.skip(python.missing);
  const storage = await openStorage();
  if ('missing' in storage) return t.skip(storage.missing);
  t.after(() => storage.stop());
  const container = await storage.container('python');
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-python-backup-'));
  t.after(() => rm(folder, { recursive: true }));
  const flags = ['--backup-folder', folder, '--backup-private-host', storage.host, '--backup-ca', storage.caFile];
  const stage = await setStage(t, 'python', 'strongroom.py', flags);
  if (stage === undefined) return;
  await copyFile(resolve(import.meta.dirname, 'python/backup.py'), join(stage.folder, 'backup.py'));
  const tokens = [storage.sas(container), storage.sas(container, 'r')];
  const words = [OPEN, stage.principalId, container, ...tokens, pathToFileURL(folder).href];
  toldToTheEnd(await stage.run([python.path, 'backup.py', ...words]));
});
