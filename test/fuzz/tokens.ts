// The parsers of what proves who somebody is: bearer tokens of our own and of outside issuers, what is in them when the right key signed it, client assertions,
// and the key sets that issuers publish.

import assert from 'node:assert/strict';
import { sign, X509Certificate } from 'node:crypto';
import { systemClock } from '../../src/core/clock.ts';
import { Versions } from '../../src/core/coherence.ts';
import { Failure } from '../../src/core/failure.ts';
import { openIssuerKeys } from '../../src/core/issuer-keys.ts';
import { checkAssertion } from '../../src/identity/client-assertion.ts';
import { type KeySet, openKeySets } from '../../src/identity/issuers/key-sets.ts';
import { OutsideRefused, openOutsideIssuers } from '../../src/identity/issuers/outside-token.ts';
import { currentSigningKey, thumbprint256 } from '../../src/identity/signing-keys.ts';
import { tenantNamed } from '../../src/identity/tenant.ts';
import { issuerNamed, signed, signingPair } from '../unit/identity/outside.ts';
import { openTenancy, type Tenancy } from '../unit/identity/tenancy.ts';
import { makePair } from '../unit/security-domain/ceremony.ts';
import { inAWord, type Target } from './hunt.ts';

const HSM = 'https://managedhsm.localhost:8443';
const ORIGIN = 'https://localhost:8443';
const ISSUER = 'https://login.example/realm';
const KEYS_URL = `${ISSUER}/keys`;
const HOUR = 3600;
const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

const pair = signingPair('one');
const trusted = issuerNamed(ISSUER);
const assertionPair = makePair('assertion');
const certificate = new X509Certificate(assertionPair.der);

let opened: Promise<Tenancy> | undefined;
const undo: (() => unknown)[] = [];

const KNOWN: KeySet = { keys: [pair.published], goodUntil: Number.MAX_SAFE_INTEGER };

/** Whoever needs it opens it; the target that was the last to need it closes it. */
function tenancy(): Promise<Tenancy> {
  opened ??= openWithACertificate();
  return opened;
}

async function openWithACertificate(): Promise<Tenancy> {
  const made = await openTenancy({ after: (one) => undo.push(one) }, { issuers: [trusted], keySetOf: async () => KNOWN });
  const times = { not_before: 0, expires_at: null, created_at: 0 };
  const id = { id: 'fuzz', object_id: made.tenant.servicePrincipal.objectId, kind: 'certificate' as const, display_name: null };
  await made.parts.write((writer) =>
    writer
      .insertInto('credentials')
      .values({ ...id, ...times, verifier: certificate.toString() })
      .execute(),
  );
  return made;
}

async function close(): Promise<void> {
  opened = undefined;
  for (const one of undo.splice(0)) await one();
}

function seconds(): number {
  return Math.floor(Date.now() / 1000);
}

function jws(header: object, payload: Uint8Array, privateKey: Parameters<typeof sign>[2]): string {
  const text = `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${Buffer.from(payload).toString('base64url')}`;
  return `${text}.${sign('sha256', Buffer.from(text), privateKey).toString('base64url')}`;
}

async function ownClaims(): Promise<Readonly<Record<string, unknown>>> {
  const { tenant } = await tenancy();
  const { objectId, clientId } = tenant.servicePrincipal;
  const now = seconds();
  const who = { tid: tenant.tenantId, oid: objectId, appid: clientId, idtyp: 'app', session: 0 };
  return { aud: HSM, iss: `${ORIGIN}/${tenant.tenantId}/`, ...who, nbf: now, exp: now + HOUR };
}

async function ownToken(payload: Uint8Array): Promise<string> {
  const { kid, privateKey } = await currentSigningKey((await tenancy()).parts)();
  return jws({ alg: 'RS256', typ: 'JWT', kid }, payload, privateKey);
}

/** Believed, and then it is somebody who is there; or refused in words. */
async function looked(token: string): Promise<string> {
  const { verify, tenant } = await tenancy();
  const check = await verify(token, 'hsm');
  if (!check.valid) return inAWord(check.description);
  assert.ok([tenant.servicePrincipal.objectId, tenant.user.objectId].includes(check.caller.objectId));
  return `believed ${check.caller.kind}`;
}

const refused = (error: unknown): string => {
  if (error instanceof OutsideRefused || error instanceof Failure) return inAWord(error.message);
  throw error;
};

