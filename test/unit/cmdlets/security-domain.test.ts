// Activation: what is checked before the HSM is touched, what is sent, and that what came back is never lost.

import assert from 'node:assert/strict';
import { createHash, createPublicKey, X509Certificate } from 'node:crypto';
import { before, test } from 'node:test';
import { readCustodians } from '../../../src/crypto/security-domain/certificate.ts';
import { exportSecurityDomain as theirs } from '../../../src/crypto/security-domain/content.ts';
import { openSecurityDomain, readSecurityDomain } from '../../../src/crypto/security-domain/file.ts';
import { exportSecurityDomain } from '../../../src/shell/cmdlets/security-domain.ts';
import { ShellError } from '../../../src/shell/errors.ts';
import { readCertificate } from '../../../src/shell/x509.ts';
import { certifyAgain, custodianOf, makeNewPair, makePair, type Pair } from '../security-domain/ceremony.ts';
import { runCmdlet } from './run-cmdlet.ts';
import { type Exchange, hsmOrigin, ScriptedHost } from './scripted-host.ts';

let pairs: Pair[];
let jwks: Record<string, unknown>[];
let domain: string;

before(() => {
  pairs = ['zero', 'one', 'two'].map((name) => makePair(name));
  jwks = pairs.map(({ der }) => {
    const { n, e } = createPublicKey(new X509Certificate(der).publicKey.export({ type: 'spki', format: 'pem' })).export({ format: 'jwk' });
    const thumbprint = (hash: string) => createHash(hash).update(der).digest('base64url');
    return {
      kty: 'RSA',
      key_ops: ['verify', 'encrypt', 'wrapKey'],
      alg: 'RSA-OAEP-256',
      x5c: [der.toString('base64')],
      x5t: thumbprint('sha1'),
      'x5t#S256': thumbprint('sha256'),
      n,
      e,
    };
  });
  const { certificates, quorum } = readCustodians(jwks, 2);
  domain = theirs({ domainId: '5f0c6f6e-0000-4000-8000-000000000000', domainKey: Buffer.alloc(32, 7) }, certificates, quorum);
});

function domainFor(thumbprints: readonly unknown[]): string {
  return JSON.stringify({
    EncData: { data: [{ compact_jwe: 'a.b.c.d.e', tag: 'hsm_backup' }], kdf: 'sp108_kdf' },
    SharedKeys: {
      enc_shares: thumbprints.map((x5t_256) => ({ enc_key: 'a.b.c.d.e', x5t_256 })),
      key_algorithm: 'shamir_share',
      required: 2,
    },
    version: 2,
  });
}

const args = { Name: 'contoso', Certificates: ['cert_0.cer', 'cert_1.cer', 'cert_2.cer'], OutputPath: 'MHSMsd.ps.json', Quorum: 2 };
const pendingUrl = `${hsmOrigin}/securitydomain/download/pending?api-version=2025-07-01`;
const waiting = { status: 'InProgress', status_details: 'The Security Domain is being confirmed.' };
const active: Exchange = { request: `GET ${pendingUrl}`, reply: { status: 'Success', status_details: 'The resource is active.' } };

function download(value: string = domain): Exchange {
  return {
    request: `POST ${hsmOrigin}/securitydomain/download?api-version=2025-07-01`,
    body: { required: 2, certificates: jwks },
    status: 202,
    headers: { 'azure-asyncoperation': pendingUrl, 'retry-after': '1' },
    reply: { value },
  };
}

/** Before it downloads, the cmdlet looks whether the HSM was active already. */
function notActive(script: readonly Exchange[]): Exchange[] {
  const error = { code: 'NotFound', message: 'No security domain has been downloaded' };
  const fresh: Exchange = { request: `GET ${pendingUrl}`, status: 404, reply: { error } };
  return script.flatMap((step) => (step.request.startsWith('POST ') ? [fresh, step] : [step]));
}

/** With cert_0 in DER and the others in PEM. */
function machine(script: readonly Exchange[]): ScriptedHost {
  const host = new ScriptedHost(notActive(script));
  for (const [index, { der }] of pairs.entries()) {
    host.files.set(`/here/cert_${index}.cer`, index === 0 ? new Uint8Array(der) : new X509Certificate(der).toString());
  }
  return host;
}

