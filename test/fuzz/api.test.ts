// A short storm of nonsense over real HTTPS; `npm run fuzz` goes on for as long as it is told.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { type House, openHouse } from '../house.ts';
import { activate, CRYPTO_OFFICER, CRYPTO_USER, grant } from '../wire/ready.ts';
import { type Aim, publishedAims, serviceAims, shoot, shotAt } from './api.ts';
import { mutated } from './mutate.ts';
import { randomFrom, SEED } from './random.ts';

const isThere = existsSync(resolve(import.meta.dirname, '../../../shared/spec/openapi'));
const DURING = Number(process.env.STRONGROOM_FUZZ_SECONDS ?? '10') * 1000;
const ABREAST = 8;
/** Beyond it a header is refused as such. */
const LONGEST_TOKEN = 20_000;

let house: House;

before(async () => {
  house = await openHouse({ workers: 2 });
  await house.provision('fuzzed');
  await activate(house, 'fuzzed');
  const { objectId } = house.connection.user;
  for (const role of [CRYPTO_USER, CRYPTO_OFFICER]) await grant(house, 'fuzzed', role, objectId);
  const kinds = { 'fuzz-ec': { kty: 'EC-HSM' }, 'fuzz-rsa': { kty: 'RSA-HSM' }, 'fuzz-oct': { kty: 'oct-HSM' } };
  for (const [name, body] of Object.entries(kinds)) await house.hsm('fuzzed', 'POST', `/keys/${name}/create`, body);
});

after(() => house.close());

/** As many at once as keep two workers busy; each answer is counted by its status and code. */
async function storm(aims: readonly Aim[], own: readonly string[] | undefined, tokens: readonly (string | null)[]): Promise<void> {
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
  assert.ok(answers.size > 5, JSON.stringify([...answers]));
  assert.equal((await house.hsm('fuzzed', 'GET', '/keys')).status, 200);
}

test('no request of any method, type or content is answered with a fault of the service', {
  skip: isThere ? false : 'the published descriptions are not beside the checkout',
}, async () => {
  const [user, application, graph] = [
    await house.token('user', 'hsm'),
    await house.token('application', 'hsm'),
    await house.token('user', 'graph'),
  ];
  await storm(publishedAims(), undefined, [user, application, graph, 'nonsense', null]);
});

test('nor is any at an address of the resource manager, of Graph or of the login', async () => {
  const { connection } = house;
  const [management, graph] = [await house.token('user', 'management'), await house.token('user', 'graph')];
  const own = [connection.subscriptionId, connection.tenantId, 'common', 'fuzz-group', 'fuzz-victim', 'norwayeast'];
  await storm(serviceAims(connection), own, [management, graph, await house.token('user', 'hsm'), null]);
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
