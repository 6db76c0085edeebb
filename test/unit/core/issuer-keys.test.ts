// The keys of an issuer: found where its configuration says, kept while they are good, fetched again when they are not, and only ever from itself.

import assert from 'node:assert/strict';
import type { KeyObject } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { after, before, suite, test } from 'node:test';
import { type GetJson, jsonOverHttps, openIssuerKeys } from '../../../src/core/issuer-keys.ts';
import { isPublicAddress, OutboundRefusal } from '../../../src/core/outbound.ts';
import { selfSigned } from '../../../src/core/self-signed.ts';
import { type AttestationAuthority, openAttestationAuthority, sendJson } from '../../attestation-authority.ts';
import { rsaPair } from '../../rsa-pairs.ts';
import { authorityKey } from '../hsm/keys/attested.ts';

const ISSUER = 'https://issuer.example/tenant';
const CONFIGURATION = `${ISSUER}/.well-known/openid-configuration`;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const [ONE, TWO] = ['one', 'two'].map((kid) => authorityKey(kid, 'ES256'));
const jwk = (key: KeyObject | undefined, more: object = {}) => ({ ...key?.export({ format: 'jwk' }), ...more });

/** Issuers in memory: what lies at each address, and how often each was asked for. */
function fixture(documents: Record<string, unknown>) {
  const asked: string[] = [];
  let now = 1_000_000_000_000;
  let isDown = false;
  const getJson: GetJson = async (url) => {
    asked.push(url);
    if (isDown || !(url in documents)) throw new Error('down');
    return documents[url];
  };
  return {
    documents,
    asked,
    keys: openIssuerKeys(getJson, { now: () => now }),
    advance: (milliseconds: number) => {
      now += milliseconds;
    },
    down: (yes: boolean) => {
      isDown = yes;
    },
  };
}

function issuer(...keys: object[]): Record<string, unknown> {
  return { [CONFIGURATION]: { issuer: ISSUER, jwks_uri: 'https://issuer.example/keys' }, 'https://issuer.example/keys': { keys } };
}

test('a key is found by its name, and without one when it is the only one', async () => {
  const { keys, asked, documents } = fixture(issuer(jwk(ONE?.publicKey, { kid: 'one' })));
  assert.ok((await keys.keyOf(ISSUER, 'one'))?.equals(ONE?.publicKey as KeyObject));
  assert.ok((await keys.keyOf(ISSUER, undefined))?.equals(ONE?.publicKey as KeyObject));
  assert.equal(await keys.keyOf(ISSUER, 'two'), undefined);
  assert.deepEqual(asked, [CONFIGURATION, 'https://issuer.example/keys']);
  const several = fixture({
    ...documents,
    'https://issuer.example/keys': { keys: [ONE, TWO].map((key) => jwk(key?.publicKey, { kid: key?.kid })) },
  });
  assert.equal(await several.keys.keyOf(ISSUER, undefined), undefined);
});

test('a key that is given as a certificate alone is that certificate’s', async () => {
  const { publicKey, privateKey } = rsaPair(2048);
  const certificate = selfSigned(publicKey, privateKey, 'AttestationService', Date.now(), 10);
  const { keys } = fixture(issuer({ kty: 'RSA', kid: 'maa', x5c: [certificate.raw.toString('base64')] }));
  assert.ok((await keys.keyOf(ISSUER, 'maa'))?.equals(publicKey));
});

test('what is no key for signatures, or too weak for one, is left out and spoils nothing', async () => {
  const weak = rsaPair(1024).publicKey;
  const strange = [
    null,
    'text',
    {},
    { kty: 'oct', kid: 'oct', k: 'AAAA' },
    { kty: 'RSA', kid: 'empty' },
    { kty: 'RSA', kid: 'broken', x5c: ['AAAA'] },
    { kty: 'EC', kid: 'off', crv: 'P-256', x: 'AAAA', y: 'AAAA' },
    jwk(weak, { kid: 'weak' }),
    jwk(TWO?.publicKey, { kid: 'enc', use: 'enc' }),
  ];
  const { keys } = fixture(issuer(...(strange as object[]), jwk(ONE?.publicKey, { kid: 'one', use: 'sig' })));
  assert.ok(await keys.keyOf(ISSUER, 'one'));
  for (const kid of ['oct', 'empty', 'broken', 'off', 'weak', 'enc']) assert.equal(await keys.keyOf(ISSUER, kid), undefined, kid);
});

