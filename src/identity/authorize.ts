// Sign-in in a browser on the same machine: the authorization code flow with PKCE (RFC 6749 section 4.1, RFC 7636, RFC 8252).
// Codes go to the loopback alone: no client of ours waits for one anywhere else.

import { hash } from 'node:crypto';
import * as v from 'valibot';
import { interactionRequired, malformedRequest, missingParameter, pageTooOld, redirectNotRegistered } from '../core/errors-oauth.ts';
import { Failure } from '../core/failure.ts';
import type { Reply } from '../core/reply.ts';
import { operation } from '../core/route.ts';
import { type Client, clientNamed } from './clients.ts';
import { formToken, isFormToken } from './form-token.ts';
import { grantCode } from './grants.ts';
import { complaint, credentialFields, hidden, html, onwards, page } from './pages.ts';
import { isChallenge } from './pkce.ts';
import { type Wanted, wanted } from './scopes.ts';
import { Form, Query, TenantPath } from './shapes.ts';
import { signInUser } from './sign-in.ts';
import type { IdentityReads, IdentityWrites } from './world.ts';

type Parameters = Readonly<Record<string, string>>;

type ResponseMode = 'query' | 'fragment' | 'form_post';

interface AuthorizationRequest {
  readonly client: Client;
  readonly redirectUri: string;
  readonly mode: ResponseMode;
  readonly state: string | undefined;
  readonly challenge: string;
  readonly nonce: string | undefined;
  readonly want: Wanted;
}

/** What of a request is carried through the sign-in page and back. */
const CARRIED = [
  'client_id',
  'redirect_uri',
  'response_type',
  'response_mode',
  'scope',
  'resource',
  'state',
  'nonce',
  'code_challenge',
  'code_challenge_method',
];

const TITLE = 'Sign in';

/** GET …/authorize: the sign-in page. */
export const authorizePage = operation({ path: TenantPath, query: Query, body: v.unknown() }, (world: IdentityReads, { query, address }) =>
  answered(world, query, async (request) => {
    if (query.prompt === 'none') throw interactionRequired();
    return signInPage(world, request, query, address);
  }),
);

/** POST …/authorize: what the person typed there. */
export const authorize = operation({ path: TenantPath, query: Query, body: Form }, (world: IdentityWrites, { body, address }) =>
  answered(world, body, async (request) => {
    const { username = '', password = '', token, answer } = body;
    if (answer === 'cancel')
      return sendBack(request, { error: 'access_denied', error_description: 'AADSTS65004: User declined to sign in.' });
    if (!isFormToken(world, token, digestOf(body), address)) {
      return signInPage(world, request, body, address, pageTooOld());
    }
    try {
      const user = await signInUser(world, username, password, address);
      const { client, redirectUri, challenge, nonce, want } = request;
      const signedIn = { clientId: client.id, principalId: user.id, session: user.session };
      const code = await grantCode(world, { ...signedIn, redirectUri, challenge, nonce, want });
      return sendBack(request, { code, session_state: hash('sha256', code, 'hex').slice(0, 32) });
    } catch (cause) {
      if (!(cause instanceof Failure)) throw cause;
      return signInPage(world, request, body, address, cause);
    }
  }),
);

/** Until client and redirect address are proven, errors are shown here; afterwards they go to the client. */
async function answered(
  world: IdentityReads,
  parameters: Parameters,
  answer: (request: AuthorizationRequest) => Promise<Reply>,
): Promise<Reply> {
  try {
    const destination = await destinationOf(world, parameters);
    try {
      return await answer({ ...destination, ...checked(world, parameters) });
    } catch (cause) {
      if (!(cause instanceof Failure)) throw cause;
      return sendBack(destination, { error: cause.code, error_description: cause.message });
    }
  } catch (cause) {
    if (!(cause instanceof Failure)) throw cause;
    return page('This sign-in cannot go on', html`<p>${cause.message}</p>`, { status: cause.status });
  }
}

type Destination = Pick<AuthorizationRequest, 'client' | 'redirectUri' | 'mode' | 'state'>;

async function destinationOf(world: IdentityReads, parameters: Parameters): Promise<Destination> {
  const client = await clientNamed(world, parameters.client_id);
  const { redirect_uri: redirectUri, state } = parameters;
  if (redirectUri === undefined) throw missingParameter('redirect_uri');
  if (!isLoopback(redirectUri)) throw redirectNotRegistered(client.id);
  const { response_mode: mode = 'query' } = parameters;
  if (mode !== 'query' && mode !== 'fragment' && mode !== 'form_post')
    throw malformedRequest("The value of 'response_mode' is not supported.");
  return { client, redirectUri, mode, state };
}

function checked({ tenant, urls }: IdentityReads, parameters: Parameters): Pick<AuthorizationRequest, 'challenge' | 'nonce' | 'want'> {
  const { response_type: type, code_challenge: challenge, code_challenge_method: method, nonce } = parameters;
  if (type !== 'code') throw new Failure(400, 'unsupported_response_type', "AADSTS700054: response_type must be 'code'.");
  if (challenge === undefined) throw missingParameter('code_challenge');
  if (method !== 'S256' || !isChallenge(challenge)) throw malformedRequest("The code challenge must be made with the method 'S256'.");
  return { challenge, nonce, want: wanted(parameters, tenant, urls) };
}

/** RFC 8252 section 7.3: the loopback, any port, any path. */
export function isLoopback(redirectUri: string): boolean {
  if (!URL.canParse(redirectUri)) return false;
  const { protocol, hostname, username, password, hash: fragment } = new URL(redirectUri);
  const isHere = hostname === 'localhost' || hostname === '127.0.0.1' || hostname === '[::1]';
  return protocol === 'http:' && isHere && username === '' && password === '' && fragment === '';
}

function sendBack({ redirectUri, mode, state }: Destination, answer: Readonly<Record<string, string>>): Reply {
  const values = { ...answer, ...(state === undefined ? {} : { state }) };
  const url = new URL(redirectUri);
  if (mode === 'form_post') {
    const body = html`<form method="post" action="${url.href}">${hidden(values)}<button>Continue</button></form>`;
    return page('Signed in', body, { formActions: [url.origin], submits: true });
  }
  if (mode === 'fragment') url.hash = new URLSearchParams(values).toString();
  else for (const [name, value] of Object.entries(values)) url.searchParams.set(name, value);
  return onwards(url.href);
}

function signInPage(world: IdentityReads, request: AuthorizationRequest, parameters: Parameters, address: string, wrong?: Failure): Reply {
  const userName = parameters.username ?? parameters.login_hint ?? '';
  const token = formToken(world, digestOf(parameters), address);
  const body = html`<p><strong>${request.client.name}</strong> asks to act as you for <code>${request.want.resource}</code>.</p>
${complaint(wrong)}<form method="post" action="?">${hidden({ ...carriedOf(parameters), token })}
${credentialFields(userName)}
<button>Sign in</button><button name="answer" value="cancel" formnovalidate>Cancel</button></form>`;
  return page(TITLE, body, { status: wrong?.status ?? 200, formActions: [new URL(request.redirectUri).origin] });
}

function carriedOf(parameters: Parameters): Record<string, string> {
  return Object.fromEntries(CARRIED.flatMap((name) => (parameters[name] === undefined ? [] : [[name, parameters[name]]])));
}

/** What the form token speaks of: this request, as it was shown. */
function digestOf(parameters: Parameters): string {
  return hash('sha256', JSON.stringify(carriedOf(parameters)), 'base64url');
}
