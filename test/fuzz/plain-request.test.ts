// The plain reader of HTTP against Node's own: whatever it takes for a plain request, Node's parser reads as the very same one, and as ending at the same byte.
// So nothing can be smuggled past one of them that the other would see.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { after, before, test } from 'node:test';
import { readPlain } from '../../src/door/plain-request.ts';
import { type Random, randomFrom, SEED } from './random.ts';

const CASES = 3000;
/** What follows on the connection, to show where the request before it ended. */
const NEXT = 'GET /next HTTP/1.1\r\nhost: next\r\n\r\n';

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  body: string;
}

const seen: Seen[] = [];
const server = createServer(async (request, response) => {
  const entry: Seen = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body: '' };
  seen.push(entry);
  for await (const piece of request.setEncoding('latin1')) entry.body += piece;
  response.end();
});

before(() => once(server.listen(0, '127.0.0.1'), 'listening'));
after(() => {
  server.closeAllConnections();
  server.close();
});

async function asNodeReads(text: string) {
  seen.length = 0;
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => undefined).resume();
  socket.end(Buffer.from(text + NEXT, 'latin1'));
  await once(socket, 'close');
  return [...seen];
}

const HEADS = [
  'GET /keys/k?api-version=7.6 HTTP/1.1\r\nHost: a.managedhsm.localhost:8443\r\nAuthorization: Bearer abc\r\nAccept: */*\r\n',
  'POST /keys/k/sign HTTP/1.1\r\nhost: a\r\nContent-Type: application/json\r\nContent-Length: 5\r\nConnection: keep-alive\r\n',
  'PUT / HTTP/1.1\r\nHost:a\r\ncontent-length:0\r\nx-empty:\r\nx-blank: \t \r\nx-odd: a\tb  c;=,"\r\n',
];
const ODD = ['\r', '\n', '\r\n', '\0', ' ', '\t', ':', ';', ',', '\x0b', '\x7f', '\x80', 'é', '%', '#', '?', '\r\n ', ': ', ' HTTP/1.1'];
const FIELDS = [
  'Content-Length: 5\r\n',
  'content-length: 05\r\n',
  'content-length: +5\r\n',
  'Content-Length: 5, 5\r\n',
  'Content-Length : 5\r\n',
  'Content-Length: 5 \r\n',
  'Content-Length:\t3\r\n',
  'Content-Length: 0x5\r\n',
  'Transfer-Encoding: chunked\r\n',
  'transfer-encoding:\tchunked\r\n',
  'Transfer-Encoding : chunked\r\n',
  'Connection: close\r\n',
  'Connection: Upgrade\r\nUpgrade: websocket\r\n',
  'Expect: 100-continue\r\n',
  'Host: b\r\n',
  ' folded: x\r\n',
  '__proto__: x\r\n',
  'constructor: x\r\n',
  'set-cookie: a\r\n',
  'x\r\n',
  ': x\r\n',
];

function changed(original: string, random: Random): string {
  let head = original;
  for (let changes = random.below(3); changes > 0; changes -= 1) {
    const lines = head.split(/(?<=\r\n)/);
    const at = random.below(head.length);
    head = random.oneIn(2)
      ? head.slice(0, at) + random.of(ODD) + head.slice(at + random.below(2))
      : lines.toSpliced(1 + random.below(lines.length), random.oneIn(3) ? 1 : 0, random.of(FIELDS)).join('');
  }
  return head;
}

test('what the plain reader takes, Node reads as the same request with the same end', async () => {
  const random = randomFrom(SEED);
  const taken = { plain: 0, withBody: 0, changed: 0 };
  for (let i = 0; i < CASES; i += 1) {
    const original = random.of(HEADS);
    const head = changed(original, random);
    const plain = readPlain(head);
    if (plain === undefined) continue;
    taken.plain += 1;
    taken.withBody += plain.length > 0 ? 1 : 0;
    taken.changed += head === original ? 0 : 1;
    const body = 'GET /smuggled HTTP/1.1\r\n'.repeat(60_000 / 24).slice(0, plain.length);
    if (body.length < plain.length) continue;
    const [first, second, ...more] = await asNodeReads(`${head}\r\n${body}`);
    const said = JSON.stringify(head);
    assert.deepEqual(
      { ...first, headers: { ...first?.headers, 'set-cookie': String(first?.headers['set-cookie']) } },
      {
        method: plain.method,
        url: plain.url,
        headers: { ...plain.headers, 'set-cookie': String(plain.headers['set-cookie']) },
        body,
      },
      said,
    );
    assert.deepEqual([second?.url, second?.headers, more.length], ['/next', { host: 'next' }, 0], said);
  }
  // Enough of both kinds, or this would show nothing.
  assert.ok(taken.plain > 300 && taken.withBody > 100 && taken.changed > 100, JSON.stringify(taken));
});

test('what may mean two things, or change where a message ends, is left to Node', () => {
  const head = 'POST / HTTP/1.1\r\nhost: a\r\n';
  assert.ok(readPlain(head));
  for (const field of [
    'content-length: 1\r\ncontent-length: 1',
    'transfer-encoding: chunked',
    'connection: close',
    'expect: 100-continue',
    'upgrade: x',
  ])
    assert.equal(readPlain(`${head}${field}\r\n`), undefined, field);
  for (const whole of [
    'POST / HTTP/1.0\r\nhost: a\r\n',
    'POST http://a/ HTTP/1.1\r\nhost: a\r\n',
    'HEAD / HTTP/1.1\r\nhost: a\r\n',
    'GET / HTTP/1.1\r\n',
  ])
    assert.equal(readPlain(whole), undefined, whole);
});

test('a head that is made to be slow to read is not', () => {
  for (const made of [' ', '\t', ':', 'a', 'a:', '\r', 'a: '])
    assert.equal(readPlain(`GET / HTTP/1.1\r\nhost: a\r\nx: ${made.repeat(16_000 / made.length)}\n`), undefined);
});
