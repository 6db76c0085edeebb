// The second story that javascript.test.ts runs, about keys alone: everything that can be done with one of each type, in an HSM that is ready.

import assert from 'node:assert/strict';
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
  randomBytes,
  verify,
} from 'node:crypto';
import { pathToFileURL } from 'node:url';
import type { CryptographyClient, JsonWebKey, KeyClient, KeyVaultKey } from '@azure/keyvault-keys';

/** Of what `connect js` prints, the part that is needed here. */
interface Recipe {
  hsmUrl(name: string): string;
  keysOf(name: string): KeyClient;
  cryptographyWith(key: KeyVaultKey): CryptographyClient;
}

const [file = '', open = '', closed = ''] = process.argv.slice(2);
const recipe: Recipe = await import(pathToFileURL(file).href);
const keys = recipe.keysOf(open);
const crypt = recipe.cryptographyWith;
const MESSAGE = Buffer.from('a message that is signed');
const DIGEST = createHash('sha256').update(MESSAGE).digest();
const SECRET = randomBytes(32);
const SOON = { intervalInMs: 100 };

async function refused(promise: Promise<unknown>, statusCode: number, code: string): Promise<void> {
  const error: unknown = await promise.then(
    () => assert.fail(`this should have been refused with ${code}`),
    (reason: unknown) => reason,
  );
  const said = Object(error);
  assert.deepEqual([said.statusCode, said.code], [statusCode, code]);
}

/** The private key as the SDK wants it: bytes. */
function jsonWebKey(key: KeyObject, crv?: string): JsonWebKey {
  const jwk: Record<string, unknown> = { ...key.export({ format: 'jwk' }) };
  const binary = ['n', 'e', 'd', 'p', 'q', 'dp', 'dq', 'qi', 'x', 'y'].filter((member) => member in jwk);
  const bytes = Object.fromEntries(binary.map((member) => [member, Buffer.from(String(jwk[member]), 'base64url')]));
  return { kty: String(jwk.kty), ...(crv === undefined ? {} : { crv }), ...bytes };
}

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const found: Item[] = [];
  for await (const item of items) found.push(item);
  return found;
}

console.log('create a key of each type');
const rsa = await keys.createRsaKey('rsa', { hsm: true, keySize: 2048, tags: { made: 'by js' } });
const ec = await keys.createEcKey('ec', { hsm: true, curve: 'P-256' });
const oct = await keys.createOctKey('oct', { hsm: true, keySize: 256 });
const made = [rsa, ec, oct];
assert.equal(rsa.id, `${recipe.hsmUrl(open)}/keys/rsa/${rsa.properties.version}`);

console.log('import a key of each type');
const ownRsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ownEc = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
const ownOct = randomBytes(32);
const importedRsa = await keys.importKey('imported-rsa', jsonWebKey(ownRsa.privateKey), { hardwareProtected: true });
const importedEc = await keys.importKey('imported-ec', jsonWebKey(ownEc.privateKey, 'P-256K'), { hardwareProtected: true });
const importedOct = await keys.importKey('imported-oct', { kty: 'oct', k: ownOct }, { hardwareProtected: true });
assert.deepEqual([importedRsa.key?.d, importedEc.key?.d, importedOct.key?.k], [undefined, undefined, undefined]);

console.log('list keys');
const names = (await all(keys.listPropertiesOfKeys())).map(({ name }) => name);
assert.deepEqual(names.sort(), ['ec', 'imported-ec', 'imported-oct', 'imported-rsa', 'oct', 'rsa']);

console.log('sign and verify');
const { result: rsaSignature } = await crypt(importedRsa).sign('RS256', DIGEST);
assert.ok(verify('sha256', MESSAGE, ownRsa.publicKey, rsaSignature));
const { result: ecSignature } = await crypt(importedEc).sign('ES256K', DIGEST);
assert.ok(verify('sha256', MESSAGE, { key: ownEc.publicKey, dsaEncoding: 'ieee-p1363' }, ecSignature));
const { result: code } = await crypt(importedOct).sign('HS256', MESSAGE);
assert.deepEqual(Buffer.from(code), createHmac('sha256', ownOct).update(MESSAGE).digest());
for (const [key, algorithm, digest] of [
  [rsa, 'PS256', DIGEST],
  [ec, 'ES256', DIGEST],
  [importedEc, 'ES256K', DIGEST],
  [oct, 'HS256', MESSAGE],
] as const) {
  const { result } = await crypt(key).sign(algorithm, digest);
  assert.equal((await crypt(key).verify(algorithm, digest, result)).result, true, algorithm);
  result[0] = (result[0] ?? 0) ^ 1;
  assert.equal((await crypt(key).verify(algorithm, digest, result)).result, false, algorithm);
}

