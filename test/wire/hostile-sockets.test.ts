// What no client library sends: requests that two readers would cut apart differently, garbage behind good requests, headers without end, connections that
// say nothing, or too slowly, or leave in the middle. None is answered with a fault of the service, none of the smuggled requests is answered, and others do
// not notice. `npm run bench:sockets` opens ten thousand of them.

import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { type House, openHouse } from '../house.ts';
import { bare, heard, opened, statuses } from '../sockets.ts';

let house: House;
let host: string;
let errors: unknown[];
const fell = (error: unknown): number => errors.push(error);

before(async () => {
  house = await openHouse({ workers: 2 });
  host = new URL(house.connection.resourceManager).host;
  errors = [];
  process.on('uncaughtException', fell);
});
after(async () => {
  process.off('uncaughtException', fell);
  await house.close();
});

/** The whole conversation: this is said, and everything that comes back until the service hangs up. */
async function told(...pieces: readonly (string | Buffer)[]): Promise<string> {
  const socket = await opened(house.connection);
  const answer = heard(socket);
  for (const piece of pieces) socket.write(piece);
  return answer;
}

async function othersAreServed(): Promise<void> {
  const { authorityHost, tenantId } = house.connection;
  assert.equal((await house.call('GET', `${authorityHost}${tenantId}/v2.0/.well-known/openid-configuration`)).status, 200);
  assert.deepEqual(errors, []);
}

const SMUGGLED = 'GET /metadata/endpoints?api-version=2015-01-01 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';

/** Header lines between which two readers may not agree where the body ends (RFC 9112 sections 5 to 7, and what has been used against servers). */
const AMBIGUOUS: Readonly<Record<string, readonly string[]>> = {
  'a length and chunks': ['Content-Length: 5', 'Transfer-Encoding: chunked'],
  'chunks and a length': ['Transfer-Encoding: chunked', 'Content-Length: 5'],
  'two lengths': ['Content-Length: 5', 'Content-Length: 6'],
  'two lengths in one line': ['Content-Length: 5, 6'],
  'a length with a sign': ['Content-Length: +5'],
  'a negative length': ['Content-Length: -1'],
  'a hexadecimal length': ['Content-Length: 0x5'],
  'a length beyond all numbers': ['Content-Length: 18446744073709551621'],
  'an empty length': ['Content-Length:'],
  'chunked in the middle': ['Transfer-Encoding: chunked, identity'],
  'chunked twice': ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'],
  'nearly chunked': ['Transfer-Encoding: xchunked'],
  'chunked behind a tab': ['Transfer-Encoding:\u000bchunked'],
  'a space before the colon': ['Transfer-Encoding : chunked', 'Content-Length: 5'],
  'a folded line': ['Transfer-Encoding:', ' chunked', 'Content-Length: 5'],
  'a folded length': ['Content-Length: 5', ' 0'],
  'a line without a colon': ['Content-Length 5', 'Content-Length: 5'],
  'a NUL in a value': ['X-Nothing: a\u0000b', 'Content-Length: 5'],
  'a bare CR in a value': ['X-Nothing: a\rContent-Length: 0', 'Content-Length: 5'],
};

test('a request whose end is ambiguous is refused, the connection ends, and what follows it is not answered', async () => {
  for (const [name, lines] of Object.entries(AMBIGUOUS)) {
    const answer = await told(`POST /subscriptions HTTP/1.1\r\nHost: ${host}\r\n${lines.join('\r\n')}\r\n\r\n0\r\n\r\n${SMUGGLED}`);
    // What was said behind the refused head may make the kernel drop the refusal itself.
    const [first = 400, ...more] = statuses(answer);
    assert.ok(first >= 400 && first < 500, `${name}: ${answer}`);
    assert.deepEqual(more, [], `${name}: ${answer}`);
  }
  await othersAreServed();
});

const BAD_CHUNKS = [
  '-1\r\n',
  'ffffffffffffffff0\r\n',
  '5;\u0000\r\nhello\r\n',
  '5\r\nhelloworld\r\n',
  `5;${'x'.repeat(70_000)}\r\nhello\r\n`,
  '5\nhello\n0\n\n',
];

test('chunks that are none end the connection without a fault', async () => {
  for (const chunk of BAD_CHUNKS) {
    const head = `POST /${house.connection.tenantId}/oauth2/v2.0/token HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/x-www-form-urlencoded\r\n`;
    const answer = await told(`${head}Transfer-Encoding: chunked\r\n\r\n${chunk}${SMUGGLED}`);
    assert.ok(
      statuses(answer).every((status) => status >= 400 && status < 500),
      `${JSON.stringify(chunk.slice(0, 20))}: ${answer}`,
    );
    assert.ok(statuses(answer).length <= 1, answer);
  }
  await othersAreServed();
});

