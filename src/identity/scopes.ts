// What a token request asks for: `scope` (v2, ADFS) or `resource` (v1), read into one resource of ours and the words to answer with.

import { invalidResource, invalidScope, missingParameter } from '../core/errors-oauth.ts';
import type { Urls } from '../core/urls.ts';
import { graphResource, userScopesOf } from './audiences.ts';
import type { Tenant } from './tenant.ts';

/** Plain data: it is kept with codes and refresh tokens. */
export interface Wanted {
  /** As it was asked for, with or without a slash at the end: it becomes `aud` verbatim. */
  readonly resource: string;
  /** The resource scopes as they were asked for, for the answer: MSAL looks its cache up by them. */
  readonly scopes: readonly string[];
  /** Whether `openid` or `offline_access` were asked for. v1 does not ask; it gets both. */
  readonly idToken: boolean;
  readonly refreshToken: boolean;
}

const OPENID_SCOPES = new Set(['openid', 'profile', 'email', 'offline_access']);
const DEFAULT = '/.default';

/** Reads `scope` or `resource`; `kept` is what an earlier request of the same sign-in asked for. Throws AADSTS70011, 500011 or 900144. */
export function wanted(form: Readonly<Record<string, string>>, tenant: Tenant, urls: Urls, kept?: Wanted): Wanted {
  const { scope = '', resource = '' } = form;
  const asked = scope.split(' ').filter((part) => part !== '');
  if (asked.length === 0 && resource === '') {
    if (kept !== undefined) return kept;
    throw missingParameter('scope');
  }
  const named = asked.filter((part) => !OPENID_SCOPES.has(part.toLowerCase()));
  const openId = new Set(asked.map((part) => part.toLowerCase()));
  const isV1 = resource !== '';
  const found = resource === '' ? resourceOf(named, urls) : resource;
  if (userScopesOf(urls, found) === undefined) throw invalidResource(found, tenant.id);
  return { resource: found, scopes: named, idToken: isV1 || openId.has('openid'), refreshToken: isV1 || openId.has('offline_access') };
}

/** A client that signs in by itself asks for all it has: `{resource}/.default`, or a resource the v1 way. */
export function requireDefaultScope(want: Wanted): void {
  for (const scope of want.scopes) {
    if (!scope.endsWith(DEFAULT)) {
      throw invalidScope(scope, `Client credential flows must have a scope value with ${DEFAULT} suffixed to the resource identifier.`);
    }
  }
}

/** What the answer says was granted. The resource keeps its slash: `https://localhost:8443//.default`. */
export function grantedScope({ resource, scopes }: Wanted): string {
  return [...new Set([`${resource}/user_impersonation`, `${resource}${DEFAULT}`, ...scopes])].join(' ');
}

function resourceOf(scopes: readonly string[], urls: Urls): string {
  const resources = new Set(scopes.map((scope) => resourceOfScope(scope, urls)));
  const [resource, another] = resources;
  if (another !== undefined)
    throw invalidScope(scopes.join(' '), 'It contains resources that cannot be combined: one token is for one resource.');
  return resource ?? graphResource(urls);
}

/** `https://host/.default` is a scope of `https://host`, `https://host//.default` one of `https://host/`; a bare word is one of Graph's. */
function resourceOfScope(scope: string, urls: Urls): string {
  if (!scope.includes('://')) return graphResource(urls);
  const end = scope.lastIndexOf('/');
  if (scope.indexOf('://') + 2 >= end) return scope;
  return scope.slice(0, end);
}
