// The story that javascript.test.ts runs: an application that knows only the recipe it was given. Prints each chapter as it begins.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, createPublicKey, randomBytes, randomUUID, verify } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ManagedHsmsOperations } from '@azure/arm-keyvault';
import type { ResourceManagementClient } from '@azure/arm-resources';
import { type TokenCredential, UsernamePasswordCredential } from '@azure/identity';
import { type CryptographyClient, KeyClient, type KeyVaultKey } from '@azure/keyvault-keys';

/** What `connect js` prints, as a module. */
interface Recipe {
  readonly login: { authorityHost: string; disableInstanceDiscovery: boolean };
  readonly credential: TokenCredential;
  readonly resources: ResourceManagementClient;
  readonly managedHsms: ManagedHsmsOperations;
  hsmUrl(name: string): string;
  keysOf(name: string): KeyClient;
  cryptographyWith(key: KeyVaultKey): CryptographyClient;
}

const GROUP = 'js-group';
const HSM = 'js-story';
const ROLES = {
  cryptoUser: '21dbd100-6940-42c2-9190-5d6cb909625b',
  cryptoOfficer: '515eb02d-2335-4d2d-92f2-b1cbdf9c3778',
};
/** No waiting between polls but what the service asks for. */
const SOON = { updateIntervalInMs: 200 };

const recipe: Recipe = await import(pathToFileURL(process.argv[2] ?? '').href);
const { AZURE_TENANT_ID = '', AZURE_USERNAME = '', AZURE_PASSWORD = '' } = process.env;
const scope = `https://${process.env.STRONGROOM_MANAGED_HSM_SUFFIX}/.default`;

async function bearer(): Promise<string> {
  const token = await recipe.credential.getToken(scope);
  assert.ok(token);
  return token.token;
}

/** The object id that a token was issued to. */
async function ownObjectId(credential: TokenCredential): Promise<string> {
  const token = await credential.getToken(scope);
  const claims = JSON.parse(Buffer.from(token?.token.split('.')[1] ?? '', 'base64url').toString());
  return claims.oid;
}

