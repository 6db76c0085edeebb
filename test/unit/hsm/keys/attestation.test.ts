// Attestation of keys: what an HSM says, that it is true, and that the verifier finds out when an answer was altered or is about something else.

import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { seconds } from '../../../../src/core/clock.ts';
import { asSealedDomainKey, asSealedKey } from '../../../../src/crypto/types.ts';
import { keyTermsOf } from '../../../../src/hsm/keys/key-version.ts';
import { keyTag } from '../../../../src/hsm/keys/names.ts';
import { verifyAttestation } from '../../../../src/verify-attestation.ts';
import { policyData } from './attested.ts';
import { type KeyEstate, openKeyEstate, withBody } from './key-estate.ts';

// biome-ignore lint/suspicious/noExplicitAny: answers whose shape a test is about to find out
type Answer = any;

const POLICY = { data: policyData('https://attest.example', { color: 'red' }), immutable: true };

function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'base64url');
}

function pemOf({ attributes }: Answer): string {
  return bytesOf(attributes.attestation.certificatePemFile).toString();
}

function rootOf(answer: Answer): X509Certificate {
  const pem = pemOf(answer);
  return new X509Certificate(pem.slice(pem.lastIndexOf('-----BEGIN')));
}

async function failures(answer: Answer, root: X509Certificate | undefined): Promise<readonly string[]> {
  const { findings } = await verifyAttestation(structuredClone(answer), root);
  return findings.filter(({ holds }) => !holds).map(({ what }) => what);
}

function statementIn(answer: Answer, member: 'privateKeyAttestation' | 'publicKeyAttestation') {
  const jws = bytesOf(answer.attributes.attestation[member]).toString();
  return { header: decodeProtectedHeader(jws), payload: decodeJwt(jws) };
}

const MAKE = [
  { kty: 'RSA' },
  { kty: 'EC', crv: 'P-256K' },
  { kty: 'EC', crv: 'P-521' },
  { kty: 'oct', key_size: 192 },
  { kty: 'AKP', alg: 'ML-DSA-65' },
];

for (const spec of MAKE) {
  test(`a key made of ${JSON.stringify(spec)} is attested as software, and the attestation holds`, async (t) => {
    const { get, estate } = await openKeyEstate(t);
    const { key } = await get('POST', '/keys/k/create', withBody(spec, { version: '2026-05-01-preview' }));
    const path = new URL(key.kid).pathname;
    for (const target of [`${path}/attestation`, '/keys/k/attestation']) {
      const before = seconds(estate.parts.clock.now());
      const answer = await get('GET', target);
      const { attestation, ...attributes } = answer.attributes;
      assert.deepEqual({ ...answer, attributes }, await get('GET', '/keys/k'));
      assert.deepEqual([attestation.version, 'publicKeyAttestation' in attestation], ['STRG-1', spec.kty !== 'oct']);
      assert.deepEqual(await failures(answer, rootOf(answer)), []);
      const { header, payload } = statementIn(answer, 'privateKeyAttestation');
      assert.deepEqual([header.alg, header.typ], ['ES256', 'STRG-1']);
      const { jkt, iat, ...said } = payload;
      assert.ok(before <= Number(iat) && Number(iat) <= seconds(estate.parts.clock.now()));
      assert.equal(jkt === undefined, spec.kty === 'oct');
      assert.deepEqual(said, {
        version: 'STRG-1',
        statement: 'private key',
        hsm: 'contoso.managedhsm.localhost',
        kid: key.kid,
        kty: key.kty,
        protection: 'software',
        hardware: false,
        fips: false,
        origin: 'generated',
        release: 'never',
      });
    }
  });
}

test('where a key came from, and whether it may leave, is attested as it was sealed', async (t) => {
  const { get } = await openKeyEstate(t);
  const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  await get('PUT', '/keys/i', withBody({ key: jwk, attributes: { exportable: true }, release_policy: POLICY }));
  await get('POST', '/keys/s/create', withBody({ kty: 'oct', key_ops: ['secureWrapKey'], release_policy: { data: POLICY.data } }));
  await get('PUT', '/keys/o', withBody({ key: { kty: 'oct', k: randomBytes(32).toString('base64url') } }));
  for (const [name, origin, release, immutable] of [
    ['i', 'imported', 'exportable', true],
    ['s', 'generated', 'secure wrapping', false],
    ['o', 'imported', 'never', undefined],
  ] as const) {
    const answer = await get('GET', `/keys/${name}/attestation`);
    assert.deepEqual(await failures(answer, rootOf(answer)), []);
    const { payload } = statementIn(answer, 'privateKeyAttestation');
    assert.deepEqual([payload.origin, payload.release, payload.release_policy_immutable], [origin, release, immutable]);
  }
});

