// Who may use a key, for what and when; and that a key in use is not read from the store. The algorithms themselves: test/wire/algorithms.test.ts.

import assert from 'node:assert/strict';
import { createHash, createPublicKey, generateKeyPairSync, sign as signLocally, verify as verifyLocally } from 'node:crypto';
import { test } from 'node:test';
import { openKeyCache } from '../../../../src/hsm/keys/cache.ts';
import { activeHsm } from '../../../../src/hsm/pool.ts';
import type { Reader } from '../../../../src/store/store.ts';
import { DAY, type KeyEstate, lastOf, openKeyEstate, withBody } from './key-estate.ts';

const MESSAGE = Buffer.from('I owe you seven kroner.');
const text = (bytes: Buffer): string => bytes.toString('base64url');
const SHA256 = text(createHash('sha256').update(MESSAGE).digest());
const SECRET = text(Buffer.alloc(32, 7));

const OPERATIONS = ['sign', 'verify', 'encrypt', 'decrypt', 'wrapkey', 'unwrapkey'] as const;
type Op = (typeof OPERATIONS)[number];
/** As `key_ops` and refusals spell them. */
const KEY_OP: Readonly<Record<Op, string>> = {
  sign: 'sign',
  verify: 'verify',
  encrypt: 'encrypt',
  decrypt: 'decrypt',
  wrapkey: 'wrapKey',
  unwrapkey: 'unwrapKey',
};
const MAKES_NEW: readonly Op[] = ['sign', 'encrypt', 'wrapkey'];

/** For each operation a body that an RSA key of this name takes, and the wire answers with 200. */
async function bodies({ get }: KeyEstate, name: string): Promise<Readonly<Record<Op, object>>> {
  const signature = await get('POST', `/keys/${name}/sign`, withBody({ alg: 'PS256', value: SHA256 }));
  const sealed = await get('POST', `/keys/${name}/encrypt`, withBody({ alg: 'RSA-OAEP-256', value: SECRET }));
  return {
    sign: { alg: 'PS256', value: SHA256 },
    verify: { alg: 'PS256', digest: SHA256, value: signature.value },
    encrypt: { alg: 'RSA-OAEP-256', value: SECRET },
    decrypt: { alg: 'RSA-OAEP-256', value: sealed.value },
    wrapkey: { alg: 'RSA-OAEP-256', value: SECRET },
    unwrapkey: { alg: 'RSA-OAEP-256', value: sealed.value },
  };
}

test('an operation that the key was not made for is refused, and the others are not', async (t) => {
  const estate = await openKeyEstate(t);
  await estate.get('POST', '/keys/k/create', withBody({ kty: 'RSA' }));
  const body = await bodies(estate, 'k');
  for (const only of OPERATIONS) {
    await estate.get('PATCH', '/keys/k', withBody({ key_ops: [KEY_OP[only]] }));
    for (const op of OPERATIONS) {
      if (op === only) await estate.get('POST', `/keys/k/${op}`, withBody(body[op]));
      else
        assert.deepEqual(await estate.refusal('POST', `/keys/k/${op}`, withBody(body[op])), {
          line: '403 Forbidden KeyOperationForbidden',
          message: `Operation ${KEY_OP[op]} is not permitted on this key.`,
        });
    }
  }
});

test('a disabled key does nothing, and enabled again it does everything', async (t) => {
  const estate = await openKeyEstate(t);
  await estate.get('POST', '/keys/k/create', withBody({ kty: 'RSA' }));
  const body = await bodies(estate, 'k');
  await estate.get('PATCH', '/keys/k', withBody({ attributes: { enabled: false } }));
  for (const op of OPERATIONS)
    assert.deepEqual(await estate.refusal('POST', `/keys/k/${op}`, withBody(body[op])), {
      line: '403 Forbidden KeyDisabled',
      message: `Operation ${KEY_OP[op]} is not allowed on a disabled key.`,
    });
  await estate.get('PATCH', '/keys/k', withBody({ attributes: { enabled: true } }));
  for (const op of OPERATIONS) await estate.get('POST', `/keys/k/${op}`, withBody(body[op]));
});

