// Keys and what is done with them: the requests on the HSM's own address, the objects shown, the public key as openssl reads it.

import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { getKey, removeKey, undoKeyRemoval, updateKey } from '../../../src/shell/cmdlets/key.ts';
import { addKey } from '../../../src/shell/cmdlets/key-add.ts';
import { getRandomNumber, invokeKeyOperation } from '../../../src/shell/cmdlets/key-operation.ts';
import { invokeRestMethod } from '../../../src/shell/cmdlets/rest.ts';
import { ShellError } from '../../../src/shell/errors.ts';
import { render } from '../../../src/shell/format.ts';
import { publicKeyPem } from '../../../src/shell/public-key.ts';
import '../../../src/shell/views.ts';
import { rsaPair } from '../../rsa-pairs.ts';
import { keyBundle } from './replies.ts';
import { runCmdlet } from './run-cmdlet.ts';
import { arm, type Exchange, hsmOrigin, ScriptedHost, start, subscription } from './scripted-host.ts';

const version = '?api-version=2025-07-01';
const keyUrl = `${hsmOrigin}/keys/signing`;
const deleted = {
  ...keyBundle,
  recoveryId: `${hsmOrigin}/deletedkeys/signing`,
  deletedDate: start / 1000,
  scheduledPurgeDate: start / 1000 + 7 * 86400,
};

test('Add-AzKeyVaultKey sends what was given and shows the key', async () => {
  const body = {
    kty: 'EC',
    crv: 'P-256',
    key_ops: ['sign', 'verify'],
    attributes: { enabled: false, exp: 1798761600, nbf: 1777636800 },
    tags: { team: '7' },
  };
  const host = new ScriptedHost([{ request: `POST ${keyUrl}/create${version}`, body, reply: keyBundle }]);
  const given = {
    HsmName: 'Contoso',
    Name: 'signing',
    KeyType: 'EC',
    CurveName: 'P-256',
    KeyOps: ['sign', 'verify'],
    Disable: true,
    Expires: new Date('2027-01-01T00:00:00Z'),
    NotBefore: new Date(start),
    Tag: { team: 7 },
  };
  const { values } = await runCmdlet(addKey, host, given);
  const printed = render(values, undefined);
  for (const line of [
    /Vault\/HSM Name : contoso/,
    /Key Type +: EC-HSM/,
    /Key Size +: 256/,
    /Curve Name +: P-256/,
    /Created +: 2026-05-01T12:00:00Z/,
  ]) {
    assert.match(printed, line);
  }
  host.assertDone();
});

test('Get-AzKeyVaultKey reads one key, one version, the versions, all keys and the deleted ones', async () => {
  const item = { kid: keyUrl, attributes: keyBundle.attributes };
  const cases: [Record<string, unknown>, string, unknown][] = [
    [{ Name: 'signing' }, '/keys/signing', keyBundle],
    [{ Name: 'signing', Version: 'abc' }, '/keys/signing/abc', keyBundle],
    [{ Name: 'signing', IncludeVersions: true }, '/keys/signing/versions', { value: [item] }],
    [{}, '/keys', { value: [item] }],
    [{ Name: 's*' }, '/keys', { value: [item, { ...item, kid: `${hsmOrigin}/keys/other` }] }],
    [{ InRemovedState: true }, '/deletedkeys', { value: [item] }],
    [{ InRemovedState: true, Name: 'signing' }, '/deletedkeys/signing', deleted],
  ];
  for (const [given, path, reply] of cases) {
    const host = new ScriptedHost([{ request: `GET ${hsmOrigin}${path}${version}`, reply }]);
    const { items } = await runCmdlet(getKey, host, { HsmName: 'contoso', ...given });
    assert.deepEqual(
      items.map((found) => found.Name),
      ['signing'],
      path,
    );
    host.assertDone();
  }
});

