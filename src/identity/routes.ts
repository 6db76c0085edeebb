// Every address of the login room. `:tenant` is a tenant's id or domain, `common`, `organizations` or `adfs`; an ADFS authority has no v2.0.

import type { Method, Operation, Row } from '../core/route.ts';
import { authorize, authorizePage } from './authorize.ts';
import { deviceAuthorization, deviceLogin, deviceLoginPage } from './device-login.ts';
import { instanceDiscovery, openIdConfiguration, signingKeySet, userRealm } from './discovery.ts';
import { logout } from './logout.ts';
import { token, tokenByGet } from './token.ts';
import type { IdentityReads, IdentityWrites } from './world.ts';

/** What the address has to name before its operation runs. */
export type Guard = 'tenant' | 'no tenant';

export type IdentityRow = Row<'anonymous', IdentityReads, IdentityWrites, Guard>;

function reads(method: Method, path: string, action: 'anonymous', guard: Guard, operation: Operation<IdentityReads>): IdentityRow {
  return { mode: 'read', method, path, action, guard, operation };
}

function writes(method: Method, path: string, action: 'anonymous', guard: Guard, operation: Operation<IdentityWrites>): IdentityRow {
  return { mode: 'write', method, path, action, guard, operation };
}

// biome-ignore format: a table reads by its columns
export const identityRows: readonly IdentityRow[] = [
  reads('GET',   '/:tenant/discovery/instance',                    'anonymous', 'tenant',    instanceDiscovery),
  reads('GET',   '/:tenant/userrealm/:upn',                        'anonymous', 'tenant',    userRealm),
  reads('GET',   '/:tenant/.well-known/openid-configuration',      'anonymous', 'tenant',    openIdConfiguration('v1')),
  reads('GET',   '/:tenant/v2.0/.well-known/openid-configuration', 'anonymous', 'tenant',    openIdConfiguration('v2')),
  reads('GET',   '/:tenant/discovery/keys',                        'anonymous', 'tenant',    signingKeySet),
  reads('GET',   '/:tenant/discovery/v2.0/keys',                   'anonymous', 'tenant',    signingKeySet),

  writes('POST', '/:tenant/oauth2/token',                          'anonymous', 'tenant',    token('v1')),
  writes('POST', '/:tenant/oauth2/v2.0/token',                     'anonymous', 'tenant',    token('v2')),
  // Terraform puts the tenant behind the login endpoint that /metadata/endpoints names, and that one is ADFS-shaped.
  writes('POST', '/adfs/:tenant/oauth2/v2.0/token',                'anonymous', 'tenant',    token('v2')),
  reads('GET',   '/:tenant/oauth2/token',                          'anonymous', 'tenant',    tokenByGet),
  reads('GET',   '/:tenant/oauth2/v2.0/token',                     'anonymous', 'tenant',    tokenByGet),

  writes('POST', '/:tenant/oauth2/devicecode',                     'anonymous', 'tenant',    deviceAuthorization('v1')),
  writes('POST', '/:tenant/oauth2/v2.0/devicecode',                'anonymous', 'tenant',    deviceAuthorization('v2')),
  reads('GET',   '/devicelogin',                                   'anonymous', 'no tenant', deviceLoginPage),
  writes('POST', '/devicelogin',                                   'anonymous', 'no tenant', deviceLogin),

  reads('GET',   '/:tenant/oauth2/authorize',                      'anonymous', 'tenant',    authorizePage),
  reads('GET',   '/:tenant/oauth2/v2.0/authorize',                 'anonymous', 'tenant',    authorizePage),
  writes('POST', '/:tenant/oauth2/authorize',                      'anonymous', 'tenant',    authorize),
  writes('POST', '/:tenant/oauth2/v2.0/authorize',                 'anonymous', 'tenant',    authorize),

  reads('GET',   '/:tenant/oauth2/logout',                         'anonymous', 'tenant',    logout),
  reads('GET',   '/:tenant/oauth2/v2.0/logout',                    'anonymous', 'tenant',    logout),
];
