// Release of keys and secure unwrapping: who gets one, and everything that keeps somebody from getting it. The authority's keys are handed in here;
// test/wire/release.test.ts fetches them from a real one.

import assert from 'node:assert/strict';
import { createHmac, createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { test } from 'node:test';
import { UnsecuredJWT } from 'jose';
import { accessTag } from '../../../../src/hsm/access/grants.ts';
import { turned } from '../../crypto/safe.ts';
import { decipheredKey, unwrappedSecret, verifiedRelease } from './at-the-target.ts';
import { type AuthorityKey, authorityKey, type Environment, environment, policyData, token } from './attested.ts';
import { CRYPTO_USER, type KeyEstate, openKeyEstate, withBody } from './key-estate.ts';

const ISSUER = 'https://attest.example';
const KEY = authorityKey();
const TEE = environment();
const CLAIMS = { 'x-ms-isolation-tee.x-ms-attestation-type': 'sevsnpvm', debuggable: 'false' };
const FITTING = { 'x-ms-isolation-tee': { 'x-ms-attestation-type': 'sevsnpvm' }, debuggable: false };
const PREVIEW = '2026-01-01-preview';
const SECURE = ['secureWrapKey', 'secureUnwrapKey'];
const DAY = 86_400_000;

interface Fixture extends KeyEstate {
  /** A token that fits the policy, with other claims in the place of some. */
  token(claims?: Readonly<Record<string, unknown>>, target?: Environment, key?: AuthorityKey): Promise<string>;
}

async function open(t: Parameters<typeof openKeyEstate>[0]): Promise<Fixture> {
  const keys = await openKeyEstate(t);
  keys.estate.issuers.set(`${ISSUER} ${KEY.kid}`, KEY.publicKey);
  return {
    ...keys,
    token: (claims = {}, target = TEE, key = KEY) => token(key, ISSUER, keys.estate.parts.clock.now(), target, { ...FITTING, ...claims }),
  };
}

function exportable(more: object = {}) {
  return withBody({ kty: 'EC', attributes: { exportable: true }, release_policy: { data: policyData(`${ISSUER}/`, CLAIMS) }, ...more });
}

// biome-ignore format: a table reads by its columns
const SPECS = [
  { kty: 'RSA',     version: '7.6' },
  { kty: 'EC',      version: '7.3' },
  { kty: 'oct',     version: '2025-07-01' },
  { kty: 'AKP',     version: '2026-05-01-preview', alg: 'ML-DSA-44' },
];

for (const { version, ...spec } of SPECS) {
  test(`a key of type ${spec.kty} is released to an attested target, three ways, in an answer that the HSM signed`, async (t) => {
    const { get, token } = await open(t);
    const made = await get('POST', '/keys/k/create', { ...exportable(spec), version });
    const id = made.key.kid.split('/').at(-1);
    for (const [enc, nonce] of [
      [undefined, undefined],
      ['CKM_RSA_AES_KEY_WRAP', 'n-1'],
      ['RSA_AES_KEY_WRAP_256', ''],
      ['RSA_AES_KEY_WRAP_384', 'ü'],
    ] as const) {
      const target = enc === undefined ? '/keys/k/release' : `/keys/k/${id}/release`;
      const { value } = await get('POST', target, withBody({ target: await token(), enc, nonce }, { version }));
      const { payload, chain } = await verifiedRelease(value);
      const wanted = {
        'api-version': version,
        enc: enc ?? 'CKM_RSA_AES_KEY_WRAP',
        kid: made.key.kid.slice(0, enc === undefined ? -33 : undefined),
      };
      assert.deepEqual(payload.request, nonce === undefined ? wanted : { ...wanted, nonce });
      const { key, attributes, release_policy } = payload.response.key;
      assert.deepEqual([attributes, release_policy], [made.attributes, made.release_policy]);
      const { key_hsm, ...shown } = key;
      assert.deepEqual(shown, { ...made.key, kty: spec.kty });
      assert.deepEqual(
        chain.map(({ subject }) => subject.replace(/ [0-9a-f]{8}$/, '')),
        ['CN=contoso.managedhsm.localhost', 'CN=Strongroom key release authority', 'CN=Strongroom root'],
      );
      const plain = decipheredKey(key_hsm, TEE);
      if (spec.kty === 'oct') assert.equal(plain.length, 32);
      else assert.ok(isPrivateHalf(made.key, createPrivateKey({ key: plain, format: 'der', type: 'pkcs8' })));
    }
  });
}

function isPrivateHalf(shown: Readonly<Record<string, string>>, key: KeyObject): boolean {
  const jwk: Readonly<Record<string, unknown>> = { ...key.export({ format: 'jwk' }) };
  return ['n', 'x', 'y', 'pub'].every((name) => jwk[name] === shown[name]);
}

test('tokens signed with each algorithm of the list open the way', async (t) => {
  const fixture = await open(t);
  await fixture.get('POST', '/keys/k/create', exportable());
  for (const alg of ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512']) {
    const key = authorityKey(alg, alg);
    fixture.estate.issuers.set(`${ISSUER} ${alg}`, key.publicKey);
    await fixture.get('POST', '/keys/k/release', withBody({ target: await fixture.token({}, TEE, key) }));
  }
});

test('the first RSA key that is for encryption is the target, and no other is looked for', async (t) => {
  const { get, refusal, token } = await open(t);
  await get('POST', '/keys/k/create', exportable({ kty: 'oct' }));
  const other = environment();
  const ec = { ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }), use: 'enc' };
  const keys = (...list: unknown[]) => ({ 'x-ms-runtime': { keys: list, ignored: true } });
  const signing = { ...other.jwk, key_ops: ['verify'] };
  const { value } = await get(
    'POST',
    '/keys/k/release',
    withBody({ target: await token(keys(ec, signing, { ...TEE.jwk, key_ops: undefined, use: 'enc' }, other.jwk)) }),
  );
  const { payload } = await verifiedRelease(value);
  assert.equal(decipheredKey(payload.response.key.key.key_hsm, TEE).length, 32);

  const small = environment(1024);
  for (const list of [
    [],
    [ec],
    [signing],
    [small.jwk, TEE.jwk],
    [{ ...TEE.jwk, e: 'AQ' }],
    [{ ...TEE.jwk, e: 'Ag' }],
    [{ kty: 'RSA', use: 'enc' }],
    ['RSA'],
  ])
    await isNotAccepted(refusal('POST', '/keys/k/release', withBody({ target: await token(keys(...list)) })));
});

