// The documents by which clients find their way: OpenID configuration, keys, instance discovery and user realm.
// All are built from the origin that was asked: MSAL for JavaScript refuses a document whose issuer lives elsewhere than its authority.

import * as v from 'valibot';
import { missingParameter, unknownInstance } from '../core/errors-oauth.ts';
import { operation } from '../core/route.ts';
import type { Urls } from '../core/urls.ts';
import { platformOrigins } from './audiences.ts';
import { Query, TenantPath } from './shapes.ts';
import { publicSigningKeys } from './signing-keys.ts';
import type { Tenant } from './tenant.ts';
import type { IdentityReads } from './world.ts';

const Nothing = v.unknown();

/** What both shapes say alike (OpenID Connect Discovery 1.0 section 3). */
const ABILITIES = {
  token_endpoint_auth_methods_supported: ['client_secret_post', 'private_key_jwt', 'client_secret_basic'],
  response_modes_supported: ['query', 'fragment', 'form_post'],
  subject_types_supported: ['pairwise'],
  id_token_signing_alg_values_supported: ['RS256'],
  response_types_supported: ['code'],
  code_challenge_methods_supported: ['S256'],
  scopes_supported: ['openid', 'profile', 'email', 'offline_access'],
  request_uri_parameter_supported: false,
  http_logout_supported: true,
  claims_supported: ['sub', 'iss', 'aud', 'exp', 'iat', 'nbf', 'tid', 'oid', 'nonce', 'preferred_username', 'upn', 'name', 'ver'],
};

/** GET …/.well-known/openid-configuration. ADFS has one version; Entra's two differ in their addresses. */
export function openIdConfiguration(version: 'v1' | 'v2') {
  return operation({ path: TenantPath, query: Query, body: Nothing }, ({ tenant }: IdentityReads, { origin }) => {
    const host = new URL(origin).host;
    return {
      ...(tenant.shape === 'adfs' ? adfsAddresses(origin) : entraAddresses(origin, tenant, version)),
      ...ABILITIES,
      tenant_region_scope: null,
      cloud_instance_name: host,
      cloud_graph_host_name: host,
      msgraph_host: host,
      rbac_url: origin,
    };
  });
}

function entraAddresses(origin: string, tenant: Tenant, version: 'v1' | 'v2') {
  const here = `${origin}/${tenant.segment}`;
  const oauth = `${here}/oauth2${version === 'v2' ? '/v2.0' : ''}`;
  // The aliases do not know yet whose tenant it will be, and say so literally.
  const issuerTenant = tenant.segment === tenant.id ? tenant.id : '{tenantid}';
  return {
    issuer: `${origin}/${issuerTenant}/${version === 'v2' ? 'v2.0' : ''}`,
    authorization_endpoint: `${oauth}/authorize`,
    token_endpoint: `${oauth}/token`,
    device_authorization_endpoint: `${oauth}/devicecode`,
    jwks_uri: `${here}/discovery${version === 'v2' ? '/v2.0' : ''}/keys`,
    end_session_endpoint: `${oauth}/logout`,
  };
}

/** No versions, and no tenant in any address. */
function adfsAddresses(origin: string) {
  const here = `${origin}/adfs`;
  return {
    issuer: here,
    authorization_endpoint: `${here}/oauth2/authorize`,
    token_endpoint: `${here}/oauth2/token`,
    device_authorization_endpoint: `${here}/oauth2/devicecode`,
    jwks_uri: `${here}/discovery/keys`,
    end_session_endpoint: `${here}/oauth2/logout`,
  };
}

/** GET …/discovery/keys: every key whose signatures are still good. */
export const signingKeySet = operation(
  { path: TenantPath, query: Query, body: Nothing },
  async ({ read, clock, tenant }: IdentityReads, { origin }) => {
    const keys = await publicSigningKeys(read, clock);
    const issuer = tenant.shape === 'adfs' ? `${origin}/adfs` : `${origin}/${tenant.id}/v2.0`;
    return { keys: keys.map((key) => ({ ...key, issuer })) };
  },
);

/** GET /common/discovery/instance: whether an authority is one of ours. MSAL for Python leaves the port out. */
export const instanceDiscovery = operation(
  { path: TenantPath, query: Query, body: Nothing },
  ({ urls }: IdentityReads, { origin, query }) => {
    const asked = query.authorization_endpoint;
    if (asked === undefined) throw missingParameter('authorization_endpoint');
    if (!URL.canParse(asked)) throw unknownInstance();
    const { hostname, pathname } = new URL(asked);
    if (!isOurs(hostname, origin, urls)) throw unknownInstance();
    const here = new URL(origin).host;
    const [, segment = 'common'] = pathname.split('/');
    return {
      tenant_discovery_endpoint: `${origin}/${segment}/v2.0/.well-known/openid-configuration`,
      'api-version': query['api-version'] ?? '1.1',
      metadata: [{ preferred_network: here, preferred_cache: here, aliases: [here] }],
    };
  },
);

function isOurs(hostname: string, origin: string, urls: Urls): boolean {
  return [origin, ...platformOrigins(urls)].some((place) => new URL(place).hostname === hostname);
}

const RealmPath = v.object({ tenant: v.string(), upn: v.string() });

/** GET /common/userrealm/{upn}: every user signs in here, with a password. It says the same of names that do not exist. */
export const userRealm = operation({ path: RealmPath, query: Query, body: Nothing }, (_world: IdentityReads, { origin, path }) => ({
  ver: '1.0',
  account_type: 'Managed',
  domain_name: path.upn.slice(path.upn.indexOf('@') + 1),
  cloud_instance_name: new URL(origin).host,
  cloud_audience_urn: 'urn:federation:MicrosoftOnline',
}));
