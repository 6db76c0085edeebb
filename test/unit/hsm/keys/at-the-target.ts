// What an attested environment does with what it was given: opened with node:crypto alone, from the published descriptions. For tests alone.

import assert from 'node:assert/strict';
import { constants, createDecipheriv, createHash, privateDecrypt, X509Certificate } from 'node:crypto';
import { compactVerify } from 'jose';
import type { Environment } from './attested.ts';

const HASHES: Readonly<Record<string, string>> = {
  CKM_RSA_AES_KEY_WRAP: 'sha1',
  RSA_AES_KEY_WRAP_256: 'sha256',
  RSA_AES_KEY_WRAP_384: 'sha384',
};

/** The key in a `key_hsm` of a release: PKCS#8, or the bytes of a secret one. */
export function decipheredKey(keyHsm: string, { privateKey, jwk }: Environment): Buffer {
  const transfer = JSON.parse(Buffer.from(keyHsm, 'base64url').toString());
  assert.deepEqual([transfer.schema_version, transfer.header.alg, transfer.header.kid], ['1.0', 'dir', jwk.kid]);
  const ciphertext = Buffer.from(transfer.ciphertext, 'base64url');
  const modulus = (privateKey.asymmetricKeyDetails?.modulusLength ?? 0) / 8;
  const oaepHash = HASHES[transfer.header.enc];
  assert.ok(oaepHash);
  const aes = privateDecrypt({ key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, ciphertext.subarray(0, modulus));
  const decipher = createDecipheriv('id-aes256-wrap-pad', aes, Buffer.from('a65959a6', 'hex'));
  return Buffer.concat([decipher.update(ciphertext.subarray(modulus)), decipher.final()]);
}

/** The key in an answer of secureunwrapkey. */
export function unwrappedSecret(value: string, { privateKey }: Environment): Buffer {
  return privateDecrypt(
    { key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' },
    Buffer.from(value, 'base64url'),
  );
}

/** The answer of a release, once its signature, its chain up to the root and the HSM's name are right. */
export async function verifiedRelease(jws: string, host = 'contoso.managedhsm.localhost') {
  const header = JSON.parse(Buffer.from(jws.split('.')[0] ?? '', 'base64url').toString());
  const chain: X509Certificate[] = header.x5c.map((der: string) => new X509Certificate(Buffer.from(der, 'base64')));
  const [leaf, authority, root, ...more] = chain;
  assert.ok(leaf && authority && root && more.length === 0);
  for (const [certificate, issuer] of [
    [leaf, authority],
    [authority, root],
    [root, root],
  ] as const)
    assert.ok(certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey));
  assert.deepEqual([leaf.ca, authority.ca, root.ca], [false, true, true]);
  assert.equal(leaf.checkHost(host), host);
  assert.equal(header['x5t#S256'], createHash('sha256').update(leaf.raw).digest('base64url'));
  assert.match(header.kid, /^[0-9a-f-]{36}$/);
  const { payload } = await compactVerify(jws, leaf.publicKey, { algorithms: ['RS256'] });
  return { payload: JSON.parse(Buffer.from(payload).toString()), chain };
}