async function isNotAccepted(refused: ReturnType<KeyEstate['refusal']>): Promise<void> {
  const { line, message } = await refused;
  assert.deepEqual([line, message], ['403 Forbidden AccessDenied', 'Target environment attestation statement cannot be verified.']);
}

test('a token that is not the authority’s, not of now or not of this environment is not accepted, whatever is wrong with it', async (t) => {
  const fixture = await open(t);
  const { get, refusal, estate } = fixture;
  await get('POST', '/keys/k/create', exportable());
  const now = Math.floor(estate.parts.clock.now() / 1000);
  const stranger = { ...authorityKey(), kid: KEY.kid };
  const good = await fixture.token();
  const [header = '', payload = '', signature = ''] = good.split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
  const pem = KEY.publicKey.export({ type: 'spki', format: 'pem' });
  const hs256 = [Buffer.from(JSON.stringify({ alg: 'HS256', kid: KEY.kid })).toString('base64url'), payload].join('.');
  const altered = Buffer.from(JSON.stringify({ ...claims, debuggable: false, extra: 1 })).toString('base64url');
  const critical = [Buffer.from(JSON.stringify({ alg: 'RS256', kid: KEY.kid, crit: ['x'], x: 1 })).toString('base64url'), payload].join(
    '.',
  );

  const bad: Readonly<Record<string, string>> = {
    'no token': 'nonsense',
    'two parts': `${header}.${payload}`,
    'no signature': `${header}.${payload}.`,
    unsigned: new UnsecuredJWT(claims).encode(),
    'signed with the public key as a shared secret': `${hs256}.${createHmac('sha256', pem).update(hs256).digest('base64url')}`,
    'other claims under the same signature': `${header}.${altered}.${signature}`,
    'another key under the same name': await fixture.token({}, TEE, stranger),
    'a key that the authority does not have': await fixture.token({}, TEE, { ...KEY, kid: 'two' }),
    'a header that has to be understood': `${critical}.${sign('sha256', Buffer.from(critical), KEY.privateKey as KeyObject).toString('base64url')}`,
    'another issuer': await fixture.token({ iss: 'https://attest.example.evil' }),
    'an issuer below': await fixture.token({ iss: `${ISSUER}/tenant` }),
    'no issuer': await fixture.token({ iss: undefined }),
    'several issuers': await fixture.token({ iss: [ISSUER] }),
    expired: await fixture.token({ exp: now - 120 }),
    'not yet valid': await fixture.token({ nbf: now + 120 }),
    'without an end': await fixture.token({ exp: undefined }),
    'an end that is no number': await fixture.token({ exp: 'never' }),
    'another claim': await fixture.token({ debuggable: true }),
    'a claim that is missing': await fixture.token({ debuggable: undefined }),
    'a claim at another place': await fixture.token({ 'x-ms-isolation-tee': undefined, 'x-ms-attestation-type': 'sevsnpvm' }),
    'a name with dots in the place of nested ones': await fixture.token({
      'x-ms-isolation-tee': undefined,
      'x-ms-isolation-tee.x-ms-attestation-type': 'sevsnpvm',
    }),
    'no key': await fixture.token({ 'x-ms-runtime': undefined }),
  };
  for (const [what, target] of Object.entries(bad)) {
    const { line, message } = await refusal('POST', '/keys/k/release', withBody({ target }));
    assert.deepEqual(
      [what, line, message],
      [what, '403 Forbidden AccessDenied', 'Target environment attestation statement cannot be verified.'],
    );
  }
  await get('POST', '/keys/k/release', withBody({ target: good }));
  estate.advance(9 * 3_600_000);
  await isNotAccepted(refusal('POST', '/keys/k/release', withBody({ target: good })));
});