test('keys are kept for an hour, and a new name makes them be fetched again at most every half minute', async () => {
  const { keys, asked, documents, advance } = fixture(issuer(jwk(ONE?.publicKey, { kid: 'one' })));
  for (let i = 0; i < 5; i += 1) await keys.keyOf(ISSUER, 'one');
  advance(59 * MINUTE);
  await keys.keyOf(ISSUER, 'one');
  assert.equal(asked.length, 2);
  documents['https://issuer.example/keys'] = { keys: [jwk(TWO?.publicKey, { kid: 'two' })] };
  assert.ok(await keys.keyOf(ISSUER, 'two'));
  assert.equal(asked.length, 4);
  // The old one is gone with the roll-over, and asking for it again and again asks nobody.
  for (let i = 0; i < 5; i += 1) assert.equal(await keys.keyOf(ISSUER, 'one'), undefined);
  assert.equal(asked.length, 4);
  advance(30_000);
  assert.equal(await keys.keyOf(ISSUER, 'one'), undefined);
  assert.equal(asked.length, 6);
  advance(HOUR);
  assert.ok(await keys.keyOf(ISSUER, 'two'));
  assert.equal(asked.length, 8);
});

test('while an issuer is down its keys count for a day, and it is left in peace meanwhile', async () => {
  const { keys, asked, advance, down } = fixture(issuer(jwk(ONE?.publicKey, { kid: 'one' })));
  await keys.keyOf(ISSUER, 'one');
  down(true);
  advance(2 * HOUR);
  for (let i = 0; i < 5; i += 1) assert.ok(await keys.keyOf(ISSUER, 'one'));
  assert.equal(asked.length, 3);
  advance(22 * HOUR);
  for (let i = 0; i < 5; i += 1) await assert.rejects(keys.keyOf(ISSUER, 'one'));
  assert.equal(asked.length, 4);
  down(false);
  advance(30_000);
  assert.ok(await keys.keyOf(ISSUER, 'one'));
});

test('many who ask at once cost one request', async () => {
  const { keys, asked } = fixture(issuer(jwk(ONE?.publicKey, { kid: 'one' })));
  const found = await Promise.all(Array.from({ length: 50 }, () => keys.keyOf(ISSUER, 'one')));
  assert.deepEqual([found.filter((key) => key !== undefined).length, asked.length], [50, 2]);
});

// biome-ignore format: a table reads by its columns
const REFUSED: readonly (readonly [what: string, configuration: unknown, keySet: unknown])[] = [
  ['names another issuer',               { issuer: 'https://other.example/tenant', jwks_uri: 'https://issuer.example/keys' }, { keys: [] }],
  ['names itself without its path',      { issuer: 'https://issuer.example', jwks_uri: 'https://issuer.example/keys' },       { keys: [] }],
  ['names nobody',                       { jwks_uri: 'https://issuer.example/keys' },                                         { keys: [] }],
  ['has its keys at another host',       { issuer: ISSUER, jwks_uri: 'https://keys.example/keys' },                           { keys: [] }],
  ['has its keys at another port',       { issuer: ISSUER, jwks_uri: 'https://issuer.example:8443/keys' },                    { keys: [] }],
  ['has its keys in the clear',          { issuer: ISSUER, jwks_uri: 'http://issuer.example/keys' },                          { keys: [] }],
  ['has its keys nowhere',               { issuer: ISSUER, jwks_uri: 'keys' },                                                { keys: [] }],
  ['is no object',                       'text',                                                                              { keys: [] }],
  ['has a key set that is none',         { issuer: ISSUER, jwks_uri: 'https://issuer.example/keys' },                         { keys: {} }],
  ['has more keys than anybody needs',   { issuer: ISSUER, jwks_uri: 'https://issuer.example/keys' },                         { keys: Array(101).fill({}) }],
];

for (const [what, configuration, keySet] of REFUSED) {
  test(`an issuer that ${what} has no keys, and nobody else is asked`, async () => {
    const { keys, asked } = fixture({ [CONFIGURATION]: configuration, 'https://issuer.example/keys': keySet });
    await assert.rejects(keys.keyOf(ISSUER, 'one'));
    assert.ok(asked.every((url) => url.startsWith('https://issuer.example/')));
  });
}

test('more issuers than are remembered are still found, one after another', async () => {
  const issuers = Array.from({ length: 200 }, (_, i) => `https://i${i}.example`);
  const documents = Object.fromEntries(
    issuers.flatMap((place) => [
      [`${place}/.well-known/openid-configuration`, { issuer: `${place}/`, jwks_uri: `${place}/k` }],
      [`${place}/k`, { keys: [jwk(ONE?.publicKey, { kid: 'one' })] }],
    ]),
  );
  const { keys } = fixture(documents);
  for (const place of issuers) assert.ok(await keys.keyOf(place, 'one'));
});

