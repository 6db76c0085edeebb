// The openssl command beside the service: certificates in, signatures out, ciphertexts both ways, and the TLS that carries it all.

import assert from 'node:assert/strict';
import { createHash, createPublicKey, randomBytes, randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, type TestContext, test } from 'node:test';
import { openssl } from '../tools.ts';
import { type Plain, signIn } from './plain.ts';
import { run, type Service, startService } from './service.ts';

const HSM = 'openssl-story';
const CRYPTO_USER = 'Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/21dbd100-6940-42c2-9190-5d6cb909625b';
const MESSAGE = 'a message that is signed';

interface Stage {
  readonly service: Service;
  readonly plain: Plain;
  readonly command: string;
  /** The security-domain file of the activated HSM. */
  readonly domain: SecurityDomain;
}

interface SecurityDomain {
  readonly SharedKeys: { readonly enc_shares: readonly { readonly enc_key: string; readonly x5t_256: string }[] };
}

suite('openssl', () => {
  let stage: Stage | string = 'not begun';
  before(async () => {
    stage = await setStage();
  });
  after(async () => {
    if (typeof stage !== 'string') await stage.service.stop();
  });

  function story(title: string, tell: (on: Stage) => Promise<void>): void {
    test(title, (t: TestContext) => (typeof stage === 'string' ? t.skip(stage) : tell(stage)));
  }

  story('each share of the security domain opens with the private key of its certificate', async (on) => {
    for (const index of [0, 1, 2]) {
      const certificate = await opensslRun(on, 'x509', '-in', `cert_${index}.cer`, '-outform', 'DER', '-out', 'cert.der').then(() =>
        file(on, 'cert.der'),
      );
      const share = on.domain.SharedKeys.enc_shares[index];
      assert.ok(share);
      assert.equal(share.x5t_256, createHash('sha256').update(certificate).digest('base64url'));
      writeFileSync(join(on.service.folder, 'share'), Buffer.from(share.enc_key.split('.')[1] ?? '', 'base64url'));
      await opensslRun(on, 'pkeyutl', '-decrypt', '-inkey', `cert_${index}.key`, ...OAEP_256, '-in', 'share', '-out', 'opened');
      // The content key of A256CBC-HS512, under which the share itself is.
      assert.equal(file(on, 'opened').length, 64);
    }
  });

  story('openssl verifies what an RSA key signs, with both paddings', async (on) => {
    await makeKey(on, 'rsa', { kty: 'RSA-HSM', key_size: 2048 });
    for (const [algorithm, options] of [
      ['RS256', []],
      ['PS256', ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:digest']],
    ] as const) {
      writeFileSync(join(on.service.folder, 'signature'), await sign(on, 'rsa', algorithm, 'sha256'));
      await verifies(on, 'rsa', 'sha256', options);
    }
  });

  story('openssl verifies what keys on all four curves sign', async (on) => {
    for (const [name, crv, algorithm, hash] of [
      ['p256', 'P-256', 'ES256', 'sha256'],
      ['p256k', 'P-256K', 'ES256K', 'sha256'],
      ['p384', 'P-384', 'ES384', 'sha384'],
      ['p521', 'P-521', 'ES512', 'sha512'],
    ] as const) {
      await makeKey(on, name, { kty: 'EC-HSM', crv });
      writeFileSync(join(on.service.folder, 'signature'), asDer(await sign(on, name, algorithm, hash)));
      await verifies(on, name, hash, []);
    }
  });

  story('what openssl encrypts to the public key, the HSM decrypts', async (on) => {
    await makeKey(on, 'box', { kty: 'RSA-HSM', key_size: 2048 });
    const secret = randomBytes(32);
    writeFileSync(join(on.service.folder, 'secret'), secret);
    await opensslRun(on, 'pkeyutl', '-encrypt', '-pubin', '-inkey', 'box.pem', ...OAEP_256, '-in', 'secret', '-out', 'sealed');
    const value = file(on, 'sealed').toString('base64url');
    const answer = await on.plain.hsm(HSM, 'POST', '/keys/box/decrypt', { alg: 'RSA-OAEP-256', value });
    assert.equal(answer.json.value, secret.toString('base64url'), JSON.stringify(answer.json));
  });

  story('openssl trusts the certificate that the service shows for the name of an HSM', async (on) => {
    const { caFile, managedHsmSuffix } = on.service.connection;
    const [domain = '', port = '443'] = managedHsmSuffix.split(':');
    const name = `${HSM}.${domain}`;
    const words = ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', name, '-verify_hostname', name, '-verify_return_error'];
    const shown = await opensslRun(on, ...words, '-CAfile', caFile);
    assert.match(shown, /Verification: OK|Verify return code: 0 \(ok\)/);
  });
});

const OAEP_256 = ['-pkeyopt', 'rsa_padding_mode:oaep', '-pkeyopt', 'rsa_oaep_md:sha256', '-pkeyopt', 'rsa_mgf1_md:sha256'] as const;

/** An activated HSM whose custodians came from the three lines of the quickstart. */
async function setStage(): Promise<Stage | string> {
  const command = await openssl();
  if ('missing' in command) return command.missing;
  const service = await startService();
  const plain = await signIn(service.connection);
  const { tenantId, servicePrincipal } = service.connection;
  const place = '/resourcegroups/openssl-group';
  await plain.arm('PUT', place, { location: 'norwayeast' });
  const created = await plain.arm('PUT', `${place}/providers/Microsoft.KeyVault/managedHSMs/${HSM}`, {
    location: 'norwayeast',
    sku: { family: 'B', name: 'Standard_B1' },
    properties: { tenantId, initialAdminObjectIds: [servicePrincipal.objectId] },
  });
  assert.equal(created.status, 200, JSON.stringify(created.json));
  const certificates = [];
  for (const index of [0, 1, 2]) {
    const words = [
      'req',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      `cert_${index}.key`,
      '-x509',
      '-days',
      '365',
      '-out',
      `cert_${index}.cer`,
    ];
    const made = await run([command.path, ...words, '-subj', `/CN=custodian ${index}`], service.folder, process.env);
    assert.equal(made.status, 0, made.stderr);
    const pem = readFileSync(join(service.folder, `cert_${index}.cer`), 'utf8');
    certificates.push({ kty: 'RSA', x5c: [pem.replace(/-----[^-]+-----|\s/g, '')] });
  }
  const download = await plain.hsm(HSM, 'POST', '/securitydomain/download', { required: 2, certificates });
  assert.equal(download.status, 202, JSON.stringify(download.json));
  while ((await plain.hsm(HSM, 'GET', '/securitydomain/download/pending')).json.status === 'InProgress');
  const role = { roleDefinitionId: CRYPTO_USER, principalId: servicePrincipal.objectId };
  const path = `/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}`;
  assert.equal((await plain.hsm(HSM, 'PUT', path, { properties: role })).status, 201);
  return { service, plain, command: command.path, domain: JSON.parse(String(download.json.value)) };
}

async function opensslRun(on: Stage, ...words: readonly string[]): Promise<string> {
  const ended = await run([on.command, ...words], on.service.folder, process.env);
  assert.equal(ended.status, 0, `openssl ${words.join(' ')}: ${ended.stderr}`);
  return ended.stdout;
}

function file(on: Stage, name: string): Buffer {
  return readFileSync(join(on.service.folder, name));
}

/** Makes the key and writes its public half as `{name}.pem`. */
async function makeKey(on: Stage, name: string, request: Readonly<Record<string, unknown>>): Promise<void> {
  const { status, json } = await on.plain.hsm(HSM, 'POST', `/keys/${name}/create`, request);
  assert.equal(status, 200, JSON.stringify(json));
  const { kty, crv, n, e, x, y }: Record<string, string> = Object(json.key);
  const standard = { kty: kty?.replace('-HSM', ''), crv: crv === 'P-256K' ? 'secp256k1' : crv, n, e, x, y };
  const present = Object.fromEntries(Object.entries(standard).filter(([, member]) => member !== undefined));
  const key = createPublicKey({ key: present, format: 'jwk' });
  writeFileSync(join(on.service.folder, `${name}.pem`), key.export({ type: 'spki', format: 'pem' }));
}

/** The service signs digests; the message stays here. */
async function sign(on: Stage, name: string, alg: string, hash: string): Promise<Buffer> {
  writeFileSync(join(on.service.folder, 'message'), MESSAGE);
  const value = createHash(hash).update(MESSAGE).digest('base64url');
  const { status, json } = await on.plain.hsm(HSM, 'POST', `/keys/${name}/sign`, { alg, value });
  assert.equal(status, 200, JSON.stringify(json));
  return Buffer.from(String(json.value), 'base64url');
}

async function verifies(on: Stage, name: string, hash: string, options: readonly string[]): Promise<void> {
  const said = await opensslRun(on, 'dgst', `-${hash}`, ...options, '-verify', `${name}.pem`, '-signature', 'signature', 'message');
  assert.equal(said.trim(), 'Verified OK');
}

/** r‖s, as the service writes it, to the DER sequence that openssl reads. */
function asDer(signature: Buffer): Buffer {
  const half = signature.length / 2;
  const parts = Buffer.concat([derInteger(signature.subarray(0, half)), derInteger(signature.subarray(half))]);
  return Buffer.concat([Buffer.of(0x30, ...(parts.length < 128 ? [] : [0x81]), parts.length), parts]);
}

function derInteger(bytes: Buffer): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0);
  const value = first === -1 ? Buffer.of(0) : bytes.subarray(first);
  const padded = (value[0] ?? 0) < 0x80 ? value : Buffer.concat([Buffer.of(0), value]);
  return Buffer.concat([Buffer.of(0x02, padded.length), padded]);
}
