// Outside issuers over the wire: a real OpenID provider whose clients use the HSM, directly and in exchange for our own tokens, while its keys roll and its
// network fails; and beside it another issuer, so that neither stands in for the other.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { type Got, type House, openHouse } from '../house.ts';
import { graph, makeProgram, makeUser, type Program, postToken } from './people.ts';
import { AUDIENCE, type OutsideProvider, openProvider } from './provider.ts';
import { activate, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'outside';
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const EXCHANGE = 'api://AzureADTokenExchange';

suite('outside issuers', () => {
  const folder = mkdtempSync(join(tmpdir(), 'strongroom-issuers-'));
  let house: House;
  let one: OutsideProvider;
  let two: OutsideProvider;
  /** Its certificate is vouched for by nobody whom the settings name. */
  let untrusted: OutsideProvider;
  let program: Program;
  let person: string;

  before(async () => {
    [one, two, untrusted] = (await Promise.all(
      ['one', 'two', 'untrusted'].map(async (name) => openProvider(mkdtempSync(join(folder, name)), ['deployer', 'person', 'stranger'])),
    )) as [OutsideProvider, OutsideProvider, OutsideProvider];
    const file = join(folder, 'issuers.json');
    const direct = { audiences: { hsm: [AUDIENCE], management: [AUDIENCE] } };
    const issuers = [
      { issuer: one.issuer, caFile: one.caFile, ...direct },
      { issuer: two.issuer, caFile: two.caFile, ...direct, requiredClaims: { scope: 'use' } },
      { issuer: untrusted.issuer, ...direct },
    ];
    writeFileSync(file, JSON.stringify({ issuers }));
    house = await openHouse({ workers: 2, flags: ['--issuers', file, '--log-level', 'silent'] });
    await house.provision(HSM);
    await activate(house, HSM);

    program = await makeProgram(house, 'deployer');
    person = await makeUser(house, 'person');
    const credentials = `/applications/${program.id}/federatedIdentityCredentials`;
    const credential = { name: 'provider-one', issuer: one.issuer, subject: 'deployer', audiences: [AUDIENCE, EXCHANGE] };
    const made = await graph(house, 'POST', credentials, credential);
    assert.equal(made.status, 201, made.text);
    const identities = [{ signInType: 'federated', issuer: two.issuer, issuerAssignedId: 'person' }];
    assert.equal((await graph(house, 'PATCH', `/users/${person}`, { identities })).status, 204);
    for (const id of [program.objectId, person]) await grant(house, HSM, CRYPTO_USER, id);
  });
  after(async () => {
    await house?.close();
    await Promise.all([one, two, untrusted].map((provider) => provider?.stop()));
    rmSync(folder, { recursive: true });
  });

  function keys(token: string): Promise<Got> {
    return house.hsm(HSM, 'GET', '/keys', undefined, token);
  }

  /** What both threads answer. */
  async function statuses(token: string): Promise<readonly number[]> {
    const all = await Promise.all(Array.from({ length: 12 }, () => keys(token)));
    return [...new Set(all.map(({ status }) => status))];
  }

  function assertion(token: string): Promise<Got> {
    return postToken(house, {
      grant_type: 'client_credentials',
      client_id: program.appId,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: token,
      scope: `${house.connection.managedHsmResource}/.default`,
    });
  }

  test('a client of each provider uses the HSM with its own token, as whom the directory says, and a stranger does not', async () => {
    assert.deepEqual(await statuses(await one.token('deployer')), [200]);
    assert.deepEqual(await statuses(await two.token('person')), [200]);
    for (const token of [await one.token('stranger'), await one.token('person'), await two.token('deployer')]) {
      const got = await keys(token);
      assert.deepEqual([got.status, /does not know whom/.test(got.json.error.message)], [401, true]);
    }
    const { resourceManager } = house.connection;
    const arm = `${resourceManager}subscriptions?api-version=2021-01-01`;
    assert.equal((await house.call('GET', arm, { token: await two.token('person') })).status, 200);
    const me = await graph(house, 'GET', '/me', undefined, await two.token('person'));
    assert.equal(me.status, 401, 'the settings name no audience for the Graph');
  });

  test("a client's token is exchanged for one of our own", async () => {
    const answer = await assertion(await one.token('deployer'));
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(await statuses(answer.json.access_token), [200]);
    for (const token of [await one.token('stranger'), await two.token('deployer')]) {
      const refused = await assertion(token);
      assert.deepEqual([refused.status, refused.json.error_codes], [401, [70021]]);
    }
  });

  test('an issuer whose certificate nobody vouches for is not believed, and nobody else is taken for it', async () => {
    const got = await keys(await untrusted.token('deployer'));
    assert.deepEqual([got.status, /could not be fetched/.test(got.json.error.message)], [401, true]);
    assert.equal(untrusted.keysAsked, 0);
    assert.deepEqual(await statuses(await one.token('deployer')), [200]);
  });

  test('after a roll the new key is found within a minute, and the old one is no longer good', async () => {
    const old = await one.token('deployer');
    assert.deepEqual(await statuses(old), [200]);
    one.roll('second');
    const young = await one.token('deployer');
    const asked = one.keysAsked;
    assert.deepEqual(await statuses(young), [401]);
    assert.equal(one.keysAsked, asked, 'its keys were asked for less than a minute ago');
    house.advance(MINUTE);
    assert.deepEqual(await statuses(young), [200]);
    assert.equal(one.keysAsked, asked + 1);
    assert.deepEqual(await statuses(old), [401]);
    assert.equal(one.keysAsked, asked + 1);
  });

  test('while a provider is down its keys are kept for a day, and what others send is not held up', async () => {
    const token = await one.token('deployer');
    assert.deepEqual(await statuses(token), [200]);
    const elsewhere = await two.token('person');
    await one.stop();
    house.advance(2 * HOUR);
    assert.deepEqual(await statuses(token), [200]);
    assert.deepEqual(await statuses(elsewhere), [200]);
    assert.equal((await assertion(token)).status, 200);
    house.advance(22 * HOUR + MINUTE);
    const got = await keys(token);
    assert.deepEqual([got.status, /could not be fetched/.test(got.json.error.message)], [401, true]);
    assert.deepEqual((await assertion(token)).json.error_codes, [700027]);
    assert.deepEqual(await statuses(elsewhere), [200]);
    await one.start();
    house.advance(MINUTE);
    assert.deepEqual(await statuses(token), [200]);
  });

  test('the directory ends what an outside token stands for, on every thread at once', async () => {
    const token = await two.token('person');
    assert.deepEqual(await statuses(token), [200]);
    assert.equal((await graph(house, 'PATCH', `/users/${person}`, { accountEnabled: false })).status, 204);
    assert.deepEqual(await statuses(token), [401]);
    assert.equal((await graph(house, 'PATCH', `/users/${person}`, { accountEnabled: true })).status, 204);
    assert.deepEqual(await statuses(token), [401], 'a token from before stays refused');
    const credential = `/applications/${program.id}/federatedIdentityCredentials/provider-one`;
    const other = await one.token('deployer');
    const exchanged = (await assertion(other)).json.access_token;
    assert.deepEqual(await statuses(exchanged), [200]);
    assert.equal((await graph(house, 'DELETE', credential)).status, 204);
    assert.deepEqual(await statuses(other), [401]);
    assert.deepEqual(await statuses(exchanged), [401]);
  });

  test('nobody can have this service trust, or connect to, an issuer that its operator did not name', async () => {
    const credentials = `/applications/${program.id}/federatedIdentityCredentials`;
    for (const issuer of ['https://evil.example', 'http://169.254.169.254', `${one.issuer}/`]) {
      const got = await graph(house, 'POST', credentials, { name: 'evil', issuer, subject: 'x', audiences: ['y'] });
      assert.deepEqual([got.status, /not among those that this service trusts/.test(got.json.error.message)], [400, true]);
      const identities = [{ signInType: 'federated', issuer, issuerAssignedId: 'x' }];
      assert.equal((await graph(house, 'PATCH', `/users/${person}`, { identities })).status, 400);
    }
  });

  test('a person of a trusted issuer keeps the object id that it gives them', async () => {
    const id = '0d15ea5e-0000-4000-8000-00000000beef';
    const user = { displayName: 'Eve', userPrincipalName: 'eve@corp.example', mailNickname: 'eve' };
    const identities = [{ signInType: 'federated', issuer: two.issuer, issuerAssignedId: id }];
    const made = await graph(house, 'POST', '/users', { ...user, identities });
    assert.deepEqual([made.status, made.json.id], [201, id], made.text);
    assert.deepEqual((await graph(house, 'GET', `/users/${id}?$select=identities`)).json.identities, identities);
    const again = await graph(house, 'POST', '/users', { ...user, userPrincipalName: 'mallory@corp.example', identities });
    assert.match(again.json.error.message, /same value for property identities/);
  });
});
