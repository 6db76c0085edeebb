// Keys that are made or brought in: what each request becomes, and what is refused and how.

import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { rsaPair } from '../../../rsa-pairs.ts';
import { openKeyEstate, withBody } from './key-estate.ts';

// --- what is made ---

const RSA_OPS = ['encrypt', 'decrypt', 'sign', 'verify', 'wrapKey', 'unwrapKey'];
const EC_OPS = ['sign', 'verify', 'deriveKey'];
const OCT_OPS = [...RSA_OPS, 'deriveKey'];

// biome-ignore format: a table reads by its columns
const MADE: readonly { readonly ask: object; readonly kty: string; readonly bits?: number; readonly e?: string; readonly crv?: string; readonly ops: readonly string[] }[] = [
  { ask: { kty: 'RSA' },                                   kty: 'RSA-HSM', bits: 2048, e: 'AQAB', ops: RSA_OPS },
  { ask: { kty: 'RSA-HSM', key_size: 3072 },               kty: 'RSA-HSM', bits: 3072, e: 'AQAB', ops: RSA_OPS },
  { ask: { kty: 'rsa-hsm', key_size: 4096 },               kty: 'RSA-HSM', bits: 4096, e: 'AQAB', ops: RSA_OPS },
  { ask: { kty: 'RSA', public_exponent: 3 },               kty: 'RSA-HSM', bits: 2048, e: 'Aw',   ops: RSA_OPS },
  { ask: { kty: 'RSA', public_exponent: 0 },               kty: 'RSA-HSM', bits: 2048, e: 'AQAB', ops: RSA_OPS },
  { ask: { kty: 'RSA', key_ops: ['import'] },              kty: 'RSA-HSM', bits: 2048, e: 'AQAB', ops: ['import'] },
  { ask: { kty: 'RSA', key_ops: [] },                      kty: 'RSA-HSM', bits: 2048, e: 'AQAB', ops: RSA_OPS },
  { ask: { kty: 'EC' },                                    kty: 'EC-HSM',  crv: 'P-256',          ops: EC_OPS },
  { ask: { kty: 'EC-HSM', crv: 'P-256K' },                 kty: 'EC-HSM',  crv: 'P-256K',         ops: EC_OPS },
  { ask: { kty: 'EC-HSM', crv: 'P-384' },                  kty: 'EC-HSM',  crv: 'P-384',          ops: EC_OPS },
  { ask: { kty: 'EC', crv: 'P-521', key_ops: ['sign', 'sign'] }, kty: 'EC-HSM', crv: 'P-521',     ops: ['sign'] },
  { ask: { kty: 'oct' },                                   kty: 'oct-HSM',                        ops: OCT_OPS },
  { ask: { kty: 'oct-HSM', key_size: 192 },                kty: 'oct-HSM',                        ops: OCT_OPS },
  { ask: { kty: 'AES', key_size: 128 },                    kty: 'oct-HSM',                        ops: OCT_OPS },
];

for (const { ask, kty, bits, e, crv, ops } of MADE) {
  test(`${JSON.stringify(ask)} makes a key of type ${kty}`, async (t) => {
    const { get } = await openKeyEstate(t);
    const { key, attributes } = await get('POST', '/keys/made/create', withBody(ask));
    assert.match(key.kid, /^https:\/\/contoso\.managedhsm\.localhost:8443\/keys\/made\/[0-9a-f]{32}$/);
    assert.deepEqual([key.kty, key.crv, key.e, new Set(key.key_ops)], [kty, crv, e, new Set(ops)]);
    if (bits !== undefined) assert.equal(Buffer.from(key.n, 'base64url').length * 8, bits);
    // A second implementation finds the point on the curve.
    if (crv !== undefined)
      createPublicKey({ key: { kty: 'EC', crv: crv.replace('P-256K', 'secp256k1'), x: key.x, y: key.y }, format: 'jwk' });
    if (kty === 'oct-HSM') assert.deepEqual(Object.keys(key).sort(), ['key_ops', 'kid', 'kty']);
    assert.deepEqual(
      [attributes.enabled, attributes.exportable, attributes.recoveryLevel],
      [true, false, 'CustomizedRecoverable+Purgeable'],
    );
    assert.deepEqual(await get('GET', '/keys/made'), await get('GET', new URL(key.kid).pathname));
  });
}

