// One connection's plain requests, on real sockets: one after another, whole or in pieces, and handed over as soon as one is not plain.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import type { Failure } from '../../../src/core/failure.ts';
import type { Incoming, Send } from '../../../src/door/incoming.ts';
import { openPlain, type PlainConnection } from '../../../src/door/plain-connection.ts';

interface Asked {
  readonly request: Incoming;
  readonly send: Send;
}

const connections = new Set<PlainConnection>();
const asked: Asked[] = [];
let waiting: ((next: Asked) => void)[] = [];
let server: Server;
let closing = false;
const times = { firstRequestWithin: 5000, idle: 5000, bodyWithin: 5000 };

/** Stands where Node's server stands, and says that the request came to it. */
const node = createHttpServer((request, response) =>
  request.resume().on('end', () => response.end(`node ${request.method} ${request.url}`)),
);

beforeEach(async () => {
  closing = false;
  Object.assign(times, { firstRequestWithin: 5000, idle: 5000, bodyWithin: 5000 });
  server = createServer((socket) => {
    const parts = {
      answer: (request: Incoming, send: Send) => {
        const next = waiting.shift();
        if (next === undefined) asked.push({ request, send });
        else next({ request, send });
      },
      handOver: (given: Socket) => void node.emit('connection', given),
      isClosing: () => closing,
      ...times,
    };
    // A connection asks nothing of its socket that only TLS has.
    const connection: PlainConnection = openPlain(socket as TLSSocket, parts, () => connections.delete(connection));
    connections.add(connection);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
});

afterEach(() => {
  for (const connection of connections) connection.destroy();
  server.close();
  asked.length = 0;
  waiting = [];
});

async function client(): Promise<{
  readonly socket: Socket;
  readonly until: (text: string) => Promise<string>;
  readonly end: Promise<string>;
}> {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  let heard = '';
  socket.setEncoding('latin1').on('data', (piece: string) => (heard += piece));
  socket.on('error', () => undefined);
  const end = once(socket, 'close').then(() => heard);
  await once(socket, 'connect');
  return {
    socket,
    end,
    until: async (text) => {
      while (!heard.includes(text)) await once(socket, 'data');
      return heard;
    },
  };
}

function next(): Promise<Asked> {
  const known = asked.shift();
  return known === undefined ? new Promise((done) => waiting.push(done)) : Promise.resolve(known);
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
const post = (path: string, body: string) => `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const ok = (body: string) => ({ status: 200, headers: { 'x-a': 'b' }, body });

test('requests of one connection are answered one after another, with their length and date', async () => {
  const { socket, until } = await client();
  for (const path of ['/one', '/two']) {
    socket.write(get(path));
    const { request, send } = await next();
    assert.deepEqual([request.method, request.url, request.headers, request.body()], ['GET', path, { host: 'a' }, undefined]);
    send(ok(`${path} é`));
  }
  const text = await until('/two');
  assert.match(
    text,
    /^HTTP\/1\.1 200 OK\r\nx-a: b\r\ncontent-length: 7\r\nDate: \w{3}, .* GMT\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n\/one /,
  );
});

test('a body is there at once, or comes in pieces, and its end is where its length says', async () => {
  const { socket, until } = await client();
  socket.write(post('/whole', '{"a":1}'));
  const whole = await next();
  assert.equal(String(whole.request.body()), '{"a":1}');
  whole.send(ok('first'));
  await until('first');
  const text = post('/pieces', '{"b":2}');
  socket.write(text.slice(0, -5));
  const { request, send } = await next();
  const body = request.body();
  assert.ok(body instanceof Promise);
  socket.write(text.slice(-5, -2));
  setImmediate(() => socket.write(text.slice(-2) + get('/behind')));
  assert.equal(String(await body), '{"b":2}');
  assert.equal(asked.length, 0, 'what came early waits for its turn');
  send(ok('second'));
  (await next()).send(ok('third'));
  await until('third');
});

test('requests that come before their turn go to Node from there on, in their order', async () => {
  const { socket, until } = await client();
  socket.write(get('/one'));
  const { send } = await next();
  socket.write(get('/two') + get('/three'));
  setImmediate(() => send(ok('one')));
  const text = await until('node GET /three');
  assert.ok(text.indexOf('one') < text.indexOf('node GET /two') && text.indexOf('/two') < text.indexOf('/three'));
  assert.equal(connections.size, 0);
});

test('what is not plain goes to Node, first or later, whole or not', async () => {
  const odd = 'POST /odd HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n';
  for (const pieces of [[odd], [odd.slice(0, 9), odd.slice(9)], [get('/half').slice(0, -2), '\r\n'], ['G', get('/drop').slice(1)]]) {
    const { socket, until } = await client();
    const [first = '', ...others] = pieces;
    while (connections.size === 0) await new Promise(setImmediate);
    socket.write(first);
    // What came in one piece after all would be plain.
    while (connections.size > 0) await new Promise(setImmediate);
    for (const piece of others) socket.write(piece);
    await until('node ');
    socket.write(get('/after'));
    await until('node GET /after');
    socket.destroy();
  }
  const { socket, until } = await client();
  socket.write(get('/plain'));
  (await next()).send(ok('plain'));
  await until('plain');
  socket.write(odd);
  await until('node POST /odd');
});

test('an answer before the body came does not lose the place of the next request', async () => {
  const { socket, until } = await client();
  const text = post('/refused', 'x'.repeat(40));
  socket.write(text.slice(0, -30));
  (await next()).send(ok('refused'));
  await until('refused');
  socket.write(text.slice(-30));
  socket.write(get('/next'));
  (await next()).send(ok('next'));
  await until('next');
});

test('a client that goes away in the middle of a body leaves nobody waiting', async () => {
  const { socket } = await client();
  socket.write(post('/x', '12345').slice(0, -2));
  const { request } = await next();
  socket.destroy();
  await assert.rejects(Promise.resolve(request.body()), (failure: Failure) => failure.status === 400);
});

test('a client that has said all it had to say gets its answer, and the end', async () => {
  const { socket, end } = await client();
  socket.end(get('/last'));
  (await next()).send(ok('last'));
  assert.match(await end, /last$/);
});

test('a service that closes lets the answer go that is under way, with the word that it was the last', async () => {
  const [busy, idle] = [await client(), await client()];
  busy.socket.write(get('/busy'));
  const { send } = await next();
  while (connections.size < 2) await new Promise(setImmediate);
  closing = true;
  for (const connection of connections) connection.close();
  assert.equal(await idle.end, '');
  send(ok('done'));
  assert.match(await busy.end, /\r\nConnection: close\r\n\r\ndone$/);
});

test('a request that comes just after a service began to close is answered, with the word that it was the last', async () => {
  const { socket, end, until } = await client();
  socket.write(get('/first'));
  (await next()).send(ok('first'));
  await until('first');
  closing = true;
  for (const connection of connections) connection.close();
  socket.write(get('/under-way'));
  (await next()).send(ok('under way'));
  assert.match(await end, /\r\nConnection: close\r\n\r\nunder way$/);
});

test('whoever says nothing, or never the rest of a body, is hung up on', async () => {
  Object.assign(times, { firstRequestWithin: 50, bodyWithin: 50 });
  const silent = await client();
  assert.equal(await silent.end, '');
  const slow = await client();
  slow.socket.write(post('/slow', '12345').slice(0, -1));
  assert.match(await slow.end, /^HTTP\/1\.1 408 /);
});

test('an answer with what no field may have is not sent', async () => {
  const { socket } = await client();
  socket.write(get('/x'));
  const { send } = await next();
  assert.throws(() => send({ status: 200, headers: { location: 'a\r\nset-cookie: b' }, body: undefined }), /'location'/);
});