test('any of the authorities of a policy will do, each with its own claims', async (t) => {
  const fixture = await open(t);
  const other = authorityKey('one');
  fixture.estate.issuers.set('https://other.example one', other.publicKey);
  const policy = {
    version: '1.0.0',
    anyOf: [
      { authority: 'https://other.example', anyOf: [{ claim: 'color', equals: 'red' }] },
      { authority: ISSUER, anyOf: [{ claim: 'color', equals: 'blue' }] },
      { authority: `${ISSUER}/`, anyOf: [{ claim: 'color', equals: 'green' }] },
    ],
  };
  await fixture.get(
    'POST',
    '/keys/k/create',
    exportable({ release_policy: { data: Buffer.from(JSON.stringify(policy)).toString('base64url') } }),
  );
  const ask = async (key: AuthorityKey, iss: string, color: string) => withBody({ target: await fixture.token({ iss, color }, TEE, key) });
  for (const [key, iss, color] of [
    [other, 'https://other.example', 'red'],
    [KEY, ISSUER, 'blue'],
    [KEY, `${ISSUER}/`, 'green'],
  ] as const)
    await fixture.get('POST', '/keys/k/release', await ask(key, iss, color));
  for (const [key, iss, color] of [
    [other, 'https://other.example', 'blue'],
    [KEY, ISSUER, 'red'],
    [other, ISSUER, 'blue'],
    [KEY, 'https://other.example', 'red'],
  ] as const)
    await isNotAccepted(fixture.refusal('POST', '/keys/k/release', await ask(key, iss, color)));
});

test('a key outside its time is released, a disabled one is not, and one that may not leave never', async (t) => {
  const { get, refusal, token, estate } = await open(t);
  const now = Math.floor(estate.parts.clock.now() / 1000);
  await get('POST', '/keys/k/create', exportable({ attributes: { exportable: true, nbf: now + 3600, exp: now + 7200 } }));
  await get('POST', '/keys/k/release', withBody({ target: await token() }));
  estate.advance(DAY);
  await get('POST', '/keys/k/release', withBody({ target: await token() }));
  await get('PATCH', '/keys/k', withBody({ attributes: { enabled: false } }));
  assert.equal((await refusal('POST', '/keys/k/release', withBody({ target: await token() }))).line, '403 Forbidden KeyDisabled');
  await get('POST', '/keys/stays/create', withBody({ kty: 'EC' }));
  await get('POST', '/keys/secure/create', withBody({ kty: 'oct', key_ops: SECURE, release_policy: { data: policyData(ISSUER, CLAIMS) } }));
  for (const name of ['stays', 'secure'])
    assert.equal(
      (await refusal('POST', `/keys/${name}/release`, withBody({ target: await token() }))).line,
      '403 Forbidden KeyOperationForbidden',
    );
  assert.equal((await refusal('POST', '/keys/absent/release', withBody({ target: await token() }))).line, '404 KeyNotFound');
});

