// A node that does not reach its database, and whose operator lets keys be used all the same for a while: what goes on, what does not, and what the record says.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type House, openHouse } from '../house.ts';
import { noPostgres, type PostgresServer, startPostgres } from '../postgres.ts';
import { activate, CRYPTO_USER, grant } from '../wire/ready.ts';

const HSM = 'degraded';
const SIGN = { alg: 'ES256', value: Buffer.alloc(32, 9).toString('base64url') };

suite('a node without its database', { skip: noPostgres }, () => {
  let server: PostgresServer;
  let house: House;

  before(async () => {
    server = await startPostgres();
    house = await openHouse({ flags: ['--degraded', '6'], environment: { STRONGROOM_STORE: await server.database() } });
    await house.provision(HSM);
    await activate(house, HSM);
    await grant(house, HSM, CRYPTO_USER, house.connection.user.objectId);
    for (const name of ['used', 'unused']) await house.hsm(HSM, 'POST', `/keys/${name}/create`, { kty: 'EC-HSM' });
  });
  after(async () => {
    await house?.close();
    await server.close();
  });

  const sign = (name: string) => house.hsm(HSM, 'POST', `/keys/${name}/sign`, SIGN);
  const readiness = async (): Promise<string> => (await (await fetch(`${house.connection.management}readyz`)).text()).split('\n')[0] ?? '';
  async function until(holds: () => Promise<boolean>): Promise<void> {
    while (!(await holds())) await new Promise((wake) => setTimeout(wake, 50));
  }

  test('a key that was used goes on being used for the time that was allowed, and nothing else is done', async () => {
    assert.equal((await sign('used')).status, 200);
    await server.stop('at once');
    await until(async () => (await readiness()) === 'degraded');
    assert.equal((await sign('used')).status, 200);
    assert.equal((await house.hsm(HSM, 'GET', '/keys/used')).status, 503, 'what only looks at keys is not their use');
    assert.equal((await sign('unused')).status, 503, 'what is not known cannot be asked for');
    assert.equal((await house.hsm(HSM, 'POST', '/keys/new/create', { kty: 'EC-HSM' })).status, 503);
    await until(async () => (await readiness()) === 'cut off');
    assert.equal((await sign('used')).status, 503);
  });

  test('all is as before when the database is back, and the record tells which calls were answered without it', async () => {
    await server.start();
    await until(async () => (await readiness()) === 'ready');
    await until(async () => (await sign('used')).status === 200);
    const { json } = await house.hsm(HSM, 'GET', '/strongroom/audit?operation=KeySign');
    const successes = json.value.filter(({ event }: { event: { resultType: string } }) => event.resultType === 'Success');
    const marks = successes.map(({ event }: { event: { properties: { degraded?: boolean } } }) => event.properties.degraded === true);
    assert.deepEqual([marks[0], marks[1], marks.at(-1)], [false, true, false]);
  });
});
