// A node that reads from a replica: what is not cached comes from there, never older than what the node has heard of; a replica that is late, cut off or
// gone is not asked.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type House, openHouse } from '../house.ts';
import { noPostgres, type PostgresServer, startPostgres, startStandby } from '../postgres.ts';
import { activate, CRYPTO_USER, grant } from '../wire/ready.ts';

const HSM = 'near-by';

suite('a replica near the node', { skip: noPostgres }, () => {
  let primary: PostgresServer;
  let replica: PostgresServer;
  let database: string;
  let house: House;
  before(async () => {
    primary = await startPostgres();
    const store = await primary.database();
    [, database = ''] = /@\/([\w-]+)\?/.exec(store) ?? [];
    replica = await startStandby(primary);
    // Commits wait for nobody: this one may be late.
    await primary.admin("alter system set synchronous_standby_names = ''");
    await primary.admin('select pg_reload_conf()');
    const near = `postgres://owner:${replica.password}@/${database}?host=${replica.folder}&port=${replica.port}`;
    house = await openHouse({ environment: { STRONGROOM_STORE: store, STRONGROOM_REPLICA: near } });
    await house.provision(HSM);
    await activate(house, HSM);
    await grant(house, HSM, CRYPTO_USER, house.connection.user.objectId);
  });
  after(async () => {
    await house?.close();
    await replica?.close();
    await primary?.close();
  });

  const enabled = async (name: string): Promise<unknown> => (await house.hsm(HSM, 'GET', `/keys/${name}`)).json.attributes?.enabled;
  const note = async (): Promise<string> => {
    const page = await (await fetch(`${house.connection.management}readyz`)).text();
    return page.split('\n').find((line) => line.startsWith('replica')) ?? page;
  };
  async function says(words: RegExp): Promise<void> {
    while (!words.test(await note())) await new Promise((wake) => setTimeout(wake, 30));
  }
  /** How often rows of key versions were looked up at this server. */
  const lookedUp = async (server: PostgresServer): Promise<number> => {
    const [row] = await server.admin("select idx_scan::int as count from pg_stat_user_tables where relname = 'key_versions'", database);
    return Number(row?.count ?? 0);
  };

  test('what is not cached is read there, and readiness says how far behind it is', async () => {
    await says(/^replica: (?:less than )?\d+ ms behind$/);
    const before = await lookedUp(replica);
    // A list is cached nowhere. Counts of the server show after a moment.
    for (let asked = 0; (await lookedUp(replica)) < before + 5; asked += 1) {
      if (asked % 10 === 0) await house.hsm(HSM, 'POST', `/keys/listed-${asked}/create`, { kty: 'EC-HSM' });
      assert.equal((await house.hsm(HSM, 'GET', '/keys')).status, 200);
      await new Promise((wake) => setTimeout(wake, 50));
    }
  });

  test('while the replica stands still, what was changed counts at once, and what is read is never older', async () => {
    await house.hsm(HSM, 'POST', '/keys/switched/create', { kty: 'EC-HSM' });
    assert.equal(await enabled('switched'), true);
    await says(/^replica: (?:less than )?\d+ ms behind$/);
    await replica.admin('select pg_wal_replay_pause()');
    // A change that no cache knows of counts no less.
    assert.equal((await house.arm('PUT', '/resourceGroups/fresh', { location: 'norwayeast' })).status, 201);
    assert.equal((await house.arm('GET', '/resourceGroups/fresh')).status, 200);
    for (const value of [false, true, false, true, false]) {
      assert.equal((await house.hsm(HSM, 'PATCH', '/keys/switched', { attributes: { enabled: value } })).status, 200);
      assert.equal(await enabled('switched'), value);
    }
    await house.hsm(HSM, 'POST', '/keys/newest/create', { kty: 'EC-HSM' });
    const listed = (): Promise<boolean> =>
      house
        .hsm(HSM, 'GET', '/keys?maxresults=25')
        .then(({ json }) => json.value.some(({ kid }: { kid: string }) => kid.endsWith('/newest')));
    assert.equal(await listed(), true);
    await says(/; what is not cached is read from the primary$/);
    assert.equal(await listed(), true, 'also when it has been late for longer');
    await replica.admin('select pg_wal_replay_resume()');
    await says(/^replica: (?:less than )?\d+ ms behind$/);
    assert.equal(await listed(), true);
    assert.equal(await enabled('switched'), false);
  });

  test('one that is gone costs nothing, and is asked again when it is back', async () => {
    await replica.stop('at once');
    for (let n = 0; n < 5; n += 1) assert.equal((await house.hsm(HSM, 'GET', '/keys')).status, 200);
    await says(/^replica: .*; what is not cached is read from the primary$/);
    assert.equal(await enabled('switched'), false);
    await replica.start();
    await says(/^replica: (?:less than )?\d+ ms behind$/);
  });

  test('a server that follows another service is never read from', async () => {
    const [others, own] = [await primary.database(), await primary.database()];
    const other = await openHouse({ environment: { STRONGROOM_STORE: others } });
    await other.provision('of-another');
    await other.close();
    const alone = await openHouse({ environment: { STRONGROOM_STORE: own, STRONGROOM_REPLICA: others } });
    try {
      await alone.provision('of-this-one');
      for (;;) {
        const page = await (await fetch(`${alone.connection.management}readyz`)).text();
        if (page.includes('; what is not cached is read from the primary')) break;
        await new Promise((wake) => setTimeout(wake, 30));
      }
      const { json } = await alone.arm('GET', '/providers/Microsoft.KeyVault/managedHSMs');
      assert.deepEqual(
        json.value.map(({ name }: { name: string }) => name),
        ['of-this-one'],
      );
    } finally {
      await alone.close();
    }
  });
});