console.log('encrypt and decrypt');
const { result: sealedByRsa } = await crypt(importedRsa).encrypt({ algorithm: 'RSA-OAEP-256', plaintext: SECRET });
assert.deepEqual(privateDecrypt({ key: ownRsa.privateKey, oaepHash: 'sha256' }, sealedByRsa), SECRET);
assert.deepEqual(Buffer.from((await crypt(importedRsa).decrypt({ algorithm: 'RSA-OAEP-256', ciphertext: sealedByRsa })).result), SECRET);
const about = Buffer.from('about it');
const sealed = await crypt(importedOct).encrypt({ algorithm: 'A256GCM', plaintext: SECRET, additionalAuthenticatedData: about });
assert.ok(sealed.iv && sealed.authenticationTag);
const decipher = createDecipheriv('aes-256-gcm', ownOct, sealed.iv).setAAD(about).setAuthTag(sealed.authenticationTag);
assert.deepEqual(Buffer.concat([decipher.update(sealed.result), decipher.final()]), SECRET);
const iv = randomBytes(12);
const cipher = createCipheriv('aes-256-gcm', ownOct, iv).setAAD(about);
const ciphertext = Buffer.concat([cipher.update(SECRET), cipher.final()]);
const parameters = { iv, authenticationTag: cipher.getAuthTag(), additionalAuthenticatedData: about };
const opened = await crypt(importedOct).decrypt({ algorithm: 'A256GCM', ciphertext, ...parameters });
assert.deepEqual(Buffer.from(opened.result), SECRET);
const padded = await crypt(oct).encrypt({ algorithm: 'A256CBCPAD', plaintext: MESSAGE, iv: randomBytes(16) });
assert.ok(padded.iv);
const back = await crypt(oct).decrypt({ algorithm: 'A256CBCPAD', ciphertext: padded.result, iv: padded.iv });
assert.deepEqual(Buffer.from(back.result), MESSAGE);

console.log('wrap and unwrap');
for (const [key, algorithm] of [
  [rsa, 'RSA-OAEP'],
  [rsa, 'RSA-OAEP-256'],
  [oct, 'A256KW'],
] as const) {
  const { result } = await crypt(key).wrapKey(algorithm, SECRET);
  assert.deepEqual(Buffer.from((await crypt(key).unwrapKey(algorithm, result)).result), SECRET, algorithm);
}
const { result: wrapped } = await crypt(oct).wrapKey('A256KW', SECRET);
const unwrapped = async (): Promise<Buffer> => Buffer.from((await crypt(oct).unwrapKey('A256KW', wrapped)).result);

console.log('rotate');
for (const first of made) {
  const policy = await keys.updateKeyRotationPolicy(first.name, {
    lifetimeActions: [{ action: 'Rotate', timeBeforeExpiry: 'P30D' }],
    expiresIn: 'P90D',
  });
  assert.equal(policy.expiresIn, 'P90D');
  const { properties } = await keys.rotateKey(first.name);
  assert.notEqual(properties.version, first.properties.version);
  assert.equal(Number(properties.expiresOn) - Number(properties.createdOn), 90 * 86_400_000);
  const versions = (await all(keys.listPropertiesOfKeyVersions(first.name))).map(({ version }) => version);
  assert.deepEqual(new Set(versions), new Set([first.properties.version, properties.version]));
}
assert.deepEqual(await unwrapped(), SECRET);

console.log('back up, delete, purge, restore');
for (const { name } of made) {
  const backup = await keys.backupKey(name);
  assert.ok(backup);
  await (await keys.beginDeleteKey(name, SOON)).pollUntilDone();
  await refused(keys.getKey(name), 404, 'KeyNotFound');
  await keys.purgeDeletedKey(name);
  await refused(keys.getDeletedKey(name), 404, 'KeyNotFound');
  await keys.restoreKeyBackup(backup);
  assert.equal((await all(keys.listPropertiesOfKeyVersions(name))).length, 2);
  await refused(keys.restoreKeyBackup(backup), 409, 'Conflict');
}
assert.deepEqual(await unwrapped(), SECRET);

console.log('delete and recover');
for (const { name } of made) {
  await (await keys.beginDeleteKey(name, SOON)).pollUntilDone();
  assert.equal((await keys.getDeletedKey(name)).name, name);
  await (await keys.beginRecoverDeletedKey(name, SOON)).pollUntilDone();
}
assert.deepEqual(await unwrapped(), SECRET);

console.log('what may not be');
await refused(keys.getKey('never-made'), 404, 'KeyNotFound');
await refused(keys.createRsaKey('odd', { hsm: true, keySize: 1234 }), 400, 'BadParameter');
await refused(crypt(ec).sign('RS256', DIGEST), 400, 'BadParameter');
await keys.updateKeyProperties('ec', ec.properties.version ?? '', { enabled: false });
await refused(crypt(ec).sign('ES256', DIGEST), 403, 'Forbidden');
const stranger = recipe.keysOf(closed);
await refused(stranger.createOctKey('k', { hsm: true }), 403, 'AccessDenied');
await refused(stranger.getKey('k'), 403, 'AccessDenied');
console.log('the end');
