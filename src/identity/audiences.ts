// Whom our tokens can be for: the resources that clients ask for by address, and which of our rooms each one opens.

import type { Audience } from '../core/caller.ts';
import type { Urls } from '../core/urls.ts';

/** The public cloud's names, for clients whose settings cannot be changed. Only our own rooms believe our signature, so they open nothing elsewhere. */
const PUBLIC_MANAGEMENT = ['https://management.azure.com', 'https://management.core.windows.net'];
const PUBLIC_GRAPH = ['https://graph.microsoft.com', 'https://graph.windows.net'];

/** The names under which resource manager, login and Graph are reached. */
export function platformOrigins({ origin, domain, port }: Urls): readonly string[] {
  const at = port === 443 ? '' : `:${port}`;
  const hosts = ['localhost', '127.0.0.1', '[::1]', `management.${domain}`, `login.${domain}`, `graph.${domain}`];
  return [...new Set([origin, ...hosts.map((host) => `https://${host}${at}`)])];
}

/** The audiences that each room accepts; each also with a slash at the end. */
export function audiencesOf(urls: Urls): Readonly<Record<Audience, ReadonlySet<string>>> {
  const ours = platformOrigins(urls);
  return {
    hsm: withSlashes([urls.hsmResource]),
    management: withSlashes([...ours, ...PUBLIC_MANAGEMENT]),
    graph: withSlashes([...ours, ...PUBLIC_GRAPH]),
  };
}

function withSlashes(names: readonly string[]): ReadonlySet<string> {
  return new Set(names.flatMap((name) => [name, `${name}/`]));
}

/** The scopes that a user's token for this resource carries in `scp`, or undefined when no room of ours goes by that name. */
export function userScopesOf(urls: Urls, resource: string): string | undefined {
  const asked = resource.toLowerCase();
  const audiences = audiencesOf(urls);
  if (audiences.hsm.has(asked) || audiences.management.has(asked)) return 'user_impersonation';
  return audiences.graph.has(asked) ? 'User.Read Directory.Read.All' : undefined;
}

/** Where Entra sends scopes that name no resource, such as `User.Read`. */
export function graphResource(urls: Urls): string {
  return `${urls.origin}/`;
}

/** The issuers of our access tokens: v1 (what we write), v2 and ADFS shape. Always under the configured name, whichever name was used to reach us. */
export function issuersOf(urls: Urls, tenantId: string): { v1: string; v2: string; adfs: string } {
  return { v1: `${urls.origin}/${tenantId}/`, v2: `${urls.origin}/${tenantId}/v2.0`, adfs: `${urls.origin}/adfs` };
}
