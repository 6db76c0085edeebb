// Add-AzKeyVaultKey with a file: each kind of file as the request that it becomes, and each mistake before anything is sent.

import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { addKey } from '../../../src/shell/cmdlets/key-add.ts';
import { ShellError } from '../../../src/shell/errors.ts';
import { SecureString } from '../../../src/shell/value.ts';
import { rsaPair } from '../../rsa-pairs.ts';
import { keyBundle } from './replies.ts';
import { runCmdlet } from './run-cmdlet.ts';
import { hsmOrigin, ScriptedHost } from './scripted-host.ts';

const url = `${hsmOrigin}/keys/mine?api-version=2025-07-01`;
const given = { HsmName: 'contoso', Name: 'mine', KeyFilePath: 'mine.key' };
const rsa = rsaPair(2048).privateKey;
const ec = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey;
const attributes = { enabled: true };

function hostFor(file: string | Uint8Array, body?: object): ScriptedHost {
  const host = new ScriptedHost(body === undefined ? [] : [{ request: `PUT ${url}`, body, reply: keyBundle }]);
  host.files.set('/here/mine.key', file);
  return host;
}

function pem(key: KeyObject, more: object = {}): string {
  return key.export({ type: 'pkcs8', format: 'pem', ...more }).toString();
}

function rsaJwk(): object {
  const { n, e, d, p, q, dp, dq, qi } = rsa.export({ format: 'jwk' });
  return { kty: 'RSA-HSM', n, e, d, p, q, dp, dq, qi };
}

function ecJwk(): object {
  const { x, y, d } = ec.export({ format: 'jwk' });
  return { kty: 'EC-HSM', crv: 'P-256K', x, y, d };
}

async function refuses(file: string | Uint8Array, more: object, words: RegExp): Promise<void> {
  const host = hostFor(file);
  await assert.rejects(runCmdlet(addKey, host, { ...given, ...more }), (error) => {
    assert.ok(error instanceof ShellError, String(error));
    assert.match(error.message, words);
    return true;
  });
  assert.deepEqual(host.requests, [], 'nothing is sent');
}

test('a private key in PEM or PKCS#8 goes out as a JSON Web Key, with what was said of it', async () => {
  const cases: readonly (readonly [file: string | Uint8Array, more: object, body: object])[] = [
    [pem(rsa), {}, { key: rsaJwk(), attributes }],
    [rsa.export({ type: 'pkcs8', format: 'der' }), { KeyType: 'RSA' }, { key: rsaJwk(), attributes }],
    [pem(ec), { KeyType: 'EC-HSM', CurveName: 'P-256K' }, { key: ecJwk(), attributes }],
    [
      ec.export({ type: 'sec1', format: 'pem' }).toString(),
      { KeyOps: ['sign'], Disable: true, Tag: { from: 'a file' }, Expires: new Date('2030-01-01T00:00:00Z'), Destination: 'HSM' },
      { key: { ...ecJwk(), key_ops: ['sign'] }, attributes: { enabled: false, exp: 1893456000 }, tags: { from: 'a file' } },
    ],
  ];
  for (const [file, more, body] of cases) {
    const host = hostFor(file, body);
    const { items, changes } = await runCmdlet(addKey, host, { ...given, ...more });
    assert.deepEqual(changes, [['Import key', 'mine']]);
    assert.equal(items[0]?.KeyType, 'EC-HSM', 'what the service answered');
    host.assertDone();
  }
});

test('a protected file is opened with -KeyFilePassword, or asks', async () => {
  const file = pem(rsa, { cipher: 'aes-256-cbc', passphrase: 'sésame' });
  await runCmdlet(addKey, hostFor(file, { key: rsaJwk(), attributes }), { ...given, KeyFilePassword: new SecureString('sésame') });
  const asked = hostFor(file, { key: rsaJwk(), attributes });
  asked.secrets.push('sésame');
  await runCmdlet(addKey, asked, given);
  asked.assertDone();
  await refuses(
    file,
    { KeyFilePassword: new SecureString('wrong') },
    /^cannot take the key from 'mine.key': the password does not open it$/,
  );
  await refuses(file, {}, /'mine.key': it is protected; give -KeyFilePassword$/);
  // A password that is not needed does no harm.
  await runCmdlet(addKey, hostFor(pem(rsa), { key: rsaJwk(), attributes }), { ...given, KeyFilePassword: new SecureString('x') });
});

test('a .byok file goes out whole, as the type that was said or RSA', async () => {
  const file = JSON.stringify({
    schema_version: '1.0.0',
    header: { kid: 'k', alg: 'dir', enc: 'CKM_RSA_AES_KEY_WRAP' },
    ciphertext: 'AAAA',
  });
  const key_hsm = Buffer.from(file).toString('base64url');
  for (const [more, key] of [
    [{}, { kty: 'RSA-HSM', key_hsm }],
    [
      { KeyType: 'EC', CurveName: 'P-384' },
      { kty: 'EC-HSM', crv: 'P-384', key_hsm },
    ],
    [
      { KeyType: 'oct-HSM', KeyOps: ['wrapKey'] },
      { kty: 'oct-HSM', key_hsm, key_ops: ['wrapKey'] },
    ],
  ] as const) {
    const host = hostFor(file, { key, attributes });
    await runCmdlet(addKey, host, { ...given, ...more });
    host.assertDone();
  }
});

