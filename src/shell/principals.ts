// Users and service principals as the Graph knows them: found by name, and named by id.

import { allItems, type ClientContext, call, directory, quoted, segment } from './client.ts';
import { ShellError } from './errors.ts';
import { listAt, textAt } from './read.ts';

export interface Principal {
  readonly id: string;
  readonly displayName: string;
  /** `User`, `ServicePrincipal`, `Group`, or `Unknown` when the directory does not say. */
  readonly kind: string;
}

/** Users that match an OData filter, or all of them. */
export async function usersWhere(context: ClientContext, filter: string | undefined): Promise<unknown[]> {
  return allItems(context, await directory(context), `/v1.0/users${filterQuery(filter)}`);
}

export async function servicePrincipalsWhere(context: ClientContext, filter: string | undefined): Promise<unknown[]> {
  return allItems(context, await directory(context), `/v1.0/servicePrincipals${filterQuery(filter)}`);
}

export async function groupsWhere(context: ClientContext, filter: string | undefined): Promise<unknown[]> {
  return allItems(context, await directory(context), `/v1.0/groups${filterQuery(filter)}`);
}

export async function applicationsWhere(context: ClientContext, filter: string | undefined): Promise<unknown[]> {
  return allItems(context, await directory(context), `/v1.0/applications${filterQuery(filter)}`);
}

/** One object of the directory by id, or undefined. `collection`: `users`, `servicePrincipals`, `groups` or `applications`. */
export async function directoryObject(context: ClientContext, collection: string, id: string): Promise<unknown> {
  const answer = await call(context, await directory(context), 'GET', `/v1.0/${collection}/${segment(id)}`, { allow: [404] });
  return answer.status === 404 ? undefined : answer.json;
}

export async function signedInUser(context: ClientContext): Promise<unknown> {
  return (await call(context, await directory(context), 'GET', '/v1.0/me')).json;
}

/** The object id behind a sign-in name. Throws when the directory has no such user. */
export async function userId(context: ClientContext, name: string): Promise<string> {
  const [user] = await usersWhere(context, `userPrincipalName eq ${quoted(name)}`);
  const id = textAt(user, 'id');
  if (id !== undefined) return id;
  throw new ShellError(`there is no user '${name}' in this directory`, {
    category: 'not-found',
    hints: ['see all users with: Get-AzADUser'],
  });
}

/** The object id of an application's service principal. Throws when there is none. */
export async function servicePrincipalId(context: ClientContext, applicationId: string): Promise<string> {
  const [found] = await servicePrincipalsWhere(context, `appId eq ${quoted(applicationId)}`);
  const id = textAt(found, 'id');
  if (id !== undefined) return id;
  throw new ShellError(`there is no service principal for the application '${applicationId}'`, {
    category: 'not-found',
    hints: ['see all with: Get-AzADServicePrincipal'],
  });
}

/**
 * Names for object ids, for display. Ids that the directory does not know are left out; so are all of them when it refuses,
 * since a list of role assignments is worth showing without names.
 */
export async function principalsById(context: ClientContext, ids: readonly string[]): Promise<ReadonlyMap<string, Principal>> {
  const found = new Map<string, Principal>();
  if (ids.length === 0) return found;
  try {
    const answer = await call(context, await directory(context), 'POST', '/v1.0/directoryObjects/getByIds', {
      body: { ids: [...new Set(ids)], types: ['user', 'group', 'servicePrincipal'] },
    });
    for (const item of listAt(answer.json, 'value')) {
      const id = textAt(item, 'id');
      if (id === undefined) continue;
      const kind = textAt(item, '@odata.type')?.replace('#microsoft.graph.', '') ?? 'unknown';
      const displayName = textAt(item, 'displayName') ?? '';
      found.set(id.toLowerCase(), { id, displayName, kind: kind.charAt(0).toUpperCase() + kind.slice(1) });
    }
  } catch (error) {
    if (!(error instanceof ShellError)) throw error;
    context.debug(`names are not known: ${error.message}`);
  }
  return found;
}

/** The parameters by which cmdlets name a principal. */
export interface NamedPrincipal {
  readonly SignInName?: string | undefined;
  readonly ApplicationId?: string | undefined;
  readonly ObjectId?: string | undefined;
}

/** The object id of the principal that the parameters name; undefined when they name none. */
export async function principalNamed(context: ClientContext, named: NamedPrincipal): Promise<string | undefined> {
  if (named.SignInName !== undefined) return userId(context, named.SignInName);
  if (named.ApplicationId !== undefined) return servicePrincipalId(context, named.ApplicationId);
  return named.ObjectId;
}

function filterQuery(filter: string | undefined): string {
  return filter === undefined ? '' : `?$filter=${encodeURIComponent(filter)}`;
}
