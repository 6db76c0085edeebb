// A client that is nothing but HTTPS and JSON, signed in as the service principal of connection.json or as its user. It needs no name resolution: every name is loopback.

import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import type { LookupFunction } from 'node:net';
import type { ConnectionFile } from '../../src/connection-file.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly json: Record<string, unknown>;
}

export interface Plain {
  /** A call to the resource manager, polled to its end; `path` starts behind the subscription. */
  arm(method: string, path: string, body?: unknown): Promise<Answer>;
  /** A call to one HSM. */
  hsm(name: string, method: string, path: string, body?: unknown): Promise<Answer>;
}

const ARM_VERSION = '2023-07-01';
const HSM_VERSION = '7.5';

/** The Azure CLI's own public client, which every tenant knows. */
const PUBLIC_CLIENT = '04b07795-8ddb-461a-bbee-02f9e1bf7b46';

/** An access token for the resource, with the secrets of connection.json. */
export async function tokenFor(connection: ConnectionFile, resource: string, who: 'application' | 'user' = 'application'): Promise<string> {
  const { clientId, clientSecret } = connection.servicePrincipal;
  const { userPrincipalName: username, password } = connection.user;
  const scope = `${resource}/.default`;
  const form: Record<string, string> =
    who === 'user'
      ? { grant_type: 'password', client_id: PUBLIC_CLIENT, username, password, scope }
      : { grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret, scope };
  const url = `${connection.authorityHost}${connection.tenantId}/oauth2/v2.0/token`;
  const type = { 'content-type': 'application/x-www-form-urlencoded' };
  const answer = await ask(readFileSync(connection.caFile), 'POST', url, type, new URLSearchParams(form).toString());
  if (typeof answer.json.access_token !== 'string') throw new Error(`no token: ${JSON.stringify(answer.json)}`);
  return answer.json.access_token;
}

export async function signIn(connection: ConnectionFile, who: 'application' | 'user' = 'application'): Promise<Plain> {
  const ca = readFileSync(connection.caFile);
  const [forArm, forHsm] = await Promise.all([
    tokenFor(connection, connection.resourceManager, who),
    tokenFor(connection, connection.managedHsmResource, who),
  ]);
  const call = (token: string, method: string, url: string, body: unknown): Promise<Answer> =>
    ask(
      ca,
      method,
      url,
      { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body === undefined ? undefined : JSON.stringify(body),
    );
  return {
    arm: async (method, path, body) => {
      const at = `${connection.resourceManager}subscriptions/${connection.subscriptionId}${path}?api-version=${ARM_VERSION}`;
      let answer = await call(forArm, method, at, body);
      while (answer.status === 202 && typeof answer.headers.location === 'string') {
        const next = answer.headers.location;
        answer = await call(forArm, 'GET', next, undefined);
      }
      return answer;
    },
    hsm: (name, method, path, body) =>
      call(forHsm, method, `https://${name}.${connection.managedHsmSuffix}${path}?api-version=${HSM_VERSION}`, body),
  };
}

const loopback: LookupFunction = (_name, options, done) =>
  options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4);

/** One request, as it is. */
export function ask(ca: Buffer, method: string, url: string, headers: Readonly<Record<string, string>>, body?: string): Promise<Answer> {
  return new Promise((done, failed) => {
    const call = request(url, { method, ca, headers, agent: false, lookup: loopback }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      response.on('error', failed).on('end', () => {
        // A challenge is the word OK, whatever its type says.
        const json = text === '' ? {} : text.startsWith('{') ? Object(JSON.parse(text)) : { text };
        done({ status: response.statusCode ?? 0, headers: response.headers, json });
      });
    });
    call.on('error', failed).end(body);
  });
}
