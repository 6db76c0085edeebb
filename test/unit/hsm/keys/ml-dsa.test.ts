// Keys of type AKP-HSM on the wire: what the preview that defines them asks and answers, and what the versions before it do with them.

import assert from 'node:assert/strict';
import { createHash, createPublicKey, verify } from 'node:crypto';
import { test } from 'node:test';
import { type KeyEstate, openKeyEstate, withBody } from './key-estate.ts';

const PREVIEW = '2026-05-01-preview';
const MESSAGE = Buffer.from('a letter of any length');
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url');

function asked(body: object, version: string | null = PREVIEW) {
  return withBody(body, { version });
}

async function make({ get }: KeyEstate, alg = 'ML-DSA-44') {
  return get('POST', '/keys/k/create', asked({ kty: 'AKP', alg }));
}

for (const alg of ['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87']) {
  test(`a key of ${alg} is made, shown, used, rotated, carried away and brought back`, async (t) => {
    const estate = await openKeyEstate(t);
    const { get } = estate;
    const made = await make(estate, alg);
    const { key } = made;
    assert.deepEqual(Object.keys(key).sort(), ['alg', 'key_ops', 'kid', 'kty', 'pub']);
    assert.deepEqual([key.kty, key.alg, new Set(key.key_ops)], ['AKP-HSM', alg, new Set(['sign', 'verify'])]);

    const context = text(Buffer.from('letters'));
    const signed = await get('POST', '/keys/k/sign', asked({ alg, value: text(MESSAGE), context }));
    assert.deepEqual([signed.alg, signed.kid], [alg, key.kid]);
    const jwk = { kty: 'AKP', alg, pub: key.pub };
    const node = createPublicKey({ key: jwk, format: 'jwk' });
    assert.ok(verify(null, MESSAGE, { key: node, context: Buffer.from('letters') }, Buffer.from(signed.value, 'base64url')));
    const checked = { alg, digest: text(MESSAGE), value: signed.value, context };
    assert.deepEqual(await get('POST', '/keys/k/verify', asked(checked)), { alg, kid: key.kid, value: true });
    assert.equal((await get('POST', '/keys/k/verify', asked({ ...checked, context: undefined }))).value, false);

    await get('PUT', '/keys/k/rotationpolicy', asked({ attributes: { expiryTime: 'P90D' } }));
    const next = await get('POST', '/keys/k/rotate', asked({}));
    assert.deepEqual([next.key.alg, next.key.pub === key.pub], [alg, false]);
    const { value } = await get('POST', '/keys/k/backup', asked({}));
    await get('DELETE', '/keys/k');
    await get('DELETE', '/deletedkeys/k');
    assert.deepEqual(await get('POST', '/keys/restore', asked({ value })), next);
    const old = `${new URL(key.kid).pathname}/verify`;
    assert.equal((await get('POST', old, asked(checked))).value, true);
  });
}

test('the representative of a message is signed and verified in the place of algorithm and message', async (t) => {
  const estate = await openKeyEstate(t);
  const { get } = estate;
  const { key } = await make(estate);
  const shake = (bytes: Uint8Array) => createHash('shake256', { outputLength: 64 }).update(bytes).digest();
  const mu = text(shake(Buffer.concat([shake(Buffer.from(key.pub, 'base64url')), Buffer.of(0, 0), MESSAGE])));
  const { value, ...rest } = await get('POST', '/keys/k/sign', asked({ external_mu: mu }));
  assert.deepEqual(rest, { alg: 'ML-DSA-44', kid: key.kid });
  assert.equal((await get('POST', '/keys/k/verify', asked({ alg: 'ML-DSA-44', digest: text(MESSAGE), value }))).value, true);
  assert.deepEqual(await get('POST', '/keys/k/verify', asked({ external_mu: mu, value })), { ...rest, value: true });
});

const MU = text(Buffer.alloc(64));
const VALUE = text(MESSAGE);