test('before its time and after it a key makes nothing new, and still opens and checks what it made', async (t) => {
  const keys = await openKeyEstate(t);
  const { estate, get, refusal } = keys;
  const { attributes } = await get('POST', '/keys/k/create', withBody({ kty: 'RSA' }));
  const body = await bodies(keys, 'k');
  const day = DAY / 1000;
  await get('PATCH', '/keys/k', withBody({ attributes: { nbf: attributes.created + day, exp: attributes.created + 2 * day } }));

  async function expectRefusals(line: string): Promise<void> {
    for (const op of OPERATIONS) {
      if (MAKES_NEW.includes(op)) assert.equal((await refusal('POST', `/keys/k/${op}`, withBody(body[op]))).line, line, op);
      else await get('POST', `/keys/k/${op}`, withBody(body[op]));
    }
  }

  await expectRefusals('403 Forbidden KeyNotYetValid');
  estate.advance(DAY + 1000);
  for (const op of OPERATIONS) await get('POST', `/keys/k/${op}`, withBody(body[op]));
  estate.advance(DAY);
  await expectRefusals('403 Forbidden KeyExpired');
});

test('a key is addressed by its version, by its name alone, and by a name in any case', async (t) => {
  const { get } = await openKeyEstate(t);
  const old = await get('POST', '/keys/Key/create', withBody({ kty: 'EC' }));
  const latest = await get('POST', '/keys/Key/create', withBody({ kty: 'EC' }));
  const [first, second] = [lastOf(old.key.kid), lastOf(latest.key.kid)];
  const body = { alg: 'ES256', value: SHA256 };
  for (const [target, kid] of [
    ['/keys/Key/sign', latest.key.kid],
    ['/keys/KEY//sign', latest.key.kid],
    ['/Keys/key/SIGN/', latest.key.kid],
    [`/keys/key/${second}/sign`, latest.key.kid],
    [`/keys/key/${first}/sign`, old.key.kid],
    [`/keys/key/${first.toUpperCase()}/sign`, old.key.kid],
  ] as const) {
    const signed = await get('POST', target, withBody(body));
    assert.deepEqual([signed.alg, signed.kid], ['ES256', kid], target);
    const { x, y } = kid === old.key.kid ? old.key : latest.key;
    const key = createPublicKey({ key: { kty: 'EC', crv: 'P-256', x, y }, format: 'jwk' });
    assert.equal(
      verifyLocally('sha256', MESSAGE, { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signed.value, 'base64url')),
      true,
      target,
    );
  }
});

test('a version, or a key, that is not there is not found; a version that is none is told so', async (t) => {
  const { get, refusal } = await openKeyEstate(t);
  await get('POST', '/keys/k/create', withBody({ kty: 'EC' }));
  const sign = withBody({ alg: 'ES256', value: SHA256 });
  const address = 'https://contoso.managedhsm.localhost:8443/keys';
  assert.deepEqual(await refusal('POST', `/keys/k/${'0'.repeat(32)}/sign`, sign), {
    line: '404 KeyNotFound',
    message: `Key not found: ${address}/k`,
  });
  assert.deepEqual(await refusal('GET', '/keys/Absent'), { line: '404 KeyNotFound', message: `Key not found: ${address}/Absent` });
  for (const version of ['latest', '0'.repeat(31), `${'0'.repeat(31)}g`])
    assert.equal((await refusal('POST', `/keys/k/${version}/sign`, sign)).line, '400 Invalidkeyidentifier', version);
});

test('values that are not canonical base64url, or too long, are named', async (t) => {
  const { get, refusal } = await openKeyEstate(t);
  await get('POST', '/keys/k/create', withBody({ kty: 'oct' }));
  const good = { alg: 'HS256', digest: SHA256, value: SHA256 };
  for (const [member, bad] of [
    ['value', 'a'],
    ['value', `${SHA256}=`],
    ['value', 'ab+/'],
    ['value', 'AB'],
    ['digest', 'not base64url'],
    ['digest', 7],
    ['value', text(Buffer.alloc(65_537))],
  ] as const) {
    const { line, message } = await refusal('POST', '/keys/k/verify', withBody({ ...good, [member]: bad }));
    assert.equal(line, '400 BadParameter');
    assert.match(message, new RegExp(`^Property ${member} is `));
  }
  assert.equal((await refusal('POST', '/keys/k/sign', withBody(undefined))).line, '400 Nocontentprovided');
});

