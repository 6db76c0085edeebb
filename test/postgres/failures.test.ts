// A server that stops, restarts, answers nothing, or is not what it should be: what the store does then, and what it never says.

import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { type Kysely, sql } from 'kysely';
import pg from 'pg';
import { CoherentCache, monotonic, Versions } from '../../src/core/coherence.ts';
import { Failure } from '../../src/core/failure.ts';
import { type PostgresAddress, parseStoreAddress, type StoreAddress } from '../../src/core/store-address.ts';
import { MIGRATIONS } from '../../src/store/migrate.ts';
import { openReader, openStore } from '../../src/store/open.ts';
import { openClient } from '../../src/store/postgres.ts';
import { migratePostgres } from '../../src/store/postgres-schema.ts';
import { openPostgresSnapshot, peekPostgres, postgresExists } from '../../src/store/postgres-store.ts';
import type { Store } from '../../src/store/store.ts';
import { openForwarder } from '../cluster-yard.ts';
import { accountWithoutRights, noPostgres, type PostgresServer, startPostgres } from '../postgres.ts';
import { PROGRAM } from '../program.ts';

let server: PostgresServer;
let folder: string;

async function address(): Promise<PostgresAddress> {
  const parsed = parseStoreAddress(await server.database());
  assert.equal(parsed.engine, 'postgres');
  return parsed as PostgresAddress;
}

function open(store: StoreAddress, versions = new Versions(Versions.allocate())): Promise<Store> {
  return openStore({ dataFolder: folder, store }, { versions, committed: () => undefined });
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((wake) => setTimeout(wake, 20));
}

const put = (store: Store, key: string): Promise<unknown> =>
  store.write((writer) => writer.insertInto('meta').values({ key, value: 'v' }).execute());
const has = async (store: Store, key: string): Promise<boolean> =>
  (await store.read.selectFrom('meta').select('key').where('key', '=', key).execute()).length === 1;
const unavailable = (error: unknown): boolean => error instanceof Failure && error.status === 503;

