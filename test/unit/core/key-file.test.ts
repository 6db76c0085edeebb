// Private keys from the files of other programs, PKCS#12 as openssl writes it above all: with every kind of protection, and without.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { KeyFileError, openKeyFile } from '../../../src/core/key-file.ts';
import { rsaPair } from '../../rsa-pairs.ts';
import { openssl } from '../../tools.ts';

const PASSWORD = 'sésame, ouvre-toi';
const rsa = rsaPair(2048).privateKey;
const ec = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey;

function publicPart(key: KeyObject): string {
  return createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString();
}

async function refuses(file: Uint8Array, password: string | undefined, reason: KeyFileError['reason'], words: RegExp): Promise<void> {
  await assert.rejects(openKeyFile(file, password), (error) => {
    assert.ok(error instanceof KeyFileError, String(error));
    assert.equal(error.reason, reason);
    assert.match(error.message, words);
    return true;
  });
}

test('PEM and PKCS#8, protected or not', async () => {
  const sealed = { cipher: 'aes-256-cbc', passphrase: PASSWORD };
  const open = [
    rsa.export({ type: 'pkcs8', format: 'pem' }),
    rsa.export({ type: 'pkcs1', format: 'pem' }),
    `Bag Attributes\n    friendlyName: mine\n${rsa.export({ type: 'pkcs8', format: 'pem' })}`,
    rsa.export({ type: 'pkcs8', format: 'der' }),
  ];
  for (const file of open) assert.equal(publicPart(await openKeyFile(Buffer.from(file), undefined)), publicPart(rsa));
  for (const file of [
    rsa.export({ type: 'pkcs8', format: 'pem', ...sealed }),
    rsa.export({ type: 'pkcs1', format: 'pem', ...sealed }),
    rsa.export({ type: 'pkcs8', format: 'der', ...sealed }),
  ]) {
    assert.equal(publicPart(await openKeyFile(Buffer.from(file), PASSWORD)), publicPart(rsa));
    await refuses(Buffer.from(file), undefined, 'protected', /^it is protected by a password$/);
    await refuses(Buffer.from(file), 'wrong', 'wrong password', /^the password does not open it$/);
  }
});

test('a wrong password is called that also when the file decrypts to something under it, as one file in 256 does', async () => {
  const file = Buffer.from(ec.export({ type: 'sec1', format: 'pem', cipher: 'aes-256-cbc', passphrase: PASSWORD }));
  for (let round = 0; round < 1500; round += 1) await refuses(file, `wrong ${round}`, 'wrong password', /^the password does not open it$/);
});

test('what is no private key', async () => {
  const nothing = [
    Buffer.alloc(0),
    Buffer.from('text'),
    Buffer.from(publicPart(rsa)),
    Buffer.of(0x30, 3, 2, 1, 3),
    Buffer.of(0x30, 0x82, 1, 0, 2, 1, 3),
  ];
  for (const file of nothing) for (const password of [undefined, 'x']) await refuses(file, password, 'unreadable', /^it is no /);
  await refuses(Buffer.alloc((1 << 20) + 1), undefined, 'unreadable', /^it is too long/);
});

suite('PKCS#12', () => {
  let folder: string;
  let program: string | undefined;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'strongroom-pfx-'));
    const found = await openssl();
    program = 'path' in found ? found.path : undefined;
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  function pfx(key: KeyObject, ...options: readonly string[]): Buffer {
    const at = (name: string): string => join(folder, name);
    const run = (...args: readonly string[]) =>
      execFileSync(program ?? '', args, { stdio: 'pipe', env: { ...process.env, PFX: PASSWORD } });
    writeFileSync(at('key'), key.export({ type: 'pkcs8', format: 'pem' }));
    run('req', '-x509', '-key', at('key'), '-out', at('cert'), '-subj', '/CN=pfx', '-days', '10');
    run('pkcs12', '-export', '-inkey', at('key'), '-in', at('cert'), '-out', at('pfx'), '-passout', 'env:PFX', ...options);
    return readFileSync(at('pfx'));
  }

  const MADE = {
    'as openssl makes it': [],
    'as older programs make it, certificates under RC2': ['-legacy'],
    'with 3DES throughout': ['-keypbe', 'PBE-SHA1-3DES', '-certpbe', 'PBE-SHA1-3DES', '-macalg', 'sha1'],
    'without a MAC': ['-nomac'],
    'with AES-128 for the key alone': ['-keypbe', 'AES-128-CBC', '-certpbe', 'NONE'],
  } as const;
  for (const [what, options] of Object.entries(MADE)) {
    test(what, async (t) => {
      if (program === undefined) return t.skip('openssl is not here');
      for (const key of [rsa, ec]) {
        const file = pfx(key, ...options);
        assert.equal(publicPart(await openKeyFile(file, PASSWORD)), publicPart(key));
        await refuses(file, undefined, 'protected', /^it is protected by a password$/);
        await refuses(file, 'wrong', 'wrong password', /^the password does not open it$/);
        await refuses(file.subarray(0, -1), PASSWORD, 'unreadable', /^it is no PKCS#12 file/);
      }
    });
  }

  test('unprotected, with an empty password, and without a key', async (t) => {
    if (program === undefined) return t.skip('openssl is not here');
    assert.equal(publicPart(await openKeyFile(pfx(rsa, '-keypbe', 'NONE'), undefined)), publicPart(rsa));
    assert.equal(publicPart(await openKeyFile(pfx(rsa, '-passout', 'pass:'), undefined)), publicPart(rsa));
    await refuses(pfx(rsa, '-nokeys'), PASSWORD, 'unreadable', /^it holds no private key/);
  });
});
