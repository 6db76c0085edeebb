// POST …/token: the client proves itself, then the grant type's row says what else has to be shown.

import * as v from 'valibot';
import {
  authorizationDeclined,
  authorizationPending,
  codeExpired,
  codeInvalid,
  codeRedeemed,
  codeVerifierWrong,
  deviceCodeExpired,
  deviceCodeUnknown,
  missingParameter,
  publicClientMayNot,
  refreshTokenInvalid,
  tokenEndpointNeedsPost,
  unsupportedGrantType,
  userDisabled,
} from '../core/errors-oauth.ts';
import { type Reply, reply } from '../core/reply.ts';
import { operation } from '../core/route.ts';
import { isPublicClient, type ProvenClient, presentedClient, provenClient } from './clients.ts';
import { type DeviceGrant, findDeviceByDeviceCode, findRefresh, grantRefresh, redeem, redeemCode, rotateRefresh } from './grants.ts';
import { answersChallenge } from './pkce.ts';
import { principalById, type UserPrincipal } from './principals.ts';
import { requireDefaultScope, type Wanted, wanted } from './scopes.ts';
import { Form, Query, TenantPath } from './shapes.ts';
import { signInUser } from './sign-in.ts';
import type { Tenant } from './tenant.ts';
import { applicationTokens, type TokenAnswer, userTokens } from './tokens.ts';
import type { IdentityReads, IdentityWrites } from './world.ts';

interface TokenRequest {
  readonly form: Readonly<Record<string, string>>;
  readonly proven: ProvenClient;
  readonly version: 'v1' | 'v2';
  readonly origin: string;
  readonly address: string;
}

type Grant = (world: IdentityWrites, request: TokenRequest) => Promise<TokenAnswer>;

// biome-ignore format: a table reads by its columns
const GRANTS: ReadonlyMap<string, Grant> = new Map([
  ['client_credentials',                           clientCredentials],
  ['password',                                     password],
  ['refresh_token',                                refreshToken],
  ['authorization_code',                           authorizationCode],
  ['urn:ietf:params:oauth:grant-type:device_code', deviceCode],
  ['device_code',                                  deviceCode],
]);

const NOT_STORED = { 'cache-control': 'no-store, no-cache', pragma: 'no-cache' };

/** The token endpoint. `version` says in whose words the answer is: v1 writes numbers as strings and names the resource. */
export function token(version: 'v1' | 'v2') {
  return operation({ path: TenantPath, query: Query, body: Form }, async (world: IdentityWrites, call): Promise<Reply> => {
    const form = call.body;
    const grantType = required(form, 'grant_type');
    const grant = GRANTS.get(grantType);
    if (grant === undefined) throw unsupportedGrantType(grantType);
    const proven = await provenClient(world, presentedClient(form, call.authorization), call);
    const answer = await grant(world, {
      form,
      proven,
      version: answerVersion(world.tenant, version),
      origin: call.origin,
      address: call.address,
    });
    return reply(200, answer, NOT_STORED);
  });
}

/** ADFS has the v1 address and writes numbers as numbers. */
function answerVersion(tenant: Tenant, version: 'v1' | 'v2'): 'v1' | 'v2' {
  return tenant.shape === 'adfs' ? 'v2' : version;
}

/** GET on the token endpoint, where people paste its address into a browser. */
export const tokenByGet = operation({ path: TenantPath, query: Query, body: v.unknown() }, (_world: IdentityReads): never => {
  throw tokenEndpointNeedsPost();
});

async function clientCredentials(world: IdentityWrites, { form, proven, version }: TokenRequest): Promise<TokenAnswer> {
  const { client, proof } = proven;
  if (client.kind === 'public') throw publicClientMayNot(client.id);
  const want = wanted(form, world.tenant, world.urls);
  requireDefaultScope(want);
  return applicationTokens(world, { application: client.application, proof, want, version });
}

async function password(world: IdentityWrites, request: TokenRequest): Promise<TokenAnswer> {
  const userName = required(request.form, 'username');
  const secret = required(request.form, 'password');
  const want = wanted(request.form, world.tenant, world.urls);
  const user = await signInUser(world, userName, secret, request.address);
  return signedIn(world, request, user, want);
}

