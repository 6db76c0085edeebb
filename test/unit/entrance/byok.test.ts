// `strongroom byok wrap` without a service: what it takes, what it writes, what it refuses, and that it says nothing of the key.

import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runByok } from '../../../src/byok.ts';
import type { KeyAtRest } from '../../../src/crypto/types.ts';
import { UsageError } from '../../../src/terminal/usage-error.ts';
import { rsaPair } from '../../rsa-pairs.ts';
import { ScriptedHost } from '../cmdlets/scripted-host.ts';
import { curves, ecPair, openSafe } from '../crypto/safe.ts';

const { module, domain, make } = openSafe();
const kek = await make({ kty: 'RSA-HSM', size: 2048, exponent: 65537 });
const { n, e } = { n: '', e: '', ...kek.material };
const kid = 'https://contoso.managedhsm.localhost:8443/keys/kek/0123456789abcdef0123456789abcdef';
const bundle = JSON.stringify({ attributes: { enabled: true }, key: { kid, kty: 'RSA-HSM', key_ops: ['import'], n, e } });
const wrap = ['wrap', '--key', 'key', '--kek', 'kek.json', '--out', 'out.byok'] as const;

function hostWith(files: Readonly<Record<string, string | Uint8Array>>): ScriptedHost {
  const host = new ScriptedHost();
  for (const [name, content] of Object.entries({ 'kek.json': bundle, ...files })) host.files.set(host.resolve(name), content);
  return host;
}

function standard(base64url: string): string {
  return Buffer.from(base64url, 'base64url').toString('base64');
}

function pem(key: KeyObject, more: object = {}): string {
  return key.export({ type: 'pkcs8', format: 'pem', ...more }).toString();
}

/** What an HSM makes of the file that was written. */
function broughtIn(host: ScriptedHost, kty: string): KeyAtRest {
  const file = JSON.parse(String(host.files.get('/here/out.byok')));
  assert.deepEqual(Object.keys(file).sort(), ['ciphertext', 'generator', 'header', 'schema_version']);
  assert.deepEqual([file.schema_version, file.header], ['1.0.0', { kid, alg: 'dir', enc: 'CKM_RSA_AES_KEY_WRAP' }]);
  const identity = { hsmId: domain.hsmId, name: 'brought', version: randomBytes(16).toString('hex') };
  const ciphertext = Buffer.from(file.ciphertext, 'base64url');
  return { domain, identity, ...module.importWrapped(domain, identity, kek, ciphertext, { kty }) };
}

test('keys of every type and in every encoding are wrapped, and nothing of them is shown', async () => {
  const rsa = rsaPair(2048).privateKey;
  const { d = '' } = rsa.export({ format: 'jwk' });
  const files: readonly (readonly [content: string | Uint8Array, kty: string, words: RegExp])[] = [
    [pem(rsa), 'RSA', /wrapped an RSA key of 2048 bits/],
    [rsa.export({ type: 'pkcs1', format: 'pem' }).toString(), 'RSA', /an RSA key of 2048 bits/],
    [rsa.export({ type: 'pkcs8', format: 'der' }), 'RSA', /an RSA key of 2048 bits/],
    ...curves.map((curve) => [pem(ecPair(curve).privateKey), 'EC', new RegExp(`a key on curve ${curve} `)] as const),
    [ecPair('P-384').privateKey.export({ type: 'sec1', format: 'pem' }).toString(), 'EC', /a key on curve P-384/],
  ];
  for (const [key, kty, words] of files) {
    const host = hostWith({ key });
    assert.equal(await runByok(wrap, host), 0);
    assert.match(host.errors.join(''), words);
    assert.match(host.errors.join(''), new RegExp(`for ${kid} into 'out.byok'`));
    assert.deepEqual(host.out, []);
    assert.equal(host.errors.join('').includes(d), false);
    assert.equal(broughtIn(host, kty).material.kty, `${kty}-HSM`);
  }
});

test('the bytes of a symmetric key are wrapped when they are said to be such', async () => {
  const secret = randomBytes(24);
  const host = hostWith({ key: secret });
  await assert.rejects(runByok(wrap, host), /no private key .*; the bytes of a symmetric key are given with --raw$/);
  await runByok([...wrap, '--raw'], host);
  const key = broughtIn(host, 'oct');
  const signed = module.sign(key, module.algorithm('HS256', 'sign', key.material), Buffer.from('x'));
  assert.deepEqual(signed, createHmac('sha256', secret).update('x').digest());
  assert.match(host.errors.join(''), /a symmetric key of 192 bits/);
  assert.doesNotMatch(host.errors.join(''), /warning/);

  const written = hostWith({ key: randomBytes(32).toString('hex') });
  await runByok([...wrap, '--raw'], written);
  assert.match(written.errors.join(''), /warning: every byte of 'key' is a character/);
});

test('a protected key is opened with a passphrase from where it was said to be', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'strongroom-byok-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const from = (text: string) => {
    writeFileSync(join(folder, 'passphrase'), text);
    return ['--passphrase-from', `file:${join(folder, 'passphrase')}`] as const;
  };
  const key = pem(ecPair('P-256').privateKey, { cipher: 'aes-256-cbc', passphrase: 'ouvre-toi, sésame' });
  const host = hostWith({ key });
  await runByok([...wrap, ...from('ouvre-toi, sésame\r\n')], host);
  assert.equal(broughtIn(host, 'EC').material.kty, 'EC-HSM');
  await assert.rejects(runByok([...wrap, ...from('wrong')], hostWith({ key })), {
    message: "cannot take the key from 'key': the password does not open it",
  });
  await assert.rejects(runByok([...wrap, ...from('\n')], hostWith({ key })), /holds no passphrase/);
  // A test has no terminal at which anybody could type it.
  await assert.rejects(runByok(wrap, hostWith({ key })), /nobody is here to type the passphrase; say where it is with --passphrase-from/);
});

