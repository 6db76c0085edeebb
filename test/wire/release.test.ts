// Keys that leave and keys that are attested, over the whole service: a real attestation authority over TLS, its keys rolled over, the authority gone, slow and
// astray; roles; every thread; a restart; and the answers read by openssl alone.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { promisify } from 'node:util';
import { tellService } from '../../src/operator/control-file.ts';
import { type AttestationAuthority, openAttestationAuthority } from '../attestation-authority.ts';
import { type Got, type House, openHouse } from '../house.ts';
import { PROGRAM } from '../program.ts';
import { openssl } from '../tools.ts';
import { decipheredKey, unwrappedSecret, verifiedRelease } from '../unit/hsm/keys/at-the-target.ts';
import { type AuthorityKey, authorityKey, environment, policyData, token } from '../unit/hsm/keys/attested.ts';
import { activate, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'release';
const RELEASE_USER = '21dbd100-6940-42c2-9190-5d6cb909625c';
const MINUTE = 60_000;
const run = promisify(execFile);
const TEE = environment();

suite('release', () => {
  let house: House;
  let authority: AttestationAuthority;
  let folder: string;
  const [first, second] = [authorityKey('first'), authorityKey('second', 'ES384')];
  /** Test time, since the clock is moved. */
  let ahead = 0;

  before(async () => {
    authority = await openAttestationAuthority();
    authority.keys = [first];
    folder = await mkdtemp(join(tmpdir(), 'strongroom-release-'));
    house = await openHouse({ workers: 2, flags: ['--attestation-private-host', authority.host, '--attestation-ca', authority.caFile] });
    await house.provision(HSM);
    await activate(house, HSM);
    await grant(house, HSM, CRYPTO_USER, house.connection.user.objectId);
    await ask('POST', '/keys/k/create', {
      kty: 'EC',
      attributes: { exportable: true },
      release_policy: { data: policyData(authority.issuer, { color: 'red' }) },
    });
  });
  after(async () => {
    await house?.close();
    await authority?.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function ask(method: string, path: string, body?: unknown): Promise<Got> {
    const got = await house.hsm(HSM, method, path, body);
    assert.equal(got.status, 200, got.text);
    return got;
  }

  function attested(key: AuthorityKey = first, claims: object = {}): Promise<string> {
    return token(key, authority.issuer, Date.now() + ahead, TEE, { color: 'red', ...claims });
  }

  async function release(key?: AuthorityKey, bearer?: string): Promise<Got> {
    return house.hsm(HSM, 'POST', '/keys/k/release', { target: await attested(key) }, bearer);
  }

  function advance(milliseconds: number): void {
    ahead += milliseconds;
    house.advance(milliseconds);
  }

  async function released(got: Got): Promise<void> {
    assert.equal(got.status, 200, got.text);
    const { payload } = await verifiedRelease(got.json.value, `${HSM}.managedhsm.localhost`);
    assert.ok(decipheredKey(payload.response.key.key.key_hsm, TEE).length > 0);
  }

  function notAccepted(got: Got): void {
    assert.deepEqual([got.status, got.json.error.code, got.json.error.innererror.code], [403, 'Forbidden', 'AccessDenied'], got.text);
    assert.match(got.json.error.message, /^Target environment attestation statement cannot be verified\. \(Activity ID: /);
  }

  test('a key goes to the target that its authority attests, on every thread, and the authority is asked once by each', async () => {
    for (const got of await Promise.all(Array.from({ length: 24 }, () => release()))) await released(got);
    assert.ok(authority.asked.length <= 4, authority.asked.join());
    assert.deepEqual([...new Set(authority.asked)].sort(), ['/.well-known/openid-configuration', '/certs']);
  });

  test('all threads sign with the same key, under the root in the file that the connection names', async () => {
    const chains = new Set<string>();
    for (const { json } of await Promise.all(Array.from({ length: 12 }, () => release()))) {
      const { chain } = await verifiedRelease(json.value, `${HSM}.managedhsm.localhost`);
      chains.add(chain.map(({ fingerprint256 }) => fingerprint256).join());
      assert.equal(chain.at(-1)?.toString(), await readFile(house.connection.attestationRootFile, 'utf8'));
    }
    assert.equal(chains.size, 1);
  });

  test('who holds the release role and no other may release, and nothing else', async () => {
    const bearer = await house.token('application', 'hsm');
    assert.equal((await release(first, bearer)).json.error.code, 'AccessDenied');
    await grant(house, HSM, RELEASE_USER, house.connection.servicePrincipal.objectId);
    await released(await release(first, bearer));
    for (const path of ['/keys/k', '/keys/k/attestation']) assert.equal((await house.hsm(HSM, 'GET', path, undefined, bearer)).status, 403);
  });

  test('a token under a new key of the authority is accepted once the authority has it, and an old one no longer', async () => {
    notAccepted(await release(second));
    authority.keys = [second];
    advance(MINUTE);
    await Promise.all(Array.from({ length: 12 }, async () => released(await release(second))));
    advance(2 * 60 * MINUTE);
    await released(await release(second));
    await Promise.all(Array.from({ length: 12 }, async () => notAccepted(await release(first))));
  });

  test('while the authority is down its keys are believed for a day', async () => {
    authority.instead = (_path, response) => void response.destroy();
    advance(3 * 60 * MINUTE);
    await Promise.all(Array.from({ length: 12 }, async () => released(await release(second))));
    advance(24 * 60 * MINUTE);
    await Promise.all(Array.from({ length: 12 }, async () => notAccepted(await release(second))));
    authority.instead = undefined;
    advance(MINUTE);
    await Promise.all(Array.from({ length: 12 }, async () => released(await release(second))));
  });

  test('an authority that keeps one caller waiting keeps nobody else waiting', async () => {
    advance(2 * 60 * MINUTE);
    const answers: (() => void)[] = [];
    authority.instead = (path, response) => {
      answers.push(() => {
        authority.instead = undefined;
        const body =
          path === '/certs'
            ? { keys: authority.keys.map(({ kid, publicKey }) => ({ ...publicKey.export({ format: 'jwk' }), kid })) }
            : { issuer: authority.issuer, jwks_uri: `${authority.issuer}/certs` };
        response.writeHead(200).end(JSON.stringify(body));
      });
    };
    const waiting = Promise.all(Array.from({ length: 8 }, () => release(second)));
    while (answers.length === 0) await new Promise((soon) => setImmediate(soon));
    for (const got of await Promise.all(Array.from({ length: 20 }, () => house.hsm(HSM, 'GET', '/keys/k')))) assert.equal(got.status, 200);
    for (const answer of answers) answer();
    for (const got of await waiting) await released(got);
  });

  // biome-ignore format: a table reads by its columns
  const ASTRAY: readonly (readonly [what: string, policy: () => string, issuer: () => string])[] = [
    ['at a private address that the operator did not allow', () => 'https://127.0.0.1:1',                          () => 'https://127.0.0.1:1'],
    ['at a name of this machine',                            () => `https://localhost:${port()}`,                  () => `https://localhost:${port()}`],
    ['at the address of cloud metadata',                     () => 'https://169.254.169.254',                      () => 'https://169.254.169.254'],
    ['whose name leads nowhere',                             () => 'https://attest.invalid',                       () => 'https://attest.invalid'],
    ['that has nothing there',                               () => `${authority.issuer}/tenant`,                   () => `${authority.issuer}/tenant`],
    ['that the policy does not name',                        () => 'https://attest.invalid',                       () => authority.issuer],
  ];

  for (const [what, policy, issuer] of ASTRAY) {
    test(`an authority ${what} attests nothing`, async () => {
      await ask('POST', '/keys/astray/create', {
        kty: 'oct',
        attributes: { exportable: true },
        release_policy: { data: policyData(policy(), { color: 'red' }) },
      });
      const before = authority.asked.length;
      notAccepted(await house.hsm(HSM, 'POST', '/keys/astray/release', { target: await attested(second, { iss: issuer() }) }));
      const asked = authority.asked.slice(before);
      assert.ok(
        asked.every((path) => path === '/tenant/.well-known/openid-configuration'),
        asked.join(),
      );
    });
  }

  function port(): string {
    return new URL(authority.issuer).port;
  }

  test('a key that was wrapped for attested targets is unwrapped for one', async () => {
    const policy = { data: policyData(authority.issuer, { color: 'red' }) };
    await ask('POST', '/keys/w/create', { kty: 'RSA', key_ops: ['secureWrapKey', 'secureUnwrapKey'], release_policy: policy });
    const version = '?api-version=2026-07-01-preview';
    const { value } = (await ask('POST', `/keys/w/securewrapkey${version}`, { alg: 'RSA-OAEP-256' })).json;
    const body = { alg: 'RSA-OAEP-256', value, target: await attested(second), applicationTrustedIssuer: authority.issuer };
    const unwrapped = (await ask('POST', `/keys/w/secureunwrapkey${version}`, body)).json;
    assert.equal(unwrappedSecret(unwrapped.value, TEE).length, 32);
    notAccepted(
      await house.hsm(HSM, 'POST', `/keys/w/secureunwrapkey${version}`, { ...body, target: await attested(second, { color: 'blue' }) }),
    );
  });

  test('a saved attestation is verified by the command line, and openssl reads its chain', async (t) => {
    const answer = join(folder, 'answer.json');
    await writeFile(answer, (await ask('GET', '/keys/k/attestation?api-version=7.6')).text);
    const strongroom = (...args: readonly string[]) => run(process.execPath, [PROGRAM, ...args]);
    const { stdout } = await strongroom('--data', house.dataFolder, 'verify-attestation', answer);
    assert.match(stdout, /^holds {2}the chain ends in the root that is trusted$/m);
    assert.match(stdout, /^says {3}protection: software\./m);
    assert.match(stdout, /^the attestation holds$/m);
    assert.doesNotMatch(stdout, /FAILS/);
    const root = join(folder, 'root.pem');
    await writeFile(root, await readFile(house.connection.attestationRootFile));
    assert.match((await strongroom('verify-attestation', '--root', root, answer)).stdout, /^the attestation holds$/m);

    const program = await openssl();
    if ('missing' in program) return t.skip(program.missing);
    const { certificatePemFile } = JSON.parse(await readFile(answer, 'utf8')).attributes.attestation;
    const chain = join(folder, 'chain.pem');
    await writeFile(chain, Buffer.from(certificatePemFile, 'base64url'));
    const verified = await run(program.path, [
      'verify',
      '-x509_strict',
      '-CAfile',
      root,
      '-untrusted',
      chain,
      '-verify_hostname',
      `${HSM}.managedhsm.localhost`,
      chain,
    ]);
    assert.match(verified.stdout, /chain\.pem: OK/);
  });

  test('a new root key and a restart leave every signer as it was', async () => {
    const leaf = async () =>
      (await verifiedRelease((await release(second)).json.value, `${HSM}.managedhsm.localhost`)).chain.map(
        ({ serialNumber }) => serialNumber,
      );
    const before = await leaf();
    await tellService(house.dataFolder, 'root-key/rotate', { lock: 'no' });
    assert.deepEqual(await leaf(), before);
    await house.restart();
    assert.deepEqual(await leaf(), before);
    assert.equal(new X509Certificate(await readFile(house.connection.attestationRootFile)).serialNumber, before[2]);
  });
});