/** Plain HTTPS, for what no package of this list speaks. */
async function ask(
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; headers: Headers; json: Record<string, unknown> }> {
  const response = await fetch(`${recipe.hsmUrl(HSM)}${path}?api-version=7.5`, {
    method,
    headers: { authorization: `Bearer ${await bearer()}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, headers: response.headers, json: Object(await response.json()) };
}

/** A self-signed certificate as the quickstart makes it, as the standard base64 that `x5c` wants. */
function custodianCertificate(): string {
  const folder = mkdtempSync(join(tmpdir(), 'custodian-'));
  try {
    const [key, certificate] = [join(folder, 'cert.key'), join(folder, 'cert.cer')];
    const words = ['req', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-x509', '-days', '365', '-outform', 'DER', '-out', certificate];
    execFileSync('openssl', [...words, '-subj', '/CN=custodian'], { stdio: 'pipe' });
    return readFileSync(certificate).toString('base64');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function rejection(promise: Promise<unknown>): Promise<{ code: unknown; statusCode: unknown }> {
  const error: unknown = await promise.then(
    () => assert.fail('this should have been refused'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof Error);
  return { code: 'code' in error ? error.code : undefined, statusCode: 'statusCode' in error ? error.statusCode : undefined };
}

console.log('create the group');
assert.equal((await recipe.resources.resourceGroups.checkExistence(GROUP)).body, false);
const group = await recipe.resources.resourceGroups.createOrUpdate(GROUP, { location: 'norwayeast' });
assert.equal(group.properties?.provisioningState, 'Succeeded');

console.log('create the HSM');
assert.equal((await recipe.managedHsms.checkMhsmNameAvailability({ name: HSM })).nameAvailable, true);
const administrator = await ownObjectId(recipe.credential);
const created = await recipe.managedHsms.createOrUpdate(
  GROUP,
  HSM,
  {
    location: 'norwayeast',
    sku: { family: 'B', name: 'Standard_B1' },
    properties: { tenantId: AZURE_TENANT_ID, initialAdminObjectIds: [administrator], enableSoftDelete: true, softDeleteRetentionInDays: 7 },
  },
  SOON,
);
assert.equal(created.properties?.hsmUri, `${recipe.hsmUrl(HSM)}/`);
assert.equal(created.properties?.securityDomainProperties?.activationStatus, 'NotActivated');

console.log('nothing works before activation');
const keys = recipe.keysOf(HSM);
assert.equal((await rejection(keys.createRsaKey('too-early', { hsm: true }))).statusCode, 403);

console.log('download the security domain');
const certificates = [1, 2, 3].map(() => ({ kty: 'RSA', x5c: [custodianCertificate()] }));
const download = await ask('POST', '/securitydomain/download', { required: 2, certificates });
assert.equal(download.status, 202, JSON.stringify(download.json));
const domain = JSON.parse(String(download.json.value));
assert.deepEqual([domain.version, domain.SharedKeys.required, domain.SharedKeys.enc_shares.length], [2, 2, 3]);
for (let status: unknown = 'InProgress'; status === 'InProgress'; ) {
  status = (await ask('GET', '/securitydomain/download/pending')).json.status;
  assert.match(String(status), /^(InProgress|Success)$/);
}
const active = await recipe.managedHsms.get(GROUP, HSM);
assert.equal(active.properties?.securityDomainProperties?.activationStatus, 'Active');

console.log('a key needs a role');
assert.deepEqual(await rejection(keys.createRsaKey('no-role', { hsm: true })), { code: 'AccessDenied', statusCode: 403 });
for (const role of Object.values(ROLES)) {
  const assigned = await ask('PUT', `/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}`, {
    properties: {
      principalId: administrator,
      roleDefinitionId: `Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/${role}`,
    },
  });
  assert.equal(assigned.status, 201, JSON.stringify(assigned.json));
}

console.log('create keys');
const rsa = await keys.createRsaKey('rsa', { hsm: true, keySize: 3072, tags: { made: 'by js' } });
const ec = await keys.createEcKey('ec', { hsm: true, curve: 'P-256' });
const aes = await keys.createOctKey('aes', { hsm: true, keySize: 256 });
assert.deepEqual([rsa.keyType, ec.keyType, aes.keyType], ['RSA-HSM', 'EC-HSM', 'oct-HSM']);
assert.equal(rsa.id, `${recipe.hsmUrl(HSM)}/keys/rsa/${rsa.properties.version}`);
assert.deepEqual((await keys.getKey('rsa')).properties.tags, { made: 'by js' });
const second = await keys.createRsaKey('rsa', { hsm: true });
const versions: (string | undefined)[] = [];
for await (const version of keys.listPropertiesOfKeyVersions('rsa')) versions.push(version.version);
assert.deepEqual(versions.sort(), [rsa.properties.version, second.properties.version].sort());
const listed: string[] = [];
for await (const key of keys.listPropertiesOfKeys()) listed.push(key.name);
assert.deepEqual(listed.sort(), ['aes', 'ec', 'rsa']);

console.log('sign and verify');
const message = Buffer.from('a message that is signed');
const digest = createHash('sha256').update(message).digest();
for (const [key, algorithm] of [
  [rsa, 'RS256'],
  [rsa, 'PS256'],
  [ec, 'ES256'],
] as const) {
  const client = recipe.cryptographyWith(key);
  const { result } = await client.sign(algorithm, digest);
  assert.equal((await client.verify(algorithm, digest, result)).result, true, algorithm);
  assert.equal((await client.verify(algorithm, createHash('sha256').update('another').digest(), result)).result, false, algorithm);
}
const { result: signature } = await recipe.cryptographyWith(ec).signData('ES256', message);
assert.ok(ec.key?.x && ec.key.y);
const point = { kty: 'EC', crv: 'P-256', x: Buffer.from(ec.key.x).toString('base64url'), y: Buffer.from(ec.key.y).toString('base64url') };
const publicKey = createPublicKey({ key: point, format: 'jwk' });
assert.ok(verify('sha256', message, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature));

console.log('encrypt and decrypt, wrap and unwrap');
const secret = randomBytes(32);
const rsaClient = recipe.cryptographyWith(rsa);
for (const algorithm of ['RSA-OAEP', 'RSA-OAEP-256', 'RSA1_5'] as const) {
  const { result: ciphertext } = await rsaClient.encrypt({ algorithm, plaintext: secret });
  assert.deepEqual(Buffer.from((await rsaClient.decrypt({ algorithm, ciphertext })).result), secret, algorithm);
  const { result: wrapped } = await rsaClient.wrapKey(algorithm, secret);
  assert.deepEqual(Buffer.from((await rsaClient.unwrapKey(algorithm, wrapped)).result), secret, algorithm);
}
const aesClient = recipe.cryptographyWith(aes);
const { result: wrapped } = await aesClient.wrapKey('A256KW', secret);
assert.deepEqual(Buffer.from((await aesClient.unwrapKey('A256KW', wrapped)).result), secret);
assert.equal((await keys.getRandomBytes(16)).length, 16);

console.log('disable a key');
await keys.updateKeyProperties('ec', ec.properties.version ?? '', { enabled: false });
assert.equal((await rejection(recipe.cryptographyWith(ec).sign('ES256', digest))).statusCode, 403);

console.log('sign in as the user');
const { AZURE_CLI = '04b07795-8ddb-461a-bbee-02f9e1bf7b46' } = process.env;
const user = new UsernamePasswordCredential(AZURE_TENANT_ID, AZURE_CLI, AZURE_USERNAME, AZURE_PASSWORD, recipe.login);
const stranger = new KeyClient(recipe.hsmUrl(HSM), user);
assert.notEqual(await ownObjectId(user), administrator);
assert.deepEqual(await rejection(stranger.getKey('rsa')), { code: 'AccessDenied', statusCode: 403 });

console.log('delete, recover and purge a key');
await (await keys.beginDeleteKey('aes', { intervalInMs: 100 })).pollUntilDone();
assert.equal((await keys.getDeletedKey('aes')).name, 'aes');
await (await keys.beginRecoverDeletedKey('aes', { intervalInMs: 100 })).pollUntilDone();
assert.deepEqual(Buffer.from((await aesClient.unwrapKey('A256KW', wrapped)).result), secret);
await (await keys.beginDeleteKey('aes', { intervalInMs: 100 })).pollUntilDone();
await keys.purgeDeletedKey('aes');
assert.deepEqual(await rejection(keys.getDeletedKey('aes')), { code: 'KeyNotFound', statusCode: 404 });

console.log('delete and recover the HSM');
await recipe.managedHsms.delete(GROUP, HSM, SOON);
const again = recipe.managedHsms.createOrUpdate(
  GROUP,
  HSM,
  {
    location: 'norwayeast',
    sku: { family: 'B', name: 'Standard_B1' },
    properties: { tenantId: AZURE_TENANT_ID, initialAdminObjectIds: [administrator] },
  },
  SOON,
);
assert.equal((await rejection(Promise.resolve(again))).code, 'ConflictError');
await recipe.managedHsms.createOrUpdate(
  GROUP,
  HSM,
  {
    location: 'norwayeast',
    sku: { family: 'B', name: 'Standard_B1' },
    properties: { tenantId: AZURE_TENANT_ID, createMode: 'recover' },
  },
  SOON,
);
assert.deepEqual(Buffer.from((await rsaClient.unwrapKey('RSA-OAEP', (await rsaClient.wrapKey('RSA-OAEP', secret)).result)).result), secret);

console.log('delete the group');
await recipe.resources.resourceGroups.beginDeleteAndWait(GROUP, SOON);
const deleted = await recipe.managedHsms.getDeleted(HSM, 'norwayeast');
assert.match(deleted.properties?.mhsmId ?? '', new RegExp(`/resourceGroups/${GROUP}/`, 'i'));

console.log('purge the HSM');
await recipe.managedHsms.purgeDeleted(HSM, 'norwayeast', SOON);
const kept: (string | undefined)[] = [];
for await (const hsm of recipe.managedHsms.listDeleted()) kept.push(hsm.name);
assert.deepEqual(kept, []);
console.log('the end');
