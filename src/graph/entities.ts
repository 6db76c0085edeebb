// The directory's entities as Microsoft Graph shows them, made from its rows.

import type { Tables } from '../store/schema.ts';
import type { Reader } from '../store/store.ts';
import { credentialsShown } from './credentials-shown.ts';
import { ROLE_ENTITIES } from './directory-roles.ts';
import { identitiesShown } from './identities.ts';
import { graphTime } from './times.ts';

/** What a filter compares and an answer shows. */
export type Entity = Readonly<Record<string, unknown>> & { readonly id: string };

type PrincipalRow = Tables['principals'];
type ApplicationRow = Tables['applications'];

/** A collection by the name that addresses give it. */
export interface Collection {
  readonly name: 'users' | 'servicePrincipals' | 'groups' | 'applications' | 'directoryRoles';
  readonly kind: PrincipalRow['kind'] | 'application' | 'directoryRole';
  readonly type: string;
  /** What is shown when nothing is selected, where that is not everything. */
  readonly usual?: readonly string[];
}

const USUAL_OF_USERS = [
  ...['businessPhones', 'displayName', 'givenName', 'jobTitle', 'mail', 'mobilePhone', 'officeLocation', 'preferredLanguage'],
  ...['surname', 'userPrincipalName', 'id'],
];

// biome-ignore format: a table reads by its columns
export const COLLECTIONS = {
  users:             { name: 'users',             kind: 'user',             type: '#microsoft.graph.user', usual: USUAL_OF_USERS },
  servicePrincipals: { name: 'servicePrincipals', kind: 'servicePrincipal', type: '#microsoft.graph.servicePrincipal' },
  groups:            { name: 'groups',            kind: 'group',            type: '#microsoft.graph.group' },
  applications:      { name: 'applications',      kind: 'application',      type: '#microsoft.graph.application' },
  directoryRoles:    { name: 'directoryRoles',    kind: 'directoryRole',    type: '#microsoft.graph.directoryRole' },
} as const satisfies Record<string, Collection>;

const BY_KIND = new Map<Collection['kind'], Collection>(Object.values(COLLECTIONS).map((collection) => [collection.kind, collection]));

/** The properties that a filter may name, also while the collection is empty. */
export function propertiesOf({ kind }: Collection): ReadonlySet<string> {
  const common = { id: '', display_name: '', details_json: '{}', created_at: 0 };
  if (kind === 'application') return new Set(Object.keys(application({ ...common, app_id: '' })));
  if (kind === 'directoryRole') return new Set(Object.keys(ROLE_ENTITIES[0]));
  const names = { upn: null, upn_key: null, app_id: null };
  return new Set(Object.keys(principal({ ...common, ...names, kind, enabled: 1, session: 0, valid_from: 0, resource_id: null })));
}

/** Every entity of a collection, in the order of their making; credentials are not in it yet. */
export async function entitiesOf(read: Reader, { kind }: Collection): Promise<readonly Entity[]> {
  if (kind === 'directoryRole') return ROLE_ENTITIES;
  if (kind === 'application') {
    const rows = await read.selectFrom('applications').selectAll().orderBy('created_at').orderBy('id').execute();
    return rows.map(application);
  }
  const rows = await read.selectFrom('principals').selectAll().where('kind', '=', kind).orderBy('created_at').orderBy('id').execute();
  return rows.map(principal);
}

/** The entity with this object id; users are found by principal name too. */
export async function entityNamed(read: Reader, { kind }: Collection, name: string): Promise<Entity | undefined> {
  const key = name.toLowerCase();
  const [found] = await entitiesOfKeys(read, [key]);
  if (found !== undefined) return found.collection.kind === kind ? found.entity : undefined;
  if (kind !== 'user') return undefined;
  const row = await read.selectFrom('principals').selectAll().where('upn_key', '=', key).executeTakeFirst();
  return row === undefined ? undefined : principal(row);
}

/** Entities of any kind, each with its type, in the order of the ids. */
export async function entitiesWithIds(read: Reader, ids: readonly string[]): Promise<readonly Entity[]> {
  const found = await entitiesOfKeys(
    read,
    ids.map((id) => id.toLowerCase()),
  );
  const whole = await dressed(
    read,
    found.map(({ entity }) => entity),
  );
  return whole.map((entity, i) => ({ '@odata.type': found[i]?.collection.type, ...entity }));
}

