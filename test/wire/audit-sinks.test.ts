// Where records are copied to: a webhook that is dead, failing, slow and then well, syslog over UDP, TCP and TLS to real listeners, a file, and stdout.
// Nothing secret is in any of them, and none of them holds the service up.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createHttps, type Server as HttpsServer, request as httpsRequest } from 'node:https';
import { type AddressInfo, createServer as createTcp, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { createServer as createTls } from 'node:tls';
import { auditFolder } from '../../src/audit/folder.ts';
import { runAuditCommand } from '../../src/audit-command.ts';
import { systemClock } from '../../src/core/clock.ts';
import { openAuthority } from '../../src/door/certificate-authority.ts';
import { databaseFile } from '../../src/store/embedded.ts';
import { type House, type Json, openHouse } from '../house.ts';
import { PROGRAM } from '../program.ts';
import { activate, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'copied';
const CANARY = 'c4n4ry';

let house: House;
let folder: string;
let leaf: { readonly key: string; readonly cert: string };
let webhookPort: number;
let webhook: HttpsServer | undefined;
/** What the webhook was sent, and how it answers. */
const hooked: { readonly body: string; readonly authorization: string | undefined }[] = [];
let answer: (response: ServerResponse) => void = (response) => response.end();
/** What arrived at the three syslog listeners. */
const logged = { udp: '', tcp: '', tls: '' };
const listeners: { close(): unknown }[] = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'strongroom-sinks-'));
  const authority = await openAuthority(folder, systemClock);
  const made = await authority.leaf(['localhost']);
  leaf = { key: made.key, cert: made.cert };
  const authorization = join(folder, 'authorization');
  await writeFile(authorization, 'Bearer of-the-webhook\n');
  const ports = { udp: await listenUdp(), tcp: await listenTcp('tcp'), tls: await listenTcp('tls') };
  webhookPort = await freePort();
  const sinks = [
    `https://localhost:${webhookPort}/hook?sig=${CANARY}`,
    `file:${join(folder, 'copy.jsonl')}`,
    'database',
    `syslog+udp://127.0.0.1:${ports.udp}`,
    `syslog+tcp://127.0.0.1:${ports.tcp}`,
    `syslog+tls://localhost:${ports.tls}`,
  ];
  house = await openHouse({
    flags: [
      ...sinks.flatMap((sink) => ['--audit-sink', sink]),
      '--audit-authorities',
      authority.caFile,
      '--audit-webhook-authorization',
      authorization,
    ],
  });
  await house.provision(HSM);
  await activate(house, HSM);
  await grant(house, HSM, CRYPTO_USER, house.connection.user.objectId);
});

after(async () => {
  await house.close();
  for (const listener of listeners) listener.close();
  webhook?.closeAllConnections();
  webhook?.close();
  await rm(folder, { recursive: true });
});

async function listenUdp(): Promise<number> {
  const socket = createSocket('udp4', (message) => {
    logged.udp += `${message}\n`;
  });
  listeners.push(socket);
  await new Promise<void>((done) => socket.bind(0, '127.0.0.1', done));
  return socket.address().port;
}

async function listenTcp(kind: 'tcp' | 'tls'): Promise<number> {
  const take = (socket: Socket): void => {
    socket
      .on('error', () => undefined)
      .setEncoding('utf8')
      .on('data', (piece: string) => (logged[kind] += piece));
  };
  const server: Server = kind === 'tcp' ? createTcp(take) : createTls(leaf, take);
  listeners.push(server);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return (server.address() as AddressInfo).port;
}

async function freePort(): Promise<number> {
  const probe = createTcp();
  await new Promise<void>((done) => probe.listen(0, '127.0.0.1', done));
  const { port } = probe.address() as AddressInfo;
  await new Promise((done) => probe.close(done));
  return port;
}

async function startWebhook(): Promise<void> {
  const take = (request: IncomingMessage, response: ServerResponse): void => {
    let body = '';
    request.setEncoding('utf8').on('data', (piece: string) => (body += piece));
    request.on('end', () => {
      hooked.push({ body, authorization: request.headers.authorization });
      answer(response);
    });
  };
  webhook = createHttps(leaf, take);
  await new Promise<void>((done) => webhook?.listen(webhookPort, '127.0.0.1', done));
}

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await new Promise((wake) => setTimeout(wake, 20));
}

async function readiness(): Promise<{ readonly status: number; readonly text: string }> {
  const got = await fetch(`${house.connection.management}readyz`);
  return { status: got.status, text: await got.text() };
}

async function used(count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) assert.equal((await house.hsm(HSM, 'GET', '/keys')).status, 200);
}

