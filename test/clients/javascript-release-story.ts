// The story of javascript.test.ts about keys that leave and keys that are attested: an application with a token for an attested environment, and the SDK's own
// KeyClient. Writes what it was given to files, for the test to open as the environment would.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import type { TokenCredential } from '@azure/identity';
import { KeyClient, type KeyExportEncryptionAlgorithm } from '@azure/keyvault-keys';

/** What `connect js` prints, as a module. */
interface Recipe {
  readonly credential: TokenCredential;
  hsmUrl(name: string): string;
}

const [, , module = '', hsm = '', policy = '', token = '', otherToken = ''] = process.argv;
const recipe: Recipe = await import(pathToFileURL(module).href);
const keys = new KeyClient(recipe.hsmUrl(hsm), recipe.credential);
const encodedPolicy = Buffer.from(policy, 'base64url');

console.log('an exportable key with a policy');
const made = await keys.createRsaKey('released', { hsm: true, exportable: true, releasePolicy: { encodedPolicy } });
assert.equal(made.properties.exportable, true);
assert.deepEqual(
  JSON.parse(Buffer.from(made.properties.releasePolicy?.encodedPolicy ?? '').toString()),
  JSON.parse(encodedPolicy.toString()),
);
assert.equal(made.properties.releasePolicy?.contentType, 'application/json; charset=utf-8');

console.log('it is released, in each way');
const ways: readonly KeyExportEncryptionAlgorithm[] = ['CKM_RSA_AES_KEY_WRAP', 'RSA_AES_KEY_WRAP_256', 'RSA_AES_KEY_WRAP_384'];
for (const algorithm of ways) {
  const { value } = await keys.releaseKey('released', token, { algorithm, nonce: 'once' });
  await writeFile(`${algorithm}.jws`, value);
}

console.log('it is not released to an environment that the policy does not accept');
await assert.rejects(keys.releaseKey('released', otherToken), { statusCode: 403, code: 'Forbidden' });

console.log('the policy is changed, then it is immutable');
await keys.updateKeyProperties('released', { releasePolicy: { encodedPolicy, immutable: true } });
await assert.rejects(keys.updateKeyProperties('released', { releasePolicy: { encodedPolicy: Buffer.from('{}') } }), { statusCode: 400 });

console.log('keys that may not leave have no policy, and those that may have one');
await assert.rejects(keys.createEcKey('other', { exportable: true }), {
  code: 'BadParameter',
  message: /Exportable keys must have release policy/,
});
await assert.rejects(keys.createEcKey('other', { releasePolicy: { encodedPolicy } }), {
  message: /Non-exportable keys must not have release policy/,
});

console.log('the key is attested');
const { properties } = await keys.getKeyAttestation('released');
const { certificatePemFile, privateKeyAttestation, publicKeyAttestation, version } = properties.attestation ?? {};
assert.equal(version, 'STRG-1');
assert.match(Buffer.from(certificatePemFile ?? []).toString(), /^(?:-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n){3}$/);
for (const statement of [privateKeyAttestation, publicKeyAttestation])
  assert.match(Buffer.from(statement ?? []).toString(), /^[\w-]+\.[\w-]+\.[\w-]+$/);

console.log('the end');