// biome-ignore format: a table reads by its columns
const REFUSED: readonly (readonly [operation: 'sign' | 'verify', body: object, says: RegExp])[] = [
  ['sign',   { value: VALUE },                                                  /^Property alg is required\.$/],
  ['sign',   { alg: 'ML-DSA-44' },                                              /^Property value is required\.$/],
  ['sign',   { alg: 'ML-DSA-65', value: VALUE },                                /requires a key of that parameter set/],
  ['sign',   { alg: 'ES256', value: VALUE },                                    /requires a key of type 'EC-HSM'/],
  ['sign',   { alg: 'ML-DSA-44', value: VALUE, external_mu: MU },               /^Property external_mu excludes alg, value and context\.$/],
  ['sign',   { external_mu: MU, context: '' },                                  /^Property external_mu excludes/],
  ['sign',   { external_mu: text(Buffer.alloc(63)) },                           /external_mu to have 64 bytes/],
  ['sign',   { alg: 'ML-DSA-44', value: VALUE, context: text(Buffer.alloc(256)) }, /context of at most 255 bytes/],
  ['sign',   { alg: 'ML-DSA-44', value: VALUE, context: 'a+b' },                /context is not valid base64url/],
  ['verify', { alg: 'ML-DSA-44', value: VALUE },                                /^Property digest is required\.$/],
  ['verify', { alg: 'ML-DSA-44', digest: VALUE, value: VALUE, external_mu: MU }, /^Property external_mu excludes alg, digest and context\.$/],
  ['verify', { external_mu: MU },                                               /^Property value is required\.$/],
];

test('members that are missing, exclude each other or have the wrong length are named', async (t) => {
  const estate = await openKeyEstate(t);
  await make(estate);
  for (const [operation, body, says] of REFUSED) {
    const { line, message } = await estate.refusal('POST', `/keys/k/${operation}`, asked(body));
    assert.equal(line, '400 BadParameter', message);
    assert.match(message, says);
  }
});

test('a context and a representative are for ML-DSA keys alone', async (t) => {
  const { get, refusal } = await openKeyEstate(t);
  await get('POST', '/keys/e/create', withBody({ kty: 'EC' }));
  const digest = text(Buffer.alloc(32));
  for (const [body, says] of [
    [{ alg: 'ES256', value: digest, context: '' }, /takes neither context nor external_mu/],
    [{ external_mu: MU }, /for keys of type AKP-HSM alone/],
  ] as const)
    assert.match((await refusal('POST', '/keys/e/sign', asked(body))).message, says);
});

test('an algorithm has to be named, and one that is there', async (t) => {
  const { refusal } = await openKeyEstate(t);
  for (const body of [{ kty: 'AKP' }, { kty: 'AKP-HSM', alg: 'ML-DSA-43' }, { kty: 'akp-hsm', alg: 'constructor' }])
    assert.match(
      (await refusal('POST', '/keys/k/create', asked(body))).message,
      /^Property alg is not valid: .*ML-DSA-44, ML-DSA-65, ML-DSA-87/,
    );
});

test('versions of the API from before ML-DSA show such keys, and neither make nor use them', async (t) => {
  const estate = await openKeyEstate(t);
  const made = await make(estate);
  for (const version of ['7.2', '7.6', '2025-07-01', '2026-04-01', '2026-03-01-preview']) {
    for (const [target, body] of [
      ['/keys/other/create', { kty: 'AKP-HSM', alg: 'ML-DSA-44' }],
      ['/keys/k/sign', { alg: 'ML-DSA-44', value: VALUE }],
      ['/keys/k/verify', { alg: 'ML-DSA-44', digest: VALUE, value: VALUE }],
    ] as const)
      assert.match(
        (await estate.refusal('POST', target, asked(body, version))).message,
        /with api-version 2026-05-01-preview or a later one/,
      );
    const shown = await estate.get('GET', '/keys/k', { version });
    assert.deepEqual(shown.key, made.key);
    assert.equal((await estate.get('GET', '/keys', { version })).value.length, 1);
  }
  for (const version of [PREVIEW, '2026-07-01-preview', null])
    await estate.get('POST', '/keys/k/sign', asked({ alg: 'ML-DSA-44', value: VALUE }, version));
});

test('a hundred versions of the largest kind can be carried in one request', async (t) => {
  const estate = await openKeyEstate(t);
  for (let i = 0; i < 100; i += 1) await make(estate, 'ML-DSA-87');
  const { value } = await estate.get('POST', '/keys/k/backup');
  assert.ok(value.length < (1 << 20) - 1000, `${value.length}`);
  await estate.get('DELETE', '/keys/k');
  await estate.get('DELETE', '/deletedkeys/k');
  await estate.get('POST', '/keys/restore', asked({ value }));
});

test('no version of the API imports one: a JSON Web Key has no private half for it', async (t) => {
  const estate = await openKeyEstate(t);
  const { key } = await make(estate);
  const { message } = await estate.refusal('PUT', '/keys/other', asked({ key: { kty: 'AKP', alg: key.alg, pub: key.pub } }));
  assert.match(message, /kty must be/);
});