test('of a key from before origins were kept the HSM says that it does not know', async (t) => {
  const { estate, get } = await openKeyEstate(t);
  await get('POST', '/keys/k/create', withBody({ kty: 'EC' }));
  const { parts } = estate;
  const hsm = await parts.read.selectFrom('hsms').select(['id', 'sealed_domain_key']).executeTakeFirstOrThrow();
  const row = await parts.read.selectFrom('key_versions').selectAll().executeTakeFirstOrThrow();
  const identity = { hsmId: hsm.id, name: row.name_key, version: row.version };
  const made = { sealed: asSealedKey(row.sealed), material: JSON.parse(row.material_json), terms: keyTermsOf(row) };
  const domain = { hsmId: hsm.id, sealed: asSealedDomainKey(hsm.sealed_domain_key) };
  const sealed = parts.crypto.adopt(domain, made, identity, identity, { origin: undefined, release: undefined });
  await parts.write(async (writer) => {
    await writer.updateTable('key_versions').set({ sealed, origin: null }).execute();
    writer.touch(keyTag(hsm.id, 'k'));
  });
  const answer = await get('GET', '/keys/k/attestation');
  assert.deepEqual(await failures(answer, rootOf(answer)), []);
  assert.equal(statementIn(answer, 'privateKeyAttestation').payload.origin, 'unknown');
  await get('POST', '/keys/k/sign', withBody({ alg: 'ES256', value: Buffer.alloc(32).toString('base64url') }));
});

test('an HSM attests nothing that its own seal denies', async (t) => {
  const { estate, get } = await openKeyEstate(t);
  await get('PUT', '/keys/k', withBody({ key: { kty: 'oct', k: randomBytes(32).toString('base64url') } }));
  await estate.parts.write(async (writer) => {
    await writer.updateTable('key_versions').set({ origin: 'generated' }).execute();
  });
  await assert.rejects(get('GET', '/keys/k/attestation'), /sealed key does not open/);
});

test('all keys of an HSM are attested by one signer, under one root for the whole service', async (t) => {
  const keys = await openKeyEstate(t);
  await keys.add('fabrikam');
  for (const name of ['a', 'b']) await keys.get('POST', `/keys/${name}/create`, withBody({ kty: 'oct' }));
  await keys.get('POST', '/keys/a/create', withBody({ kty: 'oct' }, { at: 'fabrikam' }));
  const [one, two, other] = [
    await keys.get('GET', '/keys/a/attestation'),
    await keys.get('GET', '/keys/b/attestation'),
    await keys.get('GET', '/keys/a/attestation', { at: 'fabrikam' }),
  ].map(pemOf);
  assert.equal(one, two);
  const [leaf, otherLeaf] = [one, other].map((pem = '') => new X509Certificate(pem));
  assert.deepEqual([leaf?.subject, otherLeaf?.subject], ['CN=contoso.managedhsm.localhost', 'CN=fabrikam.managedhsm.localhost']);
  assert.equal(one?.slice(leaf?.toString().length), other?.slice(otherLeaf?.toString().length));
});

