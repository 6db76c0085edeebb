// Our certificate authority as clients meet it: openssl verifies its chains, a TLS client connects, and a folder that is not whole is refused.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect, createServer } from 'node:tls';
import { type Authority, isOurName, type Leaf, openAuthority } from '../../../src/door/certificate-authority.ts';

const NOW = Date.now();
const DAY = 86_400_000;
const folders: string[] = [];
let dataDir: string;
let authority: Authority;

/** A clock that stands still at the given time. */
function at(milliseconds: number): { now(): number } {
  return { now: () => milliseconds };
}

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'authority-'));
  folders.push(folder);
  return folder;
}

function opensslText(pem: string): string {
  return execFileSync('openssl', ['x509', '-noout', '-text'], { input: pem, encoding: 'utf8' });
}

function opensslVerifies(leaf: Leaf, caFile: string, ...more: string[]): { ok: boolean; output: string } {
  const file = join(newFolder(), 'leaf.pem');
  writeFileSync(file, leaf.cert);
  const { status, stdout, stderr } = spawnSync('openssl', [
    'verify',
    '-x509_strict',
    '-purpose',
    'sslserver',
    '-CAfile',
    caFile,
    ...more,
    file,
  ]);
  return { ok: status === 0, output: `${stdout}${stderr}` };
}

/** Serves one connection with the leaf, connects as `servername`, and says how it went. */
async function handshake(leaf: Leaf, ca: string, servername: string): Promise<string> {
  const server = createServer({ key: leaf.key, cert: leaf.cert }, (socket) => socket.end()).on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const name = servername === '127.0.0.1' ? {} : { servername };
  const client = connect({ host: '127.0.0.1', port, ca, ...name });
  try {
    await once(client, 'secureConnect');
    return client.authorized ? 'authorized' : 'not authorized';
  } catch (failure) {
    return failure instanceof Error && 'code' in failure ? String(failure.code) : String(failure);
  } finally {
    client.destroy();
    server.close();
  }
}

before(async () => {
  dataDir = newFolder();
  authority = await openAuthority(dataDir, at(NOW));
});

after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