test('a changed policy counts from the next request, and the version that was asked for is the one that leaves', async (t) => {
  const { get, refusal, token } = await open(t);
  const first = await get('POST', '/keys/k/create', exportable());
  const second = await get('POST', '/keys/k/create', exportable({ release_policy: { data: policyData(ISSUER, { color: 'red' }) } }));
  const older = new URL(first.key.kid).pathname;
  await isNotAccepted(refusal('POST', '/keys/k/release', withBody({ target: await token() })));
  const { payload } = await verifiedRelease((await get('POST', `${older}/release`, withBody({ target: await token() }))).value);
  assert.equal(payload.response.key.key.kid, first.key.kid);
  await get('PATCH', '/keys/k', withBody({ release_policy: { data: policyData(ISSUER, CLAIMS) } }));
  const after = await verifiedRelease((await get('POST', '/keys/k/release', withBody({ target: await token() }))).value);
  assert.equal(after.payload.response.key.key.kid, second.key.kid);
  await get('PATCH', older, withBody({ release_policy: { data: policyData(ISSUER, { color: 'red' }) } }));
  await isNotAccepted(refusal('POST', `${older}/release`, withBody({ target: await token() })));
});

test('what happens while the authority is asked counts: nothing leaves that may not leave when its answer is there', async (t) => {
  const { get, refusal, token, estate } = await open(t);
  const target = await token();
  const changes: readonly (readonly [what: string, line: string, change: () => Promise<unknown>])[] = [
    ['disabled', '403 Forbidden KeyDisabled', () => get('PATCH', '/keys/k', withBody({ attributes: { enabled: false } }))],
    [
      'under another policy',
      '403 Forbidden AccessDenied',
      () => get('PATCH', '/keys/k', withBody({ release_policy: { data: policyData(ISSUER, { color: 'red' }) } })),
    ],
    ['deleted', '404 KeyNotFound', () => get('DELETE', '/keys/k')],
    ['no longer the caller’s', '403 AccessDenied', () => endRoles(estate)],
  ];
  for (const [what, line, change] of changes) {
    await get('POST', '/keys/k/create', exportable());
    estate.whileAsking = async () => {
      estate.whileAsking = undefined;
      await change();
    };
    const refused = await refusal('POST', '/keys/k/release', withBody({ target }));
    assert.deepEqual([what, refused.line], [what, line]);
    if (what === 'deleted') await get('DELETE', '/deletedkeys/k');
  }
  assert.equal(estate.whileAsking, undefined);
});

/** All roles of everybody but administrators. */
async function endRoles({ parts: { write } }: Fixture['estate']): Promise<void> {
  await write(async (writer) => {
    const { hsm_id: hsmId } = await writer.selectFrom('role_assignments').select('hsm_id').executeTakeFirstOrThrow();
    await writer.deleteFrom('role_assignments').where('role_definition_id', '=', CRYPTO_USER).execute();
    writer.touch(accessTag(hsmId));
  });
}

test('a version that is made while the authority is asked is not the one that leaves', async (t) => {
  const { get, token, estate } = await open(t);
  const first = await get('POST', '/keys/k/create', exportable());
  estate.whileAsking = async () => {
    estate.whileAsking = undefined;
    await get('POST', '/keys/k/create', exportable());
  };
  const { payload } = await verifiedRelease((await get('POST', '/keys/k/release', withBody({ target: await token() }))).value);
  assert.equal(payload.response.key.key.kid, first.key.kid);
});

