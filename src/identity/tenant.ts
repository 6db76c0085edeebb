// The first path segment of every login address: our tenant by id, by domain or by one of the names that stand for "whichever", or ADFS.

import { tenantNotFound } from '../core/errors-oauth.ts';

export interface Tenant {
  readonly id: string;
  /** `strongroom.localhost`: what user names end in. */
  readonly domain: string;
  /** Entra-shaped addresses have a tenant and versions; ADFS-shaped ones have neither. */
  readonly shape: 'entra' | 'adfs';
  /** The segment for addresses that we emit: the id, `common`, `organizations` or `adfs`. */
  readonly segment: string;
}

/** Segments that name no tenant: whoever signs in decides, and here that is always our own. */
const ALIASES = new Set(['common', 'organizations']);

/** Finds the tenant that a path names, or throws AADSTS90002. */
export function tenantNamed(segment: string, id: string, domain: string): Tenant {
  const asked = segment.toLowerCase();
  if (asked === 'adfs') return { id, domain, shape: 'adfs', segment: 'adfs' };
  if (ALIASES.has(asked)) return { id, domain, shape: 'entra', segment: asked };
  if (asked === id || asked === domain) return { id, domain, shape: 'entra', segment: id };
  throw tenantNotFound(segment);
}

/** `meta` keys: the tenant is made once and never changes. */
export const TENANT_ID = 'tenant-id';
export const TENANT_DOMAIN = 'tenant-domain';
