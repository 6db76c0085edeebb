// Key derivation and the two kinds of JWE: the recorded vectors, and what must never open.

import assert from 'node:assert/strict';
import { createCipheriv, createHmac, publicEncrypt, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { CompactEncrypt, compactDecrypt } from 'jose';
import { openDirect, openWithKey, sealDirect, sealToKey } from '../../../src/crypto/security-domain/jwe.ts';
import { deriveKey } from '../../../src/crypto/security-domain/kdf.ts';
import { rsaPair } from '../../rsa-pairs.ts';
import { skip, theVectors } from './vectors.ts';

const refused = { code: 'BadParameter', message: 'The parameter is incorrect.' };
const cek = randomBytes(64);
const plain = Buffer.from('carried by custodians');
const { publicKey, privateKey } = rsaPair(2048);

/** A JWE whose MAC is right, whatever its parts are. */
function forge(header: string | Buffer, iv: Buffer, ciphertext: Buffer, tagLength = 32, encryptedKey = ''): string {
  const headerText = Buffer.from(header).toString('base64url');
  const bits = Buffer.alloc(8);
  bits.writeBigUInt64BE(BigInt(headerText.length * 8));
  const mac = createHmac('sha512', cek.subarray(0, 32)).update(headerText).update(iv).update(ciphertext).update(bits).digest();
  return [
    headerText,
    encryptedKey,
    iv.toString('base64url'),
    ciphertext.toString('base64url'),
    mac.subarray(0, tagLength).toString('base64url'),
  ].join('.');
}

test('keys are derived as the recorded vectors have it', { skip }, () => {
  const { cases } = theVectors().kdf_sp800_108_hmac_sha512_counter;
  assert.ok(cases.length >= 8);
  for (const { key, label_utf8, context_utf8, bits, out } of cases) assert.deepEqual(deriveKey(key, label_utf8, context_utf8, bits), out);
});

test('the self-test constant of both clients comes out', () => {
  const derived = deriveKey(Buffer.alloc(32, 0x41), 'label', 'context', 256).toString('hex');
  assert.equal(derived, 'f0ca51f6308791404bf68b56024ee7c64d6c737716f81d47e1e68b5c4e399575');
});

test('more than one block, or part of a byte, cannot be derived', () => {
  for (const bits of [0, 520, 12, -8]) assert.throws(() => deriveKey(cek, 'label', '', bits), RangeError);
});

test('blobs are sealed byte for byte as recorded, and open', { skip }, () => {
  const { cases, made_by_azure_cli } = theVectors().jwe_dir;
  assert.ok(cases.length >= 3);
  for (const one of cases) {
    assert.equal(
      sealDirect(one.plaintext, one.cek, one.tag, () => Buffer.from(one.iv)),
      one.compact_jwe,
    );
    assert.deepEqual(openDirect(one.compact_jwe, one.cek, one.tag), one.plaintext);
  }
  assert.equal(openDirect(made_by_azure_cli.compact_jwe, made_by_azure_cli.cek, 'hsm_backup').toString(), made_by_azure_cli.plaintext_utf8);
});

test('another implementation opens what we seal, and we open what it seals', async () => {
  const ours = await compactDecrypt(sealDirect(plain, cek, 'a tag'), cek);
  assert.deepEqual(Buffer.from(ours.plaintext), plain);
  assert.deepEqual(ours.protectedHeader, { alg: 'dir', enc: 'A256CBC-HS512', kid: 'a tag' });
  assert.deepEqual(Buffer.from((await compactDecrypt(sealToKey(plain, publicKey), privateKey)).plaintext), plain);

  const header = { enc: 'A256CBC-HS512', kid: 'x' };
  const direct = await new CompactEncrypt(plain).setProtectedHeader({ alg: 'dir', ...header }).encrypt(cek);
  assert.deepEqual(openDirect(direct, cek, 'x'), plain);
  const wrapped = await new CompactEncrypt(plain).setProtectedHeader({ alg: 'RSA-OAEP-256', ...header }).encrypt(publicKey);
  assert.deepEqual(openWithKey(wrapped, privateKey), plain);
});

test('a flipped bit in any character of a JWE is refused', () => {
  const direct = sealDirect(plain, cek, 'tag');
  const wrapped = sealToKey(plain, publicKey);
  for (const [text, open] of [
    [direct, (jwe: string) => openDirect(jwe, cek, 'tag')],
    [wrapped, (jwe: string) => openWithKey(jwe, privateKey)],
  ] as const) {
    for (let at = 0; at < text.length; at++) {
      const flipped = String.fromCharCode(text.charCodeAt(at) ^ (1 << (at % 8)));
      assert.throws(() => open(text.slice(0, at) + flipped + text.slice(at + 1)), refused, `character ${at}`);
    }
  }
});

test('a JWE of any other form than five canonical parts is refused', () => {
  const good = sealDirect(plain, cek, 'tag');
  const [header = '', , iv = '', ciphertext = '', tag = ''] = good.split('.');
  const bad: Record<string, string> = {
    empty: '',
    'four parts': [header, iv, ciphertext, tag].join('.'),
    'six parts': `${good}.`,
    padding: `${good}=`,
    'a line break': `${good}\n`,
    'an encrypted key where there is none': [header, 'AAAA', iv, ciphertext, tag].join('.'),
    'no ciphertext': [header, '', iv, '', tag].join('.'),
  };
  for (const [reason, jwe] of Object.entries(bad)) assert.throws(() => openDirect(jwe, cek, 'tag'), refused, reason);
});

test('lengths are checked although the MAC is right', () => {
  const header = '{"alg":"dir","enc":"A256CBC-HS512","kid":"tag"}';
  const iv = randomBytes(16);
  const sealed = Buffer.from(sealDirect(plain, cek, 'tag', () => Buffer.from(iv)).split('.')[3] ?? '', 'base64url');
  const unpadded = createCipheriv('aes-256-cbc', cek.subarray(32), iv).setAutoPadding(false).update(Buffer.alloc(16));
  assert.deepEqual(openDirect(forge(header, iv, sealed), cek, 'tag'), plain);
  const bad: Record<string, string> = {
    'a tag of 64 bytes': forge(header, iv, sealed, 64),
    'a tag of 16 bytes': forge(header, iv, sealed, 16),
    'no tag': forge(header, iv, sealed, 0),
    'an IV of 12 bytes': forge(header, iv.subarray(0, 12), sealed),
    'half a block': forge(header, iv, sealed.subarray(0, 24)),
    'bad padding': forge(header, iv, unpadded),
  };
  for (const [reason, jwe] of Object.entries(bad)) assert.throws(() => openDirect(jwe, cek, 'tag'), refused, reason);
});

test('only the header members alg, enc and kid are taken, as strings, with the profile that the file has', () => {
  const iv = randomBytes(16);
  const sealed = Buffer.from(sealDirect(plain, cek, 'tag', () => Buffer.from(iv)).split('.')[3] ?? '', 'base64url');
  const bad = [
    '{"alg":"dir","enc":"A256CBC-HS512"}',
    '{"alg":"dir","enc":"A256GCM","kid":"tag"}',
    '{"alg":"none","enc":"A256CBC-HS512","kid":"tag"}',
    '{"alg":"RSA-OAEP-256","enc":"A256CBC-HS512","kid":"tag"}',
    '{"alg":"dir","enc":"A256CBC-HS512","kid":"other"}',
    '{"alg":"dir","enc":"A256CBC-HS512","kid":["tag"]}',
    '{"alg":"dir","enc":"A256CBC-HS512","kid":"tag","zip":"DEF"}',
    '{"alg":"dir","enc":"A256CBC-HS512","kid":"tag","crit":["exp"]}',
    '["dir"]',
    'null',
    'no JSON',
    Buffer.from([0x7b, 0xff, 0x7d]),
  ];
  for (const header of bad) assert.throws(() => openDirect(forge(header, iv, sealed), cek, 'tag'), refused, header.toString());
});

test('a wrapped key is opened with RSA-OAEP-256 alone', () => {
  const iv = randomBytes(16);
  const sealed = Buffer.from(sealDirect(plain, cek, 'x', () => Buffer.from(iv)).split('.')[3] ?? '', 'base64url');
  const wrap = (oaepHash: string, key: Buffer) => publicEncrypt({ key: publicKey, oaepHash }, key).toString('base64url');
  const header = (alg: string) => `{"alg":"${alg}","enc":"A256CBC-HS512","kid":"x"}`;
  assert.deepEqual(openWithKey(forge(header('RSA-OAEP-256'), iv, sealed, 32, wrap('sha256', cek)), privateKey), plain);
  const bad: Record<string, string> = {
    'RSA-OAEP by name': forge(header('RSA-OAEP'), iv, sealed, 32, wrap('sha1', cek)),
    'RSA-OAEP in fact': forge(header('RSA-OAEP-256'), iv, sealed, 32, wrap('sha1', cek)),
    RSA1_5: forge(header('RSA1_5'), iv, sealed, 32, wrap('sha256', cek)),
    dir: forge(header('dir'), iv, sealed),
    'a short key': forge(header('RSA-OAEP-256'), iv, sealed, 32, wrap('sha256', cek.subarray(0, 32))),
    'no key': forge(header('RSA-OAEP-256'), iv, sealed),
  };
  for (const [reason, jwe] of Object.entries(bad)) assert.throws(() => openWithKey(jwe, privateKey), refused, reason);
});
