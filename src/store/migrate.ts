// Brings a database to this program's schema, in one transaction, and refuses one that a newer program or another one has written.

import { type Kysely, sql } from 'kysely';
import { up as first } from './migrations/0001-first.ts';
import { up as rotationAndExchangeKeys } from './migrations/0002-rotation-and-exchange-keys.ts';
import { up as networkRules } from './migrations/0003-network-rules.ts';
import { up as keyOrigin } from './migrations/0004-key-origin.ts';
import { up as directory } from './migrations/0005-directory.ts';
import { up as audit } from './migrations/0006-audit.ts';
import { up as grants } from './migrations/0007-grants.ts';
import { up as armRoleAssignments } from './migrations/0008-arm-role-assignments.ts';
import { up as evidence } from './migrations/0009-evidence.ts';
import { up as backups } from './migrations/0010-backups.ts';
import { up as managedIdentities } from './migrations/0011-managed-identities.ts';
import { up as auditRecords } from './migrations/0012-audit-records.ts';
import { up as storeChanges } from './migrations/0013-store-changes.ts';
import { up as regions } from './migrations/0014-regions.ts';
import { up as nodes } from './migrations/0015-nodes.ts';
import { up as auditDeeds } from './migrations/0016-audit-deeds.ts';
import { up as holders } from './migrations/0017-holders.ts';
import { up as deletedKeys } from './migrations/0018-deleted-keys.ts';
import { up as dueIndexes } from './migrations/0019-due-indexes.ts';
import { up as signInFailures } from './migrations/0020-sign-in-failures.ts';
import { up as recordsByHsm } from './migrations/0021-records-by-hsm.ts';
import { up as roleAssignmentsByPrincipal } from './migrations/0022-role-assignments-by-principal.ts';
import { up as armRoleAssignmentChanges } from './migrations/0023-arm-role-assignment-changes.ts';
import type { Connection } from './sqlite.ts';

export type Migration = (db: Kysely<unknown>) => Promise<void>;

/** In order; the position is the version, starting at 1. */
export const MIGRATIONS: readonly Migration[] = [
  first,
  rotationAndExchangeKeys,
  networkRules,
  keyOrigin,
  directory,
  audit,
  grants,
  armRoleAssignments,
  evidence,
  backups,
  managedIdentities,
  auditRecords,
  storeChanges,
  regions,
  nodes,
  auditDeeds,
  holders,
  deletedKeys,
  dueIndexes,
  signInFailures,
  recordsByHsm,
  roleAssignmentsByPrincipal,
  armRoleAssignmentChanges,
];

/** What this program writes. */
export const SCHEMA = MIGRATIONS.length;

/**
 * The oldest schema whose program goes on as before on a database that this program has changed: nodes of both run side by side. Raised with a migration that
 * changes or takes away what such a program relies on, or that asks something new of it.
 */
export const BESIDE = 17;

/** 'STRG' in ASCII: marks the file as ours (PRAGMA application_id). */
const APPLICATION_ID = 0x53545247;

/** The schema of a database that is ours, 0 when it is empty. Throws an Error for the operator when it is another program's, or a newer one's. */
export async function schemaOf(connection: Connection, known = SCHEMA): Promise<number> {
  const db = connection.db as unknown as Kysely<unknown>;
  const version = await pragma(db, 'user_version');
  const application = await pragma(db, 'application_id');
  if (application !== APPLICATION_ID && (application !== 0 || (await hasTables(db)))) {
    throw new Error('the database file was not written by Strongroom; nothing was changed');
  }
  if (version > known) throw tooNew(version, known);
  return version;
}

/** A database of some engine, to be brought to this schema in one transaction. */
export interface MigrationTarget {
  /** A migration speaks of the schema of its own time, not of today's. */
  readonly db: Kysely<unknown>;
  /** As it is now; throws as `schemaOf` does. */
  version(): Promise<number>;
  /** For a program that may go on with a newer database: the oldest schema whose program may. */
  beside?(): Promise<number>;
  begin(): Promise<void>;
  /** In the transaction, before anything changes. Throws an Error for the operator when somebody is in the way. */
  prepare?(version: number): Promise<void>;
  /** Notes the version, and ends the transaction. */
  commit(version: number): Promise<void>;
  rollBack(): Promise<void>;
}

/**
 * All the way or not at all. A database that exists already is copied first: `keep` is given its schema, and nothing changes when it throws.
 * `migrations` are this program's unless a test brings others.
 */
export async function migrate(
  connection: Connection,
  keep: (schema: number) => void = () => undefined,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<void> {
  const target: MigrationTarget = {
    db: connection.db as unknown as Kysely<unknown>,
    version: () => schemaOf(connection, migrations.length),
    begin: async () => connection.exec('BEGIN IMMEDIATE'),
    commit: async (version) => {
      connection.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${version}`);
      connection.exec('COMMIT');
    },
    rollBack: async () => {
      try {
        connection.exec('ROLLBACK');
      } catch {
        // After an error of the disk SQLite may have done it by itself. What went wrong before is what counts.
      }
    },
  };
  await migrateTarget(target, migrations, keep);
}

/** As `migrate`, for a database of any engine. */
export async function migrateTarget(
  target: MigrationTarget,
  migrations: readonly Migration[],
  keep: (schema: number) => void = () => undefined,
): Promise<void> {
  const found = await versionUpTo(target, migrations.length);
  if (found >= migrations.length) return;
  if (found > 0) keep(found);
  await target.begin();
  try {
    // Somebody else may have done it while this one waited for its turn.
    const version = await versionUpTo(target, migrations.length);
    if (version < migrations.length) await target.prepare?.(version);
    for (const up of migrations.slice(version)) await up(target.db);
    await target.commit(Math.max(version, migrations.length));
  } catch (error) {
    await target.rollBack();
    throw error;
  }
}

async function versionUpTo(target: MigrationTarget, known: number): Promise<number> {
  const version = await target.version();
  if (version <= known) return version;
  const beside = await target.beside?.();
  if (beside === undefined || beside > known) throw tooNew(version, known);
  return version;
}

function tooNew(version: number, known: number): Error {
  return new Error(`the database has schema ${version} and this program knows ${known}: a newer Strongroom wrote it`);
}

async function pragma(db: Kysely<unknown>, name: 'user_version' | 'application_id'): Promise<number> {
  const { rows } = await sql<Record<string, number>>`pragma ${sql.raw(name)}`.execute(db);
  return rows[0]?.[name] ?? 0;
}

async function hasTables(db: Kysely<unknown>): Promise<boolean> {
  const { rows } = await sql`select 1 from sqlite_master limit 1`.execute(db);
  return rows.length > 0;
}
