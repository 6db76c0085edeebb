// More requests than may be under way are asked to come again, while everything else is answered; and a service that is told to stop finishes what it accepted.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { tokenFor } from '../clients/plain.ts';
import { activatedFor } from '../clients/ready.ts';
import { startAgain } from '../crash.ts';
import { openHouse } from '../house.ts';
import { heard, opened, portOf, statuses } from '../sockets.ts';
import { activate, CRYPTO_USER, grant } from './ready.ts';

const BODY = JSON.stringify({ kty: 'EC-HSM' });

interface Asked {
  /** Sends the rest, and gives everything that came back. */
  finish(): Promise<string>;
}

/** A request to create a key that the service has begun to answer, and whose body is not whole. */
async function half(socket: TLSSocket, host: string, key: string, token: string): Promise<Asked> {
  let begun = '';
  const text = heard(socket);
  const goOn = new Promise<void>((done) => {
    socket.on('data', (piece) => {
      begun += piece;
      if (begun.includes('100 Continue')) done();
    });
  });
  const lines = [
    `Host: ${host}`,
    `Authorization: Bearer ${token}`,
    'Content-Type: application/json',
    'Connection: close',
    'Expect: 100-continue',
  ];
  socket.write(`POST /keys/${key}/create?api-version=7.5 HTTP/1.1\r\n${lines.join('\r\n')}\r\nContent-Length: ${BODY.length}\r\n\r\n`);
  await goOn;
  return {
    finish: () => {
      socket.write(BODY);
      return text;
    },
  };
}

test('requests beyond those that may be under way are answered 429 with Retry-After; health, roles and the resource manager answer', async () => {
  const house = await openHouse({ flags: ['--in-flight', '2'] });
  try {
    await house.provision('full');
    await activate(house, 'full');
    await grant(house, 'full', CRYPTO_USER, house.connection.user.objectId);
    const host = `full.${house.connection.managedHsmSuffix}`;
    const token = await house.token('user', 'hsm');
    const asked = [];
    for (const key of ['a', 'b']) asked.push(await half(await opened(house.connection), host, key, token));
    const refused = await house.hsm('full', 'GET', '/keys');
    assert.deepEqual([refused.status, refused.headers['retry-after'], refused.json.error.code], [429, '1', 'Throttled']);
    const roles = await house.hsm('full', 'GET', '/providers/Microsoft.Authorization/roleDefinitions');
    assert.equal(roles.status, 200);
    assert.equal((await house.arm('GET', '/resourceGroups')).status, 200);
    for (const page of ['healthz', 'readyz']) assert.equal((await fetch(`${house.connection.management}${page}`)).status, 200);
    for (const { finish } of asked) assert.deepEqual(statuses(await finish()), [100, 200]);
    assert.equal((await house.hsm('full', 'GET', '/keys')).json.value.length, 2);
  } finally {
    await house.close();
  }
});

test('told to stop, the service takes nothing new, finishes what it accepted, waits for nobody for ever, and ends with status 0', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-drain-'));
  const running = await startAgain(join(folder, 'data'), ['--host', '127.0.0.1', '--workers', '1']);
  try {
    const { connection, child } = running;
    await activatedFor(connection, 'drain');
    const token = await tokenFor(connection, connection.managedHsmResource);
    const host = `drain.${connection.managedHsmSuffix}`;
    const asked = [];
    for (const key of ['a', 'b', 'c']) asked.push(await half(await opened(connection), host, key, token));
    const silent = await opened(connection);
    await half(silent, host, 'd', token);
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    while (await takesConnections(portOf(connection))) await new Promise((wake) => setTimeout(wake, 20));
    for (const { finish } of asked) assert.deepEqual(statuses(await finish()), [100, 200]);
    // The last one never sends its body.
    assert.equal(silent.closed, false);
    assert.deepEqual(await ended, [0, null]);
  } finally {
    await running.kill();
    await rm(folder, { recursive: true });
  }
});

function takesConnections(port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port });
  return new Promise((done) => {
    socket.once('connect', () => done(true)).once('error', () => done(false));
  }).then((taken) => {
    socket.destroy();
    return taken === true;
  });
}