test('the size of a secret key is shown by the versions of the API that have it', async (t) => {
  const { get } = await openKeyEstate(t);
  const made = await get('POST', '/keys/k/create', withBody({ kty: 'oct', key_size: 192 }, { version: '2026-04-01' }));
  assert.equal(made.attributes.key_size, 192);
  assert.equal((await get('GET', '/keys/k', { version: '7.6' })).attributes.key_size, undefined);
});

test('attributes and tags are kept as they were given, whatever a tag is called', async (t) => {
  const { get } = await openKeyEstate(t);
  // Parsed, because a literal would set the prototype.
  const tags = JSON.parse('{"constructor":"a","prototype":"b","__proto__":"c","toString":"","ok":"d"}');
  const attributes = { enabled: false, nbf: 32_503_680_000, exp: 946_684_800 };
  await get('POST', '/keys/k/create', withBody({ kty: 'oct', attributes, tags }));
  const shown = await get('GET', '/keys/k');
  assert.equal(JSON.stringify(shown.tags), JSON.stringify(tags));
  assert.deepEqual([shown.attributes.enabled, shown.attributes.nbf, shown.attributes.exp], [false, 32_503_680_000, 946_684_800]);
});

test('fifteen tags of 256 characters are the most, in name and in value', async (t) => {
  const { get, refusal } = await openKeyEstate(t);
  const tagged = (count: number, name: number, text: unknown) =>
    withBody({ kty: 'oct', tags: Object.fromEntries(Array.from({ length: count }, (_, i) => [String(i).padEnd(name, '-'), text])) });
  await get('POST', '/keys/k/create', tagged(15, 256, 'v'.repeat(256)));
  for (const bad of [tagged(16, 2, 'v'), tagged(1, 257, 'v'), tagged(1, 2, 'v'.repeat(257)), tagged(1, 2, 7), tagged(1, 2, null)]) {
    const { line, message } = await refusal('POST', '/keys/k/create', bad);
    assert.equal(line, '400 BadParameter');
    assert.match(message, /^Property tags is not valid/);
  }
  for (const tags of [['a'], 'a', 7])
    assert.equal((await refusal('POST', '/keys/k/create', withBody({ kty: 'oct', tags }))).line, '400 BadParameter');
});

test('a name that exists gets a new version, in the spelling that it was first given', async (t) => {
  const { get } = await openKeyEstate(t);
  const first = await get('POST', '/keys/Payroll/create', withBody({ kty: 'EC' }));
  const second = await get('POST', '/keys/PAYROLL/create', withBody({ kty: 'oct' }));
  assert.match(second.key.kid, /\/keys\/Payroll\/[0-9a-f]{32}$/);
  assert.notEqual(first.key.kid, second.key.kid);
  assert.equal((await get('GET', '/keys/payroll')).key.kid, second.key.kid);
  assert.equal((await get('GET', new URL(first.key.kid).pathname)).key.kty, 'EC-HSM');
});

test('the hundredth version is the last', async (t) => {
  const { get, refusal } = await openKeyEstate(t);
  for (let i = 0; i < 100; i += 1) await get('POST', '/keys/k/create', withBody({ kty: 'oct' }));
  assert.deepEqual((await refusal('POST', '/keys/k/create', withBody({ kty: 'oct' }))).line, '400 BadParameter');
  await get('POST', '/keys/other/create', withBody({ kty: 'oct' }));
});

// --- what is refused ---

