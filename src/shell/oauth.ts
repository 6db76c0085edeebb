// The token requests of RFC 6749 and RFC 8628 as this service's login answers them. Knows grants and their refusals, not who is signed in.

import type { Connection } from './connection.ts';
import { ShellError } from './errors.ts';
import type { Host } from './host.ts';
import { pause } from './pause.ts';
import { reach } from './reach.ts';
import { numberAt, parseJson, textAt } from './read.ts';

/** The public client that Azure PowerShell signs users in with. */
const publicClient = '1950a258-227b-4e31-a9cf-717495945fc2';

export interface Tokens {
  readonly accessToken: string;
  /** Seconds from now. */
  readonly expiresIn: number;
  /** For users only. */
  readonly refreshToken: string | undefined;
}

/** What a refused grant throws; `grant` is OAuth's error code. */
export class GrantRefused extends ShellError {
  readonly grant: string;

  constructor(grant: string, message: string) {
    super(message, { category: 'authentication' });
    this.grant = grant;
  }
}

export interface LoginPlace {
  readonly host: Host;
  readonly connection: Connection;
  readonly tenant: string;
  readonly signal?: AbortSignal | undefined;
}

/** Where tokens are asked for; also the audience of a client's own assertion. */
export function tokenEndpoint(place: LoginPlace): string {
  return endpoint(place, 'token');
}

function endpoint(place: LoginPlace, name: 'token' | 'devicecode'): string {
  return `${place.connection.authorityHost}${encodeURIComponent(place.tenant)}/oauth2/v2.0/${name}`;
}

export function passwordGrant(place: LoginPlace, resource: string, username: string, password: string): Promise<Tokens> {
  return grant(place, { grant_type: 'password', client_id: publicClient, username, password, scope: userScope(resource) });
}

export function refreshGrant(place: LoginPlace, resource: string, refreshToken: string): Promise<Tokens> {
  return grant(place, {
    grant_type: 'refresh_token',
    client_id: publicClient,
    refresh_token: refreshToken,
    scope: userScope(resource),
  });
}

export function secretGrant(place: LoginPlace, resource: string, clientId: string, secret: string): Promise<Tokens> {
  return grant(place, { grant_type: 'client_credentials', client_id: clientId, client_secret: secret, scope: `${resource}/.default` });
}

/** RFC 7523: a signed statement of another issuer, or of the client's own certificate, instead of a secret. */
export function assertionGrant(place: LoginPlace, resource: string, clientId: string, assertion: string): Promise<Tokens> {
  return grant(place, {
    grant_type: 'client_credentials',
    client_id: clientId,
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: assertion,
    scope: `${resource}/.default`,
  });
}

/** Shows the code with `tell`, then waits until the user has typed it at the address, has declined, or the code is too old. */
export async function deviceGrant(place: LoginPlace, resource: string, tell: (message: string) => void): Promise<Tokens> {
  const started = await post(place, 'devicecode', { client_id: publicClient, scope: userScope(resource) });
  if (started.status !== 200) throw refusal(started.json);
  const code = textAt(started.json, 'device_code') ?? '';
  tell(
    textAt(started.json, 'message') ??
      `To sign in, open ${textAt(started.json, 'verification_uri')} and enter the code ${textAt(started.json, 'user_code')}`,
  );
  let interval = numberAt(started.json, 'interval') ?? 5;
  for (;;) {
    await pause(place.host, interval, place.signal);
    const answer = await post(place, 'token', {
      grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
      client_id: publicClient,
      device_code: code,
    });
    if (answer.status === 200) return tokens(answer.json);
    const error = textAt(answer.json, 'error');
    if (error === 'slow_down') interval += 5;
    else if (error !== 'authorization_pending') throw refusal(answer.json);
  }
}

function userScope(resource: string): string {
  return `${resource}/.default offline_access openid profile`;
}

async function grant(place: LoginPlace, form: Readonly<Record<string, string>>): Promise<Tokens> {
  const answer = await post(place, 'token', form);
  if (answer.status !== 200) throw refusal(answer.json, answer.status);
  return tokens(answer.json);
}

async function post(place: LoginPlace, name: 'token' | 'devicecode', form: Readonly<Record<string, string>>) {
  const response = await reach(place.host, place.connection, {
    method: 'POST',
    url: endpoint(place, name),
    headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(form).toString(),
    signal: place.signal,
  });
  return { status: response.status, json: parseJson(new TextDecoder().decode(response.body)) };
}

function tokens(json: unknown): Tokens {
  const accessToken = textAt(json, 'access_token');
  if (accessToken === undefined) throw new ShellError('the login service answered without an access token', { category: 'authentication' });
  return { accessToken, expiresIn: numberAt(json, 'expires_in') ?? 0, refreshToken: textAt(json, 'refresh_token') };
}

/** The service's sentence without the trace ids that follow it. */
function refusal(json: unknown, status = 400): GrantRefused {
  const error = textAt(json, 'error') ?? `status ${status}`;
  const description = (textAt(json, 'error_description') ?? 'the login service refused').replace(/\s*Trace ID: [\s\S]*$/, '');
  return new GrantRefused(error, `(${error}) ${description}`);
}