const HEADS = {
  'a header of 100 KB': `GET / HTTP/1.1\r\nHost: ${'a'.repeat(100_000)}\r\n\r\n`,
  'ten thousand headers': `GET / HTTP/1.1\r\nHost: x\r\n${'A: b\r\n'.repeat(10_000)}\r\n`,
  'an address of 100 KB': `GET /${'a'.repeat(100_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
  'two hosts': 'GET / HTTP/1.1\r\nHost: localhost\r\nHost: other\r\nConnection: close\r\n\r\n',
  'no host': 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n',
  'a method of its own': 'FLY / HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'HTTP/2 without asking': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'HTTP/0.9': 'GET /\r\n\r\n',
  'a proxy request': 'CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'another upgrade': 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n',
  'an absolute address': 'GET http://elsewhere/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
  'nothing that is HTTP': Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 131) & 255)),
} as const;

test('heads that are too long, twice there, missing or another protocol are refused without a fault', async () => {
  for (const [name, head] of Object.entries(HEADS)) {
    const answer = await told(head);
    assert.ok(
      statuses(answer).every((status) => status >= 400 && status < 500),
      `${name}: ${answer}`,
    );
  }
  await othersAreServed();
});

test('a head of 31 KB is answered, one of 33 KB is refused, and whoever goes on speaking hears that too', async () => {
  const head = (length: number): string =>
    `GET /metadata/endpoints?api-version=2015-01-01 HTTP/1.1\r\nHost: ${host}\r\nX-Long: ${'a'.repeat(length)}\r\nConnection: close\r\n\r\n`;
  assert.deepEqual(statuses(await told(head(31 << 10))), [200]);
  for (let kilobytes = 33; kilobytes < 333; kilobytes += 5) assert.deepEqual(statuses(await told(head(kilobytes << 10))), [431]);
});

test('good requests in a pipeline are answered in order, and garbage behind them ends the connection after the last', async () => {
  const good = `GET /metadata/endpoints?api-version=2015-01-01 HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
  const answer = await told(good.repeat(20), '\u0000\u0001garbage\r\n\r\n');
  assert.deepEqual(statuses(answer), [...Array(20).fill(200), 400]);
  await othersAreServed();
});

test('what is no TLS ends the connection: plain HTTP, noise, a handshake that is cut off or never comes to an end', async () => {
  const hello = Buffer.from('16030100c8010000c40303', 'hex');
  for (const said of [
    'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n',
    Buffer.alloc(5000, 0x7f),
    Buffer.concat([hello, Buffer.alloc(197, 1)]),
  ]) {
    const socket = await bare(house.connection);
    const answer = heard(socket);
    socket.write(said);
    assert.doesNotMatch(await answer, /HTTP\/1.1 [25]/);
  }
  for (let i = 0; i < 50; i += 1) {
    const socket = await bare(house.connection);
    socket.write(hello.subarray(0, 1 + (i % hello.length)));
    socket.resetAndDestroy();
  }
  await othersAreServed();
});

test('clients that leave in the middle of a body, a header or an answer leave nothing behind', async () => {
  for (let i = 0; i < 60; i += 1) {
    const socket = await opened(house.connection);
    const said = `POST /subscriptions HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 1000\r\n\r\n${'x'.repeat(400)}`;
    const gone = heard(socket);
    socket.write(said.slice(0, 1 + ((i * 37) % said.length)));
    if (i % 3 === 0) socket.end();
    else socket.destroy();
    await gone;
  }
  await othersAreServed();
});

test('hundreds of clients that send a byte now and then are served last of all: others are answered, and the slow ones are hung up on', async () => {
  const slow: Socket[] = [];
  const ends: Promise<string>[] = [];
  for (let i = 0; i < 200; i += 1) {
    const socket = i % 2 === 0 ? await opened(house.connection) : await bare(house.connection);
    slow.push(socket);
    ends.push(heard(socket));
  }
  const drip = setInterval(() => {
    for (const [i, socket] of slow.entries()) if (i % 2 === 0 && socket.writable) socket.write('G');
  }, 1000);
  await othersAreServed();
  const answers = await Promise.all(ends);
  clearInterval(drip);
  assert.ok(answers.every((answer) => statuses(answer).every((status) => status === 408 || status === 400)));
  await othersAreServed();
});
