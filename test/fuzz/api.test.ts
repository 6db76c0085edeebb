// A short storm of nonsense over real HTTPS; `npm run fuzz` goes on for as long as it is told.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type House, openHouse } from '../house.ts';
import { activate, CRYPTO_OFFICER, CRYPTO_USER, grant } from '../wire/ready.ts';
import { type Aim, managerAims, type Own, ownAims, publishedAims, serviceAims, shoot, shotAt } from './api.ts';
import { isThere } from './described.ts';
import { mutated } from './mutate.ts';
import { randomFrom, SEED } from './random.ts';

const skip = isThere ? false : 'the published descriptions are not beside the checkout';
const DURING = Number(process.env.STRONGROOM_FUZZ_SECONDS ?? '6') * 1000;
const ABREAST = 8;
/** Beyond it a header is refused as such. */
const LONGEST_TOKEN = 20_000;

let house: House;
/** Objects of the directory that nobody misses. */
const victims: string[] = [];

before(async () => {
  house = await openHouse({ workers: 2 });
  await house.provision('fuzzed');
  await activate(house, 'fuzzed');
  const { objectId } = house.connection.user;
  for (const role of [CRYPTO_USER, CRYPTO_OFFICER]) await grant(house, 'fuzzed', role, objectId);
  const kinds = { 'fuzz-ec': { kty: 'EC-HSM' }, 'fuzz-rsa': { kty: 'RSA-HSM' }, 'fuzz-oct': { kty: 'oct-HSM' } };
  for (const [name, body] of Object.entries(kinds)) await house.hsm('fuzzed', 'POST', `/keys/${name}/create`, body);
  const named = { displayName: 'victim', mailNickname: 'victim', mailEnabled: false, securityEnabled: true };
  for (const collection of ['groups', 'applications']) {
    const body = JSON.stringify(collection === 'groups' ? named : { displayName: 'victim' });
    const headers = { 'content-type': 'application/json' };
    const { status, json, text } = await house.call('POST', `${house.connection.graph}v1.0/${collection}`, {
      body,
      headers,
      token: await house.token('user', 'graph'),
    });
    assert.equal(status, 201, text);
    victims.push(json.id);
  }
});

after(() => house.close());

/** As many at once as keep two workers busy; each answer is counted by its status and code. */
async function storm(aims: readonly Aim[], own: Own | undefined, tokens: readonly (string | null)[]): Promise<void> {
  const random = randomFrom(SEED);
  const answers = new Map<string, number>();
  const until = performance.now() + DURING;
  const one = async (): Promise<void> => {
    while (performance.now() < until) {
      const token = random.oneIn(4) ? random.of(tokens) : (tokens[0] ?? null);
      const answer = await shoot(house, 'fuzzed', shotAt(random.of(aims), random, own), token).catch((error: Error) => {
        throw new Error(`with seed ${SEED}: ${error.message}`);
      });
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: ABREAST }, one));
  assert.ok(answers.size > 5 && [...answers.keys()].some((answer) => answer.startsWith('2')), JSON.stringify([...answers]));
  assert.equal((await house.hsm('fuzzed', 'GET', '/keys')).status, 200);
}

test('no request of any method, type or content is answered with a fault of the service', { skip }, async () => {
  const [user, application, graph] = [
    await house.token('user', 'hsm'),
    await house.token('application', 'hsm'),
    await house.token('user', 'graph'),
  ];
  await storm(publishedAims(), undefined, [user, application, graph, 'nonsense', null]);
});

function ownOf({ subscriptionId, tenantId }: House['connection']): Own {
  const id = `/subscriptions/${subscriptionId}`;
  return {
    '': [subscriptionId, tenantId, 'common', 'fuzz-group', 'fuzz-victim', 'norwayeast', ...victims],
    subscriptionId: [subscriptionId],
    resourceGroupName: ['fuzz-group', 'fuzz-other'],
    scope: [id, `${id}/resourceGroups/fuzz-group`],
    name: ['fuzz-victim', 'fuzz-second'],
    location: ['norwayeast', 'westeurope'],
    resourceProviderNamespace: ['Microsoft.KeyVault', 'Microsoft.Nothing'],
    roleAssignmentName: ['00000000-0000-0000-0000-000000000001'],
  };
}

test('nor is any that the published descriptions of the resource manager have', { skip }, async () => {
  const management = await house.token('user', 'management');
  await storm(managerAims(), ownOf(house.connection), [management, management, await house.token('user', 'hsm'), null]);
});

test('nor is any at an address of Graph, of the login, or of the resource manager that our own tables have', async () => {
  const { connection } = house;
  const [management, graph] = [await house.token('user', 'management'), await house.token('user', 'graph')];
  await storm(serviceAims(connection), ownOf(connection), [graph, management, await house.token('user', 'hsm'), null]);
});

test('nor is any at an address of an HSM that is ours alone', async () => {
  const token = await house.token('user', 'hsm');
  await storm(ownAims(), undefined, [token, token, await house.token('application', 'hsm'), null]);
});

test('no token is believed that was altered in any way', async () => {
  const random = randomFrom(SEED);
  const token = await house.token('user', 'hsm');
  const parts = token.split('.').map((part) => Buffer.from(part, 'base64url'));
  const until = performance.now() + DURING / 3;
  const one = async (): Promise<void> => {
    while (performance.now() < until) {
      const at = random.below(3);
      const altered = parts.map((part, i) => (i === at ? mutated(part, parts, random) : part));
      // The same bytes are the same token, however they are written.
      if (altered.every((part, i) => part.equals(parts[i] ?? Buffer.alloc(0)))) continue;
      const said = altered
        .map((part) => part.toString('base64url'))
        .join('.')
        .slice(0, LONGEST_TOKEN);
      const got = await house.hsm('fuzzed', 'GET', '/keys', undefined, said);
      assert.equal(got.status, 401, `with seed ${SEED}: ${said}`);
    }
  };
  await Promise.all(Array.from({ length: ABREAST }, one));
});
