// What clients get wrong about keys, asked over HTTPS: bodies that two readers would read differently, values of the wrong kind, names that are too long, versions
// that are not there, keys that may not be used now. Each is the service's own error, and after all of them it still answers.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type Got, type House, type Json, openHouse } from '../house.ts';
import { ALL_OPERATIONS, activate, CRYPTO_OFFICER, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'key-refusals';
const VALUE = Buffer.alloc(32, 7).toString('base64url');
const IV = Buffer.alloc(16, 9).toString('base64url');
const NONCE = Buffer.alloc(12, 9).toString('base64url');
const SIGN = { alg: 'ES256', value: VALUE };
const NEW_VERSION = '0123456789abcdef0123456789abcdef';

/** What an operation asks of the key `oct`. */
// biome-ignore format: a table reads by its columns
const USES: readonly { readonly op: (typeof ALL_OPERATIONS)[number]; readonly body: Json; readonly makesNew: boolean }[] = [
  { op: 'encrypt',   makesNew: true,  body: { alg: 'A256CBCPAD', value: VALUE, iv: IV } },
  // Padding would be right by chance once in 256 keys; a tag never is.
  { op: 'decrypt',   makesNew: false, body: { alg: 'A256GCM', value: VALUE, iv: NONCE, tag: IV } },
  { op: 'wrapKey',   makesNew: true,  body: { alg: 'A256KW', value: VALUE } },
  { op: 'unwrapKey', makesNew: false, body: { alg: 'A256KW', value: VALUE } },
  { op: 'sign',      makesNew: true,  body: { alg: 'HS256', value: VALUE } },
  { op: 'verify',    makesNew: false, body: { alg: 'HS256', digest: VALUE, value: VALUE } },
];

suite('refusals about keys', () => {
  let house: House;
  before(async () => {
    house = await openHouse();
    await house.provision(HSM);
    await activate(house, HSM);
    for (const role of [CRYPTO_USER, CRYPTO_OFFICER]) await grant(house, HSM, role, house.connection.user.objectId);
    await made('ec', { kty: 'EC' });
  });
  after(() => house?.close());

  async function made(name: string, body: Json): Promise<Json> {
    const got = await house.hsm(HSM, 'POST', `/keys/${name}/create`, body);
    assert.equal(got.status, 200, got.text);
    return got.json;
  }

  /** A body as its bytes, with whatever content type. */
  async function raw(method: string, path: string, body: string, type: string | undefined = 'application/json'): Promise<Got> {
    const url = `https://${HSM}.${house.connection.managedHsmSuffix}${path}?api-version=7.6`;
    return house.call(method, url, { body, headers: { 'content-type': type }, token: await house.token('user', 'hsm') });
  }

  function refused(got: Got, status = 400, code = 'BadParameter', inner?: string): void {
    assert.deepEqual([got.status, got.json.error?.code, got.json.error?.innererror?.code], [status, code, inner], got.text);
    assert.match(got.json.error.message, /\(Activity ID: [0-9a-f-]{36}\)$/);
  }

  // --- the key ---

  test('a disabled key does nothing; before its time and after it, it makes nothing new but opens and checks what there is', async () => {
    const year = 31_536_000;
    const now = Math.floor(Date.now() / 1000);
    for (const [state, attributes, inner] of [
      ['disabled', { enabled: false }, 'KeyDisabled'],
      ['early', { nbf: now + year }, 'KeyNotYetValid'],
      ['late', { exp: now - year }, 'KeyExpired'],
    ] as const) {
      await made(state, { kty: 'oct', attributes });
      for (const { op, body, makesNew } of USES) {
        const got = await house.hsm(HSM, 'POST', `/keys/${state}/${op.toLowerCase()}`, body);
        if (state === 'disabled' || makesNew) refused(got, 403, 'Forbidden', inner);
        // It gets as far as the value, which is none that this key made.
        else assert.ok(op === 'verify' ? got.json.value === false : got.json.error?.code === 'BadParameter', got.text);
      }
    }
  });

  test('a key does what it was made for and nothing else', async () => {
    for (const only of ALL_OPERATIONS) {
      await made('only', { kty: 'oct', key_ops: [only] });
      for (const { op, body } of USES) {
        const got = await house.hsm(HSM, 'POST', `/keys/only/${op.toLowerCase()}`, body);
        if (op === only) assert.notEqual(got.status, 403, got.text);
        else refused(got, 403, 'Forbidden', 'KeyOperationForbidden');
      }
    }
  });

  test('a version that is not there is a key that is not there, and one that is no version is no identifier', async () => {
    const { key } = await made('other', { kty: 'EC' });
    const foreign = key.kid.split('/').at(-1);
    const asks: readonly (readonly [string, string, Json?])[] = [
      ['GET', ''],
      ['PATCH', '', { tags: {} }],
      ['POST', '/sign', SIGN],
      ['POST', '/verify', { alg: 'ES256', digest: VALUE, value: VALUE }],
      ['POST', '/encrypt', { alg: 'RSA-OAEP', value: VALUE }],
      ['POST', '/unwrapkey', { alg: 'RSA-OAEP', value: VALUE }],
    ];
    for (const [method, rest, body] of asks) {
      for (const version of [NEW_VERSION, foreign])
        refused(await house.hsm(HSM, method, `/keys/ec/${version}${rest}`, body), 404, 'KeyNotFound');
      for (const version of ['latest', NEW_VERSION.slice(1), `${NEW_VERSION}0`, NEW_VERSION.replace('a', 'g'), '__proto__', '%00'])
        refused(await house.hsm(HSM, method, `/keys/ec/${version}${rest}`, body), 400, 'Invalidkeyidentifier');
    }
  });

  test('names have 1 to 127 letters, digits and hyphens, and nothing else', async () => {
    await made('a'.repeat(127), { kty: 'EC' });
    for (const name of ['a'.repeat(128), 'a'.repeat(2000), 'a_b', 'a.b', 'a%20b', '%C3%A9', '__proto__', 'a%2Fb', 'a%00', '%25'])
      refused(await house.hsm(HSM, 'POST', `/keys/${name}/create`, { kty: 'EC' }));
    // A word of the language is a name like any other.
    for (const name of ['constructor', 'toString', 'hasOwnProperty']) {
      refused(await house.hsm(HSM, 'GET', `/keys/${name}`), 404, 'KeyNotFound');
      await made(name, { kty: 'EC' });
      assert.equal((await house.hsm(HSM, 'GET', `/keys/${name}`)).json.key.kty, 'EC-HSM');
    }
  });

  test('fifteen tags, and 256 characters in each name and value, are the most', async () => {
    const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`tag${at}`, 'x']));
    await made('tagged', { kty: 'EC', tags: { ...many(14), ['n'.repeat(256)]: 'v'.repeat(256) } });
    for (const tags of [many(16), { ['n'.repeat(257)]: 'v' }, { n: 'v'.repeat(257) }, { n: 1 }, { n: null }, { n: { o: 'p' } }, ['a'], 'a'])
      for (const [method, path] of [
        ['POST', '/keys/tagged/create'],
        ['PATCH', '/keys/tagged'],
      ] as const)
        refused(await house.hsm(HSM, method, path, { kty: 'EC', tags }));
  });

  // --- the body ---

  test('a member that stands twice is refused, because two readers would take two different ones', async () => {
    for (const body of [
      '{"kty":"EC","kty":"RSA"}',
      '{"kty":"EC","\\u006bty":"EC"}',
      '{"kty":"EC","attributes":{"enabled":true,"enabled":false}}',
      '{"kty":"EC","tags":{"a":"1","a":"2"}}',
    ])
      refused(await raw('POST', '/keys/twice/create', body));
    refused(await raw('POST', '/keys/ec/sign', `{"alg":"ES256","value":"${VALUE}","value":"${VALUE}"}`));
    refused(await house.hsm(HSM, 'GET', '/keys/twice'), 404, 'KeyNotFound');
  });

  test('what is nested a million deep is refused, and so is what is no JSON or no UTF-8', async () => {
    for (const body of ['['.repeat(1 << 19), '{"a":'.repeat(1 << 17), `{"kty":"EC","x":${'['.repeat(9999)}${']'.repeat(9999)}}`])
      refused(await raw('POST', '/keys/deep/create', body));
    for (const body of ['{', 'kty=EC', "{'kty':'EC'}", '{"kty":"EC",}', '{"kty":"EC"}{}', '<xml/>', '\u0000', '{"kty":"EC\u0000"}'])
      refused(await raw('POST', '/keys/odd/create', body));
    for (const body of ['[]', '"EC"', '7', 'true', '[{"kty":"EC"}]']) refused(await raw('POST', '/keys/odd/create', body));
    // Nothing at all, and nothing in so many words.
    refused(await raw('POST', '/keys/odd/create', ''), 400, 'Nocontentprovided');
    refused(await house.hsm(HSM, 'GET', '/keys/odd'), 404, 'KeyNotFound');
  });

  test('members of every object’s prototype are members like any other: what they hold does not become the request', async () => {
    for (const body of [
      '{"__proto__":{"kty":"EC"}}',
      '{"constructor":{"prototype":{"kty":"EC"}}}',
      '{"prototype":{"kty":"EC"}}',
      '{"kty":{"__proto__":"EC"}}',
    ])
      refused(await raw('POST', '/keys/proto/create', body));
    refused(await raw('PUT', '/keys/proto', `{"key":{"__proto__":{"kty":"oct","k":"${VALUE}"}}}`));
    const enabled = await raw(
      'POST',
      '/keys/proto/create',
      '{"kty":"EC","attributes":{"__proto__":{"enabled":false}},"__proto__":{"tags":{"a":"b"}}}',
    );
    assert.deepEqual([enabled.status, enabled.json.attributes.enabled, enabled.json.tags], [200, true, undefined], enabled.text);
    // And nothing that was sent has changed what every object is.
    assert.equal((await made('plain', { kty: 'EC' })).attributes.enabled, true);
  });

  test('a value of another type is refused: numbers as text, text as numbers, flags as either', async () => {
    for (const body of [
      { kty: 'RSA', key_size: '2048' },
      { kty: 'RSA', key_size: 2048.5 },
      { kty: 'RSA', key_size: [2048] },
      { kty: 'RSA', key_size: -2048 },
      { kty: 'RSA', public_exponent: '65537' },
      { kty: ['EC'] },
      { kty: 7 },
      { kty: 'EC', crv: 256 },
      { kty: 'EC', key_ops: 'sign' },
      { kty: 'EC', key_ops: [['sign']] },
      { kty: 'EC', attributes: { enabled: 'true' } },
      { kty: 'EC', attributes: { enabled: 1 } },
      { kty: 'EC', attributes: { exp: '4000000000' } },
      { kty: 'EC', attributes: { exp: 4e9 + 0.5 } },
      { kty: 'EC', attributes: { exp: -1 } },
      { kty: 'EC', attributes: { nbf: 1e20 } },
    ])
      refused(await house.hsm(HSM, 'POST', '/keys/typed/create', body));
    refused(await raw('POST', '/keys/typed/create', '{"kty":"RSA","key_size":1e999}'));
    for (const count of ['16', 16.5, null, true, [16], {}]) refused(await house.hsm(HSM, 'POST', '/rng', { count }));
    for (const value of [7, null, [VALUE], { $: VALUE }, true])
      refused(await house.hsm(HSM, 'POST', '/keys/ec/sign', { alg: 'ES256', value }));
    for (const alg of [7, null, ['ES256'], {}, '']) refused(await house.hsm(HSM, 'POST', '/keys/ec/sign', { alg, value: VALUE }));
    refused(await house.hsm(HSM, 'GET', '/keys/typed'), 404, 'KeyNotFound');
  });

  test('bytes are base64url without padding, and no two texts are the same bytes', async () => {
    // Padded, the other alphabet, blanks, a length that cannot be, bits that are not part of any byte.
    const odd = [
      `${VALUE}=`,
      `${VALUE.slice(0, -1)}+`,
      `${VALUE.slice(0, -1)}/`,
      `${VALUE}\n`,
      ` ${VALUE}`,
      `${VALUE}AA`,
      `${VALUE.slice(0, -1)}d`,
      'é'.repeat(43),
    ];
    for (const value of odd) {
      refused(await house.hsm(HSM, 'POST', '/keys/ec/sign', { alg: 'ES256', value }));
      refused(await house.hsm(HSM, 'POST', '/keys/ec/verify', { alg: 'ES256', digest: VALUE, value }));
      refused(await house.hsm(HSM, 'POST', '/keys/ec/verify', { alg: 'ES256', digest: value, value: VALUE }));
      refused(await house.hsm(HSM, 'PUT', '/keys/imported', { key: { kty: 'oct', k: value } }));
      refused(await house.hsm(HSM, 'POST', '/keys/restore', { value: `${value}!` }));
    }
    await made('gcm', { kty: 'oct' });
    const sealed = (await house.hsm(HSM, 'POST', '/keys/gcm/encrypt', { alg: 'A256GCM', value: VALUE, aad: VALUE })).json;
    const parts = { alg: 'A256GCM', value: sealed.value, iv: sealed.iv, tag: sealed.tag, aad: VALUE };
    assert.equal((await house.hsm(HSM, 'POST', '/keys/gcm/decrypt', parts)).json.value, VALUE);
    for (const member of ['value', 'iv', 'tag', 'aad'] as const)
      refused(await house.hsm(HSM, 'POST', '/keys/gcm/decrypt', { ...parts, [member]: `${parts[member]}=` }));
  });

  test('additional data is refused where nothing would authenticate it, and the nonce of GCM is the service’s own whatever is brought', async () => {
    await made('bare', { kty: 'oct' });
    await made('bare-rsa', { kty: 'RSA' });
    for (const [key, op, alg] of [
      ['bare', 'encrypt', 'A256CBC'],
      ['bare', 'decrypt', 'A256CBCPAD'],
      ['bare', 'wrapkey', 'A256KW'],
      ['bare', 'unwrapkey', 'CKM_AES_KEY_WRAP_PAD'],
      ['bare-rsa', 'encrypt', 'RSA-OAEP-256'],
      ['bare-rsa', 'unwrapkey', 'RSA1_5'],
    ] as const)
      refused(await house.hsm(HSM, 'POST', `/keys/${key}/${op}`, { alg, value: VALUE, iv: IV, aad: VALUE }));
    for (const aad of ['', null])
      assert.equal((await house.hsm(HSM, 'POST', '/keys/bare/wrapkey', { alg: 'A256KW', value: VALUE, aad })).status, 200);
    const iv = Buffer.alloc(12, 1).toString('base64url');
    const sealed = await Promise.all([1, 2].map(() => house.hsm(HSM, 'POST', '/keys/bare/encrypt', { alg: 'A256GCM', value: VALUE, iv })));
    assert.equal(new Set([iv, ...sealed.map(({ json }) => json.iv)]).size, 3);
  });

  test('JSON is read whatever the content type says of it, but a form is none', async () => {
    for (const type of ['text/plain', 'application/octet-stream', 'application/json; charset=utf-16', 'text/xml', 'no type at all'])
      assert.equal((await raw('POST', '/keys/ec/sign', JSON.stringify(SIGN), type)).status, 200, type);
    refused(await raw('POST', '/keys/ec/sign', JSON.stringify(SIGN), 'application/x-www-form-urlencoded'));
    refused(await raw('POST', '/keys/ec/sign', `alg=ES256&value=${VALUE}`, 'text/plain'));
  });

  test('a body beyond a megabyte is refused before it is read', async () => {
    const got = await raw('POST', '/keys/ec/sign', `{"alg":"ES256","value":"${'A'.repeat(1 << 20)}"}`);
    refused(got, 413, 'RequestEntityTooLarge');
    refused(await raw('POST', '/keys/ec/sign', `{"alg":"ES256","value":"${'A'.repeat(200_000)}"}`));
  });

  test('after all of this the service signs as before', async () => {
    assert.equal((await house.hsm(HSM, 'POST', '/keys/ec/sign', SIGN)).status, 200);
  });
});