test('a list of keys is read to its last page', async () => {
  const page = (name: string) => ({ kid: `${hsmOrigin}/keys/${name}`, attributes: { enabled: true } });
  const host = new ScriptedHost([
    { request: `GET ${hsmOrigin}/keys${version}`, reply: { value: [page('a')], nextLink: `${hsmOrigin}/keys?maxresults=25&$skiptoken=x` } },
    { request: `GET ${hsmOrigin}/keys?maxresults=25&$skiptoken=x`, reply: { value: [page('b')] } },
  ]);
  const { items } = await runCmdlet(getKey, host, { HsmObject: { Name: 'contoso' } });
  assert.deepEqual(
    items.map((found) => found.Name),
    ['a', 'b'],
  );
});

test('a key that is not there puts out nothing; an HSM that is not there is an error', async () => {
  const missing: Exchange = {
    request: `GET ${keyUrl}${version}`,
    status: 404,
    reply: { error: { code: 'KeyNotFound', message: `Key not found: ${keyUrl}` } },
  };
  const { values, warnings } = await runCmdlet(getKey, new ScriptedHost([missing]), { HsmName: 'contoso', Name: 'signing' });
  assert.deepEqual([values, warnings], [[], ["'contoso' has no key 'signing'"]]);
  const nowhere: Exchange = { request: `GET ${keyUrl}${version}`, status: 404, reply: '' };
  await assert.rejects(runCmdlet(getKey, new ScriptedHost([nowhere]), { HsmName: 'contoso', Name: 'signing' }), {
    message: "(HTTP 404) there is no managed HSM 'contoso' here, or it does not know this call",
  });
});

test('the exported public key is the one that every library reads', async () => {
  const kinds = [
    rsaPair(2048),
    rsaPair(2048, 3),
    ...['P-256', 'secp256k1', 'P-384', 'P-521'].map((namedCurve) => generateKeyPairSync('ec', { namedCurve })),
    ...(['ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'] as const).map((set) => generateKeyPairSync(set)),
  ];
  for (const { publicKey } of kinds) {
    const jwk = publicKey.export({ format: 'jwk' });
    const asServed = jwk.crv === 'secp256k1' ? { ...jwk, crv: 'P-256K' } : jwk;
    const pem = publicKeyPem(asServed);
    assert.equal(pem, publicKey.export({ type: 'spki', format: 'pem' }));
    assert.ok(createPublicKey(pem ?? '').equals(publicKey));
  }
  const host = new ScriptedHost([{ request: `GET ${keyUrl}${version}`, reply: keyBundle }]);
  await runCmdlet(getKey, host, { HsmName: 'contoso', Name: 'signing', OutFile: 'signing.pem' });
  assert.match(String(host.files.get('/here/signing.pem')), /^-----BEGIN PUBLIC KEY-----\n/);
});

test('a symmetric key has no public key to export', async () => {
  const reply = { ...keyBundle, key: { kid: keyBundle.key.kid, kty: 'oct-HSM', key_ops: [] } };
  const host = new ScriptedHost([{ request: `GET ${keyUrl}${version}`, reply }]);
  await assert.rejects(
    runCmdlet(getKey, host, { HsmName: 'contoso', Name: 'signing', OutFile: 'k.pem' }),
    /a symmetric key has no public key/,
  );
  assert.equal(host.files.has('/here/k.pem'), false);
});

test('Update-AzKeyVaultKey changes only what was given and is silent without -PassThru', async () => {
  const body = { attributes: { enabled: false } };
  const host = new ScriptedHost([{ request: `PATCH ${keyUrl}/${version}`, body, reply: keyBundle }]);
  const { values } = await runCmdlet(updateKey, host, { HsmName: 'contoso', Name: 'signing', Enable: false });
  assert.deepEqual(values, []);
  host.assertDone();
});

test('Remove-AzKeyVaultKey asks, and says until when the key is kept and how to get it back', async () => {
  const host = new ScriptedHost([{ request: `DELETE ${keyUrl}${version}`, reply: deleted }]);
  const { questions, warnings, values } = await runCmdlet(removeKey, host, { HsmName: 'contoso', Name: 'signing' }, { answer: true });
  assert.deepEqual(questions, ["Are you sure you want to remove key 'signing'?"]);
  assert.match(
    warnings[0] ?? '',
    /kept until 2026-05-08 12:00 UTC.*Undo-AzKeyVaultKeyRemoval -HsmName contoso -Name signing.*-InRemovedState/,
  );
  assert.deepEqual(values, []);
});

