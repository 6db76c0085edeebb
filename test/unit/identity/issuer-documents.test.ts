// Fetching the documents of an issuer: over HTTPS with a certificate that is believed, straight, small and soon, or not at all.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { documentsOf } from '../../../src/identity/issuers/key-sets.ts';
import { makeNewPair } from '../security-domain/ceremony.ts';
import { issuerNamed } from './outside.ts';

suite('the documents of an issuer', () => {
  let server: Server;
  let place: string;
  let ca: string;
  const fetchJson = (url: string, ca: string | undefined) => documentsOf(issuerNamed(place, { ca, keysUrl: url }))(url);

  before(async () => {
    const { pem, der } = makeNewPair('localhost', ['rsa:2048'], ['-addext', 'subjectAltName=DNS:localhost']);
    ca = `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`;
    server = createServer({ key: pem, cert: ca }, (request, response) => {
      if (request.url === '/good') response.end('{"keys":[]}');
      else if (request.url === '/large') response.end(JSON.stringify('x'.repeat(300_000)));
      else if (request.url === '/page') response.end('<html>');
      else if (request.url === '/moved') response.writeHead(302, { location: '/good' }).end();
      else if (request.url === '/cut') response.writeHead(200, { 'content-length': '100' }).write('{"keys":', () => response.destroy());
      else response.writeHead(404).end('{}');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    place = `https://localhost:${(server.address() as AddressInfo).port}`;
  });
  after(() => server.close());

  test('a document behind a certificate that is believed is read', async () => {
    assert.deepEqual(await fetchJson(`${place}/good`, ca), { keys: [] });
  });

  for (const [path, says] of [
    ['/absent', /status 404/],
    ['/moved', /redirect/],
    ['/large', /more than/],
    ['/page', /not valid JSON/],
    ['/cut', /aborted|socket hang up|premature|terminated/i],
  ] as const) {
    test(`refused: ${path}`, async () => {
      await assert.rejects(fetchJson(place + path, ca), says);
    });
  }

  test('a certificate that nobody vouches for is refused, also where the environment says not to look', async () => {
    const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    try {
      await assert.rejects(fetchJson(`${place}/good`, undefined), /self.signed certificate/);
    } finally {
      if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
    }
  });

  test('a certificate for another name is refused', async () => {
    await assert.rejects(fetchJson(`${place.replace('localhost', '127.0.0.1')}/good`, ca), /does not match certificate/);
  });
});
