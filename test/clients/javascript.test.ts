// The Azure SDK for JavaScript, set up by `connect env` and `connect js` and nothing else, lives through a managed HSM from its group to its purge.
// The stories are the files named javascript-…-story.ts, each told in a process of its own: Node reads NODE_EXTRA_CA_CERTS only when it starts.

import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { readFile, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { openAttestationAuthority } from '../attestation-authority.ts';
import { resolving } from '../names.ts';
import { decipheredKey, verifiedRelease } from '../unit/hsm/keys/at-the-target.ts';
import { authorityKey, environment, policyData, token } from '../unit/hsm/keys/attested.ts';
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

test('the JavaScript SDK releases a key to an attested environment, and reads its attestation', async (t) => {
  const authority = await openAttestationAuthority();
  t.after(() => authority.close());
  const key = authorityKey();
  authority.keys = [key];
  const tee = environment();
  const tokens = await Promise.all(['red', 'blue'].map((color) => token(key, authority.issuer, Date.now(), tee, { color })));
  const flags = ['--attestation-private-host', authority.host, '--attestation-ca', authority.caFile];
  const stage = await setStage(t, 'js', 'strongroom.mjs', flags);
  if (stage === undefined) return;
  await symlink(resolve(import.meta.dirname, '../../node_modules'), join(stage.folder, 'node_modules'));
  const story = [process.execPath, resolve(import.meta.dirname, 'javascript-release-story.ts'), join(stage.folder, 'strongroom.mjs')];
  toldToTheEnd(await stage.run([...story, OPEN, policyData(authority.issuer, { color: 'red' }), ...tokens]));
  for (const way of ['CKM_RSA_AES_KEY_WRAP', 'RSA_AES_KEY_WRAP_256', 'RSA_AES_KEY_WRAP_384']) {
    const { payload } = await verifiedRelease(await readFile(join(stage.folder, `${way}.jws`), 'utf8'), `${OPEN}.managedhsm.localhost`);
    assert.deepEqual([payload.request.enc, payload.request.nonce], [way, 'once']);
    const { key: released } = payload.response.key;
    const plain = createPrivateKey({ key: decipheredKey(released.key_hsm, tee), format: 'der', type: 'pkcs8' });
    assert.equal(plain.export({ format: 'jwk' }).n, released.n);
  }
});
