// People and programs of a test's directory: made over the Graph, signed in through the login.

import assert from 'node:assert/strict';
import type { Got, House, Sent } from '../house.ts';

/** The Azure CLI's own public client: every tenant knows it. */
export const AZURE_CLI = '04b07795-8ddb-461a-bbee-02f9e1bf7b46';

export const PASSWORD = 'Correct-horse-4';

export type Resource = 'hsm' | 'management' | 'graph';

/** A call to the Graph, as the first user unless a token is given. */
export async function graph(house: House, method: string, path: string, body?: unknown, token?: string | null): Promise<Got> {
  const bearer = token === undefined ? await house.token('user', 'graph') : token;
  const sent: Sent = { token: bearer, ...(body === undefined ? {} : { body }) };
  return house.call(method, `${house.connection.graph}v1.0${path}`, sent);
}

/** A user with the usual password; returns the object id. */
export async function makeUser(house: House, name: string): Promise<string> {
  const got = await graph(house, 'POST', '/users', {
    accountEnabled: true,
    displayName: name,
    mailNickname: name,
    userPrincipalName: userName(house, name),
    passwordProfile: { password: PASSWORD, forceChangePasswordNextSignIn: false },
  });
  assert.equal(got.status, 201, got.text);
  return got.json.id;
}

export function userName(house: House, name: string): string {
  return house.connection.user.userPrincipalName.replace('owner', name);
}

export interface Program {
  /** Of the application. */
  readonly id: string;
  readonly appId: string;
  /** Of the service principal. */
  readonly objectId: string;
  readonly secret: string;
  readonly keyId: string;
}

/** An application with its service principal and a secret, as `az ad sp create-for-rbac` makes one. */
export async function makeProgram(house: House, displayName: string): Promise<Program> {
  const application = await graph(house, 'POST', '/applications', { displayName });
  assert.equal(application.status, 201, application.text);
  const { id, appId } = application.json;
  const password = await graph(house, 'POST', `/applications/${id}/addPassword`, { passwordCredential: { displayName: 'rbac' } });
  assert.equal(password.status, 200, password.text);
  const principal = await graph(house, 'POST', '/servicePrincipals', { appId, accountEnabled: true });
  assert.equal(principal.status, 201, principal.text);
  return { id, appId, objectId: principal.json.id, secret: password.json.secretText, keyId: password.json.keyId };
}

export async function makeGroup(house: House, displayName: string, members: readonly string[] = []): Promise<string> {
  const got = await graph(house, 'POST', '/groups', {
    displayName,
    mailEnabled: false,
    mailNickname: displayName,
    securityEnabled: true,
    'members@odata.bind': members.map((id) => reference(house, id)['@odata.id']),
  });
  assert.equal(got.status, 201, got.text);
  return got.json.id;
}

export function reference(house: House, id: string): { '@odata.id': string } {
  return { '@odata.id': `${house.connection.graph}v1.0/directoryObjects/${id}` };
}

function scopeOf({ connection }: House, resource: Resource): string {
  const place = { hsm: `${connection.managedHsmResource}/`, management: connection.resourceManager, graph: connection.graph }[resource];
  return `${place}.default`;
}

export async function postToken(house: House, fields: Readonly<Record<string, string>>): Promise<Got> {
  const { authorityHost, tenantId } = house.connection;
  return house.call('POST', `${authorityHost}${tenantId}/oauth2/v2.0/token`, { body: new URLSearchParams(fields).toString() });
}

/** The answer to a user's sign-in with name and password. */
export function signInUser(house: House, name: string, resource: Resource, password = PASSWORD): Promise<Got> {
  const scope = `${scopeOf(house, resource)} offline_access openid`;
  return postToken(house, { grant_type: 'password', client_id: AZURE_CLI, username: userName(house, name), password, scope });
}

/** The answer to a program's sign-in with its secret. */
export function signInProgram(house: House, { appId, secret }: Pick<Program, 'appId' | 'secret'>, resource: Resource): Promise<Got> {
  return postToken(house, { grant_type: 'client_credentials', client_id: appId, client_secret: secret, scope: scopeOf(house, resource) });
}

export async function tokenOf(answer: Promise<Got>): Promise<string> {
  const got = await answer;
  assert.equal(got.status, 200, got.text);
  return got.json.access_token;
}