test('an answer that was altered, or put together from several, does not hold', async (t) => {
  const keys = await openKeyEstate(t);
  await keys.add('fabrikam');
  const { get } = keys;
  for (const at of ['contoso', 'fabrikam']) await get('POST', '/keys/k/create', withBody({ kty: 'EC' }, { at }));
  await get('POST', '/keys/other/create', withBody({ kty: 'EC', attributes: { exportable: true }, release_policy: POLICY }));
  const answer = await get('GET', '/keys/k/attestation');
  const other = await get('GET', '/keys/other/attestation');
  const foreign = await get('GET', '/keys/k/attestation', { at: 'fabrikam' });
  const root = rootOf(answer);
  const changed = (change: (copy: Answer) => void): Answer => {
    const copy = structuredClone(answer);
    change(copy);
    return copy;
  };
  const attestation = (more: object) => changed((copy) => Object.assign(copy.attributes.attestation, more));
  const [leaf = '', ...authorities] = pemOf(answer).match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----\n/g) ?? [];
  const stranger = await strangersAnswer(t);

  // biome-ignore format: a table reads by its columns
  const cases: readonly (readonly [what: string, answer: Answer, root: X509Certificate | undefined, says: RegExp])[] = [
    ['no root is trusted',                   answer, undefined,                                                                /none was given to compare it with/],
    ['another root is trusted',              answer, rootOf(stranger),                                                         /ends in the root that is trusted/],
    ['another service signed',               stranger, root,                                                                   /ends in the root that is trusted/],
    ['the chain lacks its middle',           attestation({ certificatePemFile: pack(leaf + authorities[1]) }), root,           /are one chain/],
    ['the chain is in another order',        attestation({ certificatePemFile: pack(authorities.join('') + leaf) }), root,     /are one chain/],
    ['another HSM’s certificate',            attestation({ certificatePemFile: foreign.attributes.attestation.certificatePemFile }), root, /statement about the private key is signed/],
    ['no certificate at all',                attestation({ certificatePemFile: '' }), root,                                    /are one chain/],
    ['another HSM’s statement',              attestation({ privateKeyAttestation: foreign.attributes.attestation.privateKeyAttestation }), root, /statement about the private key is signed/],
    ['the other key’s private statement',    attestation({ privateKeyAttestation: other.attributes.attestation.privateKeyAttestation }), root, /about this version of the key/],
    ['the other key’s public statement',     attestation({ publicKeyAttestation: other.attributes.attestation.publicKeyAttestation }), root, /public key of the answer/],
    ['the statements change places',         attestation({ privateKeyAttestation: answer.attributes.attestation.publicKeyAttestation }), root, /statement about the private key is signed/],
    ['no public statement',                  changed((copy) => { delete copy.attributes.attestation.publicKeyAttestation; }), root, /statement about the public key is signed/],
    ['another public key',                   changed((copy) => { copy.key.x = other.key.x; copy.key.y = other.key.y; }), root, /public key of the answer/],
    ['another type',                         changed((copy) => { copy.key.kty = 'EC'; }), root,                                /of type EC/],
    ['a type that every object has',         changed((copy) => { copy.key.kty = 'constructor'; }), root,                       /of type constructor/],
    ['another version',                      changed((copy) => { copy.key.kid = other.key.kid; }), root,                       /about this version of the key/],
    ['an exportable key that is none',       changed((copy) => { copy.attributes.exportable = true; }), root,                  /exportable and release policy/],
    ['a policy that is none',                changed((copy) => { copy.release_policy = other.release_policy; }), root,         /exportable and release policy/],
    ['a signature that was altered',         attestation({ privateKeyAttestation: altered(answer.attributes.attestation.privateKeyAttestation) }), root, /statement about the private key is signed/],
  ];
  assert.deepEqual(await failures(answer, root), []);
  for (const [what, given, trusted, says] of cases) assert.match((await failures(given, trusted)).join('; '), says, what);
  // What nobody has to believe is not repeated.
  assert.equal((await verifyAttestation(answer, undefined)).says, undefined);
  assert.equal((await verifyAttestation(stranger, root)).says, undefined);
});

function pack(pem: string): string {
  return Buffer.from(pem).toString('base64url');
}

/** One character of the signature. */
function altered(packed: string): string {
  const jws = bytesOf(packed).toString();
  const at = jws.length - 10;
  return pack(jws.slice(0, at) + (jws[at] === 'A' ? 'B' : 'A') + jws.slice(at + 1));
}

async function strangersAnswer(t: Parameters<typeof openKeyEstate>[0]): Promise<Answer> {
  const { get }: KeyEstate = await openKeyEstate(t);
  await get('POST', '/keys/k/create', withBody({ kty: 'EC' }));
  return get('GET', '/keys/k/attestation');
}

test('a key that is not there is not attested', async (t) => {
  const { refusal } = await openKeyEstate(t);
  assert.equal((await refusal('GET', '/keys/absent/attestation')).line, '404 KeyNotFound');
});