test('a deleted key from the pipeline is purged or brought back', async () => {
  const object = { Name: 'signing', HsmName: 'contoso', VaultName: 'contoso' };
  const purged = new ScriptedHost([{ request: `DELETE ${hsmOrigin}/deletedkeys/signing${version}`, status: 204 }]);
  await runCmdlet(removeKey, purged, { InputObject: object, InRemovedState: true, Force: true });
  purged.assertDone();
  const back = new ScriptedHost([{ request: `POST ${hsmOrigin}/deletedkeys/signing/recover${version}`, reply: keyBundle }]);
  const { items } = await runCmdlet(undoKeyRemoval, back, { InputObject: object });
  assert.equal(items[0]?.Name, 'signing');
});

test('a name that a deleted key holds, a missing role and an HSM that is not active each get their hint', async () => {
  const cases = [
    [
      409,
      'Conflict',
      'Key signing is currently in a deleted but recoverable state, and its name cannot be reused.',
      /Undo-AzKeyVaultKeyRemoval -HsmName contoso/,
    ],
    [
      403,
      'AccessDenied',
      'Not authorized to access Microsoft.KeyVault/managedHsm/keys/create on /keys/signing',
      /New-AzKeyVaultRoleAssignment -HsmName contoso -RoleDefinitionName "Managed HSM Crypto User" -SignInName alice@contoso.localhost -Scope \/keys\/signing/,
    ],
    [403, 'Forbidden', 'The HSM is not activated; download the security domain first.', /Export-AzKeyVaultSecurityDomain -Name contoso/],
  ] as const;
  for (const [status, code, message, hint] of cases) {
    const body = { kty: 'RSA', attributes: { enabled: true } };
    const host = new ScriptedHost([{ request: `POST ${keyUrl}/create${version}`, body, status, reply: { error: { code, message } } }]);
    await assert.rejects(runCmdlet(addKey, host, { HsmName: 'contoso', Name: 'signing', KeyType: 'RSA' }), (error: unknown) => {
      assert.ok(error instanceof ShellError);
      assert.equal(error.message, `(${code}) ${message}`);
      assert.match(error.hints.join('\n'), hint);
      return true;
    });
  }
});

test('a digest from a file is signed into a file', async () => {
  const host = new ScriptedHost([
    {
      request: `POST ${keyUrl}//sign${version}`,
      body: { alg: 'ES256', value: 'AQL_' },
      reply: { alg: 'ES256', kid: keyBundle.key.kid, value: '3q2-7w' },
    },
  ]);
  host.files.set('/here/digest.bin', Uint8Array.of(1, 2, 255));
  const given = {
    HsmName: 'contoso',
    Name: 'signing',
    Operation: 'Sign',
    Algorithm: 'ES256',
    InFile: 'digest.bin',
    OutFile: 'signature.bin',
  };
  const { items } = await runCmdlet(invokeKeyOperation, host, given);
  assert.deepEqual(host.files.get('/here/signature.bin'), Uint8Array.of(0xde, 0xad, 0xbe, 0xef));
  assert.deepEqual(
    [items[0]?.KeyId, items[0]?.RawResult, items[0]?.Algorithm],
    [keyBundle.key.kid, Uint8Array.of(0xde, 0xad, 0xbe, 0xef), 'ES256'],
  );
});

test('a signature is verified, also with a version and a key from the pipeline', async () => {
  const host = new ScriptedHost([
    {
      request: `POST ${keyUrl}/v1/verify${version}`,
      body: { alg: 'RS256', digest: 'AQ', value: 'Ag' },
      reply: { alg: 'RS256', kid: keyBundle.key.kid, value: true },
    },
  ]);
  const InputObject = { Name: 'signing', HsmName: 'contoso', Version: 'v1' };
  const given = { InputObject, Operation: 'Verify', Algorithm: 'RS256', ByteArrayValue: Uint8Array.of(1), Signature: Uint8Array.of(2) };
  const { items } = await runCmdlet(invokeKeyOperation, host, given, { parameterSet: 'ByKeyInputObject' });
  assert.equal(items[0]?.IsValid, true);
});

