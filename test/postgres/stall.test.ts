// Somebody has the lock of the database and goes no further, a node that stands still in the middle of a change above all: how long the others wait.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import pg from 'pg';
import { parseStoreAddress } from '../../src/core/store-address.ts';
import { lockArguments, nameLockArguments } from '../../src/store/postgres-schema.ts';
import { type House, openHouse } from '../house.ts';
import { callerOf, type Node, startNode } from '../nodes.ts';
import { noPostgres, type PostgresServer, postgresServer } from '../postgres.ts';
import { activate, CRYPTO_USER, grant } from '../wire/ready.ts';

const HSM = 'stalled';
const DIGEST = Buffer.alloc(32, 9).toString('base64url');

suite('somebody has the lock of the database and stands still', { skip: noPostgres }, () => {
  let house: House;
  let server: PostgresServer;
  let database: string;
  let place: string;
  let node: Node;
  /** The operator's, who can have the lock as well. */
  let owner: pg.Client;
  let caller: ReturnType<typeof callerOf>;
  let token: string;
  before(async () => {
    place = await mkdtemp(join(tmpdir(), 'strongroom-stall-'));
    server = await postgresServer();
    const store = await server.database();
    const address = parseStoreAddress(store);
    database = address.engine === 'postgres' ? address.database : '';
    house = await openHouse({ environment: { STRONGROOM_STORE: store } });
    await house.provision(HSM);
    await activate(house, HSM);
    await grant(house, HSM, CRYPTO_USER, house.connection.user.objectId);
    await house.hsm(HSM, 'POST', '/keys/k/create', { kty: 'EC-HSM' });
    token = await house.token('user', 'hsm');
    caller = callerOf(house.connection);
    const port = Number(new URL(house.connection.resourceManager).port);
    node = await startNode({ place, rootKey: join(house.dataFolder, 'root.key'), store, port }, 'node-2', '127.0.0.2');
    await node.becomes('ready');
    owner = new pg.Client({ host: server.folder, port: server.port, user: 'owner', password: server.password, database });
    await owner.connect();
  });
  after(async () => {
    node?.child.kill('SIGKILL');
    await owner?.end();
    caller?.close();
    await house?.close();
    await rm(place, { recursive: true });
  });

  const sql = (text: string): Promise<readonly Record<string, unknown>[]> => server.admin(text, database);
  const [OURS, name] = nameLockArguments('node-2').split(', ');
  /** The session in which that node makes its changes, when it waits for the lock, or has it. */
  const session = async (isHad: boolean): Promise<Record<string, unknown> | undefined> => {
    const [row] = await sql(`select a.pid, a.state from pg_locks l join pg_stat_activity a using (pid)
      where l.locktype = 'advisory' and (l.classid, l.objid) = (${lockArguments('writing')}) and l.granted = ${isHad}
      and a.pid in (select pid from pg_locks where classid = ${OURS} and objid = (${name}::bigint & 4294967295)::oid)`);
    return row;
  };
  async function until<Value>(ask: () => Promise<Value>, holds: (value: Value) => boolean): Promise<Value> {
    for (;;) {
      const value = await ask();
      if (holds(value)) return value;
      await new Promise((wake) => setTimeout(wake, 20));
    }
  }

  test('a node keeps changes waiting until the server ends its transaction, and uses not at all', async () => {
    await owner.query(`begin; select pg_advisory_xact_lock(${lockArguments('writing')})`);
    const url = `https://${HSM}.${house.connection.managedHsmSuffix}/keys/k?api-version=7.5`;
    const forgotten = caller.call(node.host, 'PATCH', url, token, { tags: { of: 'the one that stands still' } }).catch(() => undefined);
    await until(
      () => session(false),
      (waiting) => waiting !== undefined,
    );
    node.child.kill('SIGSTOP');
    // It gets the lock when it cannot do anything with it any more.
    await owner.query('commit');
    const held = await until(
      () => session(true),
      (had) => had?.state === 'idle in transaction',
    );
    let isOver = false;
    const changed = house.hsm(HSM, 'PATCH', '/keys/k', { tags: { of: 'another' } }).finally(() => (isOver = true));
    const used = await house.hsm(HSM, 'POST', '/keys/k/sign', { alg: 'ES256', value: DIGEST });
    assert.equal(used.status, 200, used.text);
    assert.equal(isOver, false, 'the change waits');
    assert.equal((await session(true))?.pid, held?.pid);

    // A change that had waited for ten seconds would have been refused.
    assert.equal((await changed).status, 200);
    assert.deepEqual(await sql(`select pid from pg_stat_activity where pid = ${held?.pid}`), [], 'the server ended the session');
    node.child.kill('SIGCONT');
    const answer = await forgotten;
    if (answer !== undefined) assert.equal(answer.status, 503, answer.text);
    assert.deepEqual((await house.hsm(HSM, 'GET', '/keys/k')).json.tags, { of: 'another' });
  });

  test('a change that has waited ten seconds for its turn is refused as not made, and the next one is made', async () => {
    await owner.query(`begin; select pg_advisory_xact_lock(${lockArguments('writing')})`);
    const refused = await house.hsm(HSM, 'PATCH', '/keys/k', { tags: { of: 'nobody' } });
    assert.equal(refused.status, 503, refused.text);
    assert.match(refused.text, /was not made/);
    await owner.query('commit');
    assert.deepEqual((await house.hsm(HSM, 'GET', '/keys/k')).json.tags, { of: 'another' });
    assert.equal((await house.hsm(HSM, 'PATCH', '/keys/k', { tags: { of: 'somebody' } })).status, 200);
  });
});
