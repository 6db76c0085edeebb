// The tokens we issue: access tokens in the v1 style that ARM, Key Vault and Graph get from Entra, id tokens, and the answer that carries them.
// Claims: control-plane spec 1.2, Microsoft identity platform access token claims reference.

import { hash } from 'node:crypto';
import { SignJWT } from 'jose';
import { seconds } from '../core/clock.ts';
import { toBase64url } from '../core/encoding.ts';
import { issuersOf, userScopesOf } from './audiences.ts';
import type { ServicePrincipal, UserPrincipal } from './principals.ts';
import { grantedScope, type Wanted } from './scopes.ts';
import type { IdentityWrites } from './world.ts';

/** Seconds. Entra's answer says one less than the hour that the token has. */
const TOKEN_LIFE = 3600;

type TokenWorld = Pick<IdentityWrites, 'currentKey' | 'clock' | 'urls' | 'crypto' | 'tenant'>;

/** How a client proved itself, as `appidacr` says it. */
export type ClientProof = '0' | '1' | '2';

export interface TokenAnswer extends Record<string, unknown> {
  readonly token_type: 'Bearer';
  readonly access_token: string;
}

export interface UserSignIn {
  readonly user: UserPrincipal;
  readonly clientId: string;
  readonly proof: ClientProof;
  readonly want: Wanted;
  /** v1 endpoints also answer with `resource`, `expires_on` and `not_before`, as strings. */
  readonly version: 'v1' | 'v2';
  /** The origin under which the client reached us: id tokens name the issuer of the document it read there. */
  readonly origin: string;
  readonly address: string;
  readonly nonce?: string | undefined;
  readonly refreshToken: string | undefined;
  /** Whether the client belongs to the family whose members share refresh tokens. */
  readonly family: boolean;
}

/** The answer to a user's sign-in: access token, id token, refresh token, client info. */
export async function userTokens(world: TokenWorld, signIn: UserSignIn): Promise<TokenAnswer> {
  const { user, clientId, want } = signIn;
  const now = seconds(world.clock.now());
  const { tenant } = world;
  const access = await sign(world, {
    ...commonClaims(world, want.resource, now),
    oid: user.id,
    sub: pairwise(tenant.id, user.id, want.resource),
    appid: clientId,
    appidacr: signIn.proof,
    idtyp: 'user',
    acr: '1',
    amr: ['pwd'],
    ipaddr: signIn.address,
    name: user.displayName,
    upn: user.upn,
    unique_name: user.upn,
    scp: userScopesOf(world.urls, want.resource),
    session: user.session,
  });
  const answer: TokenAnswer = {
    token_type: 'Bearer',
    scope: grantedScope(want),
    ...lifetime(signIn.version, want.resource, now),
    access_token: access,
    ...(signIn.refreshToken === undefined ? {} : { refresh_token: signIn.refreshToken }),
    ...(want.idToken ? { id_token: await idToken(world, signIn, now) } : {}),
    ...(signIn.family ? { foci: '1' } : {}),
    client_info: toBase64url(Buffer.from(JSON.stringify({ uid: user.id, utid: tenant.id }))),
  };
  return answer;
}

/** az refuses a sign-in whose id token has no `tid`, and takes the account's name from `preferred_username` or `upn`. */
async function idToken(world: TokenWorld, { user, clientId, nonce, origin }: UserSignIn, now: number): Promise<string> {
  const { tenant } = world;
  return sign(world, {
    aud: clientId,
    iss: tenant.shape === 'adfs' ? `${origin}/adfs` : `${origin}/${tenant.id}/v2.0`,
    iat: now,
    nbf: now,
    exp: now + TOKEN_LIFE,
    ver: '2.0',
    tid: tenant.id,
    oid: user.id,
    sub: pairwise(tenant.id, user.id, clientId),
    name: user.displayName,
    preferred_username: user.upn,
    upn: user.upn,
    unique_name: user.upn,
    uti: opaque(world, 16),
    rh: `0.${opaque(world, 24)}.`,
    ...(nonce === undefined ? {} : { nonce }),
  });
}

export interface ApplicationSignIn {
  readonly application: ServicePrincipal;
  readonly proof: ClientProof;
  readonly want: Wanted;
  readonly version: 'v1' | 'v2';
}

/** The answer to an application that signs in by itself: an access token and nothing else. */
export async function applicationTokens(world: TokenWorld, { application, proof, want, version }: ApplicationSignIn): Promise<TokenAnswer> {
  const now = seconds(world.clock.now());
  const common = commonClaims(world, want.resource, now);
  const access = await sign(world, {
    ...common,
    oid: application.id,
    sub: application.id,
    appid: application.appId,
    appidacr: proof,
    idtyp: 'app',
    idp: common.iss,
    session: application.session,
    ...(application.resourceId === null ? {} : { xms_mirid: application.resourceId }),
  });
  return { token_type: 'Bearer', ...lifetime(version, want.resource, now), access_token: access };
}

function commonClaims(world: TokenWorld, resource: string, now: number) {
  return {
    aud: resource,
    iss: issuersOf(world.urls, world.tenant.id).v1,
    iat: now,
    nbf: now,
    exp: now + TOKEN_LIFE,
    ver: '1.0',
    tid: world.tenant.id,
    uti: opaque(world, 16),
    aio: opaque(world, 32),
    rh: `0.${opaque(world, 24)}.`,
  };
}

function lifetime(version: 'v1' | 'v2', resource: string, now: number): Record<string, unknown> {
  const expiresIn = TOKEN_LIFE - 1;
  if (version === 'v2') return { expires_in: expiresIn, ext_expires_in: expiresIn };
  return {
    expires_in: String(expiresIn),
    ext_expires_in: String(expiresIn),
    expires_on: String(now + TOKEN_LIFE),
    not_before: String(now),
    resource,
  };
}

async function sign(world: TokenWorld, claims: Record<string, unknown>): Promise<string> {
  const { kid, privateKey } = await world.currentKey();
  return new SignJWT(claims).setProtectedHeader({ typ: 'JWT', alg: 'RS256', kid, x5t: kid }).sign(privateKey);
}

/** A subject that differs from one resource to the next, so that two of them cannot compare notes. */
function pairwise(tenantId: string, userId: string, audience: string): string {
  return hash('sha256', JSON.stringify([tenantId, userId, audience]), 'base64url');
}

function opaque({ crypto }: TokenWorld, length: number): string {
  return toBase64url(crypto.randomBytes(length));
}
