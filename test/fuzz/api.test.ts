// A short storm of nonsense over real HTTPS; `npm run fuzz` goes on for as long as it is told.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { type House, openHouse } from '../house.ts';
import { activate, CRYPTO_OFFICER, CRYPTO_USER, grant } from '../wire/ready.ts';
import { publishedAims, shoot, shotAt } from './api.ts';
import { randomFrom, SEED } from './random.ts';

const isThere = existsSync(resolve(import.meta.dirname, '../../../shared/spec/openapi'));
const DURING = Number(process.env.STRONGROOM_FUZZ_SECONDS ?? '15') * 1000;
const ABREAST = 8;

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

test('no request of any method, type or content is answered with a fault of the service', {
  skip: isThere ? false : 'the published descriptions are not beside the checkout',
}, async () => {
  const aims = publishedAims();
  const random = randomFrom(SEED);
  const tokens = [
    await house.token('user', 'hsm'),
    await house.token('application', 'hsm'),
    await house.token('user', 'graph'),
    'nonsense',
    null,
  ];
  const answers = new Map<string, number>();
  const until = performance.now() + DURING;
  const one = async (): Promise<void> => {
    while (performance.now() < until) {
      const token = random.oneIn(4) ? random.of(tokens) : (tokens[0] ?? null);
      const answer = await shoot(house, 'fuzzed', shotAt(random.of(aims), random), token).catch((error: Error) => {
        throw new Error(`with seed ${SEED}: ${error.message}`);
      });
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: ABREAST }, one));
  assert.ok(answers.size > 5, JSON.stringify([...answers]));
  const alive = await house.hsm('fuzzed', 'GET', '/keys');
  assert.equal(alive.status, 200);
});
