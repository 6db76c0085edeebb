// The directory grows up: applications beside their service principals, links between objects (members, owners, holders of a role), credentials of
// both, trust in other issuers' subjects, and the number by which a principal's tokens end.

import { randomUUID } from 'node:crypto';
import type { Kysely } from 'kysely';

/** Entra's id for the role of a Global Administrator. */
const GLOBAL_ADMINISTRATOR = '62e90394-69f5-4237-9190-012177145e10';

/** The tables as this step finds and leaves them. */
interface Then {
  meta: { key: string; value: string };
  principals: { id: string; kind: string; app_id: string | null; display_name: string; created_at: number };
  applications: { id: string; app_id: string; display_name: string; details_json: string; created_at: number };
  links: { kind: string; object_id: string; member_id: string; created_at: number };
  credentials: Record<string, unknown>;
  directory_credentials: Record<string, unknown>;
}

export async function up(database: Kysely<unknown>): Promise<void> {
  const db = database as Kysely<Then>;
  const { schema } = db;
  await schema
    .alterTable('principals')
    .addColumn('details_json', 'text', (c) => c.notNull().defaultTo('{}'))
    .execute();
  await schema
    .alterTable('principals')
    .addColumn('session', 'integer', (c) => c.notNull().defaultTo(0))
    .execute();
  await schema
    .alterTable('principals')
    .addColumn('valid_from', 'bigint', (c) => c.notNull().defaultTo(0))
    .execute();
  await schema.alterTable('principals').addColumn('resource_id', 'text').execute();

  await schema
    .createTable('applications')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('app_id', 'text', (c) => c.notNull().unique())
    .addColumn('display_name', 'text', (c) => c.notNull())
    .addColumn('details_json', 'text', (c) => c.notNull())
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .execute();

  await schema
    .createTable('links')
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('object_id', 'text', (c) => c.notNull())
    .addColumn('member_id', 'text', (c) => c.notNull())
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('links_key', ['kind', 'object_id', 'member_id'])
    .execute();
  await schema.createIndex('links_by_member').on('links').columns(['member_id', 'kind']).execute();

  // Applications have credentials too, so the column no longer refers to the principals.
  await schema
    .createTable('directory_credentials')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('object_id', 'text', (c) => c.notNull())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('verifier', 'text', (c) => c.notNull())
    .addColumn('display_name', 'text')
    .addColumn('not_before', 'bigint', (c) => c.notNull())
    .addColumn('expires_at', 'bigint')
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .execute();
  await db
    .insertInto('directory_credentials')
    .columns(['id', 'object_id', 'kind', 'verifier', 'not_before', 'expires_at', 'created_at'])
    .expression((from) =>
      from.selectFrom('credentials').select(['id', 'principal_id', 'kind', 'verifier', 'not_before', 'expires_at', 'created_at']),
    )
    .execute();
  await schema.dropTable('credentials').execute();
  await schema.alterTable('directory_credentials').renameTo('credentials').execute();
  await schema.createIndex('credentials_by_object').on('credentials').columns(['object_id', 'kind']).execute();

  await schema
    .createTable('federated_credentials')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('object_id', 'text', (c) => c.notNull())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('issuer', 'text', (c) => c.notNull())
    .addColumn('subject', 'text', (c) => c.notNull())
    .addColumn('audiences_json', 'text', (c) => c.notNull())
    .addColumn('description', 'text')
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .addUniqueConstraint('federated_credentials_name', ['object_id', 'name'])
    .addUniqueConstraint('federated_credentials_subject', ['object_id', 'issuer', 'subject'])
    .execute();
  await schema.createIndex('federated_credentials_by_subject').on('federated_credentials').columns(['issuer', 'subject']).execute();

  await schema
    .createTable('outside_identities')
    .addColumn('issuer', 'text', (c) => c.notNull())
    .addColumn('subject', 'text', (c) => c.notNull())
    .addColumn('principal_id', 'text', (c) => c.notNull().references('principals.id').onDelete('cascade'))
    .addPrimaryKeyConstraint('outside_identities_key', ['issuer', 'subject'])
    .execute();

  await fillIn(db);
}

/** Every service principal that is there has an application, and the first two accounts may change the directory. */
async function fillIn(db: Kysely<Then>): Promise<void> {
  const principals = await db.selectFrom('principals').selectAll().where('kind', '=', 'servicePrincipal').execute();
  for (const { app_id, display_name, created_at } of principals) {
    if (app_id === null) continue;
    await db.insertInto('applications').values({ id: randomUUID(), app_id, display_name, details_json: '{}', created_at }).execute();
  }
  const first = await db.selectFrom('meta').select('value').where('key', '=', 'first-accounts').executeTakeFirst();
  if (first === undefined) return;
  const { user, servicePrincipal }: { user: { objectId: string }; servicePrincipal: { objectId: string } } = JSON.parse(first.value);
  for (const { objectId } of [user, servicePrincipal]) {
    const link = { kind: 'role', object_id: GLOBAL_ADMINISTRATOR, member_id: objectId, created_at: 0 };
    await db.insertInto('links').values(link).execute();
  }
}
