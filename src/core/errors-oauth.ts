// The login endpoints' errors: one constructor for each AADSTS code that clients act upon, in the service's words where they are known.
// The door adds trace id, correlation id and time. Source: Microsoft Entra authentication error codes, RFC 6749 section 5.2, RFC 8628 section 3.5.

import { Failure, type FailureOptions } from './failure.ts';

function refusal(status: number, error: string, number: number, words: string, options: FailureOptions = {}): Failure {
  return new Failure(status, error, `AADSTS${number}: ${words}`, { ...options, members: { error_codes: [number] } });
}

/** What a client sent is repeated to it at this length at most. */
const QUOTED_LENGTH = 120;

function quoted(text: string): string {
  return text.length > QUOTED_LENGTH ? `${text.slice(0, QUOTED_LENGTH)}…` : text;
}

export function tenantNotFound(tenant: string): Failure {
  const words = `Tenant '${quoted(tenant)}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant.`;
  return refusal(400, 'invalid_request', 90002, words);
}

export function missingParameter(name: string): Failure {
  return refusal(400, 'invalid_request', 900144, `The request body must contain the following parameter: '${name}'.`);
}

export function tokenEndpointNeedsPost(): Failure {
  const words = 'The endpoint only accepts POST requests. Received a GET request.';
  return refusal(400, 'invalid_request', 900561, words);
}

export function malformedRequest(words: string): Failure {
  return refusal(400, 'invalid_request', 9002313, words);
}

export function unsupportedGrantType(grantType: string): Failure {
  return refusal(400, 'unsupported_grant_type', 70003, `The app requested an unsupported grant type '${quoted(grantType)}'.`);
}

export function applicationNotFound(clientId: string, tenant: string): Failure {
  const words = `Application with identifier '${quoted(clientId)}' was not found in the directory '${quoted(tenant)}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.`;
  return refusal(400, 'unauthorized_client', 700016, words);
}

export function applicationDisabled(clientId: string): Failure {
  return refusal(400, 'unauthorized_client', 7000112, `Application '${quoted(clientId)}' is disabled.`);
}

export function clientCredentialMissing(): Failure {
  const words = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
  return refusal(401, 'invalid_client', 7000218, words);
}

export function publicClientMayNot(clientId: string): Failure {
  const words = `Client '${quoted(clientId)}' is a public client, so neither 'client_assertion' nor 'client_secret' should be presented, and it cannot sign in by itself.`;
  return refusal(401, 'invalid_client', 700025, words);
}

export function invalidClientSecret(clientId: string): Failure {
  const words = `Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '${quoted(clientId)}'.`;
  return refusal(401, 'invalid_client', 7000215, words);
}

export function expiredClientSecret(clientId: string): Failure {
  const words = `The provided client secret keys for app '${quoted(clientId)}' are expired. Create new secret keys for the app, or use certificate credentials for added security.`;
  return refusal(401, 'invalid_client', 7000222, words);
}

/** `reason` says which check failed; it repeats nothing of the assertion. */
export function invalidClientAssertion(reason: string): Failure {
  return refusal(401, 'invalid_client', 700027, `Client assertion failed signature validation. [Reason - ${reason}]`);
}

/** An assertion of another issuer, for whom the application trusts nobody of that name. `part`: issuer, subject or audience. */
export function noFederatedIdentity(part: 'issuer' | 'subject' | 'audience', value: string): Failure {
  const words = `No matching federated identity record found for presented assertion. Assertion ${part}: '${quoted(value)}'.`;
  return refusal(401, 'invalid_client', 70021, words);
}

/** One answer for a wrong password and for a user that does not exist, so that nobody can ask which names exist. */
export function invalidPassword(): Failure {
  return refusal(400, 'invalid_grant', 50126, 'Error validating credentials due to invalid username or password.');
}

export function userDisabled(): Failure {
  return refusal(400, 'invalid_grant', 50057, 'The user account is disabled.');
}

