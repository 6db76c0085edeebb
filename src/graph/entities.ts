// The directory's entities as Microsoft Graph shows them, made from the rows of the principals.

import type { Tables } from '../store/schema.ts';
import type { Reader } from '../store/store.ts';

export type Kind = Tables['principals']['kind'];

/** What a filter compares and an answer shows. */
export type Entity = Readonly<Record<string, unknown>> & { readonly id: string };

type Row = Tables['principals'];

/** A collection by the name that addresses give it. */
export interface Collection {
  readonly name: string;
  readonly kind: Kind;
  readonly type: string;
}

// biome-ignore format: a table reads by its columns
export const COLLECTIONS = {
  users:             { name: 'users',             kind: 'user',             type: '#microsoft.graph.user' },
  servicePrincipals: { name: 'servicePrincipals', kind: 'servicePrincipal', type: '#microsoft.graph.servicePrincipal' },
  groups:            { name: 'groups',            kind: 'group',            type: '#microsoft.graph.group' },
} as const satisfies Record<string, Collection>;

const SHOW: Readonly<Record<Kind, (row: Row) => Entity>> = { user, servicePrincipal, group };

const TYPES = new Map<Kind, string>(Object.values(COLLECTIONS).map(({ kind, type }) => [kind, type]));

/** The properties that a filter may name, also while the collection is empty. */
export function propertiesOf({ kind }: Collection): ReadonlySet<string> {
  const example = { id: '', kind, display_name: '', upn: null, upn_key: null, app_id: null, enabled: 1, created_at: 0 };
  return new Set(Object.keys(SHOW[kind](example)));
}

/** Every entity of a collection, in the order of their making. */
export async function entitiesOf(read: Reader, { kind }: Collection): Promise<readonly Entity[]> {
  const rows = await read.selectFrom('principals').selectAll().where('kind', '=', kind).orderBy('created_at').orderBy('id').execute();
  return rows.map(SHOW[kind]);
}

/** The entity with this object id; users are found by principal name too. */
export async function entityNamed(read: Reader, { kind }: Collection, name: string): Promise<Entity | undefined> {
  const key = name.toLowerCase();
  const row = await read
    .selectFrom('principals')
    .selectAll()
    .where('kind', '=', kind)
    .where((is) => is.or([is('id', '=', key), is('upn_key', '=', key)]))
    .executeTakeFirst();
  return row === undefined ? undefined : SHOW[kind](row);
}

/** Entities of any kind, each with its type, in the order of the ids. */
export async function entitiesWithIds(read: Reader, ids: readonly string[]): Promise<readonly Entity[]> {
  const keys = ids.map((id) => id.toLowerCase());
  if (keys.length === 0) return [];
  const rows = await read.selectFrom('principals').selectAll().where('id', 'in', keys).execute();
  const byId = new Map(rows.map((row) => [row.id, row]));
  return keys.flatMap((key) => {
    const row = byId.get(key);
    return row === undefined ? [] : [{ '@odata.type': TYPES.get(row.kind), ...SHOW[row.kind](row) }];
  });
}

function user(row: Row): Entity {
  return {
    businessPhones: [],
    displayName: row.display_name,
    givenName: null,
    jobTitle: null,
    mail: null,
    mobilePhone: null,
    officeLocation: null,
    preferredLanguage: null,
    surname: null,
    userPrincipalName: row.upn,
    id: row.id,
  };
}

function servicePrincipal(row: Row): Entity {
  return {
    id: row.id,
    accountEnabled: row.enabled === 1,
    alternativeNames: [],
    appDisplayName: row.display_name,
    appId: row.app_id,
    createdDateTime: time(row.created_at),
    displayName: row.display_name,
    keyCredentials: [],
    passwordCredentials: [],
    servicePrincipalNames: [row.app_id],
    servicePrincipalType: 'Application',
    tags: [],
  };
}

function group(row: Row): Entity {
  return {
    id: row.id,
    createdDateTime: time(row.created_at),
    description: null,
    displayName: row.display_name,
    groupTypes: [],
    mail: null,
    mailEnabled: false,
    securityEnabled: true,
  };
}

/** Whole seconds, as Graph writes them. */
function time(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
}
