// Three nodes over a PostgreSQL server with a synchronous standby, all on this machine, and what can be done to them: killed, stopped, cut off, their clocks
// moved, the primary killed and its standby promoted. Each node reaches the database, and its clients reach it, through forwarders of its own, which play the
// addresses.

import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, connect as reach, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConnectionFile } from '../src/connection-file.ts';
import { connectionOf, type Node, startNode } from './nodes.ts';
import { freePort, type PostgresServer, startPostgres, startStandby } from './postgres.ts';
import { faketime } from './tools.ts';

const moved = await faketime();
/** Why the clock of one node cannot be moved here; false when it can. */
export const noMovedClock: string | false = 'missing' in moved ? moved.missing : false;

/** The time of day of a process, and of no other, by a library that is loaded into it; what only counts on is left as it is. */
async function openClock(file: string): Promise<{ readonly environment: NodeJS.ProcessEnv; move(ahead: number): Promise<void> }> {
  const move = (ahead: number): Promise<void> => writeFile(file, `${ahead < 0 ? '' : '+'}${ahead}\n`);
  if ('missing' in moved) return { environment: {}, move: () => Promise.reject(new Error(moved.missing)) };
  await move(0);
  const settings = { FAKETIME_TIMESTAMP_FILE: file, FAKETIME_CACHE_DURATION: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' };
  return { environment: { LD_PRELOAD: moved.path, ...settings }, move };
}

export interface Forwarder {
  readonly port: number;
  /** Where it leads from now on; connections that there are end. */
  lead(port: number): void;
  cut(how: Cut): void;
  heal(): void;
  close(): void;
}

/**
 * `refuse`: every connection ends, as when a machine says so. `silence`: nothing comes through, as when a cable is pulled. `one way`: what is asked comes
 * through, and no answer does.
 */
export type Cut = 'refuse' | 'silence' | 'one way';

/** From a port of its own, or the one that is given, to the same address or another. */
export async function openForwarder(target: number, from: Address = LOCAL, to = LOCAL.host): Promise<Forwarder> {
  let port = target;
  let how: 'open' | Cut = 'open';
  const pairs = new Set<readonly [Socket, Socket]>();
  const dropAll = (): void => {
    for (const pair of pairs) for (const socket of pair) socket.destroy();
    pairs.clear();
  };
  const server = createServer((client) => {
    client.on('error', () => undefined);
    if (how === 'refuse') return void client.destroy();
    const upstream = reach(port, to);
    const pair = [client, upstream] as const;
    pairs.add(pair);
    const end = (): void => {
      // With what was said before the end.
      for (const socket of pair) socket.destroySoon();
      pairs.delete(pair);
    };
    for (const [says, hears] of [pair, [upstream, client] as const]) {
      says.on('error', end).on('close', end);
      says.on('data', (bytes) => {
        // What is lost on the way is not sent again: the connection is of no use any more, as after a long cut.
        if (how === 'open' || (how === 'one way' && says === client)) hears.write(bytes);
      });
    }
  }).listen(from.port, from.host);
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    lead: (next) => {
      port = next;
      dropAll();
    },
    cut: (next) => {
      how = next;
      if (how === 'refuse') dropAll();
    },
    heal: () => {
      how = 'open';
      dropAll();
    },
    close: () => {
      dropAll();
      server.close();
    },
  };
}

interface Address {
  readonly host: string;
  readonly port: number;
}

const LOCAL: Address = { host: '127.0.0.1', port: 0 };

/** A node that is started again whenever it has ended, as whoever watches over it would. */
export interface Kept {
  readonly name: string;
  /** Where its clients reach it. */
  readonly host: string;
  /** Between it and the database. */
  readonly forwarder: Forwarder;
  /** Between its clients and it. */
  readonly front: Forwarder;
  /** Sets its clock this many seconds ahead of the machine's, on the run; it counts within a second. */
  moveClock(ahead: number): Promise<void>;
  /** The run that there is now. */
  readonly now: Node;
  /** How often it ended by itself, with what it said. */
  readonly ends: readonly string[];
  ready(): Promise<void>;
}

export interface Yard {
  readonly connection: ConnectionFile;
  readonly nodes: readonly Kept[];
  /** Asked as the owner of the database. */
  sql(text: string): Promise<readonly Record<string, unknown>[]>;
  /** The name of the node that does what falls due. */
  inCharge(): Promise<string>;
  /** The primary is killed, its standby promoted, and every address leads there; then that one has a standby of its own. */
  failOver(): Promise<void>;
  readonly backups: string;
  close(): Promise<void>;
}

export async function openYard(count = 3): Promise<Yard> {
  const place = await mkdtemp(join(tmpdir(), 'strongroom-cluster-'));
  const backups = join(place, 'backups');
  let primary = await startPostgres();
  const database = /\/(strongroom_\d+)\?/.exec(await primary.database())?.[1] ?? '';
  let standby = await startStandby(primary);
  const old: PostgresServer[] = [];
  const port = await freePort();
  const kept: (Kept & { close(): Promise<void> })[] = [];
  let rootKey: string | undefined;

  async function keep(name: string, number: number): Promise<Kept & { close(): Promise<void> }> {
    const [own, host] = [`127.0.0.${number}`, `127.0.1.${number}`];
    const forwarder = await openForwarder(primary.port);
    const front = await openForwarder(port, { host, port }, own);
    const clock = await openClock(join(place, `${name}.clock`));
    const store = `postgres://owner:${primary.password}@127.0.0.1:${forwarder.port}/${database}?sslmode=disable`;
    const start = (): Promise<Node> =>
      startNode({ place, rootKey, store, port }, name, own, ['--backup-folder', backups], clock.environment);
    let now = await start();
    let isClosing = false;
    const ends: string[] = [];
    /** The next run, as long as it is not there. */
    let starting: Promise<unknown> | undefined;
    const again = async (): Promise<void> => {
      now = await start();
      watch(now);
    };
    const watch = (node: Node): void => {
      node.child.once('exit', (status) => {
        if (isClosing) return;
        if (status !== null) ends.push(node.said().trim());
        starting = again();
      });
    };
    watch(now);
    return {
      name,
      host,
      forwarder,
      front,
      moveClock: clock.move,
      ends,
      get now() {
        return now;
      },
      ready: async () => {
        while (!isClosing && (await now.state()) !== 'ready') await new Promise((wake) => setTimeout(wake, 50));
      },
      close: async () => {
        isClosing = true;
        await starting;
        now.child.kill('SIGKILL');
        await now.ended();
        forwarder.close();
        front.close();
      },
    };
  }

  const first = await keep('node-1', 1);
  kept.push(first);
  await first.ready();
  rootKey = join(first.now.folder, 'root.key');
  for (let i = 2; i <= count; i += 1) kept.push(await keep(`node-${i}`, i));
  await Promise.all(kept.map((node) => node.ready()));
  const sql = (text: string): Promise<readonly Record<string, unknown>[]> => primary.admin(text, database);
  return {
    connection: await connectionOf(first.now),
    nodes: kept,
    backups,
    sql,
    inCharge: async () => String((await sql('select holder from leases'))[0]?.holder).split('.')[0] ?? '',
    failOver: async () => {
      await primary.stop('at once');
      old.push(primary);
      primary = standby;
      await primary.admin('select pg_promote()');
      for (const { forwarder } of kept) forwarder.lead(primary.port);
      standby = await startStandby(primary);
    },
    close: async () => {
      await Promise.all(kept.map((node) => node.close()));
      for (const server of [primary, standby, ...old]) await server.close();
      await rm(place, { recursive: true, force: true });
    },
  };
}
