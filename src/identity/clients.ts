// The client applications: the public ones that everybody's tools bring along, and the tenant's own service principals, which prove themselves.

import {
  applicationDisabled,
  applicationNotFound,
  clientCredentialMissing,
  expiredClientSecret,
  invalidClientSecret,
  missingParameter,
  publicClientMayNot,
} from '../core/errors-oauth.ts';
import { checkAssertion } from './client-assertion.ts';
import { checkSecret } from './credentials.ts';
import { applicationByClientId, objectsOf, type ServicePrincipal } from './principals.ts';
import type { ClientProof } from './tokens.ts';
import type { IdentityReads, IdentityWrites } from './world.ts';

/** Public clients have no secret. They are one family: a refresh token of one serves all (`foci`). @azure/identity signs users in as Azure CLI. */
// biome-ignore format: a table reads by its columns
const PUBLIC_CLIENTS: ReadonlyMap<string, string> = new Map([
  ['04b07795-8ddb-461a-bbee-02f9e1bf7b46', 'Azure CLI'],
  ['1950a258-227b-4e31-a9cf-717495945fc2', 'Azure PowerShell'],
  ['aebc6443-996d-45c2-90f0-388ff96faa56', 'Visual Studio Code'],
]);

export interface PublicClient {
  readonly kind: 'public';
  readonly id: string;
  readonly name: string;
}

export interface ConfidentialClient {
  readonly kind: 'confidential';
  readonly id: string;
  readonly name: string;
  readonly application: ServicePrincipal;
}

export type Client = PublicClient | ConfidentialClient;

export function isPublicClient(clientId: string): boolean {
  return PUBLIC_CLIENTS.has(clientId);
}

/** The client that the request names. Throws AADSTS900144 or 700016. */
export async function clientNamed(world: Pick<IdentityReads, 'read' | 'tenant'>, clientId: string | undefined): Promise<Client> {
  if (clientId === undefined || clientId === '') throw missingParameter('client_id');
  const id = clientId.toLowerCase();
  const name = PUBLIC_CLIENTS.get(id);
  if (name !== undefined) return { kind: 'public', id, name };
  const application = await applicationByClientId(world.read, id);
  if (application === undefined) throw applicationNotFound(clientId, world.tenant.id);
  if (!application.enabled) throw applicationDisabled(clientId);
  return { kind: 'confidential', id, name: application.displayName, application };
}

/** What a client sent to prove itself; in the body, or in the Authorization header (RFC 6749 section 2.3.1). */
export interface PresentedClient {
  readonly clientId: string | undefined;
  readonly secret: string | undefined;
  readonly assertion: string | undefined;
  readonly assertionType: string | undefined;
}

export function presentedClient(form: Readonly<Record<string, string>>, authorization: string | undefined): PresentedClient {
  const basic = basicCredentials(authorization);
  return {
    clientId: form.client_id ?? basic?.id,
    secret: form.client_secret ?? basic?.secret,
    assertion: form.client_assertion,
    assertionType: form.client_assertion_type,
  };
}

/** Both halves are form-encoded before they are joined. */
function basicCredentials(authorization: string | undefined): { id: string; secret: string } | undefined {
  const [, encoded] = /^Basic ([A-Za-z0-9+/]+=*)$/i.exec(authorization ?? '') ?? [];
  if (encoded === undefined) return undefined;
  const joined = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = joined.indexOf(':');
  return colon < 0 ? undefined : { id: formDecoded(joined.slice(0, colon)), secret: formDecoded(joined.slice(colon + 1)) };
}

/** A secret that was not encoded may hold a stray percent sign; then it is taken as it is. */
function formDecoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}

export interface ProvenClient {
  readonly client: Client;
  readonly proof: ClientProof;
}

/** Checks the client's proof: a confidential client must bring one, a public one must not. */
export async function provenClient(
  world: IdentityWrites,
  presented: PresentedClient,
  visit: { address: string; origin: string },
): Promise<ProvenClient> {
  const client = await clientNamed(world, presented.clientId);
  const { secret, assertion } = presented;
  if (client.kind === 'public') {
    if (secret !== undefined || assertion !== undefined) throw publicClientMayNot(client.id);
    return { client, proof: '0' };
  }
  const { application } = client;
  world.about(application.id);
  const objects = await objectsOf(world.read, application);
  if (assertion !== undefined) {
    const check = () => checkAssertion(world, { appId: application.appId, objects }, assertion, presented.assertionType, visit.origin);
    await world.throttle(client.id, visit.address, check, 'signed');
    return { client, proof: '2' };
  }
  if (secret === undefined) throw clientCredentialMissing();
  const found = await world.throttle(client.id, visit.address, async () => {
    const check = await checkSecret(world.read, world.clock, objects, 'secret', secret);
    if (check === 'wrong') throw invalidClientSecret(client.id);
    return check;
  });
  if (found === 'expired') throw expiredClientSecret(client.id);
  return { client, proof: '1' };
}