// biome-ignore format: a table reads by its columns
const REFUSED: readonly (readonly [body: unknown, line: string, says: RegExp])[] = [
  [undefined,                                             '400 Nocontentprovided', /^No content provided$/],
  [{},                                                    '400 BadParameter', /kty/],
  [{ kty: 'DSA' },                                        '400 BadParameter', /^Property kty is not valid: 'DSA'/],
  [{ kty: 'constructor' },                                '400 BadParameter', /^Property kty is not valid/],
  [{ kty: 7 },                                            '400 BadParameter', /kty/],
  [{ kty: 'AKP-HSM', alg: 'ML-DSA-44' },                  '400 BadParameter', /api-version 2026-05-01-preview/],
  [{ kty: 'oct', key_size: 64 },                          '400 BadParameter', /^Invalid key size: '64'$/],
  [{ kty: 'oct', key_size: '256' },                       '400 BadParameter', /key_size/],
  [{ kty: 'RSA', key_size: 1024 },                        '400 BadParameter', /^Invalid key size: '1024'$/],
  [{ kty: 'RSA', key_size: 2048.5 },                      '400 BadParameter', /key_size/],
  [{ kty: 'RSA', public_exponent: 5 },                    '400 BadParameter', /^Invalid public exponent: '5'/],
  [{ kty: 'EC', crv: 'P-224' },                           '400 BadParameter', /^Invalid curve: 'P-224'/],
  [{ kty: 'EC', key_ops: ['fly'] },                       '400 BadParameter', /^Property key_ops is not valid/],
  [{ kty: 'EC', key_ops: 'sign' },                        '400 BadParameter', /key_ops/],
  [{ kty: 'RSA', key_ops: ['import', 'sign'] },           '400 BadParameter', /'import' cannot be combined/],
  [{ kty: 'oct', key_ops: ['import'] },                   '400 BadParameter', /'import' is for RSA-HSM keys alone/],
  [{ kty: 'oct', attributes: { exp: -1 } },               '400 BadParameter', /exp/],
  [{ kty: 'oct', attributes: { nbf: 253_402_300_800 } },  '400 BadParameter', /^Property nbf is not valid/],
  [{ kty: 'oct', attributes: { enabled: 'false' } },      '400 BadParameter', /enabled/],
  [{ kty: 'oct', attributes: { exportable: true } },      '400 BadParameter', /^Exportable keys must have release policy$/],
  [{ kty: 'oct', release_policy: { data: 'e30' } },       '400 BadParameter', /^Non-exportable keys must not have release policy$/],
  [{ kty: 'oct', attributes: { exportable: true }, release_policy: { data: 'e30' } }, '400 BadParameter', /^Property release_policy is not valid/],
];

test('a request that makes no key is refused in words, and leaves no key', async (t) => {
  const { get, refusal } = await openKeyEstate(t);
  for (const [body, line, says] of REFUSED) {
    const refused = await refusal('POST', '/keys/k/create', withBody(body));
    assert.equal(refused.line, line, JSON.stringify(body));
    assert.match(refused.message, says);
  }
  assert.deepEqual(await get('GET', '/keys'), { value: [] });
});

test('a name is 1 to 127 letters, digits and hyphens', async (t) => {
  const { get, refusal } = await openKeyEstate(t);
  await get('POST', `/keys/${'a'.repeat(127)}/create`, withBody({ kty: 'oct' }));
  for (const name of ['a'.repeat(128), 'a_b', 'a.b', '%C3%A5', 'a%20', 'a%0A'])
    assert.equal((await refusal('POST', `/keys/${name}/create`, withBody({ kty: 'oct' }))).line, '400 BadParameter', name);
});

// --- what is brought in ---

const rsa = rsaPair(2048).privateKey.export({ format: 'jwk' });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey.export({ format: 'jwk' });
const secret = { kty: 'oct', k: randomBytes(64).toString('base64url') };

