// The Azure SDK for JavaScript, set up by `connect env` and `connect js` and nothing else, lives through a managed HSM from its group to its purge.
// The stories are javascript-story.ts, javascript-keys-story.ts and javascript-revocation-story.ts, each in a process of its own: Node reads NODE_EXTRA_CA_CERTS only when it starts.

import assert from 'node:assert/strict';
import { symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { resolving } from '../names.ts';
import { CLOSED, OPEN, setStage, toldToTheEnd } from './sdk.ts';
import { bareEnvironment, hsmHost, run, startService } from './service.ts';

test('the JavaScript SDKs provision, activate, use, delete and purge a managed HSM with challenge verification on', async (t) => {
  const service = await startService();
  t.after(() => service.stop());
  const names = await resolving([hsmHost(service.connection, 'js-story')], service.folder);
  if ('missing' in names) return t.skip(names.missing);
  t.after(names.release);

  const [environment, recipe] = await Promise.all([service.command('connect', 'env'), service.command('connect', 'js')]);
  assert.equal(environment.status, 0, environment.stderr);
  assert.equal(recipe.status, 0, recipe.stderr);
  await writeFile(join(service.folder, 'env.sh'), environment.stdout, { mode: 0o600 });
  await writeFile(join(service.folder, 'strongroom.mjs'), recipe.stdout);
  await symlink(resolve(import.meta.dirname, '../../node_modules'), join(service.folder, 'node_modules'));

  const story = [process.execPath, resolve(import.meta.dirname, 'javascript-story.ts'), join(service.folder, 'strongroom.mjs')];
  const words = [...names.prefix, 'sh', '-c', '. ./env.sh && exec "$@"', 'sh', ...story];
  const ended = await run(words, service.folder, bareEnvironment(service.folder));
  assert.equal(ended.status, 0, `${ended.stdout}\n${ended.stderr}`);
  assert.match(ended.stdout, /purge the HSM\nthe end\n$/);
});

test('the JavaScript SDK does everything with RSA, EC and symmetric keys, with challenge verification on', async (t) => {
  const stage = await setStage(t, 'js', 'strongroom.mjs');
  if (stage === undefined) return;
  await symlink(resolve(import.meta.dirname, '../../node_modules'), join(stage.folder, 'node_modules'));
  const story = [process.execPath, resolve(import.meta.dirname, 'javascript-keys-story.ts'), join(stage.folder, 'strongroom.mjs')];
  toldToTheEnd(await stage.run([...story, OPEN, CLOSED]));
});

test('when its tokens are revoked the JavaScript SDK answers the claims challenge and goes on', async (t) => {
  const stage = await setStage(t, 'js', 'strongroom.mjs');
  if (stage === undefined) return;
  await symlink(resolve(import.meta.dirname, '../../node_modules'), join(stage.folder, 'node_modules'));
  const story = [process.execPath, resolve(import.meta.dirname, 'javascript-revocation-story.ts'), join(stage.folder, 'strongroom.mjs')];
  toldToTheEnd(await stage.run([...story, OPEN]));
});
