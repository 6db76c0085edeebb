// An outside OpenID provider: panva's oidc-provider over HTTPS under a certificate of the test's own, with keys that roll and a network that fails.

import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { Agent, createServer, request, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import Provider, { type JWK } from 'oidc-provider';
import { rsaPair } from '../rsa-pairs.ts';
import { makeNewPair } from '../unit/security-domain/ceremony.ts';

/** What the provider calls the audience of its tokens for us. */
export const AUDIENCE = 'urn:strongroom:test';
const SECRET = 'a secret between the provider and its clients';

export interface OutsideProvider {
  readonly issuer: string;
  readonly caFile: string;
  /** How often its keys were asked for. */
  readonly keysAsked: number;
  /** An access token for us; `sub` is the client itself. */
  token(client: string): Promise<string>;
  /** From now on it signs with another key, and publishes no other. */
  roll(kid: string): void;
  stop(): Promise<void>;
  /** On the same port as before. */
  start(): Promise<void>;
}

export async function openProvider(folder: string, clients: readonly string[]): Promise<OutsideProvider> {
  const { pem, der } = makeNewPair('localhost', ['rsa:2048'], ['-addext', 'subjectAltName=DNS:localhost']);
  const cert = `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`;
  const caFile = join(folder, 'provider.pem');
  writeFileSync(caFile, cert);
  let keysAsked = 0;
  let serve: ReturnType<Provider['callback']>;
  let server: Server;
  let port = 0;

  async function start(): Promise<void> {
    server = createServer({ key: pem, cert }, (incoming, response) => {
      if (incoming.url === '/jwks') keysAsked += 1;
      void serve(incoming, response);
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
  }

  await start();
  const issuer = `https://localhost:${port}`;

  function roll(kid: string): void {
    serve = providerWith(issuer, kid, clients).callback();
  }
  roll('first');

  return {
    issuer,
    caFile,
    get keysAsked() {
      return keysAsked;
    },
    token: (client) => clientToken(`${issuer}/token`, cert, client),
    roll,
    start,
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

function providerWith(issuer: string, kid: string, clients: readonly string[]): Provider {
  const key = rsaPair(2048).privateKey.export({ format: 'jwk' });
  const provider = new Provider(issuer, {
    jwks: { keys: [{ ...key, kid, alg: 'RS256', use: 'sig' } as JWK] },
    clients: clients.map((client_id) => ({
      client_id,
      client_secret: SECRET,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: 'client_secret_post',
    })),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => AUDIENCE,
        getResourceServerInfo: () => ({
          scope: 'use',
          audience: AUDIENCE,
          accessTokenTTL: 7 * 24 * 3600,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  });
  provider.proxy = false;
  return provider;
}

function clientToken(url: string, ca: string, client: string): Promise<string> {
  const form = { grant_type: 'client_credentials', client_id: client, client_secret: SECRET, scope: 'use', resource: AUDIENCE };
  return new Promise((done, failed) => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const asked = request(url, { method: 'POST', ca, headers, agent: new Agent() }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      response.on('end', () => {
        const { access_token: token } = JSON.parse(text);
        if (typeof token === 'string') done(token);
        else failed(new Error(text));
      });
    });
    asked.on('error', failed).end(new URLSearchParams(form).toString());
  });
}