test('Export-AzKeyVaultSecurityDomain sends the certificates, writes the file and waits until the HSM is active', async () => {
  const host = machine([download(), { request: `GET ${pendingUrl}`, reply: waiting, headers: { 'retry-after': '1' } }, active]);
  const { values, changes, progress } = await runCmdlet(exportSecurityDomain, host, { ...args, PassThru: true });
  assert.deepEqual(values, [true]);
  assert.equal(host.files.get('/here/MHSMsd.ps.json'), domain);
  const opened = openSecurityDomain(readSecurityDomain(domain), pairs.slice(1).map(custodianOf));
  assert.equal(opened.size, 3);
  assert.deepEqual(changes, [["download encrypted security domain data to 'MHSMsd.ps.json'", 'managed HSM contoso']]);
  assert.deepEqual(host.slept, [1000]);
  assert.match(progress.at(-1) ?? '', /'contoso' is active; any 2 of the 3 private keys open 'MHSMsd.ps.json'/);
  host.assertDone();
});

test('a new file of an HSM that was active says that the older ones still open', async () => {
  const host = new ScriptedHost([active, download(), active]);
  for (const [path, file] of machine([]).files) host.files.set(path, file);
  const { warnings } = await runCmdlet(exportSecurityDomain, host, args);
  assert.match(warnings.join(), /one more file of the same security domain: every older file still opens, with its own custodians/);
  host.assertDone();
});

test('an existing file is asked about before the HSM is touched; without an answer nothing happens', async () => {
  const silent = machine([]);
  silent.files.set('/here/MHSMsd.ps.json', 'another domain');
  await assert.rejects(runCmdlet(exportSecurityDomain, silent, args), { category: 'refused' });
  assert.equal(silent.files.get('/here/MHSMsd.ps.json'), 'another domain');
  const { questions } = await runCmdlet(exportSecurityDomain, silent, args, { answer: false });
  assert.deepEqual(questions, ["Overwrite existing file at '/here/MHSMsd.ps.json' ?"]);
  assert.deepEqual(silent.requests, []);

  const forced = machine([download(), active]);
  forced.files.set('/here/MHSMsd.ps.json', 'another domain');
  await runCmdlet(exportSecurityDomain, forced, { ...args, Force: true });
  assert.equal(forced.files.get('/here/MHSMsd.ps.json'), domain);
});

test('a path that cannot be written is refused before the HSM is touched', async () => {
  const host = machine([]);
  host.unwritable.add('/here/MHSMsd.ps.json');
  await assert.rejects(runCmdlet(exportSecurityDomain, host, args), { category: 'file', message: /the HSM was not touched/ });
  assert.deepEqual(host.requests, []);
});