test('an imported key shows its public half and never the other', async (t) => {
  const { get } = await openKeyEstate(t);
  for (const [name, key, kty, shows] of [
    ['r', rsa, 'RSA-HSM', { n: rsa.n, e: rsa.e }],
    ['e', ec, 'EC-HSM', { crv: ec.crv, x: ec.x, y: ec.y }],
    ['o', secret, 'oct-HSM', {}],
  ] as const) {
    const { key: shown } = await get('PUT', `/keys/${name}`, withBody({ key: { ...key, key_ops: ['sign'] }, Hsm: true }));
    assert.deepEqual(shown, { ...shows, key_ops: ['sign'], kid: shown.kid, kty });
    for (const hidden of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k']) assert.equal(hidden in shown, false, hidden);
  }
});

const BYOK = {
  schema_version: '1.0.0',
  header: { kid: 'https://contoso.managedhsm.localhost:8443/keys/absent', alg: 'dir', enc: 'CKM_RSA_AES_KEY_WRAP' },
  ciphertext: 'AAAA',
};

function blob(file: object | null, changed: object = {}): string {
  const json = Array.isArray(file) || file === null ? file : { ...file, ...changed };
  return Buffer.from(JSON.stringify(json)).toString('base64url');
}

function header(changed: object): string {
  return blob(BYOK, { header: { ...BYOK.header, ...changed } });
}

// biome-ignore format: a table reads by its columns
const NOT_BROUGHT_IN: readonly (readonly [key: object, line: string, says: RegExp])[] = [
  [{ ...ec, d: undefined },                                       '400 BadParameter', /d property of EC key is missing/],
  [{ ...ec, x: ec.y, y: ec.x },                                   '400 BadParameter', /not one EC key/],
  [{ ...rsa, p: rsa.q, q: rsa.p },                                '400 BadParameter', /not one RSA key/],
  [{ ...rsa, n: `${rsa.n}=` },                                    '400 BadParameter', /n property of RSA key is not base64url/],
  [{ kty: 'oct', k: randomBytes(65).toString('base64url') },      '400 BadParameter', /k property of oct key is too large, maximum size is 64/],
  [{ kty: 'oct', k: randomBytes(8).toString('base64url') },       '400 BadParameter', /Invalid key size: '64'/],
  [{ ...secret, key_ops: ['import'] },                            '400 BadParameter', /'import' is for RSA-HSM keys alone/],
  [{ kty: 'OKP' },                                                '400 BadParameter', /kty must be/],
  [{ kty: 'RSA-HSM', key_hsm: '' },                               '400 BadParameter', /it is not a JSON document/],
  [{ kty: 'RSA-HSM', key_hsm: '?' },                              '400 BadParameter', /it is not base64/],
  [{ kty: 'RSA-HSM', key_hsm: blob([]) },                         '400 BadParameter', /schema_version is not 1.0.0/],
  [{ kty: 'RSA-HSM', key_hsm: blob(null) },                       '400 BadParameter', /it is not a JSON object/],
  [{ kty: 'RSA-HSM', key_hsm: blob({}) },                         '400 BadParameter', /schema_version is not 1.0.0/],
  [{ kty: 'RSA-HSM', key_hsm: blob(BYOK, { header: 1 }) },        '400 BadParameter', /header is missing/],
  [{ kty: 'RSA-HSM', key_hsm: blob(BYOK, { header: {} }) },       '400 BadParameter', /header.kid is missing/],
  [{ kty: 'RSA-HSM', key_hsm: blob(BYOK, { schema_version: '1' }) },   '400 BadParameter', /schema_version is not 1.0.0/],
  [{ kty: 'RSA-HSM', key_hsm: blob(BYOK, { ciphertext: 'A?' }) },      '400 BadParameter', /ciphertext is not base64/],
  [{ kty: 'RSA-HSM', key_hsm: blob(BYOK, { ciphertext: '' }) },        '400 BadParameter', /ciphertext is not base64/],
  [{ kty: 'RSA-HSM', key_hsm: header({ alg: 'RSA-OAEP' }) },           '400 BadParameter', /header.alg is not dir/],
  [{ kty: 'RSA-HSM', key_hsm: header({ enc: 'RSA_AES_KEY_WRAP_256' }) }, '400 BadParameter', /header.enc is not CKM_RSA_AES_KEY_WRAP/],
  [{ kty: 'RSA-HSM', key_hsm: header({ kid: 'kek' }) },                '400 BadParameter', /header.kid is not the identifier of a key/],
  [{ kty: 'RSA-HSM', key_hsm: header({ kid: BYOK.header.kid.replace('https', 'http') }) }, '400 BadParameter', /not the identifier of a key/],
  [{ kty: 'RSA-HSM', key_hsm: header({ kid: BYOK.header.kid.replace('keys', 'secrets') }) }, '400 BadParameter', /not the identifier of a key/],
  [{ kty: 'RSA-HSM', key_hsm: header({ kid: BYOK.header.kid.replace('contoso', 'fabrikam') }) }, '400 BadParameter', /a key of another HSM/],
  [{ kty: 'RSA-HSM', key_hsm: blob(BYOK) },                       '400 BadParameter', /header.kid is not a key exchange key/],
  [{ kty: 'RSA-HSM', key_hsm: 'A'.repeat(50_000) },               '400 BadParameter', /it is longer than 32768 bytes/],
  [{ ...rsa, key_hsm: blob(BYOK) },                               '400 BadParameter', /key_hsm holds the whole key/],
];

test('a key that is not whole is not brought in, and the refusal repeats nothing of it', async (t) => {
  const { get, refusal } = await openKeyEstate(t);
  for (const [key, line, says] of NOT_BROUGHT_IN) {
    const refused = await refusal('PUT', '/keys/k', withBody({ key }));
    assert.equal(refused.line, line, refused.message);
    assert.match(refused.message, says);
    for (const member of [rsa.d, rsa.p, rsa.q, ec.d, secret.k]) assert.equal(refused.message.includes(member ?? ''), false);
  }
  assert.deepEqual(await get('GET', '/keys'), { value: [] });
});