/** The numbers of the events in the chain. */
function chainNumbers(): readonly number[] {
  const at = auditFolder(house.dataFolder);
  const files = readdirSync(at).filter((file) => file.endsWith('.jsonl'));
  const text = files.sort().map((file) => readFileSync(join(at, file), 'utf8'));
  return [...text.join('').matchAll(/^\{"seq":(\d+),"hash":"[\w-]+","event":/gm)].map(([, seq]) => Number(seq));
}

const numbersIn = (text: string): readonly number[] =>
  [...text.matchAll(/\{"seq":(\d+),"hash":"[\w-]+","event":/g)].map(([, seq]) => Number(seq));

test('a dead webhook holds nothing up, and is seen on the readiness page and in the figures', async () => {
  await used(3);
  await until(async () => (await readiness()).text.includes('webhook'));
  const { status, text } = await readiness();
  assert.equal(status, 200);
  assert.match(text, /^ready\naudit: sink webhook is \d+ records behind: ECONNREFUSED\n$/);
  const figures = await (await fetch(`${house.connection.management}metrics`)).text();
  assert.match(figures, /strongroom_audit_sink_failing\{sink="webhook",number="1"\} 1/);
  assert.match(figures, /strongroom_audit_sink_failing\{sink="file",number="2"\} 0/);
  assert.match(figures, /strongroom_audit_accepting 1/);
  assert.doesNotMatch(text + figures, new RegExp(CANARY));
});

test('a webhook that comes back, refuses twice and then takes records has them all, in order, with the header that the operator gave', async () => {
  let refusals = 2;
  answer = (response) => {
    refusals -= 1;
    response.statusCode = refusals >= 0 ? 500 : 204;
    response.end();
  };
  await startWebhook();
  await until(async () => (await readiness()).text === 'ready\n');
  await used(1);
  const taken = (): readonly number[] => hooked.slice(2).flatMap(({ body }) => JSON.parse(body).records.map(({ seq }: Json) => seq));
  await until(() => taken().length >= chainNumbers().length);
  assert.deepEqual(taken(), chainNumbers());
  assert.ok(hooked.every(({ authorization }) => authorization === 'Bearer of-the-webhook'));
});

test('while a webhook keeps a request waiting, calls are answered, and it gets them afterwards', async () => {
  const asked = Promise.withResolvers<ServerResponse>();
  answer = (response) => asked.resolve(response);
  await used(1);
  const waiting = await asked.promise;
  await used(5);
  answer = (response) => response.end();
  waiting.end();
  const last = (): number => JSON.parse(hooked.at(-1)?.body ?? '').records.at(-1).seq;
  await until(() => last() >= (chainNumbers().at(-1) ?? 0));
});

test('syslog over UDP, TCP and TLS has every record as a message of RFC 5424', async () => {
  await used(1);
  const expected = chainNumbers();
  for (const kind of ['udp', 'tcp', 'tls'] as const) {
    await until(() => numbersIn(logged[kind]).length >= expected.length);
    assert.deepEqual(numbersIn(logged[kind]), expected, kind);
    const start = kind === 'udp' ? '^' : '^\\d+ ';
    assert.match(
      logged[kind],
      new RegExp(`${start}<10[89]>1 \\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z \\S+ strongroom \\d+ [\\w./-]+ - \\{"seq":1,`),
      kind,
    );
  }
  // Octet counting: the number before each message is its length.
  const [, length, rest = ''] = /^(\d+) ([\s\S]*)$/.exec(logged.tcp) ?? [];
  assert.match(Buffer.from(rest).subarray(Number(length)).toString(), /^\d+ <10/);
});

test('the copy in a file verifies like the chain itself', async () => {
  const copy = join(folder, 'node-1.00000001.jsonl');
  await until(() => numbersIn(readFileSync(join(folder, 'copy.jsonl'), 'utf8')).length >= chainNumbers().length);
  await writeFile(copy, readFileSync(join(folder, 'copy.jsonl')));
  const [key = ''] = readdirSync(auditFolder(house.dataFolder)).filter((file) => file.endsWith('.pem'));
  let said = '';
  const words = ['verify', copy, '--open', '--key', join(auditFolder(house.dataFolder), key)];
  const status = await runAuditCommand(
    words,
    (text) => (said += text),
    (text) => (said += text),
  );
  assert.equal(status, 0, said);
});

/** The rows of the sink in the database. */
function rows(): readonly Json[] {
  const database = new DatabaseSync(databaseFile(house.dataFolder), { readOnly: true });
  try {
    return database.prepare('select * from audit_records order by sequence').all();
  } finally {
    database.close();
  }
}

test('the database has a row for each event, to be asked in SQL', async () => {
  await used(1);
  const expected = chainNumbers();
  await until(() => rows().length >= expected.length);
  assert.deepEqual(
    rows().map(({ sequence }) => sequence),
    expected,
  );
  const { operation, status, caller, event_json } = rows().at(-1);
  assert.deepEqual([operation, status, caller], ['KeyList', 200, house.connection.user.objectId]);
  assert.equal(JSON.parse(event_json).operationName, 'KeyList');
});

test('no token, password, key, value or query is in any record or any copy of it', async () => {
  const { user, servicePrincipal, authorityHost, tenantId, managedHsmSuffix } = house.connection;
  const token = await house.token('user', 'hsm');
  const canary = (name: string): string => Buffer.from(`${CANARY}-${name}`).toString('base64url');
  const sent = ['plaintext', 'key', 'digest', 'bad-token', 'wrong-password', 'tag'].map(canary);
  await house.hsm(HSM, 'PUT', '/keys/imported', {
    key: { kty: 'oct', k: Buffer.from(`${CANARY}-key`.padEnd(16, '.')).toString('base64url') },
  });
  await house.hsm(HSM, 'POST', '/keys/aes/create', { kty: 'oct-HSM', key_size: 256, tags: { note: canary('tag') } });
  await house.hsm(HSM, 'POST', '/keys/aes/encrypt', { alg: 'A256GCM', value: canary('plaintext') });
  await house.hsm(HSM, 'POST', '/keys/aes/sign', { alg: canary('digest'), value: canary('digest') });
  await house.hsm(HSM, 'GET', '/keys', undefined, canary('bad-token'));
  for (const query of [`?sig=${CANARY}`, `%3Fsig=${CANARY}`, `;sig=${CANARY}`, `/v%3fsig=${CANARY}`]) {
    await house.call('GET', `https://${HSM}.${managedHsmSuffix}/keys/x${query}`, { token });
    await house.call('GET', `https://${HSM}.${managedHsmSuffix}/nowhere${query}`, { token });
  }
  const form = {
    grant_type: 'password',
    username: user.userPrincipalName,
    password: canary('wrong-password'),
    client_id: 'x',
    scope: 'openid',
  };
  await house.call('POST', `${authorityHost}${tenantId}/oauth2/v2.0/token?sig=${CANARY}`, { body: new URLSearchParams(form).toString() });
  await house.call('GET', `https://${HSM}.${managedHsmSuffix}/keys`, { headers: { authorization: `Basic ${CANARY}` } });

  const total = chainNumbers().length;
  const last = (): number => JSON.parse(hooked.at(-1)?.body ?? '').records.at(-1).seq;
  await until(() => last() >= total && rows().length >= total && Object.values(logged).every((text) => numbersIn(text).length >= total));
  const at = auditFolder(house.dataFolder);
  const places: Readonly<Record<string, string>> = {
    chain: readdirSync(at)
      .filter((file) => file !== 'reserve')
      .map((file) => readFileSync(join(at, file), 'utf8'))
      .join(''),
    file: readFileSync(join(folder, 'copy.jsonl'), 'utf8'),
    webhook: hooked.map(({ body }) => body).join(''),
    database: JSON.stringify(rows()),
    ...logged,
  };
  for (const [place, text] of Object.entries(places)) {
    for (const secret of [CANARY, token, user.password, servicePrincipal.clientSecret, ...sent])
      assert.ok(!text.includes(secret), `${secret} in ${place}`);
    assert.ok(text.includes('KeyImport') && text.includes('UnknownOperation') && text.includes('TokenIssue'), place);
  }
});

test('stdout as a sink: the ready line first, then the records', async () => {
  const own = await mkdtemp(join(tmpdir(), 'strongroom-stdout-'));
  const words = [
    'start',
    '--port',
    '0',
    '--host',
    '127.0.0.1',
    '--workers',
    '1',
    '--data',
    own,
    '--log-level',
    'error',
    '--audit-sink',
    'stdout',
  ];
  const child = spawn(process.execPath, [PROGRAM, ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (line.startsWith('ready ')) {
      const { authorityHost, tenantId } = JSON.parse(readFileSync(line.slice('ready '.length), 'utf8'));
      const { port } = new URL(authorityHost);
      // Any call that is recorded; its certificate is not what this is about.
      httpsRequest({ method: 'POST', host: '127.0.0.1', port, path: `/${tenantId}/oauth2/v2.0/token`, rejectUnauthorized: false }).end();
    } else child.kill();
  }
  if (child.exitCode === null) await once(child, 'exit');
  assert.equal(child.exitCode, 0);
  assert.match(lines[0] ?? '', /^ready /);
  assert.equal(JSON.parse(lines[1] ?? '').event.operationName, 'TokenIssue');
  await rm(own, { recursive: true });
});