// biome-ignore format: a table reads by its columns
const MALFORMED: readonly (readonly [body: unknown, line: string, says: RegExp])[] = [
  [undefined,                                          '400 Nocontentprovided', /No content/],
  [{},                                                 '400 BadParameter', /target/],
  [{ target: '' },                                     '400 BadParameter', /^Property target is required\.$/],
  [{ target: 7 },                                      '400 BadParameter', /target/],
  [{ target: 'a'.repeat((64 << 10) + 1) },             '400 BadParameter', /^Property target is too long\.$/],
  [{ target: 'a', enc: 'RSA_AES_KEY_WRAP_512' },       '400 BadParameter', /^Property enc is not valid\./],
  [{ target: 'a', nonce: 'n'.repeat(1025) },           '400 BadParameter', /^Property nonce is longer/],
  [{ target: 'a', nonce: 7 },                          '400 BadParameter', /nonce/],
];

test('a request that is no request is refused in words', async (t) => {
  const { get, refusal } = await open(t);
  await get('POST', '/keys/k/create', exportable());
  for (const [body, line, says] of MALFORMED) {
    const refused = await refusal('POST', '/keys/k/release', withBody(body));
    assert.equal(refused.line, line);
    assert.match(refused.message, says);
  }
});

// --- secure wrapping ---

// biome-ignore format: a table reads by its columns
const WRAPPING = [
  { kty: 'RSA', alg: 'RSA-OAEP-256',         length: 256 },
  { kty: 'oct', alg: 'A128KW',               length: 40, size: 128 },
  { kty: 'oct', alg: 'A192KW',               length: 40, size: 192 },
  { kty: 'oct', alg: 'A256KW',               length: 40 },
  { kty: 'oct', alg: 'A128KWPAD',            length: 40, size: 128 },
  { kty: 'oct', alg: 'A192KWPAD',            length: 40, size: 192 },
  { kty: 'oct', alg: 'A256KWPAD',            length: 40 },
  { kty: 'oct', alg: 'CKM_AES_KEY_WRAP',     length: 40 },
  { kty: 'oct', alg: 'CKM_AES_KEY_WRAP_PAD', length: 40 },
];

for (const { kty, alg, length, size } of WRAPPING) {
  test(`${alg}: a fresh key is wrapped for anybody to keep and unwrapped for attested targets alone`, async (t) => {
    const { get, refusal, token } = await open(t);
    const { key } = await get(
      'POST',
      '/keys/k/create',
      withBody({ kty, key_size: size, key_ops: SECURE, release_policy: { data: policyData(ISSUER, CLAIMS) } }),
    );
    const wrapped = await get('POST', '/keys/k/securewrapkey', withBody({ alg }, { version: PREVIEW }));
    assert.deepEqual([wrapped.alg, wrapped.kid, Buffer.from(wrapped.value, 'base64url').length], [alg, key.kid, length]);
    const ask = async (claims = {}, more = {}) =>
      withBody({ alg, value: wrapped.value, target: await token(claims), ...more }, { version: PREVIEW });
    const answers = [await get('POST', '/keys/k/secureunwrapkey', await ask()), await get('POST', '/keys/k/secureunwrapkey', await ask())];
    const [one, two] = answers.map(({ value, ...rest }) => {
      assert.deepEqual(rest, { alg, kid: key.kid });
      return unwrappedSecret(value, TEE);
    });
    assert.deepEqual([one?.length, one], [32, two]);
    await isNotAccepted(refusal('POST', '/keys/k/secureunwrapkey', await ask({ debuggable: true })));
    const broken = turned(Buffer.from(wrapped.value, 'base64url'), -1).toString('base64url');
    assert.equal(
      (await refusal('POST', '/keys/k/secureunwrapkey', await ask({}, { value: broken }))).message,
      'The parameter is incorrect.',
    );
    for (const operation of ['unwrapkey', 'decrypt', 'wrapkey', 'encrypt'])
      assert.equal(
        (await refusal('POST', `/keys/k/${operation}`, withBody({ alg, value: wrapped.value }))).line,
        '403 Forbidden KeyOperationForbidden',
      );
  });
}

