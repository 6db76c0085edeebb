// The third-party vectors through the HTTP API: valid ones accepted, invalid ones refused, and every refusal the same. What the API cannot say is left out by
// name and counted: keys whose private half nobody has, keys of sizes that the service does not take, shortened tags.

import assert from 'node:assert/strict';
import { createHash, createPrivateKey } from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import { type Got, type House, type Json, openHouse } from '../house.ts';
import { type Case, type Group, readWycheproof } from '../wycheproof.ts';
import { ALL_OPERATIONS, activate, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'wycheproof';
const text = (bytes: Buffer): string => bytes.toString('base64url');
const sha256 = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest();
/** At a time; changes that wait together share a commit. */
const TOGETHER = 16;

/** `unsaid`: why a case cannot be put to the API. */
type Outcome = 'accepted' | 'refused' | { readonly unsaid: string };

suite('Wycheproof over HTTP', () => {
  let house: House;
  const refusals = new Set<string>();
  before(async () => {
    house = await openHouse();
    await house.provision(HSM);
    await activate(house, HSM);
    await grant(house, HSM, CRYPTO_USER, house.connection.user.objectId);
    for (const [name, body] of [
      ['p256', { kty: 'EC', crv: 'P-256' }],
      ['p256k', { kty: 'EC', crv: 'P-256K' }],
      ['rsa', { kty: 'RSA', key_size: 2048 }],
    ] as const) {
      assert.equal((await house.hsm(HSM, 'POST', `/keys/${name}/create`, body)).status, 200);
    }
  });
  after(() => house?.close());

  /** Runs a file; `expected` counts the outcomes, by name where a case cannot be said. */
  function wycheproof(
    file: string,
    title: string,
    expected: Readonly<Record<string, number>>,
    put: (item: Case, group: Group) => Promise<Outcome>,
  ): void {
    test(`${file}: ${title}`, async () => {
      const { testGroups, numberOfTests } = readWycheproof(file);
      const all = testGroups.flatMap((group) => group.tests.map((item) => ({ item, group })));
      assert.equal(all.length, numberOfTests);
      const counts: Record<string, number> = {};
      for (let start = 0; start < all.length; start += TOGETHER) {
        const outcomes = all.slice(start, start + TOGETHER).map(async ({ item, group }) => judged(item, await put(item, group)));
        for (const name of await Promise.all(outcomes)) counts[name] = (counts[name] ?? 0) + 1;
      }
      assert.deepEqual(counts, expected);
    });
  }

  /** What to count the case as; throws when it came out otherwise than the file says. */
  function judged({ result, tcId, comment }: Case, outcome: Outcome): string {
    if (typeof outcome !== 'string') return outcome.unsaid;
    if (result === 'acceptable') return `${outcome}, as it may be`;
    assert.equal(outcome, result === 'valid' ? 'accepted' : 'refused', `case ${tcId}: ${comment}`);
    return outcome;
  }

  function use(key: string, operation: string, body: Json): Promise<Got> {
    return house.hsm(HSM, 'POST', `/keys/${key}/${operation}`, body);
  }

  async function importKey(name: string, key: Json): Promise<void> {
    const got = await house.hsm(HSM, 'PUT', `/keys/${name}`, { key: { ...key, key_ops: ALL_OPERATIONS } });
    assert.equal(got.status, 200, got.text);
  }

  /** What was opened, or undefined for the one refusal that there is. */
  async function opened(key: string, operation: string, body: Json): Promise<string | undefined> {
    const got = await use(key, operation, body);
    if (got.status === 200) return got.json.value;
    refusals.add(`${got.status} ${got.json.error?.code} ${String(got.json.error?.message).replace(/ \(Activity ID: .*$/, '')}`);
    return undefined;
  }

  /** Sealed as the vector says, and opened to what it says; or not opened. */
  async function sealed(key: string, [seal, open]: readonly [string, string], body: Json, { msg, ct, result }: Case): Promise<Outcome> {
    if (result === 'valid') assert.equal((await use(key, seal, { ...body, value: text(msg) })).json.value, text(ct));
    const plain = await opened(key, open, { ...body, value: text(ct) });
    if (plain === undefined) return 'refused';
    assert.equal(plain, text(msg));
    return 'accepted';
  }

  wycheproof('aes_cbc_pkcs5', 'padding that is not whole is refused', { accepted: 72, refused: 144 }, async (item, { keySize }) => {
    const key = `cbc-${item.tcId}`;
    await importKey(key, { kty: 'oct', k: text(item.key) });
    return sealed(key, ['encrypt', 'decrypt'], { alg: `A${keySize}CBCPAD`, iv: text(item.iv) }, item);
  });

  wycheproof('aes_kwp', 'what is no wrapped key is refused', { accepted: 77, refused: 177 }, async (item) => {
    const key = `kwp-${item.tcId}`;
    await importKey(key, { kty: 'oct', k: text(item.key) });
    return sealed(key, ['wrapkey', 'unwrapkey'], { alg: 'CKM_AES_KEY_WRAP_PAD' }, item);
  });

  const wrapped = { accepted: 36, refused: 126, 'refused, as it may be': 3 };
  wycheproof('aes_wrap', 'what is no wrapped key is refused', wrapped, async (item, { keySize }) => {
    const key = `kw-${item.tcId}`;
    await importKey(key, { kty: 'oct', k: text(item.key) });
    const both = [`A${keySize}KW`, 'CKM_AES_KEY_WRAP'].map((alg) => sealed(key, ['wrapkey', 'unwrapkey'], { alg }, item));
    const [own, any] = await Promise.all(both);
    assert.equal(own, any);
    return own ?? 'refused';
  });

  const nonces = { accepted: 116, refused: 81, 'a nonce that has not 12 bytes, which is refused': 119 };
  wycheproof('aes_gcm', 'a changed text, tag or nonce is refused', nonces, async (item, { keySize, ivSize }) => {
    const key = `gcm-${item.tcId}`;
    await importKey(key, { kty: 'oct', k: text(item.key) });
    const body = { alg: `A${keySize}GCM`, value: text(item.ct), iv: text(item.iv), tag: text(item.tag), aad: text(item.aad) };
    if (ivSize !== 96) {
      const got = await use(key, 'decrypt', body);
      assert.deepEqual([got.status, got.json.error?.code], [400, 'BadParameter'], `case ${item.tcId}: ${got.text}`);
      return { unsaid: 'a nonce that has not 12 bytes, which is refused' };
    }
    const plain = await opened(key, 'decrypt', body);
    if (plain !== undefined) assert.equal(plain, text(item.msg));
    return plain === undefined ? 'refused' : 'accepted';
  });

  const codes = { accepted: 30, refused: 54, 'a key of 520 bits': 6, 'a shortened code, which is refused whatever it is': 84 };
  wycheproof('hmac_sha256', 'a changed code is not right', codes, async (item, { keySize, tagSize }) => {
    if (keySize < 128 || keySize > 512) return { unsaid: `a key of ${keySize} bits` };
    const key = `hmac-${item.tcId}`;
    await importKey(key, { kty: 'oct', k: text(item.key) });
    const check = { alg: 'HS256', digest: text(item.msg), value: text(item.tag) };
    const right = (await use(key, 'verify', check)).json.value;
    if (tagSize < 256) {
      assert.equal(right, false, `case ${item.tcId}: a part of a code`);
      return { unsaid: 'a shortened code, which is refused whatever it is' };
    }
    return right ? 'accepted' : 'refused';
  });

  const pairs = new Map<string, Promise<void>>();
  /** The name of the group's key, which is imported when it is first asked for. */
  async function rsaKey({ privateKeyPkcs8 }: Group): Promise<string> {
    const name = `rsa-${sha256(privateKeyPkcs8).toString('hex', 0, 8)}`;
    const { n, e, d, p, q, dp, dq, qi } = createPrivateKey({ key: privateKeyPkcs8, format: 'der', type: 'pkcs8' }).export({
      format: 'jwk',
    });
    const imported = pairs.get(name) ?? importKey(name, { kty: 'RSA', n, e, d, p, q, dp, dq, qi });
    pairs.set(name, imported);
    await imported;
    return name;
  }

  for (const [file, alg, labels] of [
    ['rsa_oaep_2048_sha1_mgf1sha1', 'RSA-OAEP', 7],
    ['rsa_oaep_2048_sha256_mgf1sha256', 'RSA-OAEP-256', 8],
  ] as const) {
    const expected = { accepted: 10, refused: 19, 'a label, which no request can name, so that it is refused': labels };
    wycheproof(file, 'padding that is not whole is refused', expected, async (item, group) => {
      const plain = await opened(await rsaKey(group), 'decrypt', { alg, value: text(item.ct) });
      if (item.label.length > 0) {
        assert.equal(plain, undefined, `case ${item.tcId}: a label`);
        return { unsaid: 'a label, which no request can name, so that it is refused' };
      }
      if (plain !== undefined) assert.equal(plain, text(item.msg));
      return plain === undefined ? 'refused' : 'accepted';
    });
  }

  const unpadded = { accepted: 42, refused: 6, 'bad padding, which is not admitted: the answer is nobody’s bytes': 19 };
  wycheproof('rsa_pkcs1_2048', 'padding that is not whole opens nothing', unpadded, async (item, group) => {
    const plain = await opened(await rsaKey(group), 'decrypt', { alg: 'RSA1_5', value: text(item.ct) });
    if (plain === undefined) return 'refused';
    if (item.result === 'valid') {
      assert.equal(plain, text(item.msg));
      return 'accepted';
    }
    if (item.msg.length > 0) assert.notEqual(plain, text(item.msg), `case ${item.tcId}`);
    return { unsaid: 'bad padding, which is not admitted: the answer is nobody’s bytes' };
  });

  const RS: Readonly<Record<string, string>> = { 'SHA-256': 'RS256', 'SHA-384': 'RS384', 'SHA-512': 'RS512' };
  const made = { accepted: 24, 'accepted, as it may be': 3, 'a signature over SHA-1': 8, 'a signature over SHA-224': 8 };
  wycheproof('rsa_pkcs1_2048_sig_gen', 'the signature is the one that there is', made, async (item, group) => {
    const alg = RS[group.sha];
    if (alg === undefined) return { unsaid: `a signature over ${group.sha}` };
    const digest = createHash(group.sha.replace('-', '')).update(item.msg).digest();
    const signed = (await use(await rsaKey(group), 'sign', { alg, value: text(digest) })).json.value;
    return signed === text(item.sig) ? 'accepted' : 'refused';
  });

  // Their right signatures are accepted in test/unit/crypto/wycheproof.test.ts, which needs no private key.
  for (const [file, alg, key, refused, valid] of [
    ['ecdsa_secp256r1_sha256_p1363', 'ES256', 'p256', 89, 173],
    ['ecdsa_secp256k1_sha256_p1363', 'ES256K', 'p256k', 85, 167],
    ['rsa_pss_2048_sha256_mgf1_32', 'PS256', 'rsa', 45, 63],
  ] as const) {
    const expected = { refused, 'a valid signature, whose key has no private half to import': valid };
    wycheproof(file, 'nothing of it is right for another key, and nothing of it is an error', expected, async (item) => {
      const got = await use(key, 'verify', { alg, digest: text(sha256(item.msg)), value: text(item.sig) });
      assert.deepEqual([got.status, got.json.value], [200, false], `case ${item.tcId}: ${item.comment}: ${got.text}`);
      return item.result === 'valid' ? { unsaid: 'a valid signature, whose key has no private half to import' } : 'refused';
    });
  }

  test('all of them were refused in one and the same way', () => {
    assert.deepEqual([...refusals], ['400 BadParameter The parameter is incorrect.']);
  });
});