describe('the store on a server that fails', { skip: noPostgres }, () => {
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-failures-'));
    server = await startPostgres();
  });
  after(async () => {
    await server.close();
    await rm(folder, { recursive: true });
  });

  test('while the server is down a change is refused as not made and reads are refused; both go on when it is back', async () => {
    const store = await open(await address());
    await put(store, 't-1');
    await server.stop('at once');
    await assert.rejects(put(store, 't-2'), (error) => unavailable(error) && /was not made/.test(String(error)));
    await assert.rejects(has(store, 't-1'), unavailable);
    await server.start();
    await until(() =>
      put(store, 't-3').then(
        () => true,
        (error) => !unavailable(error) && assert.fail(String(error)),
      ),
    );
    assert.deepEqual([await has(store, 't-1'), await has(store, 't-2'), await has(store, 't-3')], [true, false, true]);
    await store.close();
  });

  test('what is cached is served while the node hears, not while it does not, and is loaded anew for what others changed', async () => {
    const place = await address();
    const versions = new Versions(Versions.allocate());
    const store = await open(place, versions);
    const cache = new CoherentCache<number>(versions, { max: 10 });
    let loads = 0;
    const get = (): Promise<number> => cache.get('a', 'key:a', async () => (loads += 1));
    assert.deepEqual([await get(), await get()], [1, 1]);

    // Another node's commit, as that node would note it.
    const other = await openClient(place);
    await other.run(
      `insert into store_changes (sequence, node, tags_json) select coalesce(max(sequence), 0) + 1, 'other', '["key:a"]' from store_changes`,
    );
    const began = monotonic();
    await until(async () => (await get()) === 2);
    assert.ok(monotonic() - began < 60_000);

    // What is missing in between may have been anything.
    await other.run(`update store_changes set sequence = sequence + 20000`);
    await until(async () => (await get()) === 3);
    await other.close();

    await server.stop('at once');
    await until(() => !versions.areCurrent);
    assert.deepEqual([await get(), await get()], [4, 5], 'each is read through');
    await server.start();
    await until(() => versions.areCurrent);
    const loaded = await get();
    assert.equal(await get(), loaded);
    await store.close();
  });

  test('a commit whose answer is lost is found out: made or not made, never a guess', async () => {
    const place = await address();
    const proxy = await cuttingProxy(server.port);
    const store = await open({ ...place, host: '127.0.0.1', port: proxy.port, tls: undefined });
    proxy.cut('after');
    await put(store, 't-made');
    proxy.cut('before');
    await assert.rejects(put(store, 't-lost'), (error) => unavailable(error) && /was not made/.test(String(error)));
    assert.equal(proxy.cuts, 2);
    assert.deepEqual([await has(store, 't-made'), await has(store, 't-lost')], [true, false]);
    await store.close();
    proxy.close();
  });

  test('a change whose connection is lost in the middle does not go on outside of its transaction, over the next connection', async () => {
    const place = await address();
    const store = await open(place);
    const holder = `select pid from pg_locks join pg_database on pg_database.oid = database
      where datname = '${place.database}' and locktype = 'advisory' and objid = 3 and granted`;
    const changed = store.write(async (writer) => {
      await writer.insertInto('meta').values({ key: 't-first', value: '' }).execute();
      const [lost] = await server.admin(holder);
      await server.admin(`select pg_terminate_backend(${lost?.pid})`);
      await until(async () => {
        const [next] = await server.admin(holder);
        return next !== undefined && next.pid !== lost?.pid;
      });
      await writer.insertInto('meta').values({ key: 't-second', value: '' }).execute();
    });
    await assert.rejects(changed, (error) => unavailable(error) && /was not made/.test(String(error)));
    assert.deepEqual([await has(store, 't-first'), await has(store, 't-second')], [false, false]);
    await put(store, 't-third');
    await store.close();
  });

  test('what reads as of one moment ends when the server has gone silent, and not before', async () => {
    const place = await address();
    await (await open(place)).close();
    const way = await openForwarder(server.port);
    const { read, close } = await openPostgresSnapshot({ ...place, host: '127.0.0.1', port: way.port, tls: undefined }, 500);
    const page = () => read.selectFrom('meta').select('key').limit(25).execute();
    await page();
    await new Promise((wake) => setTimeout(wake, 1000));
    await page();
    way.cut('silence');
    await assert.rejects(page(), /the connection to the store was lost/);
    await assert.rejects(page(), /the connection to the store was lost/);
    way.close();
    await close();
  });

  test('whoever only looks whether there is a store hears that the server does not answer, at whatever point it stands still', async (t) => {
    const place = await address();
    await (await open(place)).close();
    const [looks, within] = [[() => peekPostgres(place, 'a', within), () => postgresExists(place, within)], 2000] as const;
    const refusals = (): Promise<unknown> => Promise.all(looks.map((look) => assert.rejects(look(), silent)));
    assert.deepEqual(await Promise.all(looks.map((look) => look())), [undefined, true]);

    // Somebody has the table, and the statement waits for it.
    const owner = new pg.Client({
      host: server.folder,
      port: server.port,
      user: 'owner',
      password: server.password,
      database: place.database,
    });
    await owner.connect();
    t.after(() => owner.end());
    const lock = 'begin; lock table strongroom_schema in access exclusive mode';
    await owner.query(lock);
    await refusals();

    // The server's process for the connection is stopped in the middle of it, and hears of no limit.
    const asked = refusals();
    const stopped = await waiting(place.database, looks.length);
    for (const pid of stopped) process.kill(pid, 'SIGSTOP');
    await owner.query('rollback');
    await asked;
    for (const pid of stopped) process.kill(pid, 'SIGCONT');

    // The kernel takes the connection, and nobody says a word on it: a command ends with that.
    const mute = createServer(() => undefined).listen(0, '127.0.0.1');
    t.after(() => mute.close());
    await once(mute, 'listening');
    const { port } = mute.address() as AddressInfo;
    const words = ['store', 'reopen', `postgres://owner@127.0.0.1:${port}/strongroom?sslmode=disable`, '--data', folder];
    const said = await new Promise<string>((done) =>
      execFile(process.execPath, [PROGRAM, ...words], (error, _, text) => done(`${error?.code} ${text}`)),
    );
    assert.match(
      said,
      new RegExp(
        `^1 strongroom: the server of postgres://owner@127\\.0\\.0\\.1:${port}/strongroom does not answer; nothing was changed\\. See`,
      ),
    );
  });

  test('a connection is let go of also where the server does not say goodbye', async () => {
    const place = await address();
    const client = await openClient(place);
    const pid = Number((await client.run('select pg_backend_pid() as pid')).rows[0]?.pid);
    process.kill(pid, 'SIGSTOP');
    await client.close();
    process.kill(pid, 'SIGCONT');
  });

  test('a second service on the same database is refused, and may start when the first has ended', async () => {
    const place = await address();
    const first = await open(place);
    await assert.rejects(open(place), /another service is running on this database/);
    await first.close();
    await (await open(place)).close();
  });

  test('a database of another program, or of a newer Strongroom, is refused and left as it was', async () => {
    const foreign = await address();
    await server.admin('create table somebody (id int)', foreign.database);
    await assert.rejects(open(foreign), /tables that Strongroom did not write; nothing was changed/);
    const newer = await address();
    await (await open(newer)).close();
    await server.admin('update strongroom_schema set version = 999', newer.database);
    await assert.rejects(open(newer), /a newer Strongroom wrote it/);
    const tables = await server.admin(`select table_name from information_schema.tables where table_schema = 'public'`, foreign.database);
    assert.deepEqual(tables, [{ table_name: 'somebody' }]);
  });

  test('an older database is brought to this schema by whoever comes first, and a step that fails leaves it as it was', async () => {
    const place = await address();
    const [one, two] = await Promise.all([openClient(place), openClient(place)]);
    await migratePostgres(one, { migrations: MIGRATIONS.slice(0, 2) });
    await assert.rejects(
      migratePostgres(one, { migrations: [...MIGRATIONS, () => Promise.reject(new Error('a step that fails'))] }),
      /a step that fails/,
    );
    assert.deepEqual((await one.run('select version from strongroom_schema')).rows, [{ version: 2 }]);
    await Promise.all([migratePostgres(one), migratePostgres(two)]);
    assert.deepEqual((await one.run('select version from strongroom_schema')).rows, [{ version: MIGRATIONS.length }]);
    await Promise.all([one.close(), two.close()]);
  });

  test('a node goes on beside a newer program that says so, and a newer one that cannot go on beside it is refused, by name', async () => {
    const place = await address();
    const node = { name: 'older', version: 'strongroom-0.1' };
    const parts = { versions: new Versions(Versions.allocate()), committed: () => undefined, node };
    const older = await openStore({ dataFolder: folder, store: place }, parts);
    const newer = await openClient(place);
    const addition = async ({ schema }: Kysely<unknown>): Promise<void> => {
      await schema.alterTable('meta').addColumn('new_in_it', 'text').execute();
    };
    const migrations = [...MIGRATIONS, addition];
    await assert.rejects(
      migratePostgres(newer, { migrations, beside: migrations.length, isNode: true }),
      /stop them first: older \(strongroom-0\.1\)\. Nothing was changed/,
    );
    await migratePostgres(newer, { migrations, beside: MIGRATIONS.length, isNode: true });
    await put(older, 't-beside');
    await older.close();
    const again = await openStore({ dataFolder: folder, store: place }, parts);
    assert.equal(await has(again, 't-beside'), true);
    await again.close();
    // What copies a database has to know all of it.
    await assert.rejects(open(place), /a newer Strongroom wrote it/);
    await newer.run('update strongroom_schema set beside = version');
    await assert.rejects(openStore({ dataFolder: folder, store: place }, parts), /a newer Strongroom wrote it/);
    await newer.close();
  });

  test('a server that may forget what it acknowledged is refused', async () => {
    const place = await address();
    await server.admin(`alter database ${place.database} set synchronous_commit = off`);
    await assert.rejects(open(place), /synchronous_commit = off: what it acknowledges may be lost/);
    await server.admin(`alter database ${place.database} set synchronous_commit = on`);
    await (await open(place)).close();
  });

  test('a wrong password is an error without the password in it', async () => {
    const place = { ...(await address()), password: 'not-the-password-at-all' };
    const error: unknown = await open(place).then(
      () => assert.fail('it opened'),
      (reason: unknown) => reason,
    );
    assert.match(String(error), /password authentication failed/);
    assert.doesNotMatch(inspect(error, { depth: 20, showHidden: true }), /not-the-password-at-all/);
  });

  test('the password file is read, for its owner alone', async () => {
    const place = { ...(await address()), password: undefined };
    const file = join(folder, 'pgpass');
    await writeFile(file, `${place.host}:${place.port}:*:owner:${server.password}\n`, { mode: 0o600 });
    const before = process.env.PGPASSFILE;
    process.env.PGPASSFILE = file;
    try {
      await (await open(place)).close();
      await chmod(file, 0o644);
      await assert.rejects(open(place), /neither \$PGPASSWORD nor the password file has one/);
    } finally {
      if (before === undefined) delete process.env.PGPASSFILE;
      else process.env.PGPASSFILE = before;
    }
  });

  test('what only reads cannot write, and the store does not take a NUL', async () => {
    const place = await address();
    const store = await open(place);
    await assert.rejects(put(store, 'a\0b'), (error) => error instanceof Failure && error.status === 400);
    const reader = await openReader({ dataFolder: folder, store: place });
    await assert.rejects(sql`update meta set value = 'x'`.execute(reader.read as Kysely<unknown>), /only reads/);
    await reader.close();
    await store.close();
  });
});