test('public addresses are those that anybody may have', () => {
  for (const address of ['8.8.8.8', '1.1.1.1', '2606:4700::1111']) assert.ok(isPublicAddress(address), address);
  // biome-ignore format: one line
  for (const address of ['127.0.0.1', '0.0.0.0', '10.1.2.3', '172.16.0.1', '192.168.0.1', '169.254.169.254', '100.64.0.1', '224.0.0.1', '255.255.255.255', '198.18.0.1', '192.0.2.1', '::', '::1', 'fe80::1', 'fc00::1', 'fd12::1', 'ff02::1', '::ffff:127.0.0.1', '::ffff:10.0.0.1', '64:ff9b::a00:1', '2002:a00:1::', '2001:db8::1', 'localhost', ''])
    assert.equal(isPublicAddress(address), false, address);
});

suite('over HTTPS', () => {
  let authority: AttestationAuthority;
  before(async () => {
    authority = await openAttestationAuthority();
  });
  after(() => authority?.close());

  function fetching(more: Partial<Parameters<typeof jsonOverHttps>[0]> = {}): GetJson {
    return jsonOverHttps({ privateHosts: [authority.host], authorities: [authority.ca], within: 30_000, ...more });
  }

  test('a document comes from a host that the operator named, by a certificate that the operator trusts', async () => {
    const document = await fetching()(`${authority.issuer}/certs`);
    assert.deepEqual(document, { keys: [] });
    await assert.rejects(fetching({ authorities: [] })(`${authority.issuer}/certs`), { code: 'SELF_SIGNED_CERT_IN_CHAIN' });
  });

  test('a private address that the operator did not name is not connected to, by number or by name', async () => {
    const before = authority.asked.length;
    const port = new URL(authority.issuer).port;
    for (const place of [
      authority.issuer,
      `https://localhost:${port}`,
      `https://[::1]:${port}`,
      `https://[::ffff:127.0.0.1]:${port}`,
      `https://0.0.0.0:${port}`,
    ])
      await assert.rejects(
        fetching({ privateHosts: [] })(`${place}/certs`),
        (error) => error instanceof OutboundRefusal && error.reason === 'address',
      );
    assert.equal(authority.asked.length, before);
  });

  // biome-ignore format: a table reads by its columns
  const MISBEHAVIOUR: readonly (readonly [what: string, instead: (path: string, response: ServerResponse) => void, says: RegExp])[] = [
    ['redirects',                 (_path, response) => void response.writeHead(302, { location: '/certs' }).end(),                     /redirect/],
    ['answers without end',       (_path, response) => { response.writeHead(200); pour(response); },                                   /more than \d+ bytes/],
    ['answers with an error',     (_path, response) => void response.writeHead(500).end('{"keys":[]}'),                                /status 500/],
    ['answers with a page',       (_path, response) => void response.writeHead(200).end('<html>'),                                     /JSON/],
    ['hangs up',                  (_path, response) => void response.destroy(),                                                        /hang up|ECONNRESET|closed/],
    ['hangs up in the middle',    (_path, response) => { response.writeHead(200, { 'content-length': '100' }); response.write('{'); setImmediate(() => response.destroy()); }, /aborted|ECONNRESET|closed|hang up/],
  ];

  for (const [what, instead, says] of MISBEHAVIOUR) {
    test(`an authority that ${what} gives nothing`, async () => {
      authority.instead = instead;
      await assert.rejects(fetching()(`${authority.issuer}/certs`), says);
      authority.instead = undefined;
    });
  }

  test('an authority that does not answer, or not to the end, is waited for as long as was said', async () => {
    for (const begin of [() => undefined, (response: ServerResponse) => void response.writeHead(200).write('{')]) {
      authority.instead = (_path, response) => void begin(response);
      await assert.rejects(
        fetching({ within: 50 })(`${authority.issuer}/certs`),
        (error) => error instanceof OutboundRefusal && error.reason === 'time',
      );
    }
    authority.instead = undefined;
  });

  test('a whole issuer is read over HTTPS', async () => {
    authority.keys = [ONE, TWO].flatMap((key) => (key === undefined ? [] : [key]));
    const keys = openIssuerKeys(fetching(), { now: () => 0 });
    assert.ok((await keys.keyOf(authority.issuer, 'two'))?.equals(TWO?.publicKey as KeyObject));
    authority.instead = (_path, response) => sendJson(response, {});
    assert.ok(await keys.keyOf(authority.issuer, 'one'));
    authority.instead = undefined;
  });
});

function pour(response: ServerResponse): void {
  const more = () => {
    while (response.writable && response.write('x'.repeat(65_536)));
  };
  response.on('drain', more);
  more();
}
