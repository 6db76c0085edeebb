// Managed identities: service principals that belong to a resource, without any secret that a person could know. A program on this machine proves that it
// may act as one by a header that it was started with, or, where the operator allows it, by being here.

import { hash } from 'node:crypto';
import type { SignedIn } from '../core/caller.ts';
import { toBase64url } from '../core/encoding.ts';
import { identityHeaderWrong, identityNotFound, identityUnclear, missingIdentityParameter } from '../core/errors-oauth.ts';
import type { AnswerIdentity, IdentityQuestion } from '../core/managed-identity.ts';
import type { Reader } from '../store/store.ts';
import { groupsOf } from './groups.ts';
import { applicationByClientId, principalById, type ServicePrincipal } from './principals.ts';
import { wanted } from './scopes.ts';
import { currentSigningKey } from './signing-keys.ts';
import { tenantNamed } from './tenant.ts';
import { applicationTokens } from './tokens.ts';
import type { IdentityParts, Secrets } from './world.ts';

/** 256 bits, so that a hash without salt or cost keeps it secret. */
export function newHeader(crypto: Secrets): { readonly header: string; readonly verifier: string } {
  const header = toBase64url(crypto.randomBytes(32));
  return { header, verifier: verifierOf(header) };
}

function verifierOf(header: string): string {
  return hash('sha256', header, 'base64url');
}

export interface ManagedIdentityParts extends Pick<IdentityParts, 'read' | 'crypto' | 'clock' | 'urls' | 'versions' | 'tenantId'> {
  /** The identities that whoever is on this machine may use: client ids, object ids or resource ids. */
  readonly imds: readonly string[];
}

/** Makes the one who answers programs on this machine. On the main thread, which signs tokens. */
export function identityAnswers(parts: ManagedIdentityParts): AnswerIdentity {
  const { read, crypto, clock, urls, tenantId, imds } = parts;
  const currentKey = currentSigningKey(parts);
  const tenant = tenantNamed(tenantId, tenantId, '');

  async function byHeader(question: IdentityQuestion): Promise<ServicePrincipal> {
    const { header = '' } = question;
    const row = await read
      .selectFrom('credentials')
      .select(['object_id', 'not_before', 'expires_at'])
      .where('kind', '=', 'header')
      .where('verifier', '=', verifierOf(header))
      .executeTakeFirst();
    const now = clock.now();
    if (row === undefined || row.not_before > now || (row.expires_at !== null && row.expires_at <= now)) throw identityHeaderWrong();
    const principal = await principalById(read, row.object_id);
    if (principal?.kind !== 'servicePrincipal' || !principal.enabled) throw identityHeaderWrong();
    if (!isMeant(principal, question)) throw identityNotFound();
    return principal;
  }

  async function byPresence(question: IdentityQuestion): Promise<ServicePrincipal> {
    const allowed = (await Promise.all(imds.map((name) => identityNamed(read, name)))).filter((found) => found !== undefined);
    const meant = allowed.filter((principal) => principal.enabled && isMeant(principal, question));
    const [identity, another] = meant;
    if (identity === undefined) throw identityNotFound();
    if (another !== undefined) throw identityUnclear();
    return identity;
  }

  return async (question) => {
    const { resource } = question;
    const principal = question.style === 'imds' ? await byPresence(question) : await byHeader(question);
    if (resource === undefined || resource === '') throw missingIdentityParameter('resource');
    const want = wanted({ resource }, tenant, urls);
    const world = { currentKey, clock, urls, crypto, tenant };
    const token = await applicationTokens(world, { application: principal, proof: '2', want, version: 'v1' });
    const caller: SignedIn = {
      kind: 'application',
      tenantId,
      objectId: principal.id,
      clientId: principal.appId,
      groups: await groupsOf(read, principal.id),
    };
    return { caller, body: { ...textOf(token), client_id: principal.appId } };
  };
}

/** Every value is text here, as IMDS writes them. */
function textOf(token: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(token).map(([name, value]) => [name, String(value)]));
}

function isMeant(principal: ServicePrincipal, { clientId, objectId, resourceId }: IdentityQuestion): boolean {
  return (
    (clientId === undefined || clientId.toLowerCase() === principal.appId) &&
    (objectId === undefined || objectId.toLowerCase() === principal.id) &&
    (resourceId === undefined || resourceId.toLowerCase() === principal.resourceId?.toLowerCase())
  );
}

/** Only a managed identity: nobody else may be had for being here. */
async function identityNamed(read: Reader, name: string): Promise<ServicePrincipal | undefined> {
  const found = name.includes('/')
    ? await byResourceId(read, name)
    : ((await applicationByClientId(read, name)) ?? (await principalById(read, name.toLowerCase())));
  return found?.kind === 'servicePrincipal' && found.resourceId !== null ? found : undefined;
}

async function byResourceId(read: Reader, resourceId: string): Promise<ServicePrincipal | undefined> {
  const rows = await read.selectFrom('principals').select(['id', 'resource_id']).where('resource_id', 'is not', null).execute();
  const row = rows.find(({ resource_id }) => resource_id?.toLowerCase() === resourceId.toLowerCase());
  const found = row === undefined ? undefined : await principalById(read, row.id);
  return found?.kind === 'servicePrincipal' ? found : undefined;
}

export interface IdentityToken {
  readonly token: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/**
 * Tokens for what the service itself does as one of its identities, for an audience outside. Undefined when the identity is gone or disabled. They say
 * who we are to whoever trusts this service as an issuer, and nothing to anybody else.
 */
export function ownIdentityTokens(
  parts: Omit<ManagedIdentityParts, 'imds'>,
): (objectId: string, resource: string) => Promise<IdentityToken | undefined> {
  const { read, crypto, clock, urls, tenantId } = parts;
  const currentKey = currentSigningKey(parts);
  const tenant = tenantNamed(tenantId, tenantId, '');
  return async (objectId, resource) => {
    const application = await principalById(read, objectId);
    if (application?.kind !== 'servicePrincipal' || !application.enabled) return undefined;
    const want = { resource, scopes: [], idToken: false, refreshToken: false };
    const answer = await applicationTokens({ currentKey, clock, urls, crypto, tenant }, { application, proof: '2', want, version: 'v1' });
    return { token: String(answer.access_token), expiresAt: Number(answer.expires_on) * 1000 };
  };
}
