// Every cmdlet for keys, in the language that people write them in, against the whole service: what one puts out is what the next one takes.

import assert from 'node:assert/strict';
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, publicEncrypt, randomBytes, verify } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { runByok } from '../../src/byok.ts';
import { cmdlets, openSession } from '../../src/shell/cmdlets/all.ts';
import type { Host } from '../../src/shell/host.ts';
import { runScript } from '../../src/shell/main.ts';
import { nodeHost } from '../../src/shell/node-host.ts';
import { runVerifyAttestation } from '../../src/verify-attestation.ts';
import { type AttestationAuthority, openAttestationAuthority } from '../attestation-authority.ts';
import { type House, openHouse } from '../house.ts';
import { rsaPair } from '../rsa-pairs.ts';
import { decipheredKey, unwrappedSecret, verifiedRelease } from '../unit/hsm/keys/at-the-target.ts';
import { authorityKey, environment, policyData, token } from '../unit/hsm/keys/attested.ts';
import { activate, CRYPTO_OFFICER, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'cmdlets';

suite('the cmdlets for keys', () => {
  let house: House;
  let authority: AttestationAuthority;
  before(async () => {
    authority = await openAttestationAuthority();
    house = await openHouse({ flags: ['--attestation-private-host', authority.host, '--attestation-ca', authority.caFile] });
    await house.provision(HSM);
    await activate(house, HSM);
    for (const role of [CRYPTO_USER, CRYPTO_OFFICER]) await grant(house, HSM, role, house.connection.user.objectId);
  });
  after(async () => {
    await house?.close();
    await authority?.close();
  });

  function at(name: string): string {
    return join(house.dataFolder, '..', name);
  }

  interface Ran {
    readonly status: number;
    readonly out: string;
    readonly errors: string;
  }

  /** Runs lines in which `FOLDER` stands for a folder of the test's own. */
  async function ran(text: string): Promise<Ran> {
    const said = { out: '', errors: '' };
    const host: Host = {
      ...nodeHost(),
      stdout: (piece) => {
        said.out += piece;
      },
      stderr: (piece) => {
        said.errors += piece;
      },
    };
    const script = text.replaceAll('FOLDER', join(house.dataFolder, '..'));
    const status = await runScript(script, host, openSession(host, { data: house.dataFolder }), cmdlets);
    return { status, ...said };
  }

  async function shows(text: string): Promise<string> {
    const { status, out, errors } = await ran(text);
    assert.equal(status, 0, errors);
    return out;
  }

  test('keys of every type are made, listed, changed, deleted, brought back and purged', async () => {
    const out = await shows(`
      $hsm = Get-AzKeyVaultManagedHsm -Name ${HSM}
      $hsm | Add-AzKeyVaultKey -Name rsa -KeyType RSA -Size 3072 -Destination HSM | Out-Null
      Add-AzKeyVaultKey -VaultName ${HSM} -Name ec -KeyType EC -CurveName P-521 -Tag @{team='blue'} | Out-Null
      Add-AzKeyVaultKey -ResourceId $hsm.ResourceId -Name oct -KeyType oct -Size 128 -KeyOps encrypt, decrypt -Disable | Out-Null
      Add-AzKeyVaultKey ${HSM} oct -KeyType oct -Size 256 | Out-Null
      Add-AzKeyVaultKey ${HSM} pq -KeyType AKP -Algorithm ML-DSA-44 | Out-Null
      (Get-AzKeyVaultKey -HsmName ${HSM}).Name
      (Get-AzKeyVaultKey ${HSM} oct -IncludeVersions | Measure-Object).Count
      Get-AzKeyVaultKey ${HSM} ec | Update-AzKeyVaultKey -Enable $false -KeyOps sign -Tag @{team='red'} -Expires 2040-01-01
      $key = Get-AzKeyVaultKey ${HSM} ec
      "$($key.KeySize) $($key.Enabled) $($key.KeyOps) $($key.Tags.team) $($key.Expires.Year)"
      Get-AzKeyVaultKey ${HSM} -Name o* | Remove-AzKeyVaultKey -Force -WarningAction Ignore
      Get-AzKeyVaultKey ${HSM} -InRemovedState | Undo-AzKeyVaultKeyRemoval | Out-Null
      Remove-AzKeyVaultKey ${HSM} oct -Force -WarningAction Ignore
      Remove-AzKeyVaultKey ${HSM} oct -Force -InRemovedState
      (Get-AzKeyVaultKey ${HSM}).Name
    `);
    assert.deepEqual(out.trim().split('\n'), ['ec', 'oct', 'pq', 'rsa', '2', '521 False sign red 2040', 'ec', 'pq', 'rsa']);
  });

  test('what does not go together, and what is for vaults, is refused in words', async () => {
    for (const [line, words] of [
      [`Get-AzKeyVaultKey ${HSM} x -Version ${'0'.repeat(32)} -IncludeVersions`, /Parameter set cannot be resolved/],
      [`Add-AzKeyVaultKey ${HSM} x -KeyFilePath f -Size 2048`, /Parameter set cannot be resolved/],
      [`Add-AzKeyVaultKey ${HSM} x -KeyType RSA -Destination Software`, /no software-protected keys/],
      ['Get-AzKeyVaultKey -ResourceId /subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v', /is a key vault/],
    ] as const) {
      const { status, errors } = await ran(line);
      assert.equal(status, 1, line);
      assert.match(errors, words);
    }
  });

  test('a key is rotated by its policy, and carried away and back', async () => {
    const out = await shows(`
      Add-AzKeyVaultKey ${HSM} turning -KeyType EC | Out-Null
      Set-AzKeyVaultKeyRotationPolicy -HsmName ${HSM} -Name turning -ExpiresIn P90D -KeyRotationLifetimeAction @{Action='Rotate'; TimeBeforeExpiry='P30D'} | Out-Null
      $policy = Get-AzKeyVaultKey ${HSM} turning | Get-AzKeyVaultKeyRotationPolicy
      $policy.ExpiresIn = 'P60D'
      ($policy | Set-AzKeyVaultKeyRotationPolicy).ExpiresIn
      Invoke-AzKeyVaultKeyRotation -VaultName ${HSM} -Name turning | Out-Null
      (Get-AzKeyVaultKey ${HSM} turning -IncludeVersions | Measure-Object).Count
      $file = Get-AzKeyVaultKey ${HSM} turning | Backup-AzKeyVaultKey -OutputFile FOLDER/turning.backup
      Remove-AzKeyVaultKey ${HSM} turning -Force -WarningAction Ignore
      Remove-AzKeyVaultKey ${HSM} turning -Force -InRemovedState
      (Restore-AzKeyVaultKey -HsmName ${HSM} -InputFile $file).Name
      (Get-AzKeyVaultKey ${HSM} turning -IncludeVersions | Measure-Object).Count
      Set-AzKeyVaultKeyRotationPolicy ${HSM} turning -KeyRotationLifetimeAction @() | Out-Null
      "none: $((Get-AzKeyVaultKeyRotationPolicy ${HSM} turning).Id)"
    `);
    assert.deepEqual(out.trim().split('\n'), ['P60D', '2', 'turning', '2', 'none:']);
  });

  test('every operation with every kind of key: what one does, its other half undoes', async () => {
    writeFileSync(at('plain'), randomBytes(32));
    const rows: readonly (readonly [add: string, operation: string, back: string, algorithms: readonly string[]])[] = [
      ['-KeyType RSA', 'Encrypt', 'Decrypt', ['RSA1_5', 'RSA-OAEP', 'RSA-OAEP-256']],
      ['-KeyType RSA', 'Wrap', 'Unwrap', ['RSA1_5', 'RSA-OAEP', 'RSA-OAEP-256']],
      ['-KeyType oct -Size 128', 'Wrap', 'Unwrap', ['A128KW', 'CKM_AES_KEY_WRAP', 'CKM_AES_KEY_WRAP_PAD']],
      ['-KeyType oct -Size 192', 'Wrap', 'Unwrap', ['A192KW']],
      ['-KeyType oct -Size 256', 'Wrap', 'Unwrap', ['A256KW']],
      ['-KeyType oct -Size 128', 'Encrypt', 'Decrypt', ['A128CBC', 'A128CBCPAD', 'A128GCM']],
      ['-KeyType oct -Size 192', 'Encrypt', 'Decrypt', ['A192CBC', 'A192CBCPAD', 'A192GCM']],
      ['-KeyType oct -Size 256', 'Encrypt', 'Decrypt', ['A256CBC', 'A256CBCPAD', 'A256GCM']],
    ];
    const lines = rows.flatMap(([add, operation, back, algorithms]) => [
      `Add-AzKeyVaultKey ${HSM} used ${add} | Out-Null`,
      ...algorithms.flatMap((algorithm) => {
        const call = `Invoke-AzKeyVaultKeyOperation -HsmName ${HSM} -Name used -Algorithm ${algorithm}`;
        const iv = algorithm.includes('CBC') ? '-Iv (1..16)' : '';
        const opening = algorithm.includes('GCM') ? '-Iv $there.Iv -AuthenticationTag $there.AuthenticationTag' : iv;
        return [
          `$there = ${call} -Operation ${operation} -InFile FOLDER/plain ${iv}`,
          `${call} -Operation ${back} -ByteArrayValue $there.RawResult ${opening} -OutFile FOLDER/${back}-${algorithm} | Out-Null`,
        ];
      }),
    ]);
    await shows(lines.join('\n'));
    for (const [, , back, algorithms] of rows)
      for (const algorithm of algorithms) assert.deepEqual(readFileSync(at(`${back}-${algorithm}`)), readFileSync(at('plain')), algorithm);
  });

  test('every signature is its own key’s over its own value alone', async () => {
    const rows: readonly (readonly [add: string, bytes: number, algorithms: readonly string[]])[] = [
      ['-KeyType RSA', 32, ['RS256', 'PS256', 'RSNULL']],
      ['-KeyType RSA', 48, ['RS384', 'PS384']],
      ['-KeyType RSA', 64, ['RS512', 'PS512']],
      ['-KeyType EC -CurveName P-256', 32, ['ES256']],
      ['-KeyType EC -CurveName P-256K', 32, ['ES256K']],
      ['-KeyType EC -CurveName P-384', 48, ['ES384']],
      ['-KeyType EC -CurveName P-521', 64, ['ES512']],
      ['-KeyType oct', 32, ['HS256', 'HS384', 'HS512']],
      ['-KeyType AKP -Algorithm ML-DSA-44', 32, ['ML-DSA-44']],
      ['-KeyType AKP -Algorithm ML-DSA-65', 32, ['ML-DSA-65']],
      ['-KeyType AKP -Algorithm ML-DSA-87', 32, ['ML-DSA-87']],
    ];
    for (const bytes of [32, 48, 64]) for (const name of ['value', 'other']) writeFileSync(at(`${name}-${bytes}`), randomBytes(bytes));
    const lines = rows.flatMap(([add, bytes, algorithms]) => [
      `Add-AzKeyVaultKey ${HSM} signs ${add} | Out-Null`,
      ...algorithms.flatMap((algorithm) => {
        const call = `Invoke-AzKeyVaultKeyOperation ${HSM} signs -Algorithm ${algorithm} ${algorithm.startsWith('ML-DSA') ? '-Context "letters"' : ''}`;
        return [
          `$signature = (${call} -Operation Sign -InFile FOLDER/value-${bytes}).RawResult`,
          `$right = (${call} -Operation Verify -InFile FOLDER/value-${bytes} -Signature $signature).IsValid`,
          `$wrong = (${call} -Operation Verify -InFile FOLDER/other-${bytes} -Signature $signature).IsValid`,
          `"${algorithm} $right $wrong"`,
        ];
      }),
    ]);
    const out = await shows(lines.join('\n'));
    assert.deepEqual(
      out.trim().split('\n'),
      rows.flatMap(([, , algorithms]) => algorithms.map((algorithm) => `${algorithm} True False`)),
    );
  });

  test('keys come from PEM, raw and .byok files, and do what they did before', async () => {
    const { privateKey, publicKey } = rsaPair(2048);
    writeFileSync(at('mine.pem'), privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'sésame' }));
    const ec = generateKeyPairSync('ec', { namedCurve: 'secp384r1' });
    writeFileSync(at('ec.pem'), ec.privateKey.export({ type: 'sec1', format: 'pem' }));
    const secret = randomBytes(32);
    writeFileSync(at('secret'), secret);
    await shows(`
      Add-AzKeyVaultKey ${HSM} mine -KeyFilePath FOLDER/mine.pem -KeyFilePassword (ConvertTo-SecureString 'sésame' -AsPlainText -Force) -KeyType RSA-HSM | Out-Null
      Add-AzKeyVaultKey ${HSM} kek -KeyType RSA -KeyOps import -OutFile FOLDER/kek.pem | Out-Null
      (Get-AzKeyVaultKey ${HSM} kek).Id > FOLDER/kid
    `);
    const kid = readFileSync(at('kid'), 'utf8').trim();
    for (const [key, more] of [
      ['ec.pem', []],
      ['secret', ['--raw']],
    ] as const) {
      const host: Host = { ...nodeHost(), stderr: () => undefined };
      const files = ['--key', at(key), '--kek', at('kek.pem'), '--kid', kid, '--out', at(`${key}.byok`)];
      assert.equal(await runByok(['wrap', ...files, ...more], host), 0);
    }
    const letter = Buffer.from('a letter');
    writeFileSync(at('value'), publicEncrypt({ key: publicKey, oaepHash: 'sha256' }, letter));
    writeFileSync(at('digest'), createHash('sha384').update(letter).digest());
    await shows(`
      Invoke-AzKeyVaultKeyOperation ${HSM} mine -Operation Decrypt -Algorithm RSA-OAEP-256 -InFile FOLDER/value -OutFile FOLDER/plain | Out-Null
      Add-AzKeyVaultKey ${HSM} brought -KeyType EC -CurveName P-384 -KeyFilePath FOLDER/ec.pem.byok -KeyOps sign | Out-Null
      Invoke-AzKeyVaultKeyOperation ${HSM} brought -Operation Sign -Algorithm ES384 -InFile FOLDER/digest -OutFile FOLDER/signature | Out-Null
      Add-AzKeyVaultKey ${HSM} wrapped -KeyType oct -KeyFilePath FOLDER/secret.byok | Out-Null
      Add-AzKeyVaultKey ${HSM} bare -KeyType oct -KeyFilePath FOLDER/secret | Out-Null
      $there = Invoke-AzKeyVaultKeyOperation ${HSM} wrapped -Operation Wrap -Algorithm A256KW -InFile FOLDER/secret
      Invoke-AzKeyVaultKeyOperation ${HSM} bare -Operation Unwrap -Algorithm A256KW -ByteArrayValue $there.RawResult -OutFile FOLDER/back | Out-Null
    `);
    assert.deepEqual(readFileSync(at('plain')), letter);
    assert.ok(verify('sha384', letter, { key: ec.publicKey, dsaEncoding: 'ieee-p1363' }, readFileSync(at('signature'))));
    assert.deepEqual(readFileSync(at('back')), secret);
  });

  test('a key leaves for whom its policy says, a fresh one is unwrapped for it, and what the HSM says of a key can be checked', async () => {
    const [signer, tee] = [authorityKey(), environment()];
    authority.keys = [signer];
    writeFileSync(at('policy.json'), Buffer.from(policyData(authority.issuer, { color: 'red' }), 'base64url'));
    writeFileSync(at('token'), `${await token(signer, authority.issuer, Date.now(), tee, { color: 'red' })}\n`);
    const out = await shows(`
      Add-AzKeyVaultKey ${HSM} leaves -KeyType EC -Exportable -ReleasePolicyPath FOLDER/policy.json | Out-Null
      Get-AzKeyVaultKey ${HSM} leaves | Invoke-StrongroomKeyRelease -TargetFile FOLDER/token -Nonce once -Encryption RSA_AES_KEY_WRAP_256 -OutFile FOLDER/release | Out-Null
      Get-StrongroomKeyAttestation ${HSM} leaves -OutFile FOLDER/attestation.json | Out-Null
      Add-AzKeyVaultKey ${HSM} secure -KeyType oct -KeyOps secureWrapKey, secureUnwrapKey -ReleasePolicyPath FOLDER/policy.json | Out-Null
      $call = @{ HsmName = '${HSM}'; Name = 'secure'; Algorithm = 'A256KWPAD' }
      $wrapped = Invoke-AzKeyVaultKeyOperation @call -Operation SecureWrap
      Invoke-AzKeyVaultKeyOperation @call -Operation SecureUnwrap -ByteArrayValue $wrapped.RawResult -TargetFile FOLDER/token -OutFile FOLDER/opened | Out-Null
      Update-AzKeyVaultKey ${HSM} leaves -Immutable
      (Get-AzKeyVaultKey ${HSM} leaves).Name
    `);
    assert.equal(out.trim(), 'leaves');
    const { payload } = await verifiedRelease(readFileSync(at('release'), 'utf8'), `${HSM}.managedhsm.localhost`);
    assert.deepEqual([payload.request.nonce, payload.request.enc], ['once', 'RSA_AES_KEY_WRAP_256']);
    const released = createPrivateKey({ key: decipheredKey(payload.response.key.key.key_hsm, tee), format: 'der', type: 'pkcs8' });
    const { x, y } = (await house.hsm(HSM, 'GET', '/keys/leaves')).json.key;
    assert.deepEqual(createPublicKey(released).export({ format: 'jwk' }), { kty: 'EC', crv: 'P-256', x, y });
    assert.equal(unwrappedSecret(readFileSync(at('opened')).toString('base64url'), tee).length, 32);
    const said: string[] = [];
    const root = ['--root', house.connection.attestationRootFile];
    assert.equal(await runVerifyAttestation([at('attestation.json'), ...root], (line) => void said.push(line)), 0, said.join(''));
    assert.match((await ran(`Update-AzKeyVaultKey ${HSM} leaves -ReleasePolicyPath FOLDER/token`)).errors, /is not a JSON document/);
    writeFileSync(at('other.json'), Buffer.from(policyData(authority.issuer, { color: 'blue' }), 'base64url'));
    const { errors } = await ran(`Update-AzKeyVaultKey ${HSM} leaves -ReleasePolicyPath FOLDER/other.json`);
    assert.match(errors, /Immutable Key Release Policy cannot be modified/);
  });

  test('what a release needs is asked for before anything is sent', async () => {
    writeFileSync(at('no-token'), 'x');
    for (const [line, words] of [
      [`Invoke-StrongroomKeyRelease ${HSM} leaves -TargetFile FOLDER/no-token`, /is not an attestation token/],
      [
        `Invoke-AzKeyVaultKeyOperation ${HSM} secure -Operation SecureUnwrap -Algorithm A256KW -ByteArrayValue 1`,
        /for whom\? give the attestation token/,
      ],
      [`Invoke-AzKeyVaultKeyOperation ${HSM} secure -Operation SecureWrap -Algorithm A256KW -ByteArrayValue 1`, /give it no value/],
    ] as const) {
      assert.match((await ran(line)).errors, words);
    }
  });

  test('random numbers come as bytes and as base64', async () => {
    const out = await shows(`
      (Get-AzKeyVaultRandomNumber ${HSM} -Count 5 | Measure-Object).Count
      Get-AzKeyVaultManagedHsm -Name ${HSM} | Get-AzKeyVaultRandomNumber -Count 30 -AsBase64String
    `);
    assert.match(out, /^5\n[A-Za-z0-9+/]{40}\n$/);
  });
});
