// The PROXY protocol in front of TLS: taken from a named proxy, who has to say it; from nobody else; and anything odd ends the connection.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { systemClock } from '../../../src/core/clock.ts';
import { openAuthority } from '../../../src/door/certificate-authority.ts';
import { clientAddresses } from '../../../src/door/client-address.ts';
import { openProxyHeaders } from '../../../src/door/proxy-header.ts';

const SIGNATURE = '0d0a0d0a000d0a515549540a';
const FOR_IPV4 = `${SIGNATURE}2111000ccb007107c0000201d90320fb`;
const FOR_IPV6 = `${SIGNATURE}21210024${'20010db8000000000000000000000007'}${'20010db8000000000000000000000001'}d90320fb`;
const LOCAL = `${SIGNATURE}20000000`;
/** With an extension behind the addresses (PP2_TYPE_NOOP). */
const EXTENDED = `${SIGNATURE}21110010cb007107c0000201d90320fb04000161`;

suite('the PROXY protocol', () => {
  let folder: string;
  let server: Server;
  let port: number;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-proxied-'));
    const { key, cert } = await (await openAuthority(folder, systemClock)).leaf(['localhost']);
    const proxies = openProxyHeaders(['127.0.0.1']);
    const addressOf = clientAddresses(['127.0.0.1'], proxies.clientOf);
    server = createServer({ key, cert }, (request, response) => {
      const { method = '', url = '', headers, socket } = request;
      response.end(addressOf({ method, url, headers, socket, body: () => undefined }));
    });
    proxies.before(server);
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    port = (server.address() as AddressInfo).port;
  });
  after(async () => {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  });

  /** Whom the server takes us for, asked twice on one connection; undefined when it hangs up. `pieces` go in front of TLS, one after the other. */
  async function seenAs(pieces: readonly string[], { from = '127.0.0.1', headers = '' } = {}): Promise<string | undefined> {
    const raw: Socket = connect({ port, host: '127.0.0.1', localAddress: from });
    raw.on('error', () => undefined);
    await new Promise((done) => raw.once('connect', done));
    for (const piece of pieces) {
      raw.write(Buffer.from(piece, 'hex'));
      await new Promise((wake) => setTimeout(wake, 20));
    }
    if (raw.destroyed || raw.readableEnded) return undefined;
    const socket = connectTls({ socket: raw, rejectUnauthorized: false });
    const answers: string[] = [];
    return new Promise((done) => {
      raw.on('close', () => done(undefined));
      const ask = (): unknown => socket.write(`GET / HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`);
      socket.on('error', () => done(undefined)).on('close', () => done(undefined));
      socket.once('secureConnect', ask);
      socket.setEncoding('latin1').on('data', (text: string) => {
        answers.push(text.split('\r\n\r\n')[1] ?? '');
        if (answers.length === 1) return ask();
        assert.equal(answers[0], answers[1]);
        done(answers[0]);
        socket.destroy();
      });
    });
  }

  test('a named proxy says whose connection it is, in one piece or in many', async () => {
    assert.equal(await seenAs([FOR_IPV4]), '203.0.113.7');
    assert.equal(await seenAs([FOR_IPV6]), '2001:db8::7');
    assert.equal(await seenAs([EXTENDED]), '203.0.113.7');
    assert.equal(await seenAs([FOR_IPV4.slice(0, 10), FOR_IPV4.slice(10, 40), FOR_IPV4.slice(40)]), '203.0.113.7');
    assert.equal(await seenAs([LOCAL]), '127.0.0.1', 'it looks whether we are there');
  });

  test('what the client says in its request is not believed over that', async () => {
    assert.equal(await seenAs([FOR_IPV4], { headers: 'X-Forwarded-For: 198.51.100.1\r\n' }), '203.0.113.7');
  });

  test('from anybody else it is no TLS, and a proxy that leaves it out, or says something odd, is hung up on', async () => {
    assert.equal(await seenAs([], { from: '127.0.0.9' }), '127.0.0.9');
    assert.equal(await seenAs([FOR_IPV4], { from: '127.0.0.9' }), undefined);
    const odd = [
      [],
      ['00'.repeat(16)],
      [FOR_IPV4.replace('2111', '1111')],
      [FOR_IPV4.replace('2111', '2211')],
      [FOR_IPV4.replace('2111', '2131')],
      [FOR_IPV4.replace('2111000c', '21110004').slice(0, 40)],
      [FOR_IPV4.replace('2111000c', '2111ffff')],
      [FOR_IPV4.replace('2111000c', '2121000c')],
      [Buffer.from('PROXY TCP4 203.0.113.7 192.0.2.1 55555 8443\r\n').toString('hex')],
    ];
    for (const pieces of odd) assert.equal(await seenAs(pieces), undefined, pieces.join());
  });
});
