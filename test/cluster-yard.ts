// Three nodes over a PostgreSQL server with a synchronous standby, all on this machine, and what can be done to them: killed, stopped, cut off, the primary
// killed and its standby promoted. Each node reaches the database through a forwarder of its own, which plays the address.

import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, connect as reach, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConnectionFile } from '../src/connection-file.ts';
import { connectionOf, type Node, startNode } from './nodes.ts';
import { freePort, type PostgresServer, startPostgres, startStandby } from './postgres.ts';

export interface Forwarder {
  readonly port: number;
  /** Where it leads from now on; connections that there are end. */
  lead(port: number): void;
  /** `refuse`: every connection ends, as when a machine says so. `silence`: nothing comes through, as when a cable is pulled. */
  cut(how: 'refuse' | 'silence'): void;
  heal(): void;
  close(): void;
}

export async function openForwarder(target: number): Promise<Forwarder> {
  let port = target;
  let how: 'open' | 'refuse' | 'silence' = 'open';
  const pairs = new Set<readonly [Socket, Socket]>();
  const dropAll = (): void => {
    for (const pair of pairs) for (const socket of pair) socket.destroy();
    pairs.clear();
  };
  const server = createServer((client) => {
    client.on('error', () => undefined);
    if (how === 'refuse') return void client.destroy();
    const upstream = reach(port, '127.0.0.1');
    const pair = [client, upstream] as const;
    pairs.add(pair);
    const end = (): void => {
      client.destroy();
      upstream.destroy();
      pairs.delete(pair);
    };
    for (const [from, to] of [pair, [upstream, client] as const]) {
      from.on('error', end).on('close', end);
      from.on('data', (bytes) => {
        // What is lost on the way is not sent again: the connection is of no use any more, as after a long cut.
        if (how !== 'silence') to.write(bytes);
      });
    }
  }).listen(0, '127.0.0.1');
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

/** A node that is started again whenever it has ended, as whoever watches over it would. */
export interface Kept {
  readonly name: string;
  readonly host: string;
  readonly forwarder: Forwarder;
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

  async function keep(name: string, host: string): Promise<Kept & { close(): Promise<void> }> {
    const forwarder = await openForwarder(primary.port);
    const store = `postgres://owner:${primary.password}@127.0.0.1:${forwarder.port}/${database}?sslmode=disable`;
    const start = (): Promise<Node> => startNode({ place, rootKey, store, port }, name, host, ['--backup-folder', backups]);
    let now = await start();
    let isClosing = false;
    const ends: string[] = [];
    const watch = (node: Node): void => {
      node.child.once('exit', async (status) => {
        if (isClosing) return;
        if (status !== null) ends.push(node.said().trim());
        now = await start();
        watch(now);
      });
    };
    watch(now);
    return {
      name,
      host,
      forwarder,
      ends,
      get now() {
        return now;
      },
      ready: async () => {
        while ((await now.state()) !== 'ready') await new Promise((wake) => setTimeout(wake, 50));
      },
      close: async () => {
        isClosing = true;
        now.child.kill('SIGKILL');
        await now.ended();
        forwarder.close();
      },
    };
  }

  const first = await keep('node-1', '127.0.0.1');
  kept.push(first);
  await first.ready();
  rootKey = join(first.now.folder, 'root.key');
  for (let i = 2; i <= count; i += 1) kept.push(await keep(`node-${i}`, `127.0.0.${i}`));
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
