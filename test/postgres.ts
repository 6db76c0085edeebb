// A PostgreSQL server of the test's own: Debian's programs, in a temporary folder, on a private port and socket, under an account without rights. It ends
// with the test's process, however that ends.

import { execFile, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { parseStoreAddress, type StoreAddress } from '../src/core/store-address.ts';
import { postgresql } from './tools.ts';

const runFile = promisify(execFile);

export interface PostgresServer {
  readonly port: number;
  readonly password: string;
  /** Of the socket. */
  readonly folder: string;
  /** The address of a new and empty database. */
  database(): Promise<string>;
  /** Runs a statement as the server's owner. */
  admin(sql: string, database?: string): Promise<readonly Record<string, unknown>[]>;
  /** Stops at once, as if the machine had died, or in order; `start` brings it back with what it had. */
  stop(how: 'at once' | 'in order'): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

const programs = await postgresql();
/** Why there is none here; false when there is one. */
export const noPostgres: string | false = 'missing' in programs ? programs.missing : false;

let shared: Promise<PostgresServer> | undefined;

/** One server for all tests of a process. */
export function postgresServer(): Promise<PostgresServer> {
  shared ??= startPostgres();
  return shared;
}

/** `settings`: more lines for postgresql.conf. */
export async function startPostgres(settings: readonly string[] = []): Promise<PostgresServer> {
  const password = randomBytes(12).toString('base64url');
  return newServer(password, settings, ({ path, account, folder, data }) => {
    const passwordFile = join(folder, 'password');
    writeFileSync(passwordFile, password, { mode: 0o600 });
    if (account.uid !== undefined) chownSync(passwordFile, account.uid, account.gid ?? 0);
    execFileSync(
      join(path, 'initdb'),
      ['-D', data, '-U', 'owner', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`, '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync'],
      { ...account, stdio: ['ignore', 'ignore', 'pipe'], cwd: folder },
    );
  });
}

/** A server that follows this one, for which from now on every commit waits. It is promoted with `select pg_promote()`. */
export async function startStandby(primary: PostgresServer): Promise<PostgresServer> {
  const { password } = primary;
  // Whoever forwards connections in this process goes on with it.
  const standby = await newServer(password, [], ({ path, account, folder, data }) =>
    runFile(
      join(path, 'pg_basebackup'),
      ['-D', data, '-h', '127.0.0.1', '-p', String(primary.port), '-U', 'owner', '-R', '-X', 'stream', '-c', 'fast', '--no-sync'],
      { ...account, env: { ...process.env, PGPASSWORD: password }, cwd: folder },
    ),
  );
  // Before it follows, nobody's commit waits for it.
  const follows = async (): Promise<boolean> =>
    (await primary.admin("select 1 from pg_stat_replication where state = 'streaming'")).length > 0;
  while (!(await follows())) await new Promise((wake) => setTimeout(wake, 30));
  await primary.admin("alter system set synchronous_standby_names = '*'");
  await primary.admin('select pg_reload_conf()');
  for (;;) {
    const [row] = await primary.admin("select count(*)::int as count from pg_stat_replication where sync_state = 'sync'");
    if (row?.count === 1) return standby;
    await new Promise((wake) => setTimeout(wake, 30));
  }
}

interface Place {
  /** Of the programs. */
  readonly path: string;
  readonly account: ReturnType<typeof accountWithoutRights>;
  readonly folder: string;
  readonly data: string;
}

async function newServer(password: string, settings: readonly string[], make: (place: Place) => unknown): Promise<PostgresServer> {
  if ('missing' in programs) throw new Error(programs.missing);
  const { path } = programs;
  const account = accountWithoutRights();
  const folder = mkdtempSync(join(tmpdir(), 'strongroom-postgres-'));
  const data = join(folder, 'data');
  const port = await freePort();
  if (account.uid !== undefined) chownSync(folder, account.uid, account.gid ?? 0);
  await make({ path, account, folder, data });
  const lines = [
    `port = ${port}`,
    `unix_socket_directories = '${folder}'`,
    "listen_addresses = '127.0.0.1'",
    'max_connections = 60',
    'shared_buffers = 16MB',
  ];
  writeFileSync(join(data, 'postgresql.conf'), `${[...lines, ...settings].join('\n')}\n`);

  let child: ReturnType<typeof run>;
  function run() {
    // The shell waits for its input to end, which it does when this process ends, and takes the server and the folder with it.
    const watched = spawn('/bin/sh', ['-c', KEEPER, 'sh', join(path, 'postgres'), data, folder], {
      ...account,
      cwd: folder,
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    // None of this keeps the test's process alive.
    watched.unref();
    for (const stream of [watched.stdin, watched.stderr]) if (stream instanceof Socket) stream.unref();
    let said = '';
    watched.stderr.setEncoding('utf8').on('data', (piece: string) => (said = (said + piece).slice(-4000)));
    return { watched, said: () => said };
  }

  async function start(): Promise<void> {
    child = run();
    for (;;) {
      if (child.watched.exitCode !== null) throw new Error(`the server did not start: ${child.said()}`);
      const isReady = await ask('select 1', 'postgres').then(
        () => true,
        () => false,
      );
      if (isReady) return;
      await new Promise((wake) => setTimeout(wake, 30));
    }
  }

  async function ask(sql: string, database: string): Promise<readonly Record<string, unknown>[]> {
    const client = new pg.Client({ host: folder, port, user: 'owner', password, database });
    client.on('error', () => undefined);
    await client.connect();
    try {
      // Of several statements, what the last one says.
      const results = [await client.query(sql)].flat();
      return results.at(-1)?.rows ?? [];
    } finally {
      await client.end();
    }
  }

  async function stop(how: 'at once' | 'in order'): Promise<void> {
    const pid = Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0]);
    child.watched.ref();
    const ended = once(child.watched, 'exit');
    process.kill(pid, how === 'at once' ? 'SIGQUIT' : 'SIGINT');
    await ended;
  }

  await start();
  let last = 0;
  return {
    port,
    password,
    folder,
    database: async () => {
      last += 1;
      const name = `strongroom_${last}`;
      await ask(`create database ${name}`, 'postgres');
      return `postgres://owner:${password}@/${name}?host=${folder}&port=${port}`;
    },
    admin: (sql, database = 'postgres') => ask(sql, database),
    stop,
    start,
    close: async () => {
      child.watched.ref();
      const ended = child.watched.exitCode === null ? once(child.watched, 'exit') : undefined;
      child.watched.stdin.end();
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

let pair: Promise<readonly [PostgresServer, PostgresServer]> | undefined;

/** An empty database, and the server that follows its own and may be late: `STORE=replica npm test -- wire/life`. */
export async function replicatedStore(): Promise<NodeJS.ProcessEnv> {
  pair ??= (async () => {
    const primary = await startPostgres();
    const replica = await startStandby(primary);
    await primary.admin("alter system set synchronous_standby_names = ''");
    await primary.admin('select pg_reload_conf()');
    return [primary, replica] as const;
  })();
  const [primary, replica] = await pair;
  const store = await primary.database();
  return {
    STRONGROOM_STORE: store,
    STRONGROOM_REPLICA: store.replace(primary.folder, replica.folder).replace(`port=${primary.port}`, `port=${replica.port}`),
  };
}

export async function emptyDatabase(): Promise<StoreAddress> {
  return parseStoreAddress(await (await postgresServer()).database());
}

const KEEPER = `exec 3<&0
"$1" -D "$2" 3<&- & server=$!
(read -r _ <&3; touch "$3/end"; kill -QUIT $server) >/dev/null 2>&1 &
keeper=$!
wait $server
if [ -e "$3/end" ]; then rm -rf "$3"; else kill $keeper; fi`;

/** PostgreSQL refuses to run as root, and rightly so. */
export function accountWithoutRights(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}
