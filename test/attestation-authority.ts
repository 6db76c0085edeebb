// An attestation authority on loopback over real TLS, with a private certificate authority: it has a configuration and a key set as OpenID Connect Discovery
// says, and does what a test tells it to. For tests alone.

import { mkdtemp, rm } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../src/core/clock.ts';
import { openAuthority } from '../src/door/certificate-authority.ts';
import type { AuthorityKey } from './unit/hsm/keys/attested.ts';

export interface AttestationAuthority {
  /** `https://127.0.0.1:port`, without a slash at the end. */
  readonly issuer: string;
  /** `127.0.0.1:port`. */
  readonly host: string;
  readonly caFile: string;
  /** PEM. */
  readonly ca: string;
  /** What its key set has, and may be changed. */
  keys: readonly AuthorityKey[];
  /** What it does instead of answering; undefined: it answers. The request's path, and its answer. */
  instead: ((path: string, response: ServerResponse) => void) | undefined;
  /** Paths that were asked for so far. */
  readonly asked: string[];
  close(): Promise<void>;
}

export async function openAttestationAuthority(): Promise<AttestationAuthority> {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-attestation-'));
  const { leaf, caFile, certificate } = await openAuthority(folder, systemClock);
  const { key, cert } = await leaf(['127.0.0.1', 'localhost']);
  const server: Server = createServer({ key, cert }, ({ url = '' }, response) => {
    authority.asked.push(url);
    if (authority.instead !== undefined) authority.instead(url, response);
    else answer(url, response);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const issuer = `https://${host}`;

  function answer(path: string, response: ServerResponse): void {
    if (path === '/.well-known/openid-configuration')
      sendJson(response, { issuer, jwks_uri: `${issuer}/certs`, response_types_supported: ['token'] });
    else if (path === '/certs')
      sendJson(response, {
        keys: authority.keys.map(({ kid, alg, publicKey }) => ({ ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' })),
      });
    else response.writeHead(404).end();
  }

  const authority: AttestationAuthority = {
    issuer,
    host,
    caFile,
    ca: certificate,
    keys: [],
    instead: undefined,
    asked: [],
    async close() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
      await rm(folder, { recursive: true, force: true });
    },
  };
  return authority;
}

export function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}