test('when the disk fills up at the wrong moment the domain goes to another file, or to the screen', async () => {
  class FullDisk extends ScriptedHost {
    override async isWritable(): Promise<boolean> {
      return true;
    }
  }
  const fallback = 'contoso-security-domain-2026-05-01T12-00-00-000Z.json';
  const host = new FullDisk(notActive([download(), active]));
  for (const [path, file] of machine([]).files) host.files.set(path, file);
  host.unwritable.add('/here/MHSMsd.ps.json');
  const { warnings } = await runCmdlet(exportSecurityDomain, host, args);
  assert.equal(host.files.get(`/here/${fallback}`), domain);
  assert.match(warnings[0] ?? '', /the security domain is in '\/here\/contoso-security-domain/);

  const nowhere = new FullDisk(notActive([download()]));
  for (const [path, file] of machine([]).files) nowhere.files.set(path, file);
  for (const path of ['/here/MHSMsd.ps.json', `/here/${fallback}`, `/home/alice/${fallback}`]) nowhere.unwritable.add(path);
  await assert.rejects(runCmdlet(exportSecurityDomain, nowhere, args), { message: /it stands above: copy it/ });
  assert.deepEqual(nowhere.out, [`${domain}\n`]);
});

test('an activation that fails says why, and that the file is of no use', async () => {
  const failed: Exchange = { request: `GET ${pendingUrl}`, reply: { status: 'Failed', status_details: 'the disk is full' } };
  await assert.rejects(runCmdlet(exportSecurityDomain, machine([download(), failed]), args), (error: unknown) => {
    assert.ok(error instanceof ShellError);
    assert.equal(error.message, "'contoso' was not activated: the disk is full");
    assert.match(error.hints[0] ?? '', /is of no use/);
    return true;
  });
});

test('something that is no security domain for these custodians is kept and complained about', async () => {
  for (const wrong of ['{"version":1}', domainFor(['not', 'their', 'shares'])]) {
    const host = machine([download(wrong)]);
    await assert.rejects(
      runCmdlet(exportSecurityDomain, host, args),
      /is not a security domain for these 3 certificates and a quorum of 2/,
    );
    assert.equal(host.files.get('/here/MHSMsd.ps.json'), wrong);
  }
});

test('with -WhatIf the HSM stays as it is', async () => {
  const host = machine([]);
  await runCmdlet(exportSecurityDomain, host, args, { allowed: false });
  assert.deepEqual(host.requests, []);
});

test('who may not activate is told who may', async () => {
  const message =
    'Not authorized to access Microsoft.KeyVault/managedHsm/securitydomain/download/action on / (Activity ID: 4c9d5a9e-0000-11ef-8000-000000000000)';
  const refused: Exchange = { ...download(), status: 403, reply: { error: { code: 'AccessDenied', message } } };
  await assert.rejects(runCmdlet(exportSecurityDomain, machine([refused]), args), (error: unknown) => {
    assert.ok(error instanceof ShellError);
    assert.equal(
      error.message,
      '(AccessDenied) Not authorized to access Microsoft.KeyVault/managedHsm/securitydomain/download/action on /',
    );
    assert.equal(error.category, 'permission');
    assert.match(error.hints.join('\n'), /'securitydomain\/download\/action' at scope '\/', for example 'Managed HSM Administrator'/);
    return true;
  });
});

test('custodians that the service would refuse are refused before anything is sent, in its words', async () => {
  const same = machine([]);
  same.files.set('/here/cert_2.cer', new Uint8Array(pairs[0]?.der ?? []));
  const twin = machine([]);
  twin.files.set('/here/cert_1.cer', new Uint8Array(certifyAgain(pairs[0] ?? { pem: '', der: Buffer.alloc(0) }, 'again').der));
  const cases = [
    [machine([]), { ...args, Certificates: ['cert_0.cer', 'cert_1.cer'] }, /must be in the range \[3, 10\]; 2 were given/],
    [machine([]), { ...args, Quorum: 4 }, /The quorum is 4, but only 3 certificates were given; it must not exceed their number/],
    [same, args, /Certificates 1 \(cert_0.cer\) and 3 \(cert_2.cer\) are the same; each custodian needs a certificate of their own/],
    [twin, args, /Certificates 1 \(cert_0.cer\) and 2 \(cert_1.cer\) have the same public key; each custodian needs a key of their own/],
    [machine([]), { ...args, Certificates: ['cert_0.cer', 'cert_1.cer', 'gone.cer'] }, /'gone.cer' does not exist/],
  ] as const;
  for (const [host, given, message] of cases) {
    await assert.rejects(runCmdlet(exportSecurityDomain, host, { ...given }), { message });
    assert.deepEqual(host.requests, []);
  }
});

test('a certificate with a short key, an elliptic key, or no certificate at all is told apart', () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const short = makeNewPair('short', ['rsa:1024']);
  const elliptic = makeNewPair('elliptic', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']);
  assert.throws(
    () => readCertificate(short.der, 'It'),
    /It has an RSA key of 1024 bits; only RSA keys of at least 2048 bits are supported/,
  );
  assert.throws(() => readCertificate(elliptic.der, 'It'), /It has a key of another type; only RSA keys of at least 2048 bits/);
  assert.throws(() => readCertificate(bytes(pairs[0]?.pem ?? ''), 'It'), /It holds a private key, not a certificate/);
  assert.throws(() => readCertificate(bytes('hello'), 'It'), /It is not an X.509 certificate that can be read/);
  const der = new Uint8Array(pairs[0]?.der ?? []);
  for (const length of [1, 2, 5, 40, 200, der.length - 1]) {
    assert.throws(() => readCertificate(der.slice(0, length), 'It'), ShellError, `cut at ${length}`);
  }
});

test('a certificate gives its modulus, its size, its name and its end', () => {
  const pair = makeNewPair('Custodian Three', ['rsa:3072']);
  const certificate = readCertificate(pair.der, 'It');
  const known = new X509Certificate(pair.der);
  assert.equal(certificate.bits, 3072);
  assert.equal(certificate.commonName, 'Custodian Three');
  assert.equal(certificate.notAfter?.getTime(), known.validToDate.getTime());
  assert.equal(Buffer.from(certificate.modulus).toString('base64url'), known.publicKey.export({ format: 'jwk' }).n);
});
