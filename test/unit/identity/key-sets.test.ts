// When the keys of outside issuers are fetched and how long they are kept: on a schedule, at an unknown key, and not at every stranger's wish.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Versions } from '../../../src/core/coherence.ts';
import type { GetJson } from '../../../src/core/issuer-keys.ts';
import { type KeySets, openKeySets } from '../../../src/identity/issuers/key-sets.ts';
import { issuerNamed } from './outside.ts';

const ISSUER = 'https://login.example/realm';
const KEYS = `${ISSUER}/keys`;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const key = (kid: string): object => ({ kty: 'EC', crv: 'P-256', kid, x: 'AA', y: 'AA' });

interface Bench {
  readonly sets: KeySets;
  /** What the issuer publishes by address; an Error is how a fetch fails. */
  readonly published: Map<string, unknown>;
  /** The addresses that were fetched, in order. */
  readonly fetched: string[];
  advance(milliseconds: number): void;
}

function bench(settings: Parameters<typeof issuerNamed>[1] = {}): Bench {
  let now = 0;
  const published = new Map<string, unknown>([
    [`${ISSUER}/.well-known/openid-configuration`, { issuer: ISSUER, jwks_uri: KEYS }],
    [KEYS, { keys: [key('one')] }],
  ]);
  const fetched: string[] = [];
  const getJson: GetJson = async (url) => {
    fetched.push(url);
    const found = published.get(url);
    if (found === undefined || found instanceof Error) throw found ?? new Error('it answered 404');
    return found;
  };
  const silent = { info: () => undefined, warn: () => undefined };
  const versions = new Versions(Versions.allocate());
  const sets = openKeySets({
    issuers: [issuerNamed(ISSUER, settings)],
    documentsOf: () => getJson,
    clock: { now: () => now },
    versions,
    log: silent,
  });
  return {
    sets,
    published,
    fetched,
    advance(milliseconds) {
      now += milliseconds;
    },
  };
}

async function kids({ sets }: Bench, kid = 'one'): Promise<readonly string[] | undefined> {
  return (await sets.keySetOf(ISSUER, kid))?.keys.map((key) => key.kid);
}

/** Lets attempts that were begun in the background end. */
const settled = (): Promise<void> => new Promise((done) => setImmediate(done));

test('the discovery document leads to the keys, which are fetched once and for all who ask at once', async () => {
  const all = bench();
  const asked = await Promise.all(Array.from({ length: 20 }, () => kids(all)));
  assert.deepEqual(asked, Array(20).fill(['one']));
  assert.deepEqual(all.fetched, [`${ISSUER}/.well-known/openid-configuration`, KEYS]);
  assert.deepEqual(await kids(all), ['one']);
  assert.equal(all.fetched.length, 2);
});

test('an unknown key is looked for, though not more often than once a minute, whoever asks', async () => {
  const all = bench({ keysUrl: KEYS });
  await kids(all);
  all.published.set(KEYS, { keys: [key('two')] });
  for (let i = 0; i < 100; i++) assert.deepEqual(await kids(all, `made up ${i}`), ['one']);
  assert.equal(all.fetched.length, 1);
  all.advance(MINUTE);
  assert.deepEqual(await kids(all, 'two'), ['two']);
  for (let i = 0; i < 100; i++) await kids(all, `made up ${i}`);
  assert.equal(all.fetched.length, 2);
});

test('a set is fetched anew every hour by itself, so that a key that was taken back goes', async () => {
  const all = bench({ keysUrl: KEYS });
  all.sets.refreshDue();
  await settled();
  all.published.set(KEYS, { keys: [key('two')] });
  all.advance(HOUR - 1);
  all.sets.refreshDue();
  await settled();
  assert.equal(all.fetched.length, 1);
  all.advance(1);
  all.sets.refreshDue();
  await settled();
  assert.deepEqual(await kids(all, 'two'), ['two']);
  assert.equal(all.fetched.length, 2);
});

test('while an issuer is down its keys are kept for a day, and it is tried once a minute', async () => {
  const all = bench({ keysUrl: KEYS });
  await kids(all);
  all.published.set(KEYS, new Error('connect ECONNREFUSED'));
  all.advance(HOUR);
  for (let i = 0; i < 10; i++) {
    all.sets.refreshDue();
    await settled();
    assert.deepEqual(await kids(all), ['one']);
  }
  assert.equal(all.fetched.length, 2);
  all.advance(23 * HOUR - 1);
  assert.deepEqual(await kids(all), ['one']);
  all.advance(1);
  assert.equal(await kids(all), undefined);
  all.published.set(KEYS, { keys: [key('one')] });
  all.advance(MINUTE);
  assert.deepEqual(await kids(all), ['one']);
});

test('an issuer that nobody trusts is never asked', async () => {
  const all = bench();
  for (const issuer of [`${ISSUER}/`, 'https://evil.example', '', '__proto__'])
    assert.equal(await all.sets.keySetOf(issuer, 'one'), undefined);
  assert.deepEqual(all.fetched, []);
});

/** What an issuer may publish that leads to no keys. */
const USELESS: readonly (readonly [what: string, url: string, document: unknown])[] = [
  [
    'a discovery document of another issuer',
    `${ISSUER}/.well-known/openid-configuration`,
    { issuer: 'https://other.example', jwks_uri: KEYS },
  ],
  [
    'a discovery document that leads elsewhere',
    `${ISSUER}/.well-known/openid-configuration`,
    { issuer: ISSUER, jwks_uri: 'https://elsewhere.example/keys' },
  ],
  [
    'a discovery document that leads out of HTTPS',
    `${ISSUER}/.well-known/openid-configuration`,
    { issuer: ISSUER, jwks_uri: 'http://login.example/keys' },
  ],
  ['no discovery document', `${ISSUER}/.well-known/openid-configuration`, 'a page'],
  ['shared secrets alone', KEYS, { keys: [{ kty: 'oct', kid: 'one', k: 'AAAA' }] }],
  ['keys for encryption alone', KEYS, { keys: [{ ...key('one'), use: 'enc' }] }],
  ['keys without a name', KEYS, { keys: [{ kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' }] }],
  ['too many keys', KEYS, { keys: Array.from({ length: 101 }, (_, i) => key(String(i))) }],
  ['no set', KEYS, []],
];

for (const [what, url, document] of USELESS) {
  test(`${what}: there are no keys, and none that were there are replaced`, async () => {
    const all = bench();
    all.published.set(url, document);
    assert.equal(await kids(all), undefined);
    const before = bench();
    assert.deepEqual(await kids(before), ['one']);
    before.published.set(url, document);
    before.advance(HOUR);
    assert.deepEqual(await kids(before, 'two'), ['one']);
  });
}