test('the type that the wrapped key has is in the hint when another one was said', async () => {
  const message = "The wrapped key is of type 'EC-HSM', and the request says 'RSA-HSM'";
  const host = new ScriptedHost([
    {
      request: `PUT ${url}`,
      body: { key: { kty: 'RSA-HSM', key_hsm: Buffer.from('{"ciphertext":"A"}').toString('base64url') }, attributes },
      status: 400,
      reply: { error: { code: 'BadParameter', message } },
    },
  ]);
  host.files.set('/here/mine.key', '{"ciphertext":"A"}');
  await assert.rejects(
    runCmdlet(addKey, host, given),
    (error) => error instanceof ShellError && error.hints.includes('say so with: -KeyType EC'),
  );
});

test('the bytes of a symmetric key go out when the type says that they are such', async () => {
  const secret = randomBytes(32);
  const key = { kty: 'oct-HSM', k: secret.toString('base64url') };
  const { warnings } = await runCmdlet(addKey, hostFor(secret, { key, attributes }), { ...given, KeyType: 'oct' });
  assert.deepEqual(warnings, []);
  const text = randomBytes(16).toString('hex');
  const written = hostFor(text, { key: { kty: 'oct-HSM', k: Buffer.from(text).toString('base64url') }, attributes });
  assert.match(
    (await runCmdlet(addKey, written, { ...given, KeyType: 'oct' })).warnings[0] ?? '',
    /hexadecimal or base64 is not the key itself/,
  );
});

test('what is in the file has to be what was said, and a key that an HSM takes', async () => {
  await refuses(pem(rsa), { KeyType: 'EC' }, /is another one than -KeyType says: RSA$/);
  await refuses(pem(ec), { CurveName: 'P-256' }, /is another one than -CurveName says: P-256K$/);
  await refuses(pem(generateKeyPairSync('ed25519').privateKey), {}, /only RSA and EC keys can be imported$/);
  await refuses('nothing', {}, /it is no private key in PEM, PKCS#8 or PKCS#12 that can be read$/);
  await refuses(randomBytes(32), {}, /it is no private key/);
  await assert.rejects(runCmdlet(addKey, new ScriptedHost(), given), /'mine.key' does not exist/);
});

test('what is for other places than a managed HSM is refused in words', async () => {
  const create = { HsmName: 'contoso', Name: 'mine', KeyType: 'RSA' };
  const vault = '/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v';
  for (const [args, words] of [
    [{ ...create, Destination: 'Software' }, /has no software-protected keys/],
    [{ ...create, UseDefaultCVMPolicy: true }, /attestation services of Azure's regions/],
    [{ ...create, Immutable: true }, /-Immutable is about a release policy/],
    [{ Name: 'mine', KeyType: 'RSA', HsmResourceId: vault }, /is a key vault, and this service has managed HSMs alone/],
  ] as const) {
    const host = new ScriptedHost();
    await assert.rejects(runCmdlet(addKey, host, args), words);
    assert.deepEqual(host.requests, []);
  }
});

test('an exportable key is made with its policy, and a key of ML-DSA with the version that has it', async () => {
  const policy = '{"version":"1.0.0","anyOf":[]}';
  const data = Buffer.from(policy).toString('base64url');
  const release_policy = { contentType: 'application/json; charset=utf-8', data, immutable: true };
  const body = { kty: 'RSA', key_size: 3072, key_ops: ['wrapKey'], attributes: { enabled: true, exportable: true }, release_policy };
  const host = new ScriptedHost([
    { request: `POST ${hsmOrigin}/keys/mine/create?api-version=2025-07-01`, body, reply: keyBundle },
    {
      request: `POST ${hsmOrigin}/keys/mine/create?api-version=2026-05-01-preview`,
      body: { kty: 'AKP', alg: 'ML-DSA-65', attributes },
      reply: keyBundle,
    },
  ]);
  host.files.set('/here/policy.json', policy);
  const release = { Exportable: true, Immutable: true, ReleasePolicyPath: 'policy.json' };
  await runCmdlet(addKey, host, { HsmName: 'contoso', Name: 'mine', KeyType: 'RSA', Size: 3072, KeyOps: ['wrapKey'], ...release });
  await runCmdlet(addKey, host, { HsmName: 'contoso', Name: 'mine', KeyType: 'AKP', Algorithm: 'ML-DSA-65' });
  host.assertDone();
  host.files.set('/here/policy.json', 'no policy');
  await assert.rejects(
    runCmdlet(addKey, host, { HsmName: 'contoso', Name: 'mine', KeyType: 'RSA', ...release }),
    /'policy.json' is not a JSON document/,
  );
});