test('whatever is wrong with a ciphertext, the refusal is one and the same', async (t) => {
  const { get, refusal } = await openKeyEstate(t);
  const seen = new Set<string>();
  await get('POST', '/keys/a/create', withBody({ kty: 'oct' }));
  await get('POST', '/keys/r/create', withBody({ kty: 'RSA' }));
  const { alg, iv, tag, value } = await get('POST', '/keys/a/encrypt', withBody({ alg: 'A256GCM', value: SECRET, aad: 'AAAA' }));
  const flipped = (encoded: string): string => {
    const bytes = Buffer.from(encoded, 'base64url');
    bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0);
    return text(bytes);
  };
  const good = { alg, iv, tag, value, aad: 'AAAA' };
  assert.equal((await get('POST', '/keys/a/decrypt', withBody(good))).value, SECRET);
  for (const bad of [
    { ...good, aad: 'AAAB' },
    { ...good, tag: flipped(tag) },
    { ...good, value: flipped(value) },
    { ...good, iv: flipped(iv) },
  ]) {
    const { line, message } = await refusal('POST', '/keys/a/decrypt', withBody(bad));
    seen.add(`${line}: ${message}`);
  }
  for (const [rsa, bytes] of [
    ['RSA1_5', 255],
    ['RSA-OAEP', 256],
    ['RSA-OAEP', 255],
    ['RSA-OAEP-256', 256],
    ['RSA-OAEP-256', 1],
  ] as const) {
    const { line, message } = await refusal('POST', '/keys/r/unwrapkey', withBody({ alg: rsa, value: text(Buffer.alloc(bytes, 1)) }));
    seen.add(`${line}: ${message}`);
  }
  assert.deepEqual([...seen], ['400 BadParameter: The parameter is incorrect.']);
});

test('broken RSA1_5 padding is never admitted: the same bytes come out each time, and they are nobody’s', async (t) => {
  const { get } = await openKeyEstate(t);
  await get('POST', '/keys/r/create', withBody({ kty: 'RSA' }));
  await get('POST', '/keys/other/create', withBody({ kty: 'RSA' }));
  const body = withBody({ alg: 'RSA1_5', value: text(Buffer.alloc(256, 1)) });
  const { value } = await get('POST', '/keys/r/decrypt', body);
  assert.equal((await get('POST', '/keys/r/decrypt', body)).value, value);
  assert.notEqual((await get('POST', '/keys/other/decrypt', body)).value, value);
});

test('a signature that was made elsewhere with an imported key verifies, and one that was changed does not', async (t) => {
  const { get } = await openKeyEstate(t);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await get('PUT', '/keys/k', withBody({ key: privateKey.export({ format: 'jwk' }) }));
  const signature = signLocally('sha256', MESSAGE, { key: privateKey, dsaEncoding: 'ieee-p1363' });
  const verify = async (bytes: Buffer) =>
    (await get('POST', '/keys/k/verify', withBody({ alg: 'ES256', digest: SHA256, value: text(bytes) }))).value;
  assert.equal(await verify(signature), true);
  signature.writeUInt8(signature.readUInt8(63) ^ 1, 63);
  assert.equal(await verify(signature), false);
  assert.equal(await verify(signature.subarray(0, 63)), false);
});

test('random bytes come in the number that was asked for, 1 to 128, and never twice', async (t) => {
  const { get, refusal } = await openKeyEstate(t);
  for (const count of [1, 32, 128])
    assert.equal(Buffer.from((await get('POST', '/rng', withBody({ count }))).value, 'base64url').length, count);
  const [one, other] = [await get('POST', '/rng', withBody({ count: 32 })), await get('POST', '/rng', withBody({ count: 32 }))];
  assert.notEqual(one.value, other.value);
  for (const count of [0, 129, 1.5, -1])
    assert.deepEqual(await refusal('POST', '/rng', withBody({ count })), {
      line: '400 BadParameter',
      message: 'GetRandomBytesRequest: count cannot be greater than 128 or less than 1',
    });
  assert.equal((await refusal('POST', '/rng', withBody({ count: '32' }))).line, '400 BadParameter');
});

// --- the cache ---

test('a key in use is not read from the store again until it changes, however many absent names are asked for', async (t) => {
  const { estate, hsmId, get } = await openKeyEstate(t);
  await get('POST', '/keys/hot/create', withBody({ kty: 'oct' }));
  const { parts } = estate;
  let reads = 0;
  const read: Reader = {
    selectFrom: parts.read.selectFrom.bind(parts.read),
    getExecutor: () => {
      reads += 1;
      return parts.read.getExecutor();
    },
  };
  const hsm = await activeHsm(parts, hsmId);
  assert.ok(hsm);
  const cache = openKeyCache({ read, versions: parts.versions });
  const readsOf = async (): Promise<number> => {
    reads = 0;
    assert.equal((await cache.find(hsm, 'hot', undefined)).name, 'hot');
    return reads;
  };
  assert.notEqual(await readsOf(), 0);
  assert.equal(await readsOf(), 0);
  for (let i = 0; i < 10_001; i += 1) await assert.rejects(cache.find(hsm, `absent-${i}`, undefined), { code: 'KeyNotFound' });
  assert.equal(await readsOf(), 0);
  await get('PATCH', '/keys/hot', withBody({ tags: { changed: 'yes' } }));
  assert.notEqual(await readsOf(), 0);
});