test('the key exchange key may be PEM with a kid, a JSON Web Key, or a key as the HSM shows it', async () => {
  const key = pem(ecPair('P-256').privateKey);
  const jwk = { kty: 'RSA', n, e };
  const { publicKey } = rsaPair(2048);
  for (const [content, more] of [
    [JSON.stringify({ ...jwk, kid }), []],
    [JSON.stringify(jwk), ['--kid', kid]],
    [bundle, ['--kid', kid]],
    // As `az keyvault key show` prints it.
    [JSON.stringify({ attributes: {}, key: { crv: null, e, keyOps: ['import'], kid, kty: 'RSA-HSM', n: standard(n) } }), []],
  ] as const) {
    const host = hostWith({ key, 'kek.json': content });
    await runByok([...wrap, ...more], host);
    assert.equal(broughtIn(host, 'EC').material.kty, 'EC-HSM');
  }
  const host = hostWith({ key, 'kek.json': publicKey.export({ type: 'spki', format: 'pem' }).toString() });
  await runByok([...wrap, '--kid', kid], host);
  assert.throws(() => broughtIn(host, 'EC'), /The parameter is incorrect/, 'it is wrapped for the key in the file');
});

test('what is no key exchange key is refused', async () => {
  const key = pem(ecPair('P-256').privateKey);
  const small = rsaPair(1024);
  const json = (changed: object) => JSON.stringify({ key: { kid, kty: 'RSA-HSM', key_ops: ['import'], n, e, ...changed } });
  // biome-ignore format: a table reads by its columns
  const rows: readonly (readonly [content: string, more: readonly string[], words: RegExp])[] = [
    [json({ key_ops: ['encrypt'] }),                                          [],               /its only operation must be import/],
    [json({ key_ops: ['import', 'encrypt'] }),                                [],               /its only operation must be import/],
    [json({ kid: undefined }),                                                [],               /--kid is needed/],
    [json({ kid: 'kek' }),                                                    [],               /is not the identifier of a key/],
    [json({ kid: kid.replace('https', 'http') }),                             [],               /is not the identifier of a key/],
    [bundle,                                                                  ['--kid', `${kid.slice(0, -1)}0`], /--kid is not the key in/],
    [JSON.stringify({ kty: 'EC', crv: 'P-256', x: n, y: n }),                 ['--kid', kid],   /no RSA public key/],
    ['not a key',                                                             ['--kid', kid],   /no RSA public key/],
    [pem(small.privateKey),                                                   ['--kid', kid],   /holds a private key; --kek wants the public one/],
    [small.publicKey.export({ type: 'spki', format: 'pem' }).toString(),      ['--kid', kid],   /not an RSA key of 2048 bits/],
    [ecPair('P-256').publicKey.export({ type: 'spki', format: 'pem' }).toString(), ['--kid', kid], /not an RSA key/],
  ];
  for (const [content, more, words] of rows) {
    const host = hostWith({ key, 'kek.json': content });
    await assert.rejects(runByok([...wrap, ...more], host), words);
    assert.equal(host.files.has('/here/out.byok'), false);
  }
});

test('a key that the HSM would not let in is refused before it is wrapped', async () => {
  for (const [key, words] of [
    [pem(rsaPair(1024).privateKey), /Invalid key size: '1024'/],
    [pem(rsaPair(2048, 17).privateKey), /must be 3 or 65537/],
    [pem(generateKeyPairSync('ed25519').privateKey), /neither an RSA key nor one on P-256/],
    [pem(generateKeyPairSync('ec', { namedCurve: 'secp224r1' }).privateKey), /neither an RSA key nor one on P-256/],
    [rsaPair(2048).publicKey.export({ type: 'spki', format: 'pem' }).toString(), /no private key/],
    ['', /no private key/],
  ] as const) {
    await assert.rejects(runByok(wrap, hostWith({ key })), words);
  }
  await assert.rejects(runByok([...wrap, '--raw'], hostWith({ key: randomBytes(8) })), /Invalid key size: '64'/);
});

test('a file that is there is replaced with --force alone', async () => {
  const host = hostWith({ key: pem(ecPair('P-256').privateKey), 'out.byok': 'something' });
  await assert.rejects(runByok(wrap, host), { message: "'out.byok' is there already; --force replaces it" });
  assert.equal(host.files.get('/here/out.byok'), 'something');
  assert.equal(await runByok([...wrap, '--force'], host), 0);
  assert.equal(broughtIn(host, 'EC').material.kty, 'EC-HSM');
});

test('arguments that are missing, unknown or a secret are refused with the usage, which --help prints', async () => {
  for (const args of [
    ['unwrap'],
    ['wrap'],
    ['wrap', '--key', 'a'],
    [...wrap, 'more'],
    [...wrap, '--passphrase=secret'],
    [...wrap, '--passphrase-from', 'secret'],
    [...wrap, '--raw', '--passphrase-from', 'stdin'],
  ]) {
    await assert.rejects(runByok(args, hostWith({})), (error) => error instanceof UsageError && !error.message.includes('secret'));
  }
  for (const args of [[], ['--help'], ['wrap', '-h']]) {
    const host = hostWith({});
    assert.equal(await runByok(args, host), 0);
    assert.match(host.out.join(''), /^usage: \.\/strongroom byok wrap/);
  }
});