describe('the store over TLS', { skip: noPostgres }, () => {
  test('the certificate and its name are verified, and nothing is sent to a server that has no TLS', async (t) => {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-tls-'));
    t.after(() => rm(folder, { recursive: true }));
    const { certificate, key } = selfSigned(folder);
    const secured = await startPostgres([`ssl = on`, `ssl_cert_file = '${certificate}'`, `ssl_key_file = '${key}'`]);
    t.after(() => secured.close());
    const name = new URL((await secured.database()).replace('@/', '@x/')).pathname;
    const at = (host: string, parameters: string): StoreAddress =>
      parseStoreAddress(`postgres://owner:${secured.password}@${host}:${secured.port}${name}?${parameters}`);
    await (await open(at('localhost', `sslmode=verify-full&sslrootcert=${certificate}`))).close();
    await assert.rejects(open(at('localhost', 'sslmode=require')), /self-signed certificate/);
    await assert.rejects(open(at('127.0.0.1', `sslmode=verify-ca&sslrootcert=${certificate}`)), /does not match certificate/);

    const plain = await startPostgres();
    t.after(() => plain.close());
    const bare = `postgres://owner:${plain.password}@localhost:${plain.port}/postgres?sslmode=verify-full`;
    await assert.rejects(open(parseStoreAddress(bare)), /does not support SSL/);
  });
});