/** `seconds` until the next attempt is looked at. */
export function tooManyAttempts(seconds: number): Failure {
  const words = `Sign-in is blocked for ${seconds} seconds because of too many attempts with an incorrect user ID, password or secret.`;
  return refusal(429, 'invalid_grant', 50053, words, { headers: { 'retry-after': String(seconds) } });
}

export function refreshTokenInvalid(): Failure {
  const words = 'The refresh token is unknown, has expired or has been revoked. Sign in again.';
  return refusal(400, 'invalid_grant', 700082, words);
}

export function codeInvalid(words: string): Failure {
  return refusal(400, 'invalid_grant', 70000, words);
}

export function codeExpired(): Failure {
  return refusal(400, 'invalid_grant', 70008, 'The provided authorization code has expired. Send a new interactive authorization request.');
}

export function codeRedeemed(): Failure {
  const words = 'OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.';
  return refusal(400, 'invalid_grant', 54005, words);
}

export function codeVerifierWrong(): Failure {
  return refusal(
    400,
    'invalid_grant',
    501481,
    'The Code_Verifier does not match the code_challenge supplied in the authorization request.',
  );
}

export function invalidResource(resource: string, tenant: string): Failure {
  const words = `The resource principal named ${quoted(resource)} was not found in the tenant named ${quoted(tenant)}. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.`;
  return refusal(400, 'invalid_resource', 500011, words);
}

export function invalidScope(scope: string, reason: string): Failure {
  const words = `The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope ${quoted(scope)} is not valid. ${reason}`;
  return refusal(400, 'invalid_scope', 70011, words.trimEnd());
}

export function authorizationPending(): Failure {
  return refusal(400, 'authorization_pending', 70016, 'OAuth 2.0 device flow error. Authorization is pending. Continue polling.');
}

export function authorizationDeclined(): Failure {
  return refusal(400, 'authorization_declined', 65004, 'The user declined the sign-in on the device.');
}

export function deviceCodeExpired(): Failure {
  return refusal(400, 'expired_token', 70020, 'The provided value for the device_code has expired. Start the sign-in again.');
}

export function deviceCodeUnknown(): Failure {
  return refusal(400, 'bad_verification_code', 70018, 'The device_code is unknown or has already been used.');
}

/** What a person typed on the sign-in page. */
export function userCodeUnknown(): Failure {
  const words = 'That code is not known or its time is over. Look at the code again, or start the sign-in again.';
  return refusal(400, 'bad_verification_code', 70019, words);
}

/** A form that no page of ours made for this address in the last minutes. */
export function pageTooOld(): Failure {
  return refusal(400, 'invalid_request', 165000, 'This page was open for too long. Please sign in again.');
}

export function unknownInstance(): Failure {
  return refusal(400, 'invalid_instance', 50049, 'Unknown or invalid instance.');
}

export function interactionRequired(): Failure {
  return refusal(400, 'interaction_required', 50058, 'A silent sign-in request was sent but no user is signed in.');
}

/** The redirect URI is not one of the client's, so nothing is ever sent there. */
export function redirectNotRegistered(clientId: string): Failure {
  const words = `The redirect URI specified in the request does not match the redirect URIs configured for the application '${quoted(clientId)}'.`;
  return refusal(400, 'invalid_request', 50011, words);
}

/** A program on this machine that has the wrong header, or none. */
export function identityHeaderWrong(): Failure {
  return new Failure(401, 'invalid_request', "The header 'X-IDENTITY-HEADER' is missing, unknown or has ended.");
}

export function identityNotFound(): Failure {
  return new Failure(400, 'invalid_request', 'Identity not found');
}

export function identityUnclear(): Failure {
  const words = 'Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request';
  return new Failure(400, 'invalid_request', words);
}

export function missingIdentityParameter(name: string): Failure {
  return new Failure(400, 'invalid_request', `The parameter '${name}' is missing.`);
}