async function entitiesOfKeys(read: Reader, keys: readonly string[]): Promise<{ collection: Collection; entity: Entity }[]> {
  if (keys.length === 0) return [];
  const principals = await read.selectFrom('principals').selectAll().where('id', 'in', keys).execute();
  const applications = await read.selectFrom('applications').selectAll().where('id', 'in', keys).execute();
  const byId = new Map<string, { collection: Collection; entity: Entity }>();
  for (const row of principals) byId.set(row.id, { collection: collectionOf(row.kind), entity: principal(row) });
  for (const row of applications) byId.set(row.id, { collection: COLLECTIONS.applications, entity: application(row) });
  for (const entity of ROLE_ENTITIES) byId.set(entity.id, { collection: COLLECTIONS.directoryRoles, entity });
  return keys.flatMap((key) => byId.get(key) ?? []);
}

function collectionOf(kind: Collection['kind']): Collection {
  const collection = BY_KIND.get(kind);
  if (collection === undefined) throw new Error(`there is no collection of the kind '${kind}'`);
  return collection;
}

/** Fills in what other tables hold: the credentials of programs, the identities of users. */
export async function dressed(read: Reader, entities: readonly Entity[]): Promise<readonly Entity[]> {
  const having = (property: string) => entities.filter((entity) => property in entity).map(({ id }) => id);
  const [programs, users] = [having('keyCredentials'), having('identities')];
  const credentials = programs.length === 0 ? undefined : await credentialsShown(read, programs);
  const identities = users.length === 0 ? undefined : await identitiesShown(read, users);
  return entities.map((entity) => {
    const known = identities?.get(entity.id);
    return { ...entity, ...credentials?.get(entity.id), ...(known === undefined ? {} : { identities: known }) };
  });
}

function principal(row: PrincipalRow): Entity {
  return SHOW[row.kind](row, JSON.parse(row.details_json));
}

const SHOW: Readonly<Record<PrincipalRow['kind'], (row: PrincipalRow, details: Readonly<Record<string, unknown>>) => Entity>> = {
  user: (row, details) => ({
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
    accountEnabled: row.enabled === 1,
    createdDateTime: graphTime(row.created_at),
    identities: [],
    mailNickname: null,
    onPremisesImmutableId: null,
    signInSessionsValidFromDateTime: graphTime(Math.max(row.created_at, row.valid_from)),
    userType: 'Member',
    ...details,
  }),
  servicePrincipal: (row, details) => ({
    id: row.id,
    accountEnabled: row.enabled === 1,
    alternativeNames: row.resource_id === null ? [] : ['isExplicit=True', row.resource_id],
    appDisplayName: row.display_name,
    appId: row.app_id,
    createdDateTime: graphTime(row.created_at),
    displayName: row.display_name,
    keyCredentials: [],
    passwordCredentials: [],
    servicePrincipalNames: [row.app_id],
    servicePrincipalType: row.resource_id === null ? 'Application' : 'ManagedIdentity',
    tags: [],
    ...details,
  }),
  group: (row, details) => ({
    id: row.id,
    createdDateTime: graphTime(row.created_at),
    description: null,
    displayName: row.display_name,
    groupTypes: [],
    mail: null,
    mailEnabled: false,
    mailNickname: null,
    securityEnabled: true,
    ...details,
  }),
};

function application(row: ApplicationRow): Entity {
  return {
    id: row.id,
    appId: row.app_id,
    api: { acceptMappedClaims: null, knownClientApplications: [], oauth2PermissionScopes: [], preAuthorizedApplications: [] },
    appRoles: [],
    createdDateTime: graphTime(row.created_at),
    deletedDateTime: null,
    displayName: row.display_name,
    identifierUris: [],
    info: { logoUrl: null, marketingUrl: null, privacyStatementUrl: null, supportUrl: null, termsOfServiceUrl: null },
    keyCredentials: [],
    passwordCredentials: [],
    publicClient: { redirectUris: [] },
    publisherDomain: null,
    requiredResourceAccess: [],
    signInAudience: 'AzureADMyOrg',
    spa: { redirectUris: [] },
    tags: [],
    web: {
      homePageUrl: null,
      implicitGrantSettings: { enableAccessTokenIssuance: false, enableIdTokenIssuance: false },
      logoutUrl: null,
      redirectUris: [],
    },
    ...JSON.parse(row.details_json),
  };
}
