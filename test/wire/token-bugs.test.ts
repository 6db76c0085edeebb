// Mistakes that others have shipped, about tokens: each is tried here at every address there is.

import assert from 'node:assert/strict';
import { createHmac, createPublicKey, sign } from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import { graphRows } from '../../src/graph/routes.ts';
import { activeRows, earlyRows, restoringRows } from '../../src/hsm/routes.ts';
import { identityRows } from '../../src/identity/routes.ts';
import { armRows } from '../../src/management/routes.ts';
import { type Got, type House, openHouse } from '../house.ts';
import { rsaPair } from '../rsa-pairs.ts';
import { graph, makeProgram, makeUser, postToken, signInProgram, signInUser, tokenOf, userName } from './people.ts';
import { activate, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'token-bugs';
const ROOMS = {
  hsm: [...earlyRows, ...restoringRows, ...activeRows],
  graph: graphRows,
  management: armRows,
} as const;

suite('mistakes about tokens that others made', () => {
  let house: House;

  before(async () => {
    house = await openHouse({ workers: 2 });
    await house.provision(HSM);
    await activate(house, HSM);
    await grant(house, HSM, CRYPTO_USER, house.connection.user.objectId);
    assert.equal((await house.hsm(HSM, 'POST', '/keys/a-key-of-ours/create', { kty: 'EC-HSM' })).status, 200);
  });
  after(() => house?.close());

  /** Some address of the row; what is in its places does not matter to somebody who is not known. */
  function addressOf(room: keyof typeof ROOMS, path: string): string {
    const { connection } = house;
    const filled = path.replace(':subscription', connection.subscriptionId).replace(/:[a-zA-Z]+/g, 'x');
    const origin = room === 'hsm' ? `https://${HSM}.${connection.managedHsmSuffix}` : connection.resourceManager.replace(/\/$/, '');
    return `${origin}${filled}?api-version=${room === 'hsm' ? '7.6' : '2023-07-01'}`;
  }

  /** What every row that needs a caller answers to this Authorization. */
  async function answers(authorization: (room: keyof typeof ROOMS) => string | undefined): Promise<readonly string[]> {
    const wrong: string[] = [];
    for (const room of ['hsm', 'graph', 'management'] as const) {
      const header = authorization(room);
      for (const { method, path, action } of ROOMS[room]) {
        if ((action as string) === 'anonymous') continue;
        const got = await house.call(method, addressOf(room, path), header === undefined ? {} : { headers: { authorization: header } });
        if (got.status !== 401 || got.headers['www-authenticate'] === undefined) wrong.push(`${method} ${path}: ${got.status}`);
      }
    }
    return wrong;
  }

  async function claims(room: keyof typeof ROOMS): Promise<{ readonly header: object; readonly payload: object }> {
    const [header = '', payload = ''] = (await house.token('user', room)).split('.');
    const decoded = (part: string): object => JSON.parse(Buffer.from(part, 'base64url').toString());
    return { header: decoded(header), payload: decoded(payload) };
  }

  const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

  test('nobody comes to any address without a token, and only the login and the cloud metadata need none', async () => {
    assert.deepEqual(await answers(() => undefined), []);
    for (const scheme of ['Basic b3duZXI6eA==', 'Bearer', 'Bearer ', 'Bearer null', 'Bearer a.b.c', 'Digest x']) {
      const got = await house.call('GET', addressOf('hsm', '/keys'), { headers: { authorization: scheme } });
      assert.equal(got.status, 401, scheme);
    }
    const open = Object.values(ROOMS).flatMap((rows) =>
      rows.filter(({ action }) => (action as string) === 'anonymous').map(({ path }) => path),
    );
    assert.deepEqual(open, ['/metadata/endpoints']);
    assert.ok(identityRows.every(({ path }) => /^\/((adfs\/)?:tenant|devicelogin)/.test(path)));
  });

  test("an unsigned token with the owner's claims opens nothing", async () => {
    const forged = new Map<string, string>();
    for (const room of ['hsm', 'graph', 'management'] as const) {
      const { header, payload } = await claims(room);
      forged.set(room, `${encoded({ ...header, alg: 'none' })}.${encoded(payload)}.`);
    }
    assert.deepEqual(await answers((room) => `Bearer ${forged.get(room)}`), []);
  });

  test('a token that is good for another address opens nothing here', async () => {
    const tokens = { hsm: await house.token('user', 'management'), management: await house.token('user', 'hsm') };
    assert.deepEqual(await answers((room) => `Bearer ${room === 'hsm' ? tokens.hsm : tokens.management}`), []);
  });

  test('what is published about our keys signs nothing, and neither does a key that a token brings along', async () => {
    const { authorityHost, tenantId } = house.connection;
    const jwks = await house.call('GET', `${authorityHost}${tenantId}/discovery/v2.0/keys`);
    const [published] = jwks.json.keys;
    const { header, payload } = await claims('hsm');
    const pem = createPublicKey({ key: published, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
    const certificate = `-----BEGIN CERTIFICATE-----\n${published.x5c[0]}\n-----END CERTIFICATE-----\n`;
    const tokens: string[] = [];
    for (const secret of [pem, certificate, published.x5c[0], published.n, JSON.stringify(published)]) {
      const half = `${encoded({ ...header, alg: 'HS256' })}.${encoded(payload)}`;
      tokens.push(`${half}.${createHmac('sha256', secret).update(half).digest('base64url')}`);
    }
    const own = rsaPair(2048);
    const jwk = own.publicKey.export({ format: 'jwk' });
    for (const brought of [
      { jwk },
      { jku: 'https://localhost/keys' },
      { x5u: 'https://localhost/cert' },
      { jwk, kid: 'mine' },
      { kid: '' },
    ]) {
      const half = `${encoded({ ...header, ...brought })}.${encoded(payload)}`;
      tokens.push(`${half}.${sign('sha256', Buffer.from(half), own.privateKey).toString('base64url')}`);
    }
    for (const token of tokens) assert.equal((await house.hsm(HSM, 'GET', '/keys', undefined, token)).status, 401, token.slice(0, 60));
  });

  test('good and bad tokens that come at once never get each other’s answers', async () => {
    const good = await house.token('user', 'hsm');
    const program = await makeProgram(house, 'at once');
    const unable = await tokenOf(signInProgram(house, program, 'hsm'));
    const bad = `${good.slice(0, -6)}AAAAAA`;
    const wanted = [200, 403, 401, 401];
    const all = await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        house.hsm(HSM, 'GET', '/keys/a-key-of-ours', undefined, [good, unable, bad, null][i % 4] ?? null),
      ),
    );
    assert.deepEqual(
      all.map(({ status }) => status),
      Array.from({ length: 200 }, (_, i) => wanted[i % 4]),
    );
  });

  test('what anybody may read tells nothing about people, programs, HSMs or keys', async () => {
    await makeUser(house, 'hidden');
    const { authorityHost, management, tenantId, user, servicePrincipal, subscriptionId } = house.connection;
    const pages = [
      `${authorityHost}metadata/endpoints?api-version=2022-09-01`,
      `${authorityHost}metadata/endpoints?api-version=2019-05-01`,
      `${authorityHost}${tenantId}/v2.0/.well-known/openid-configuration`,
      `${authorityHost}adfs/.well-known/openid-configuration`,
      `${authorityHost}common/discovery/instance?api-version=1.1&authorization_endpoint=${authorityHost}common`,
      `${authorityHost}${tenantId}/discovery/v2.0/keys`,
      `${authorityHost}devicelogin`,
      `${authorityHost}server-info`,
      `${authorityHost}`,
    ];
    const secrets = [
      userName(house, 'hidden'),
      'hidden@',
      user.objectId,
      servicePrincipal.objectId,
      servicePrincipal.clientId,
      subscriptionId,
      HSM,
      'a-key-of-ours',
    ];
    for (const page of pages) {
      const got = await house.call('GET', page);
      for (const secret of secrets) assert.ok(!got.text.includes(secret), `${page} tells ${secret}`);
    }
    for (const path of ['healthz', 'readyz', 'metrics', '', 'info']) {
      const text = await (await fetch(`${management}${path}`)).text();
      for (const secret of secrets) assert.ok(!text.includes(secret), `${path} tells ${secret}`);
    }
    const [known, unknown] = await Promise.all(
      ['hidden', 'nobody'].map(async (name) => {
        const got = await house.call('GET', `${authorityHost}common/userrealm/${userName(house, name)}?api-version=1.0`);
        return got.text;
      }),
    );
    assert.equal(known, unknown);
    const refusals = await Promise.all(['hidden', 'nobody'].map((name) => signInUser(house, name, 'hsm', 'not the password')));
    const said = refusals.map(({ status, json }: Got) => [status, json.error, String(json.error_description).replace(/ Trace ID.*/s, '')]);
    assert.deepEqual(said[0], said[1]);
  });

  test('codes and refresh tokens are taken once', async () => {
    const answer = await signInUser(house, 'hidden', 'hsm');
    const refresh = (token: string) =>
      postToken(house, { grant_type: 'refresh_token', client_id: '04b07795-8ddb-461a-bbee-02f9e1bf7b46', refresh_token: token });
    const next = await refresh(answer.json.refresh_token);
    assert.equal(next.status, 200);
    house.advance(10 * 60_000);
    assert.deepEqual((await refresh(answer.json.refresh_token)).json.error_codes, [700082]);
    assert.deepEqual((await refresh(next.json.refresh_token)).json.error_codes, [700082], 'the thief and the owner cannot be told apart');
  });

  test('a deleted user is refused everywhere at once, and the name gets nothing back when it is used again', async () => {
    const id = await makeUser(house, 'leaver');
    await grant(house, HSM, CRYPTO_USER, id);
    const token = await tokenOf(signInUser(house, 'leaver', 'hsm'));
    assert.equal((await house.hsm(HSM, 'GET', '/keys', undefined, token)).status, 200);
    assert.equal((await graph(house, 'DELETE', `/users/${id}`)).status, 204);
    const statuses = await Promise.all(Array.from({ length: 8 }, () => house.hsm(HSM, 'GET', '/keys', undefined, token)));
    assert.ok(statuses.every(({ status }) => status === 401));
    await makeUser(house, 'leaver');
    assert.equal((await house.hsm(HSM, 'GET', '/keys', undefined, token)).status, 401);
    assert.equal((await house.hsm(HSM, 'GET', '/keys', undefined, await tokenOf(signInUser(house, 'leaver', 'hsm')))).status, 403);
  });
});
