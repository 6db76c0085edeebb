// The parsers of key release and attestation: policies, tokens of attestation authorities, what is in them, and saved attestations.

import assert from 'node:assert/strict';
import { generateKeyPairSync, sign, X509Certificate } from 'node:crypto';
import { systemClock } from '../../src/core/clock.ts';
import { Failure } from '../../src/core/failure.ts';
import { publicJwk, thumbprint } from '../../src/core/key-attestation.ts';
import { openEvidence } from '../../src/crypto/evidence.ts';
import { isSatisfied, policyText, readPolicy } from '../../src/hsm/keys/policy-grammar.ts';
import { attestedTarget } from '../../src/hsm/keys/target.ts';
import { readAnswer, verifyAttestation } from '../../src/verify-attestation.ts';
import { authorityKey, environment, policyData, token } from '../unit/hsm/keys/attested.ts';
import { inAWord, type Target } from './hunt.ts';

const ISSUER = 'https://attest.example';
const HOST = 'contoso.managedhsm.localhost';
const authority = authorityKey('one', 'ES256');
const tee = environment();
const policy = { contentType: 'application/json', data: policyData(ISSUER, { 'a.b': 'red', c: true }), immutable: false };
const claims = { a: { b: 'red' }, c: true };
const world = { issuerKeys: { keyOf: async () => authority.publicKey }, clock: systemClock };

/** Either it is the environment that was attested, or the one refusal that there is. */
async function looked(jws: string): Promise<string> {
  try {
    const { issuer, key } = await attestedTarget(world, jws, policy);
    assert.equal(issuer, ISSUER);
    assert.ok((key.asymmetricKeyDetails?.modulusLength ?? 0) >= 2048);
    return 'accepted';
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    assert.deepEqual([error.status, error.code], [403, 'Forbidden']);
    return inAWord(error.cause instanceof Error ? error.cause.message : 'refused');
  }
}

/** What the authority signs, whatever it is. */
function signedByTheAuthority(payload: Buffer): string {
  const signed = `${Buffer.from(JSON.stringify({ alg: 'ES256', kid: 'one' })).toString('base64url')}.${payload.toString('base64url')}`;
  const key = authority.privateKey;
  assert.ok('type' in key);
  return `${signed}.${sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

/** A saved attestation, and the root that it ends in. */
async function attestation(): Promise<{ readonly answer: object; readonly root: X509Certificate }> {
  const secrets = {
    sealSecret: (_purpose: string, _name: string, plain: Uint8Array) => Buffer.from(plain),
    openSecret: (_purpose: string, _name: string, sealed: Uint8Array) => Buffer.from(sealed),
  };
  const evidence = openEvidence(secrets, systemClock);
  const made = (await evidence.makeAuthorities()).find(({ purpose }) => purpose === 'attestation');
  assert.ok(made);
  const { signer } = await evidence.issueSigner(made, HOST);
  const jwk = { ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }) };
  const shown = publicJwk(jwk) ?? {};
  const kid = `https://${HOST}:8443/keys/k/${'0'.repeat(32)}`;
  const common = { version: 'STRG-1', iat: Math.floor(Date.now() / 1000), hsm: HOST, kid };
  const said = {
    statement: 'private key',
    kty: 'EC-HSM',
    jkt: thumbprint(shown),
    protection: 'software',
    hardware: false,
    fips: false,
    origin: 'generated',
    release: 'never',
  };
  const packed = async (statement: object) =>
    Buffer.from(await evidence.sign(signer, { ...common, ...statement }, 'STRG-1')).toString('base64url');
  const answer = {
    attributes: {
      attestation: {
        certificatePemFile: Buffer.from(signer.chain).toString('base64url'),
        privateKeyAttestation: await packed(said),
        publicKeyAttestation: await packed({ statement: 'public key', jwk: shown }),
        version: 'STRG-1',
      },
      exportable: false,
    },
    key: { ...jwk, kty: 'EC-HSM', kid },
  };
  return { answer, root: new X509Certificate(signer.chain.slice(signer.chain.lastIndexOf('-----BEGIN'))) };
}

const saved = await attestation();

export const ATTESTED: readonly Target[] = [
  {
    name: 'release-policy',
    seeds: () => [
      Buffer.from(policy.data, 'base64url'),
      Buffer.from(
        JSON.stringify({
          version: '1.0.0',
          anyOf: [{ authority: ISSUER, anyOf: [{ allOf: [{ claim: 'x', equals: 1 }] }, { claim: 'y.z', equals: false }] }],
        }),
      ),
    ],
    feed: (input) => {
      try {
        const read = readPolicy(input);
        assert.deepEqual(readPolicy(Buffer.from(policyText(read))), read);
        return `taken ${read.anyOf.filter((one) => isSatisfied(one, claims)).length}`;
      } catch (error) {
        if (error instanceof Failure) return inAWord(error.message);
        throw error;
      }
    },
  },
  {
    name: 'attestation-token',
    seeds: async () => [Buffer.from(await token(authority, ISSUER, Date.now(), tee, claims))],
    feed: (input) => looked(input.toString('latin1')),
  },
  {
    name: 'attestation-claims',
    seeds: () => [Buffer.from(JSON.stringify({ iss: ISSUER, exp: 32_503_680_000, ...claims, 'x-ms-runtime': { keys: [tee.jwk] } }))],
    feed: (input) => looked(signedByTheAuthority(input)),
  },
  {
    name: 'saved-attestation',
    seeds: () => [Buffer.from(JSON.stringify(saved.answer))],
    feed: async (input) => {
      let answer: ReturnType<typeof readAnswer>;
      try {
        answer = readAnswer(input.toString('utf8'), 'it');
      } catch (error) {
        assert.ok(error instanceof Error && /^'it' is not /.test(error.message));
        return inAWord(error.message);
      }
      const { findings, says } = await verifyAttestation(answer, saved.root);
      const wrong = findings.filter(({ holds }) => !holds);
      // Whatever was changed: what holds is what was attested.
      if (wrong.length === 0)
        assert.deepEqual([says?.origin, says?.release, publicJwk(answer.key)], ['generated', 'never', publicJwk(Object(saved.answer).key)]);
      return inAWord(wrong.map(({ what }) => what).join() || 'holds');
    },
  },
];
