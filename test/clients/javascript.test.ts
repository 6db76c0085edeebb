// The Azure SDK for JavaScript, set up by `connect env` and `connect js` and nothing else, lives through a managed HSM from its group to its purge.
// The stories are the files named javascript-…-story.ts, each told in a process of its own: Node reads NODE_EXTRA_CA_CERTS only when it starts.

import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { readFile, symlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { openAttestationAuthority } from '../attestation-authority.ts';
import { resolving } from '../names.ts';
import { decipheredKey, verifiedRelease } from '../unit/hsm/keys/at-the-target.ts';
import { authorityKey, environment, policyData, token } from '../unit/hsm/keys/attested.ts';
import { javascriptRecipe, tellWholeStory } from './javascript-recipe.ts';
import { CLOSED, OPEN, setStage, toldToTheEnd } from './sdk.ts';
import { hsmHost, startService } from './service.ts';

test('the JavaScript SDKs provision, activate, use, delete and purge a managed HSM with challenge verification on', async (t) => {
  const service = await startService();
  t.after(() => service.stop());
  const names = await resolving([hsmHost(service.connection, 'js-story')], service.folder);
  if ('missing' in names) return t.skip(names.missing);
  t.after(names.release);

  await tellWholeStory(await javascriptRecipe(service, names.prefix));
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