function silent(error: unknown): boolean {
  assert.match(String(error), /the server of postgres:\/\/owner@\/\S+ does not answer; nothing was changed\. See whether/);
  assert.doesNotMatch(inspect(error), new RegExp(server.password));
  return true;
}

/** The server's processes of as many connections that wait for a table. */
async function waiting(database: string, count: number): Promise<readonly number[]> {
  for (;;) {
    const rows = await server.admin(`select pid from pg_locks where locktype = 'relation' and not granted`, database);
    if (rows.length === count) return rows.map(({ pid }) => Number(pid));
    await new Promise((wake) => setTimeout(wake, 20));
  }
}

/** Between client and server; loses the connection at the next commit, before or after the server has it. */
async function cuttingProxy(
  port: number,
): Promise<{ readonly port: number; readonly cuts: number; cut(when: 'before' | 'after'): void; close(): void }> {
  let next: 'before' | 'after' | undefined;
  let cuts = 0;
  const proxy = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    let isLosing = false;
    client.on('error', () => upstream.destroy()).on('close', () => upstream.destroy());
    upstream.on('error', () => client.destroy()).on('close', () => client.destroy());
    client.on('data', (bytes) => {
      if (next !== undefined && bytes.includes('commit\0')) {
        cuts += 1;
        isLosing = true;
        const when = next;
        next = undefined;
        if (when === 'before') return void client.destroy();
      }
      upstream.write(bytes);
    });
    upstream.on('data', (bytes) => (isLosing ? client.destroy() : client.write(bytes)));
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const at = proxy.address();
  return {
    port: typeof at === 'object' && at !== null ? at.port : 0,
    get cuts() {
      return cuts;
    },
    cut: (when) => {
      next = when;
    },
    close: () => proxy.close(),
  };
}

/** For the name localhost alone, readable by whichever account the server has. */
function selfSigned(place: string): { readonly certificate: string; readonly key: string } {
  const [certificate, key] = [join(place, 'server.pem'), join(place, 'server.key')];
  const words = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost'];
  execFileSync('openssl', [...words, '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', certificate], { stdio: 'ignore' });
  chmodSync(place, 0o755);
  chmodSync(key, 0o600);
  const { uid, gid } = accountWithoutRights();
  if (uid !== undefined) chownSync(key, uid, gid ?? 0);
  return { certificate, key };
}