test('wrapping has its time, unwrapping does not, and a disabled key does neither', async (t) => {
  const { get, refusal, token, estate } = await open(t);
  const exp = Math.floor(estate.parts.clock.now() / 1000) + 3600;
  await get(
    'POST',
    '/keys/k/create',
    withBody({ kty: 'oct', key_ops: SECURE, attributes: { exp }, release_policy: { data: policyData(ISSUER, CLAIMS) } }),
  );
  const { value } = await get('POST', '/keys/k/securewrapkey', withBody({ alg: 'A256KW' }));
  estate.advance(DAY);
  assert.equal((await refusal('POST', '/keys/k/securewrapkey', withBody({ alg: 'A256KW' }))).line, '403 Forbidden KeyExpired');
  const unwrap = async () => withBody({ alg: 'A256KW', value, target: await token() }, { version: PREVIEW });
  await get('POST', '/keys/k/secureunwrapkey', await unwrap());
  await get('PATCH', '/keys/k', withBody({ attributes: { enabled: false } }));
  for (const [operation, body] of [
    ['securewrapkey', withBody({ alg: 'A256KW' })],
    ['secureunwrapkey', await unwrap()],
  ] as const)
    assert.equal((await refusal('POST', `/keys/k/${operation}`, body)).line, '403 Forbidden KeyDisabled');
});

test('a key with one of the two operations does the one', async (t) => {
  const { get, refusal, token } = await open(t);
  await get(
    'POST',
    '/keys/k/create',
    withBody({ kty: 'oct', key_ops: ['secureWrapKey'], release_policy: { data: policyData(ISSUER, CLAIMS) } }),
  );
  const { value } = await get('POST', '/keys/k/securewrapkey', withBody({ alg: 'A256KW' }));
  const refused = await refusal(
    'POST',
    '/keys/k/secureunwrapkey',
    withBody({ alg: 'A256KW', value, target: await token() }, { version: PREVIEW }),
  );
  assert.equal(refused.line, '403 Forbidden KeyOperationForbidden');
});

test('an algorithm of another key, and one that only wraps in the ordinary way, are refused', async (t) => {
  const { get, refusal } = await open(t);
  await get('POST', '/keys/k/create', withBody({ kty: 'oct', key_ops: SECURE, release_policy: { data: policyData(ISSUER, CLAIMS) } }));
  for (const alg of ['A128KWPAD', 'RSA-OAEP-256', 'RSA-OAEP', 'A256GCM', 'A256CBCPAD', 'constructor'])
    assert.equal((await refusal('POST', '/keys/k/securewrapkey', withBody({ alg }))).line, '400 BadParameter', alg);
  await get('POST', '/keys/o/create', withBody({ kty: 'oct' }));
  assert.match(
    (await refusal('POST', '/keys/o/wrapkey', withBody({ alg: 'A256KWPAD', value: 'AAAA' }))).message,
    /cannot be used for operation 'wrapKey'/,
  );
});

test('from 2026-07-01-preview on an application says which authority it trusts, and gets nothing from another', async (t) => {
  const { get, refusal, token } = await open(t);
  await get('POST', '/keys/k/create', withBody({ kty: 'oct', key_ops: SECURE, release_policy: { data: policyData(ISSUER, CLAIMS) } }));
  const { value } = await get('POST', '/keys/k/securewrapkey', withBody({ alg: 'A256KW' }));
  const ask = async (version: string | null, applicationTrustedIssuer?: string) =>
    withBody({ alg: 'A256KW', value, target: await token(), applicationTrustedIssuer }, { version });
  for (const version of [PREVIEW, '2026-04-01', '2026-05-01-preview']) await get('POST', '/keys/k/secureunwrapkey', await ask(version));
  for (const version of ['2026-07-01-preview', '2026-07-01'])
    assert.match(
      (await refusal('POST', '/keys/k/secureunwrapkey', await ask(version))).message,
      /^Property applicationTrustedIssuer is required\.$/,
    );
  for (const trusted of [ISSUER, `${ISSUER}/`]) await get('POST', '/keys/k/secureunwrapkey', await ask('2026-07-01-preview', trusted));
  await isNotAccepted(refusal('POST', '/keys/k/secureunwrapkey', await ask('2026-07-01-preview', 'https://other.example')));
});