/** A refresh token is for its client (or the client's family), for any resource. */
async function refreshToken(world: IdentityWrites, request: TokenRequest): Promise<TokenAnswer> {
  const held = required(request.form, 'refresh_token');
  const grant = await findRefresh(world, held);
  const { client } = request.proven;
  if (grant === undefined || !(grant.clientId === client.id || (client.kind === 'public' && isPublicClient(grant.clientId))))
    throw refreshTokenInvalid();
  const want = wanted(request.form, world.tenant, world.urls, grant.want);
  const user = await userOf(world, grant);
  const next = await rotateRefresh(world, held, { clientId: client.id, principalId: user.id, session: user.session, want });
  if (next === 'replayed') throw refreshTokenInvalid();
  return answerUser(world, request, user, want, next);
}

async function authorizationCode(world: IdentityWrites, request: TokenRequest): Promise<TokenAnswer> {
  const { form, proven } = request;
  const code = required(form, 'code');
  const verifier = required(form, 'code_verifier');
  const redirectUri = required(form, 'redirect_uri');
  const grant = await redeemCode(world, code);
  if (grant === 'unknown') throw codeInvalid('The provided authorization code is invalid.');
  if (grant === 'redeemed') throw codeRedeemed();
  if (grant === 'expired') throw codeExpired();
  if (grant.clientId !== proven.client.id) throw codeInvalid('The provided authorization code was issued to another client.');
  if (grant.redirectUri !== redirectUri) throw codeInvalid('The reply address does not match the one of the authorization request.');
  if (!answersChallenge(verifier, grant.challenge)) throw codeVerifierWrong();
  const want = wanted(form, world.tenant, world.urls, grant.want);
  return signedIn(world, request, await userOf(world, grant), want, grant);
}

async function deviceCode(world: IdentityWrites, request: TokenRequest): Promise<TokenAnswer> {
  // v1 clients say `code`.
  const held = request.form.device_code ?? required(request.form, 'code');
  const grant = await findDeviceByDeviceCode(world, held);
  if (grant === undefined || grant.clientId !== request.proven.client.id) throw deviceCodeUnknown();
  const principalId = approvedBy(grant);
  const want = wanted(request.form, world.tenant, world.urls, grant.want);
  const user = await userOf(world, { principalId, session: grant.session });
  if (!(await redeem(world, grant.id))) throw deviceCodeUnknown();
  return signedIn(world, request, user, want);
}

function approvedBy(grant: DeviceGrant): string {
  if (grant.state === 'pending') throw authorizationPending();
  if (grant.state === 'declined') throw authorizationDeclined();
  if (grant.state === 'expired') throw deviceCodeExpired();
  if (grant.state === 'redeemed' || grant.principalId === null) throw deviceCodeUnknown();
  return grant.principalId;
}

/** Answers a fresh sign-in, with a first refresh token when one was asked for. */
async function signedIn(
  world: IdentityWrites,
  request: TokenRequest,
  user: UserPrincipal,
  want: Wanted,
  code: { readonly nonce?: string | undefined; readonly family?: string | undefined } = {},
): Promise<TokenAnswer> {
  const grant = { clientId: request.proven.client.id, principalId: user.id, session: user.session, want, family: code.family };
  const refresh = want.refreshToken ? await grantRefresh(world, grant) : undefined;
  return answerUser(world, request, user, want, refresh, code.nonce);
}

function answerUser(
  world: IdentityWrites,
  { proven, version, origin, address }: TokenRequest,
  user: UserPrincipal,
  want: Wanted,
  refreshToken: string | undefined,
  nonce?: string,
): Promise<TokenAnswer> {
  const { client, proof } = proven;
  const family = client.kind === 'public';
  return userTokens(world, { user, clientId: client.id, proof, want, version, origin, address, nonce, refreshToken, family });
}

/** The user behind a grant, unless what the grant comes from has ended since. */
async function userOf(world: IdentityWrites, grant: { readonly principalId: string; readonly session: number }): Promise<UserPrincipal> {
  world.about(grant.principalId);
  const user = await principalById(world.read, grant.principalId);
  if (user?.kind !== 'user') throw refreshTokenInvalid();
  if (!user.enabled) throw userDisabled();
  if (user.session !== grant.session) throw refreshTokenInvalid();
  return user;
}

function required(form: Readonly<Record<string, string>>, name: string): string {
  const value = form[name];
  if (value === undefined || value === '') throw missingParameter(name);
  return value;
}