/** What an outside issuer's token comes to, with these keys of the issuer. */
function outside(token: string, keys: KeySet | undefined = KNOWN): Promise<string> {
  const issuers = openOutsideIssuers({
    issuers: [trusted],
    keySetOf: async () => keys,
    clock: systemClock,
    versions: new Versions(Versions.allocate()),
  });
  const issuer = issuers.issuerOf(token);
  if (issuer === undefined) return Promise.resolve('of nobody');
  return issuers.verify(issuer, token, trusted.audiences.hsm).then(({ subject }) => `believed ${subject.length > 0}`, refused);
}

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

function parsed(input: Buffer): unknown {
  try {
    return JSON.parse(input.toString('utf8'));
  } catch {
    return undefined;
  }
}

async function assertionClaims(): Promise<object> {
  const { clientId } = (await tenancy()).tenant.servicePrincipal;
  return { iss: clientId, sub: clientId, aud: `${ORIGIN}/common/oauth2/v2.0/token`, nbf: seconds(), exp: seconds() + HOUR };
}

const assertion = (payload: Uint8Array): string =>
  jws({ alg: 'RS256', 'x5t#S256': thumbprint256(certificate) }, payload, assertionPair.pem);

async function asserted(text: string): Promise<string> {
  const { parts, tenant } = await tenancy();
  const { clientId, objectId } = tenant.servicePrincipal;
  const world = { ...parts, tenant: tenantNamed('common', tenant.tenantId, 'fuzz.example') };
  return checkAssertion(world, { appId: clientId, objects: [objectId] }, text, JWT_BEARER, ORIGIN).then(() => 'believed', refused);
}

export const TOKENS: readonly Target[] = [
  {
    name: 'own-token',
    seeds: async () => [Buffer.from(await ownToken(json(await ownClaims())))],
    feed: (input) => looked(input.toString('latin1')),
    close,
  },
  {
    name: 'own-claims',
    seeds: async () => [json(await ownClaims())],
    feed: async (input) => looked(await ownToken(input)),
    close,
  },
  {
    name: 'outside-token',
    seeds: async () => [Buffer.from(await signed(pair, { iss: ISSUER }))],
    feed: (input) => outside(input.toString('latin1')),
  },
  {
    name: 'outside-claims',
    seeds: () => [
      json({ iss: ISSUER, sub: 'alice', aud: ['strongroom', 'x'], azp: 'y', iat: seconds(), nbf: seconds(), exp: seconds() + HOUR }),
    ],
    feed: (input) => outside(jws({ alg: 'RS256', kid: pair.kid }, input, pair.privateKey)),
  },
  {
    name: 'issuer-keys',
    seeds: () => [json({ keys: [pair.published, { kty: 'EC', kid: 'two', crv: 'P-256', x: 'AA', y: 'AA' }] })],
    feed: async (input) => {
      const documentsOf = () => async (url: string) => (url === KEYS_URL ? parsed(input) : { issuer: ISSUER, jwks_uri: KEYS_URL });
      const log = { info: () => undefined, warn: () => undefined };
      const versions = new Versions(Versions.allocate());
      const set = await openKeySets({ issuers: [trusted], documentsOf, clock: systemClock, versions, log }).keySetOf(ISSUER, pair.kid);
      return outside(await signed(pair, { iss: ISSUER }), set);
    },
  },
  {
    name: 'attestation-keys',
    seeds: () => [
      json({ keys: [pair.published, { kid: 'x', kty: 'RSA', x5c: [Buffer.from(assertionPair.der).toString('base64')] }] }),
      json({ issuer: ISSUER, jwks_uri: KEYS_URL }),
    ],
    feed: async (input) => {
      const document = Object(parsed(input));
      const getJson = async (url: string) => (url === KEYS_URL || 'issuer' in document ? document : { issuer: ISSUER, jwks_uri: KEYS_URL });
      // What goes wrong with another's document is told to the operator and becomes one refusal; what it must not be is a hang or a crash.
      return openIssuerKeys(getJson, systemClock)
        .keyOf(ISSUER, pair.kid)
        .then(
          (key) => `key ${key?.asymmetricKeyType}`,
          (error) => inAWord(String(error)),
        );
    },
  },
  {
    name: 'client-assertion',
    seeds: async () => [Buffer.from(assertion(json(await assertionClaims()))), Buffer.from(await signed(pair, { iss: ISSUER }))],
    feed: (input) => asserted(input.toString('latin1')),
    close,
  },
  {
    name: 'client-assertion-claims',
    seeds: async () => [json(await assertionClaims())],
    feed: (input) => asserted(assertion(input)),
    close,
  },
];