test('AES with GCM hands over the service’s IV and tag, and takes them back', async () => {
  const sealed = { alg: 'A256GCM', kid: keyBundle.key.kid, iv: 'AQ', tag: 'Ag', value: 'Aw' };
  const host = new ScriptedHost([
    { request: `POST ${keyUrl}//encrypt${version}`, body: { alg: 'A256GCM', value: 'CQ' }, reply: sealed },
    {
      request: `POST ${keyUrl}//decrypt${version}`,
      body: { alg: 'A256GCM', value: 'Aw', iv: 'AQ', tag: 'Ag' },
      reply: { ...sealed, value: 'CQ' },
    },
  ]);
  const given = { HsmName: 'contoso', Name: 'signing', Algorithm: 'A256GCM' };
  const { items } = await runCmdlet(invokeKeyOperation, host, { ...given, Operation: 'Encrypt', ByteArrayValue: Uint8Array.of(9) });
  const [found] = items;
  const back = { ByteArrayValue: found?.RawResult, Iv: found?.Iv, AuthenticationTag: found?.AuthenticationTag };
  const opened = await runCmdlet(invokeKeyOperation, host, { ...given, Operation: 'Decrypt', ...back });
  assert.deepEqual(opened.items[0]?.RawResult, Uint8Array.of(9));
  host.assertDone();
});

test('an operation on nothing is refused before it is sent', async () => {
  const given = { HsmName: 'contoso', Name: 'signing', Operation: 'Sign', Algorithm: 'RS256' };
  await assert.rejects(runCmdlet(invokeKeyOperation, new ScriptedHost(), given), /nothing to work on: give -ByteArrayValue or -InFile/);
});

test('random bytes come one by one, or as one text', async () => {
  const rng: Exchange = { request: `POST ${hsmOrigin}/rng${version}`, body: { count: 3 }, reply: { value: 'AQL_' } };
  const numbers = await runCmdlet(getRandomNumber, new ScriptedHost([rng]), { HsmName: 'contoso', Count: 3 });
  assert.deepEqual(numbers.values, [1, 2, 255]);
  const text = await runCmdlet(getRandomNumber, new ScriptedHost([rng]), { HsmName: 'contoso', Count: 3, AsBase64String: true });
  assert.deepEqual(text.values, ['AQL/']);
});

test('Invoke-AzRestMethod shows any answer, and sends tokens to the service alone', async () => {
  const path = `/subscriptions/${subscription}?api-version=2021-01-01`;
  const refused = new ScriptedHost([{ request: `GET ${arm}${path}`, status: 404, reply: { error: { code: 'X' } } }]);
  const { items } = await runCmdlet(invokeRestMethod, refused, { Path: path });
  assert.deepEqual([items[0]?.StatusCode, items[0]?.Content], [404, '{"error":{"code":"X"}}']);

  const posted = new ScriptedHost([{ request: `POST ${keyUrl}/sign?api-version=7.6`, body: { alg: 'ES256' }, reply: {} }]);
  await runCmdlet(invokeRestMethod, posted, { Uri: `${keyUrl}/sign?api-version=7.6`, Method: 'POST', Payload: '{"alg":"ES256"}' });
  posted.assertDone();

  for (const Uri of [
    'https://elsewhere.example/',
    'http://localhost:8443/',
    'https://evil-managedhsm.localhost:8443/',
    'https://a.b.managedhsm.localhost:8443/',
  ]) {
    const host = new ScriptedHost();
    await assert.rejects(runCmdlet(invokeRestMethod, host, { Uri }), ShellError, Uri);
    assert.deepEqual(host.requests, []);
  }
});
