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
];

/** What this program writes. */
export const SCHEMA = MIGRATIONS.length;

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
  if (version > known) {
    throw new Error(`the database has schema ${version} and this program knows ${known}: a newer Strongroom wrote it`);
  }
  return version;
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
  const version = await schemaOf(connection, migrations.length);
  if (version >= migrations.length) return;
  if (version > 0) keep(version);
  // A migration speaks of the schema of its own time, not of today's.
  const db = connection.db as unknown as Kysely<unknown>;
  connection.exec('BEGIN IMMEDIATE');
  try {
    for (const up of migrations.slice(version)) await up(db);
    connection.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${migrations.length}`);
    connection.exec('COMMIT');
  } catch (error) {
    connection.exec('ROLLBACK');
    throw error;
  }
}

async function pragma(db: Kysely<unknown>, name: 'user_version' | 'application_id'): Promise<number> {
  const { rows } = await sql<Record<string, number>>`pragma ${sql.raw(name)}`.execute(db);
  return rows[0]?.[name] ?? 0;
}

async function hasTables(db: Kysely<unknown>): Promise<boolean> {
  const { rows } = await sql`select 1 from sqlite_master limit 1`.execute(db);
  return rows.length > 0;
}