test('the first start leaves the key for its owner alone, the certificate, the bundle, and nothing else', () => {
  assert.deepEqual(readdirSync(dataDir).sort(), ['ca-bundle.pem', 'ca-key.pem', 'ca.pem']);
  assert.equal(statSync(join(dataDir, 'ca-key.pem')).mode & 0o777, 0o600);
  const key = createPrivateKey(readFileSync(join(dataDir, 'ca-key.pem')));
  assert.equal(key.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  assert.equal(readFileSync(authority.caFile, 'utf8'), authority.certificate);
  assert.ok(new X509Certificate(authority.certificate).checkPrivateKey(key));
});

test('the authority may sign servers and nothing below them, for ten years', () => {
  const text = opensslText(authority.certificate);
  assert.match(text, /Subject: CN ?= ?Strongroom local CA [0-9a-f]{8}\n/);
  assert.match(text, /X509v3 Basic Constraints: critical\s+CA:TRUE, pathlen:0\n/);
  assert.match(text, /X509v3 Key Usage: critical\s+Certificate Sign, CRL Sign\n/);
  assert.match(text, /X509v3 Subject Key Identifier:/);
  assert.match(text, /Signature Algorithm: ecdsa-with-SHA256/);
  const { validFromDate, validToDate } = new X509Certificate(authority.certificate);
  assert.ok(validFromDate.getTime() <= NOW - 3_600_000);
  assert.equal(new Date(validToDate).getUTCFullYear(), new Date(NOW).getUTCFullYear() + 10);
});

test('openssl verifies a leaf for its names and refuses it for others', async () => {
  const leaf = await authority.leaf(['localhost', '127.0.0.1', '::1', 'hsm1.managedhsm.localhost']);
  for (const name of ['localhost', 'hsm1.managedhsm.localhost']) {
    const verified = opensslVerifies(leaf, authority.caFile, '-verify_hostname', name);
    assert.ok(verified.ok, verified.output);
  }
  for (const address of ['127.0.0.1', '::1']) {
    const verified = opensslVerifies(leaf, authority.caFile, '-verify_ip', address);
    assert.ok(verified.ok, verified.output);
  }
  assert.match(opensslVerifies(leaf, authority.caFile, '-verify_hostname', 'hsm2.managedhsm.localhost').output, /hostname mismatch/i);
  assert.match(opensslVerifies(leaf, authority.caFile, '-verify_ip', '127.0.0.2').output, /IP address mismatch/i);
});

test('a leaf serves for ninety days from an hour ago, with a key and identifiers of its own', async () => {
  const leaf = await authority.leaf(['localhost']);
  const text = opensslText(leaf.cert);
  assert.match(text, /X509v3 Basic Constraints: critical\s+CA:FALSE\n/);
  assert.match(text, /X509v3 Key Usage: critical\s+Digital Signature\n/);
  assert.match(text, /X509v3 Extended Key Usage: *\s+TLS Web Server Authentication\n/);
  assert.match(text, /X509v3 Subject Alternative Name: *\s+DNS:localhost\n/);
  const keyId = /X509v3 Subject Key Identifier: *\s+([0-9A-F:]+)/.exec(opensslText(authority.certificate))?.[1];
  const authorityId = /X509v3 Authority Key Identifier: *\s+(?:keyid:)?([0-9A-F:]+)/.exec(text)?.[1];
  assert.ok(keyId !== undefined && keyId.length > 40);
  assert.equal(authorityId, keyId);
  const certificate = new X509Certificate(leaf.cert);
  const second = Math.floor(NOW / 1000) * 1000;
  assert.equal(certificate.validFromDate.getTime(), second - 3_600_000);
  assert.equal(certificate.validToDate.getTime(), second + 90 * DAY);
  assert.ok(certificate.checkPrivateKey(createPrivateKey(leaf.key)));
  assert.ok(leaf.cert.endsWith(authority.certificate));
});

test('a TLS client that trusts the authority connects by name and by address, and to no other name', async () => {
  const leaf = await authority.leaf(['hsm1.managedhsm.localhost', '127.0.0.1']);
  assert.equal(await handshake(leaf, authority.certificate, 'hsm1.managedhsm.localhost'), 'authorized');
  assert.equal(await handshake(leaf, authority.certificate, '127.0.0.1'), 'authorized');
  assert.equal(await handshake(leaf, readFileSync(authority.caBundleFile, 'utf8'), 'hsm1.managedhsm.localhost'), 'authorized');
  assert.equal(await handshake(leaf, authority.certificate, 'hsm2.managedhsm.localhost'), 'ERR_TLS_CERT_ALTNAME_INVALID');
  const other = await openAuthority(newFolder(), at(NOW));
  assert.match(await handshake(leaf, other.certificate, 'hsm1.managedhsm.localhost'), /SELF_SIGNED|UNABLE_TO/);
});

test('a leaf for a name is made once, also when many ask at the same time, and anew when its time is near', async () => {
  let now = NOW;
  const own = await openAuthority(newFolder(), { now: () => now });
  const [first, second] = await Promise.all([own.leaf(['localhost']), own.leaf(['localhost'])]);
  assert.equal(first.cert, second.cert);
  assert.notEqual((await own.leaf(['other.localhost'])).cert, first.cert);
  now = first.renewAt - 1;
  assert.equal((await own.leaf(['localhost'])).cert, first.cert);
  now = first.renewAt;
  const [renewed, same] = await Promise.all([own.leaf(['localhost']), own.leaf(['localhost'])]);
  assert.notEqual(renewed.key, first.key);
  assert.equal(renewed.cert, same.cert);
  assert.ok(renewed.renewAt > now);
  assert.ok(new X509Certificate(first.cert).validToDate.getTime() > now);
});

test('the leaf of the fixed names is kept from start to start; one that is over, changed or of another authority is made anew', async () => {
  const folder = newFolder();
  const names = ['localhost', '127.0.0.1'];
  const first = await (await openAuthority(folder, at(NOW))).leaf(names);
  const file = join(folder, 'server-certificate.json');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(await (await openAuthority(folder, at(NOW + DAY))).leaf(names), first);
  assert.notEqual((await (await openAuthority(folder, at(first.renewAt))).leaf(names)).cert, first.cert);
  const foreign = await (await openAuthority(newFolder(), at(NOW))).leaf(names);
  const otherKey = { ...first, key: foreign.key };
  for (const text of ['', '{', '[]', 'null', ...[foreign, otherKey].map((leaf) => JSON.stringify({ names, ...leaf }))]) {
    writeFileSync(file, text);
    const made = await (await openAuthority(folder, at(NOW))).leaf(names);
    assert.equal(await handshake(made, (await openAuthority(folder, at(NOW))).certificate, 'localhost'), 'authorized', text);
  }
  assert.notEqual((await (await openAuthority(folder, at(NOW))).leaf(['localhost', '::1'])).cert, first.cert);
});

test('no leaf lives longer than the authority', async () => {
  const folder = newFolder();
  const expires = new X509Certificate((await openAuthority(folder, at(NOW))).certificate).validToDate.getTime();
  const late = await openAuthority(folder, at(expires - 10 * DAY));
  const leaf = await late.leaf(['localhost']);
  assert.equal(new X509Certificate(leaf.cert).validToDate.getTime(), expires);
  assert.equal(leaf.renewAt, expires);
});

test('a leaf without a name is refused', async () => {
  await assert.rejects(authority.leaf([]), RangeError);
});

test('the authority is the same after a restart', async () => {
  const again = await openAuthority(dataDir, at(NOW + DAY));
  assert.equal(again.certificate, authority.certificate);
  const leaf = await again.leaf(['localhost']);
  const verified = opensslVerifies(
    leaf,
    authority.caFile,
    '-verify_hostname',
    'localhost',
    '-attime',
    String(Math.floor((NOW + DAY) / 1000)),
  );
  assert.ok(verified.ok, verified.output);
});

test('two folders have two authorities with two names', async () => {
  const other = await openAuthority(newFolder(), at(NOW));
  assert.notEqual(new X509Certificate(other.certificate).subject, new X509Certificate(authority.certificate).subject);
});

test('the bundle has our authority and the public ones, and is brought up to date', async () => {
  const bundle = readFileSync(authority.caBundleFile, 'utf8');
  const certificates = bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  assert.ok(certificates.length > 1);
  assert.ok(bundle.startsWith(authority.certificate.trim()));
  writeFileSync(authority.caBundleFile, `${authority.certificate.trim()}\nthe public ones of long ago\n`);
  await authority.refreshBundle();
  assert.equal(readFileSync(authority.caBundleFile, 'utf8'), bundle);
});

test('a folder with one file of the two, a broken one, or two that do not match is refused, and left as it is', async () => {
  const other = newFolder();
  await openAuthority(other, at(NOW));
  const keyOf = (folder: string) => readFileSync(join(folder, 'ca-key.pem'));
  const certificateOf = (folder: string) => readFileSync(join(folder, 'ca.pem'));
  const rsa = execFileSync('openssl', ['genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'], { stdio: 'pipe' });
  const leaf = await authority.leaf(['localhost']);
  const cases: [Record<string, Buffer | string>, RegExp][] = [
    [{ 'ca.pem': certificateOf(dataDir) }, /ca-key\.pem is missing/],
    [{ 'ca-key.pem': keyOf(dataDir) }, /ca\.pem is missing/],
    [{ 'ca-key.pem': keyOf(other), 'ca.pem': certificateOf(dataDir) }, /do not belong together/],
    [{ 'ca-key.pem': 'nothing', 'ca.pem': certificateOf(dataDir) }, /ca-key\.pem is not a private key/],
    [{ 'ca-key.pem': keyOf(dataDir), 'ca.pem': '' }, /ca\.pem is not a certificate/],
    [{ 'ca-key.pem': rsa, 'ca.pem': certificateOf(dataDir) }, /ca-key\.pem is not a P-256 key/],
    [{ 'ca-key.pem': leaf.key, 'ca.pem': leaf.cert }, /ca\.pem is not the certificate of an authority/],
  ];
  for (const [files, message] of cases) {
    const folder = newFolder();
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
    await assert.rejects(openAuthority(folder, at(NOW)), (failure: Error) => {
      assert.match(failure.message, message);
      assert.match(failure.message, /restore both files from a copy, or remove/);
      assert.ok(!failure.message.includes('PRIVATE KEY'));
      return true;
    });
    assert.deepEqual(readdirSync(folder).sort(), Object.keys(files).sort());
  }
});

test('killed while it was being written, an authority is the one before or the new one, and needs no help', async () => {
  const other = newFolder();
  await openAuthority(other, at(NOW));
  const [key, certificate] = ['ca-key.pem', 'ca.pem'].map((name) => readFileSync(join(other, name)));
  const [ownKey, own] = ['ca-key.pem', 'ca.pem'].map((name) => readFileSync(join(dataDir, name)));
  const cases = [
    [{ 'ca.pem.next': certificate }, undefined],
    [{ 'ca.pem.next': certificate, 'ca-key.pem': key }, certificate],
    [{ 'ca.pem.next': certificate, 'ca-key.pem': ownKey, 'ca.pem': own }, own],
    [{ 'ca.pem.next': certificate, 'ca-key.pem': key, 'ca.pem': own }, certificate],
    [{ 'ca.pem.next': 'cut o', 'ca-key.pem': key, 'ca.pem': certificate }, certificate],
  ] as const;
  for (const [files, wanted] of cases) {
    const folder = newFolder();
    for (const [name, content = ''] of Object.entries(files)) writeFileSync(join(folder, name), content);
    const opened = await openAuthority(folder, at(NOW));
    assert.equal(opened.certificate, wanted?.toString() ?? opened.certificate);
    assert.equal(readFileSync(join(folder, 'ca.pem'), 'utf8'), opened.certificate);
    assert.ok(!readdirSync(folder).includes('ca.pem.next'));
  }
});

test('an authority that has expired is refused', async () => {
  const expires = new X509Certificate(authority.certificate).validToDate.getTime();
  await assert.rejects(openAuthority(dataDir, at(expires)), /has expired/);
});

test('a folder that cannot be written is an error, and leaves no half of a file', async () => {
  const folder = join(newFolder(), 'missing');
  await assert.rejects(openAuthority(folder, at(NOW)), { code: 'ENOENT' });
});

test('our names are the loopback names, the names of the domain, and well-formed HSM names', () => {
  const ours = [
    'localhost',
    '127.0.0.1',
    '::1',
    'keys.example',
    'KEYS.example',
    'management.keys.example',
    'login.keys.example',
    'graph.keys.example',
    'managedhsm.keys.example',
    'hsm.managedhsm.keys.example',
    'My-HSM-1.managedhsm.keys.example',
    `${'a'.repeat(24)}.managedhsm.keys.example`,
  ];
  const foreign = [
    '',
    'example',
    'other.example',
    'www.keys.example',
    'evilkeys.example',
    'keys.example.evil',
    'keys.example.',
    '127.0.0.2',
    '.managedhsm.keys.example',
    'ab.managedhsm.keys.example',
    '1hsm.managedhsm.keys.example',
    'hsm-.managedhsm.keys.example',
    'h--sm.managedhsm.keys.example',
    'a.b.managedhsm.keys.example',
    'h_sm.managedhsm.keys.example',
    '*.managedhsm.keys.example',
    'hsm.managedhsm.keys.example\n',
    `${'a'.repeat(25)}.managedhsm.keys.example`,
    'hsm.managedhsm.localhost',
  ];
  for (const name of ours) assert.ok(isOurName(name, 'keys.example'), name);
  for (const name of foreign) assert.ok(!isOurName(name, 'keys.example'), name);
  assert.ok(isOurName('hsm.managedhsm.localhost', 'localhost'));
});
