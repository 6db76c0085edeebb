// Brings a PostgreSQL database to this program's schema, under a lock, and refuses one that another program or a newer one has written.

import { DataTypeNode, type KyselyPlugin, type OperationNode, OperationNodeTransformer, RawNode } from 'kysely';
import { table } from '../core/table.ts';
import { BESIDE, MIGRATIONS, type Migration, type MigrationTarget, migrateTarget } from './migrate.ts';
import { runningNodes } from './nodes.ts';
import type { Client, Run } from './postgres.ts';

/** 'STRG' in ASCII: the first half of every advisory lock of ours. */
const OURS = 0x53545247;

/** The second half. */
export const LOCKS = { migration: 1, writing: 2, service: 3 } as const;

export function lockArguments(lock: keyof typeof LOCKS): string {
  return `${OURS}, ${LOCKS[lock]}`;
}

/** The lock of a node's name. Two names may share one, which costs the second a refusal that another name ends. */
export function nameLockArguments(node: string): string {
  return `${OURS + 1}, hashtext('${node}')`;
}

/**
 * Where column types differ: bytes have another name, whole numbers hold what JavaScript's do, and texts are compared byte by byte, as SQLite compares them,
 * whatever language the database was made for.
 */
const TYPES: Readonly<Record<string, string>> = table({ blob: 'bytea', integer: 'bigint', text: 'text collate "C"' });

class PortableTypes extends OperationNodeTransformer {
  protected override transformNodeImpl<T extends OperationNode>(node: T): T {
    const type = DataTypeNode.is(node) && typeof node.dataType === 'string' ? TYPES[node.dataType] : undefined;
    // The place of a data type takes either kind of node.
    if (type !== undefined) return RawNode.createWithSql(type) as OperationNode as T;
    return super.transformNodeImpl(node);
  }
}

const transformer = new PortableTypes();
const portableTypes: KyselyPlugin = {
  transformQuery: ({ node }) => transformer.transformNode(node),
  transformResult: async ({ result }) => result,
};

/** The schema of a database that is ours, 0 when it is empty. Throws an Error for the operator when it is another program's. */
export async function schemaIn(run: Run): Promise<number> {
  const { rows } = await run(
    `select table_name as name from information_schema.tables where table_schema = current_schema() order by table_name = 'strongroom_schema' desc limit 1`,
  );
  const name: unknown = rows[0]?.name;
  if (name === undefined) return 0;
  if (name !== 'strongroom_schema')
    throw new Error('the database has tables that Strongroom did not write; nothing was changed. Give it one of its own');
  const found = await run('select version from strongroom_schema');
  return Number(found.rows[0]?.version ?? 0);
}

export interface MigrationParts {
  /** This program's unless a test brings others. */
  readonly migrations?: readonly Migration[];
  readonly beside?: number;
  /** Whether it is a node that comes, which goes on with a newer database where that may be; a command must know everything that it copies. */
  readonly isNode?: boolean;
}

/** Milliseconds for which a statement waits until nobody uses what it changes; everybody else waits behind it. */
const WAIT = 10_000;

/** All the way or not at all; whoever comes at the same time waits and finds it done. Refused while nodes run that cannot go on beside this program. */
export async function migratePostgres(
  client: Client,
  { migrations = MIGRATIONS, beside = BESIDE, isNode = false }: MigrationParts = {},
): Promise<void> {
  const { run } = client;
  const db = client.db.withPlugin(portableTypes);
  const target: MigrationTarget = {
    db: db as unknown as MigrationTarget['db'],
    version: () => schemaIn(run),
    ...(isNode ? { beside: () => besideIn(run) } : {}),
    begin: async () => {
      await run('begin');
      // In this order everywhere: what nodes write meanwhile has ended, or waits.
      await run(`select pg_advisory_xact_lock(${lockArguments('migration')}), pg_advisory_xact_lock(${lockArguments('writing')})`);
      await run(`set local lock_timeout = ${WAIT}`);
    },
    prepare: (version) => refuseOlderNodes(client.db, version, beside),
    commit: async (version) => {
      await run('create table if not exists strongroom_schema (version integer not null)');
      await run('alter table strongroom_schema add column if not exists beside integer');
      await run('delete from strongroom_schema');
      await run('insert into strongroom_schema (version, beside) values ($1, $2)', [version, beside]);
      await run('commit');
    },
    rollBack: async () => {
      await run('rollback').catch(() => undefined);
    },
  };
  await migrateTarget(target, migrations);
}

/** A database from before this was noted has none that is older. */
async function besideIn(run: Run): Promise<number> {
  const { rows } = await run(`select * from strongroom_schema`);
  return Number(rows[0]?.beside ?? Number.MAX_SAFE_INTEGER);
}

/** The schema that has the table of nodes. */
const NODES_SINCE = 15;

async function refuseOlderNodes(db: Client['db'], version: number, beside: number): Promise<void> {
  if (version < NODES_SINCE) return;
  const older = (await runningNodes(db)).filter(({ schema }) => schema < beside);
  if (older.length === 0) return;
  const named = older.map((node) => `${node.name} (${node.version})`).join(', ');
  throw new Error(
    `this program changes the database in a way that older nodes cannot go on with; stop them first: ${named}. Nothing was changed`,
  );
}
