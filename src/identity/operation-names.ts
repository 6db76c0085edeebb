// What the audit record calls each address of the login: the table beside routes.ts. A test fails when a row has no name here.

import type { Method } from '../core/route.ts';
import { table } from '../core/table.ts';

// biome-ignore format: a table reads by its columns
const NAMES: Readonly<Record<string, string>> = table({
  'GET /discovery/instance':                 'InstanceDiscovery',
  'GET /userrealm/:upn':                     'UserRealm',
  'GET /.well-known/openid-configuration':   'OpenIdConfiguration',
  'GET /discovery/keys':                     'SigningKeys',
  'POST /oauth2/token':                      'TokenIssue',
  'GET /oauth2/token':                       'TokenIssue',
  'POST /oauth2/devicecode':                 'DeviceCodeCreate',
  'GET /devicelogin':                        'DeviceLoginPage',
  'POST /devicelogin':                       'DeviceLogin',
  'GET /oauth2/authorize':                   'SignInPage',
  'POST /oauth2/authorize':                  'SignIn',
  'GET /oauth2/logout':                      'SignOut',
});

/** The name of a row. One that the table lacks is called by its address, so that no call goes unrecorded. */
export function operationName({ method, path }: { readonly method: Method; readonly path: string }): string {
  return tableName(method, path) ?? `${method} ${path}`;
}

/** The table's own name, for the v1 and the v2 form of an address; undefined when there is none. */
export function tableName(method: Method, path: string): string | undefined {
  return NAMES[`${method} ${path.replace(/^(?:\/adfs)?\/:tenant/, '').replace('/v2.0', '')}`];
}
