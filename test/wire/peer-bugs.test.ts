// Bugs about keys that other services of this kind have shipped, each turned into a test; test/README.md has the list. What another file shows already is not shown
// here again.

import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { type Got, type House, type Json, openHouse } from '../house.ts';
import { rsaPair } from '../rsa-pairs.ts';
import { ALL_OPERATIONS, activate, CRYPTO_OFFICER, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'peer-bugs';
const VALUE = Buffer.alloc(32, 5).toString('base64url');
const bytes = (value: string): Buffer => Buffer.from(value, 'base64url');

suite('bugs that others shipped', () => {
  let house: House;
  before(async () => {
    house = await openHouse({ workers: 2 });
    await house.provision(HSM);
    await activate(house, HSM);
    for (const role of [CRYPTO_USER, CRYPTO_OFFICER]) await grant(house, HSM, role, house.connection.user.objectId);
  });
  after(() => house?.close());

  async function ok(method: string, path: string, body?: Json): Promise<Json> {
    const got = await house.hsm(HSM, method, path, body);
    assert.ok(got.status < 300, got.text);
    return got.json;
  }

  /** The same call at once on many connections, so that every thread gets some; the statuses that came back. */
  async function everywhere(path: string, body: Json, token?: string): Promise<readonly number[]> {
    const answers = await Promise.all(Array.from({ length: 12 }, () => house.hsm(HSM, 'POST', path, body, token)));
    return [...new Set(answers.map(({ status }) => status))];
  }

  function versionOf({ key }: Json): string {
    return key.kid.split('/').at(-1);
  }

  test('no part of a private key is in its backup, its answers or the data folder, in any spelling', async () => {
    const secrets = new Map<string, Buffer>();
    const keys: Json = { oct: { kty: 'oct', k: randomBytes(32).toString('base64url') } };
    keys.rsa = rsaPair(2048).privateKey.export({ format: 'jwk' });
    keys.ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
    let said = '';
    for (const [name, jwk] of Object.entries<Json>(keys)) {
      for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k']) if (member in jwk) secrets.set(`${name}.${member}`, bytes(jwk[member]));
      const made = await house.hsm(HSM, 'PUT', `/keys/canary-${name}`, { key: { ...jwk, key_ops: ALL_OPERATIONS } });
      const { value } = await ok('POST', `/keys/canary-${name}/backup`);
      said += made.text + value + bytes(value).toString('latin1');
      for (const part of bytes(value).toString('latin1').split('.')) said += bytes(part).toString('latin1');
    }
    for (let times = 0; times < 20; times += 1) await ok('POST', '/keys/canary-oct/wrapkey', { alg: 'A256KW', value: VALUE });
    await ok('POST', '/keys/canary-rsa/sign', { alg: 'RS256', value: VALUE });
    await ok('POST', '/keys/canary-ec/sign', { alg: 'ES256', value: VALUE });
    const places = [said, ...filesIn(house.dataFolder).map((file) => readFileSync(file, 'latin1'))];
    assert.ok(places.length > 3);
    for (const [name, secret] of secrets) {
      // The middle of it, so that neither a leading zero nor how a spelling starts counts.
      const part = secret.subarray(3, 3 + 12);
      const spellings = [
        part.toString('latin1'),
        part.toString('hex'),
        part.toString('hex').toUpperCase(),
        part.toString('base64'),
        part.toString('base64url'),
      ];
      for (const spelling of spellings) assert.ok(!places.some((place) => place.includes(spelling)), `${name} was found`);
    }
    // The search finds what is there: a public half.
    assert.ok(said.includes(bytes(keys.rsa.n).subarray(3, 15).toString('base64url')));
  });

  test('random bytes are random: no block twice, every bit as often set as not, every byte as likely as another', async () => {
    const answers = await Promise.all(Array.from({ length: 500 }, () => ok('POST', '/rng', { count: 128 })));
    const all = Buffer.concat(answers.map(({ value }) => bytes(value)));
    assert.equal(all.length, 64_000);
    const blocks = new Set(Array.from({ length: all.length / 16 }, (_, at) => all.toString('hex', at * 16, at * 16 + 16)));
    assert.equal(blocks.size, all.length / 16);
    const counts = new Array<number>(256).fill(0);
    const bits = new Array<number>(8).fill(0);
    for (const byte of all) {
      counts[byte] = (counts[byte] ?? 0) + 1;
      for (let bit = 0; bit < 8; bit += 1) bits[bit] = (bits[bit] ?? 0) + ((byte >> bit) & 1);
    }
    // Six standard deviations and more: a good generator fails this once in a thousand million runs.
    for (const set of bits) assert.ok(Math.abs(set - all.length / 2) < 6 * Math.sqrt(all.length / 4), `a bit is set ${set} times`);
    const expected = all.length / 256;
    const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    assert.ok(chiSquare > 255 - 7 * Math.sqrt(510) && chiSquare < 255 + 8 * Math.sqrt(510), `chi square is ${chiSquare}`);
  });

  test('no two keys, versions, nonces or wrapped values are the same', async () => {
    const made = await Promise.all(Array.from({ length: 20 }, () => ok('POST', '/keys/same/create', { kty: 'EC' })));
    assert.equal(new Set(made.map(versionOf)).size, 20);
    assert.equal(new Set(made.map(({ key }) => key.x)).size, 20);
    await ok('POST', '/keys/nonce/create', { kty: 'oct' });
    const sealed = await Promise.all(Array.from({ length: 50 }, () => ok('POST', '/keys/nonce/encrypt', { alg: 'A256GCM', value: VALUE })));
    assert.equal(new Set(sealed.map(({ iv }) => iv)).size, 50);
    assert.equal(new Set(sealed.map(({ value }) => value)).size, 50);
  });

  test('rotation makes a new version with new material and a new id, and the old one goes on opening what it sealed', async () => {
    for (const [name, body, alg] of [
      ['turning-oct', { kty: 'oct' }, 'A256KW'],
      ['turning-rsa', { kty: 'RSA' }, 'RSA-OAEP-256'],
    ] as const) {
      const first = await ok('POST', `/keys/${name}/create`, body);
      const sealed = await ok('POST', `/keys/${name}/wrapkey`, { alg, value: VALUE });
      assert.equal(sealed.kid, first.key.kid);
      await ok('PUT', `/keys/${name}/rotationpolicy`, { attributes: { expiryTime: 'P90D' } });
      const second = await ok('POST', `/keys/${name}/rotate`);
      assert.notEqual(versionOf(second), versionOf(first));
      assert.notEqual(second.key.kid, first.key.kid);
      if (body.kty === 'RSA') assert.notEqual(second.key.n, first.key.n);
      const open = (version: string) => house.hsm(HSM, 'POST', `/keys/${name}/${version}/unwrapkey`, { alg, value: sealed.value });
      assert.equal((await open(versionOf(first))).json.value, VALUE);
      assert.notEqual((await open(versionOf(second))).json.value, VALUE);
    }
  });

  test('what a key unwrapped a moment ago it does not unwrap when it is disabled, deleted, purged or out of the caller’s reach', async () => {
    const application = await house.token('application', 'hsm');
    const { objectId } = house.connection.servicePrincipal;
    const wrapping = await ok('POST', '/keys/kek/create', { kty: 'oct' });
    await grant(house, HSM, CRYPTO_USER, objectId, '/keys/kek');
    const { value } = await ok('POST', '/keys/kek/wrapkey', { alg: 'A256KW', value: VALUE });
    const paths = ['/keys/kek/unwrapkey', `/keys/kek/${versionOf(wrapping)}/unwrapkey`];
    const statuses = async (): Promise<readonly number[]> => [
      ...new Set((await Promise.all(paths.map((path) => everywhere(path, { alg: 'A256KW', value }, application)))).flat()),
    ];
    assert.deepEqual(await statuses(), [200]);
    await ok('PATCH', '/keys/kek', { attributes: { enabled: false } });
    assert.deepEqual(await statuses(), [403]);
    await ok('PATCH', '/keys/kek', { attributes: { enabled: true }, key_ops: ['wrapKey'] });
    assert.deepEqual(await statuses(), [403]);
    await ok('PATCH', '/keys/kek', { key_ops: ['wrapKey', 'unwrapKey'] });
    assert.deepEqual(await statuses(), [200]);
    const [assignment] = (await ok('GET', '/keys/kek/providers/Microsoft.Authorization/roleAssignments')).value;
    await ok('DELETE', `/keys/kek/providers/Microsoft.Authorization/roleAssignments/${assignment.name}`);
    assert.deepEqual(await statuses(), [403]);
    await grant(house, HSM, CRYPTO_USER, objectId, '/keys/kek');
    await ok('DELETE', '/keys/kek');
    assert.deepEqual(await statuses(), [404]);
    await ok('POST', '/deletedkeys/kek/recover');
    assert.deepEqual(await statuses(), [200]);
    await ok('DELETE', '/keys/kek');
    await ok('DELETE', '/deletedkeys/kek');
    await ok('POST', '/keys/kek/create', { kty: 'oct' });
    await grant(house, HSM, CRYPTO_USER, objectId, '/keys/kek');
    // Another key of that name opens nothing of the old one.
    assert.deepEqual(await everywhere('/keys/kek/unwrapkey', { alg: 'A256KW', value }, application), [400]);
  });

  test('deleting is not purging: a deleted key waits with all its versions, and no address of it does anything', async () => {
    const versions: string[] = [];
    for (let i = 0; i < 3; i += 1) versions.push(versionOf(await ok('POST', '/keys/waiting/create', { kty: 'oct' })));
    const deleted = await ok('DELETE', '/keys/waiting');
    assert.equal(deleted.scheduledPurgeDate - deleted.deletedDate, 7 * 86_400);
    for (const version of ['', ...versions.map((id) => `/${id}`)]) {
      for (const [op, body] of [
        ['wrapkey', { alg: 'A256KW', value: VALUE }],
        ['unwrapkey', { alg: 'A256KW', value: VALUE }],
        ['sign', { alg: 'HS256', value: VALUE }],
        ['verify', { alg: 'HS256', digest: VALUE, value: VALUE }],
        ['encrypt', { alg: 'A256GCM', value: VALUE }],
      ] as const)
        assert.deepEqual(await everywhere(`/keys/waiting${version}/${op}`, body), [404]);
      assert.equal((await house.hsm(HSM, 'PATCH', `/keys/waiting${version}`, { attributes: { enabled: true } })).status, 404);
    }
    assert.equal((await ok('GET', '/deletedkeys/waiting')).recoveryId, deleted.recoveryId);
    await ok('POST', '/deletedkeys/waiting/recover');
    assert.deepEqual(
      new Set((await ok('GET', '/keys/waiting/versions')).value.map((item: Json) => item.kid.split('/').at(-1))),
      new Set(versions),
    );
  });

  test('an import over a key that is there adds a version and leaves the others as they are, for whoever may import there alone', async () => {
    const own = await ok('POST', '/keys/mine/create', { kty: 'oct', tags: { made: 'here' } });
    const { value } = await ok('POST', '/keys/mine/wrapkey', { alg: 'A256KW', value: VALUE });
    const brought = { key: { kty: 'oct', k: randomBytes(32).toString('base64url') } };
    const application = await house.token('application', 'hsm');
    await ok('POST', '/keys/theirs/create', { kty: 'oct' });
    await grant(house, HSM, CRYPTO_USER, house.connection.servicePrincipal.objectId, '/keys/theirs');
    for (const body of [brought, { ...brought, Hsm: true }]) {
      const refused = await house.hsm(HSM, 'PUT', '/keys/mine', body, application);
      assert.deepEqual([refused.status, refused.json.error?.code], [403, 'AccessDenied'], refused.text);
    }
    assert.deepEqual(await ok('GET', '/keys/mine'), own);
    const second = await ok('PUT', '/keys/mine', brought);
    assert.notEqual(second.key.kid, own.key.kid);
    assert.deepEqual(await ok('GET', `/keys/mine/${versionOf(own)}`), own);
    assert.equal((await ok('POST', `/keys/mine/${versionOf(own)}/unwrapkey`, { alg: 'A256KW', value })).value, VALUE);
    await ok('DELETE', '/keys/mine');
    const over = await house.hsm(HSM, 'PUT', '/keys/mine', brought);
    assert.deepEqual([over.status, over.json.error?.innererror?.code], [409, 'ObjectIsDeletedButRecoverable']);
  });

  test('of those who change one key at once, each sees the change of some order, and nothing is half done', async () => {
    await ok('POST', '/keys/raced/create', { kty: 'oct' });
    await ok('PUT', '/keys/raced/rotationpolicy', { attributes: { expiryTime: 'P90D' } });
    const rotated = await Promise.all(Array.from({ length: 15 }, () => ok('POST', '/keys/raced/rotate')));
    assert.equal(new Set(rotated.map(versionOf)).size, 15);
    assert.equal((await ok('GET', '/keys/raced/versions')).value.length, 16);
    const statusesOf = async (calls: readonly Promise<Got>[]): Promise<readonly number[]> =>
      (await Promise.all(calls)).map(({ status }) => status).sort();
    const eight = <Item>(make: () => Item): Item[] => Array.from({ length: 8 }, make);
    assert.deepEqual(await statusesOf(eight(() => house.hsm(HSM, 'DELETE', '/keys/raced'))), [200, ...Array<number>(7).fill(404)]);
    const ends = await Promise.all([
      ...eight(() => house.hsm(HSM, 'POST', '/deletedkeys/raced/recover')),
      ...eight(() => house.hsm(HSM, 'DELETE', '/deletedkeys/raced')),
    ]);
    const [won, ...others] = ends.filter(({ status }) => status < 300);
    assert.ok(won !== undefined && others.length === 0, 'both were done, or neither');
    assert.equal((await house.hsm(HSM, 'GET', '/keys/raced')).status, won.status === 204 ? 404 : 200);
    const created = await Promise.all(eight(() => house.hsm(HSM, 'POST', '/keys/born/create', { kty: 'oct' })));
    assert.equal((await ok('GET', '/keys/born/versions')).value.length, created.filter(({ status }) => status === 200).length);
  });
});

function filesIn(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((file) => statSync(file).isFile());
}
