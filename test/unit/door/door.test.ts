// The door with rooms of the test's own behind it: real TLS, real HTTP, real tables; what is behind the tables is made up here.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingHttpHeaders } from 'node:http';
import { request } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pino } from 'pino';
import * as v from 'valibot';
import { auditUnavailable, type CallFacts, type Outcome, type Recorder, type RowAudit } from '../../../src/core/audit.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { Versions } from '../../../src/core/coherence.ts';
import { keyNotFound } from '../../../src/core/errors-keyvault.ts';
import { Failure } from '../../../src/core/failure.ts';
import { nothing, page, reply } from '../../../src/core/reply.ts';
import { type Knock, type Method, operation, type Room, type Row, serveRows, type Visit } from '../../../src/core/route.ts';
import { type Urls, urlsFor } from '../../../src/core/urls.ts';
import { type Authority, openAuthority } from '../../../src/door/certificate-authority.ts';
import { type Door, openDoor } from '../../../src/door/door.ts';
import { doorMetrics } from '../../../src/door/metrics.ts';
import { certificates } from '../../../src/door/tls.ts';

const TENANT = '11111111-1111-4111-8111-111111111111';
const GOOD = 'a-good-token';
const HSM = 'my-hsm.managedhsm.localhost';

let folder: string;
let authority: Authority;
let door: Door;
let urls: Urls;
const logged: string[] = [];
const written: unknown[] = [];
/** What admission was asked, in order. */
const visits: Visit[] = [];

function row(
  method: Method,
  path: string,
  action: string,
  run: (call: unknown) => unknown,
  body: v.GenericSchema = v.unknown(),
  steady = false,
): Row<string, object, object, undefined> {
  const shapes = { path: v.record(v.string(), v.string()), query: v.record(v.string(), v.string()), body };
  const made = operation(shapes, (_world: object, call) => run(call), { steady });
  return { mode: 'read', method, path, action, guard: undefined, operation: made };
}

function roomOf(name: Room['name'], dialect: Room['dialect'], rows: readonly Row<string, object, object, undefined>[]): Room {
  const admit = async (of: Row<string, object, object, undefined>, visit: Visit): Promise<object> => {
    visits.push(visit);
    if (of.action === 'refused') throw new Failure(403, 'AccessDenied', 'Not authorized');
    return {};
  };
  const audit = ({ method, path, action }: Row<string, object, object, undefined>): RowAudit => ({
    operation: `${method} ${path}`,
    action,
    record: name === 'hsm' ? 'every call' : 'refusals',
    scope: (named) => (named.name === undefined ? '/' : `/keys/${named.name}`),
  });
  const headers = (): Record<string, string> => ({ 'x-ms-keyvault-region': 'norwayeast' });
  return { name, dialect, rows: serveRows(rows, { read: admit, write: admit, audit, headers }) };
}

const Signing = v.object({ value: v.string(), count: v.optional(v.number('count is a number')) });

/** What a load balancer is told: set by a test. */
let isReady = true;
/** How often the steady row was asked. */
let steadyRuns = 0;
/** A token whose end is known. */
const LASTING = 'lasting';
const versions = new Versions(Versions.allocate());

/** Who is let in at the HSM: set by a test. */
let closedTo: string | undefined;

async function gate({ host, address }: Knock): Promise<void> {
  if (host === HSM && address === closedTo) throw new Failure(403, 'Forbidden', `not from ${address}`);
}

const rooms: readonly Room[] = [
  {
    ...roomOf('hsm', 'keyvault', [
      row('GET', '/keys/:name', 'keys/read/action', (call) => ({ seen: (call as Visit).path })),
      row('GET', '/keys/:name/missing', 'keys/read/action', () => {
        throw keyNotFound('https://hsm/keys/k');
      }),
      row('GET', '/broken', 'keys/read/action', () => {
        throw new Error('the secret is hunter2');
      }),
      row('POST', '/keys/:name/sign', 'keys/sign/action', (call) => ({ body: (call as { body: unknown }).body }), Signing),
      row('POST', '/refused', 'refused', () => ({}), Signing),
      row('PUT', '/keys/:name', 'keys/import/action', () => ({ method: 'PUT' })),
      row('DELETE', '/keys/:name', 'keys/delete', () => nothing()),
      { ...row('POST', '/write', 'keys/create', () => ({})), mode: 'write' },
      row('GET', '/steady', 'keys/read/action', () => ({ run: ++steadyRuns }), v.unknown(), true),
    ]),
    gate,
  },
  roomOf('management', 'arm', [
    row('GET', '/subscriptions/:id', 'read', () => ({ is: 'subscription' })),
    row('GET', '/metadata/endpoints', 'anonymous', () => ({ is: 'metadata' })),
  ]),
  roomOf('identity', 'oauth', [
    row('POST', '/:tenant/oauth2/token', 'anonymous', (call) =>
      reply(200, (call as { body: unknown }).body, { 'cache-control': 'no-store' }),
    ),
    row('GET', '/devicelogin', 'anonymous', () => page('<h1>hello</h1>')),
    row('GET', '/:tenant/wrong', 'anonymous', () => {
      throw new Failure(400, 'invalid_grant', 'AADSTS50126: Wrong.', { members: { error_codes: [50126] } });
    }),
  ]),
  roomOf('graph', 'graph', [row('GET', '/v1.0/:segment', 'Directory.Read', () => ({ is: 'graph' }))]),
];

/** What was recorded, and whether records can be kept. */
const records: { facts: CallFacts; outcome: Outcome }[] = [];
const recording: { state: 'works' | 'is closed' | 'fails' } = { state: 'works' };
const recorder: Recorder = {
  prove: () => {
    if (recording.state === 'is closed') throw auditUnavailable();
  },
  record: async (facts, outcome) => {
    if (recording.state !== 'works') throw auditUnavailable();
    records.push({ facts, outcome });
  },
};

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'strongroom-door-'));
  authority = await openAuthority(folder, systemClock);
  urls = urlsFor('localhost', await freePort());
  door = openDoor({
    versions,
    rooms,
    verifyToken: async (token, audience) =>
      token === GOOD || token === LASTING || token === `${GOOD}-${audience}`
        ? {
            valid: true,
            caller: { kind: 'application', tenantId: TENANT, objectId: 'o', clientId: 'c', groups: [] },
            ...(token === LASTING ? { until: systemClock.now() + 3_600_000 } : {}),
          }
        : { valid: false, description: 'The token has expired.' },
    recorder,
    write: async (asked) => {
      written.push(asked);
      return JSON.stringify({ written: true });
    },
    urls,
    tenantId: TENANT,
    version: 'test-1',
    clock: systemClock,
    log: pino({ level: 'debug' }, { write: (line: string) => logged.push(line) }),
    metrics: doorMetrics(),
    addresses: [],
    trustedProxies: ['127.0.0.1'],
    inFlight: 1000,
    isReady: async () => isReady,
  });
  await door.listen({
    certificates: certificates(authority.leaf, 'localhost', [], systemClock),
    hosts: ['127.0.0.1'],
    port: urls.port,
    reusePort: false,
  });
});

after(async () => {
  await door.close();
  await rm(folder, { recursive: true });
});

interface Got {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly json: Record<string, Record<string, unknown>>;
}

interface Asked {
  readonly host?: string;
  readonly token?: string | undefined;
  readonly body?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

function ask(method: string, path: string, { host = HSM, token, body, headers = {} }: Asked = {}): Promise<Got> {
  return new Promise((done, failed) => {
    const sent = {
      host: `${host}:${urls.port}`,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
      ...headers,
    };
    const servername = host === '127.0.0.1' ? '' : host;
    const options = {
      method,
      path,
      host: '127.0.0.1',
      port: urls.port,
      servername,
      headers: sent,
      ca: authority.certificate,
      agent: false,
    };
    // Whoever asks for a stranger's name gets the certificate of ours, and goes on all the same.
    const careless = host === 'evil.example' ? { checkServerIdentity: () => undefined } : {};
    const call = request({ ...options, ...careless }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      response.on('end', () => {
        const isJson = String(response.headers['content-type']).includes('json') && text.startsWith('{');
        done({ status: response.statusCode ?? 0, headers: response.headers, text, json: isJson ? JSON.parse(text) : {} });
      });
    });
    call.on('error', failed).end(body);
  });
}

function freePort(): Promise<number> {
  return new Promise((done) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => done(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

test('without a token a GET is challenged with OK, and the resource carries the port', async () => {
  const got = await ask('GET', '/keys/k?api-version=7.5');
  assert.equal(got.status, 401);
  assert.equal(got.text, 'OK');
  assert.equal(
    got.headers['www-authenticate'],
    `Bearer authorization="https://localhost:${urls.port}/${TENANT}", resource="https://managedhsm.localhost:${urls.port}"`,
  );
  assert.equal(got.headers['x-ms-build-version'], 'test-1');
  assert.match(String(got.headers['x-ms-request-id']), /^[0-9a-f]{8}-[0-9a-f]{4}-1[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.match(String(got.headers['x-ms-server-latency']), /^\d+$/);
});

test('without a token a POST is challenged with nothing, before its body is looked at', async () => {
  const before = visits.length;
  const got = await ask('POST', '/keys/k/sign', { body: '{ this is not JSON' });
  assert.equal(got.status, 401);
  assert.equal(got.text, '');
  assert.equal(got.headers['content-length'], '0');
  assert.equal(visits.length, before);
});

test('a token that is no good is challenged again, with words', async () => {
  const got = await ask('GET', '/keys/k', { token: 'bad' });
  assert.equal(got.status, 401);
  assert.equal(got.json.error?.code, 'Unauthorized');
  assert.match(String(got.headers['www-authenticate']), /^Bearer authorization=/);
});

test('each room asks for tokens of its own audience', async () => {
  assert.equal((await ask('GET', '/keys/k', { token: `${GOOD}-hsm` })).status, 200);
  assert.equal((await ask('GET', '/keys/k', { token: `${GOOD}-management` })).status, 401);
  assert.equal((await ask('GET', '/subscriptions/s', { host: 'localhost', token: `${GOOD}-management` })).status, 200);
  assert.equal((await ask('GET', '/subscriptions/s', { host: 'localhost', token: `${GOOD}-hsm` })).status, 401);
  assert.equal((await ask('GET', '/v1.0/me', { host: 'localhost', token: `${GOOD}-graph` })).status, 200);
});

test('whoever may not pass is refused before the body is read', async () => {
  const got = await ask('POST', '/refused', { token: GOOD, body: '{ this is not JSON' });
  assert.equal(got.status, 403);
  assert.equal(got.json.error?.code, 'AccessDenied');
});

test('an address that is shut out gets no challenge, whoever it is and whatever it asks for', async () => {
  closedTo = '203.0.113.7';
  const headers = { 'x-forwarded-for': '203.0.113.7' };
  for (const [method, path, token] of [
    ['GET', '/keys/k', undefined],
    ['GET', '/keys/k', 'bad'],
    ['GET', '/keys/k', GOOD],
    ['POST', '/write', GOOD],
    ['GET', '/nothing/here', GOOD],
    ['GET', '/nothing/here', undefined],
  ] as const) {
    const before = visits.length;
    const got = await ask(method, path, { token, headers });
    assert.deepEqual(
      [got.status, got.json.error?.code, got.headers['www-authenticate']],
      [403, 'Forbidden', undefined],
      `${method} ${path}`,
    );
    assert.match(String(got.json.error?.message), /^not from 203\.0\.113\.7 \(Activity ID: /);
    assert.equal(visits.length, before);
  }
  assert.equal((await ask('GET', '/keys/k', { token: GOOD, headers: { 'x-forwarded-for': '203.0.113.8' } })).status, 200);
  assert.equal((await ask('GET', '/subscriptions/s', { host: 'localhost', token: GOOD, headers })).status, 200);
  closedTo = undefined;
});

test('the path of a key is found in any case, with doubled and trailing slashes, and keeps the case of its name', async () => {
  for (const path of ['/keys/MyKey', '/KEYS/MyKey', '/keys//MyKey', '/keys/MyKey/', '//keys/MyKey//']) {
    assert.deepEqual((await ask('GET', path, { token: GOOD })).json, { seen: { name: 'MyKey' } }, path);
  }
});

test('an answer has the headers of the service', async () => {
  const { headers } = await ask('GET', '/keys/k', { token: GOOD });
  assert.equal(headers['x-ms-keyvault-region'], 'norwayeast');
  assert.equal(headers['x-ms-keyvault-network-info'], 'conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=Ipv4;');
  assert.equal(headers['cache-control'], 'no-cache');
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.equal(headers['content-type'], 'application/json; charset=utf-8');
});

test('an error says which activity it was, and leaves region and network out', async () => {
  const got = await ask('GET', '/keys/k/missing', { token: GOOD });
  assert.equal(got.status, 404);
  assert.equal(got.json.error?.message, `Key not found: https://hsm/keys/k (Activity ID: ${got.headers['x-ms-request-id']})`);
  assert.equal(got.headers['x-ms-keyvault-region'], undefined);
});

test('a mistake of ours is a 500 that tells nothing, and the log tells the rest', async () => {
  const got = await ask('GET', '/broken', { token: GOOD });
  assert.equal(got.status, 500);
  assert.equal(got.json.error?.code, 'InternalServerError');
  assert.doesNotMatch(got.text, /hunter2/);
  assert.ok(logged.some((line) => line.includes('hunter2') && line.includes(String(got.headers['x-ms-request-id']))));
});

test('the log has no token, no query and no body', async () => {
  await ask('POST', '/keys/k/sign?api-version=7.5&secret=in-the-query', { token: GOOD, body: '{"value":"in-the-body"}' });
  assert.deepEqual(
    logged.filter((line) => line.includes(GOOD) || line.includes('in-the-query') || line.includes('in-the-body')),
    [],
  );
});

test('bodies: JSON is parsed, what is no JSON and what the shape refuses are BadParameter, nothing at all is Nocontentprovided', async () => {
  assert.deepEqual((await ask('POST', '/keys/k/sign', { token: GOOD, body: '{"value":"x","more":1}' })).json, { body: { value: 'x' } });
  const cases = [
    ['{', 'BadParameter', /not valid JSON/],
    ['{}', 'BadParameter', /^Property value is required/],
    ['{"value":{"a":"b"}}', 'BadParameter', /^Property value is not valid/],
    ['{"value":"x","count":"secret"}', 'BadParameter', /^count is a number/],
    ['', 'Nocontentprovided', /No content provided/],
  ] as const;
  for (const [body, code, words] of cases) {
    const got = await ask('POST', '/keys/k/sign', { token: GOOD, body });
    assert.equal(got.status, 400);
    assert.equal(got.json.error?.code, code);
    assert.match(String(got.json.error?.message), words);
  }
});

test('a body that is too large is refused, and the next request is answered', async () => {
  const got = await ask('POST', '/keys/k/sign', { token: GOOD, body: Buffer.alloc((1 << 20) + 1, 0x20) });
  assert.equal(got.status, 413);
  assert.equal((await ask('GET', '/keys/k', { token: GOOD })).status, 200);
});

test('a row that may write goes to where the writer is, with what the request carried', async () => {
  const got = await ask('POST', '/write?api-version=7.5', { token: GOOD, body: '{"a":1}' });
  assert.deepEqual(got.json, { written: true });
  const [asked] = written as { room: number; row: number; carried: unknown; visit: Visit }[];
  assert.deepEqual(asked?.carried, { query: { 'api-version': '7.5' }, body: { a: 1 } });
  assert.deepEqual([asked?.room, asked?.row, asked?.visit.apiVersion], [0, 7, '7.5']);
});

test('where verbs are blocked, a POST may name the one it stands for', async () => {
  assert.deepEqual((await ask('POST', '/keys/k', { token: GOOD, body: '{}', headers: { 'x-http-method': 'PUT' } })).json, {
    method: 'PUT',
  });
  assert.equal((await ask('POST', '/keys/k', { token: GOOD, headers: { 'x-http-method': 'DELETE' } })).status, 204);
});

test('a load balancer learns whether this node is ready, by whichever name it asks, and nothing else', async () => {
  for (const host of ['localhost', '127.0.0.1', 'evil.example']) {
    const got = await ask('GET', '/readyz', { host });
    assert.deepEqual([got.status, got.text, got.headers['cache-control']], [200, 'ready\n', 'no-store'], host);
  }
  isReady = false;
  // One answer serves whoever else asks for a moment.
  while ((await ask('GET', '/readyz', { host: 'localhost' })).status === 200);
  assert.equal((await ask('GET', '/readyz', { host: 'localhost' })).text, 'not ready\n');
  isReady = true;
  assert.equal((await ask('GET', '/readyz')).status, 401, 'an HSM has addresses of its own');
});

test('a host that is not ours is refused whatever it asks', async () => {
  const got = await ask('GET', '/keys/k', { host: 'evil.example', token: GOOD });
  assert.equal(got.status, 421);
  assert.equal((await ask('GET', '/keys/k', { headers: { host: `${HSM}:84430` }, token: GOOD })).status, 421);
  assert.equal((await ask('GET', '/~hsm/keys/k', { host: 'localhost', token: GOOD })).status, 404);
});

test('the resource manager without a token answers in its own words and names the authority', async () => {
  const got = await ask('GET', '/subscriptions/s', { host: 'localhost' });
  assert.equal(got.status, 401);
  assert.equal(got.json.error?.code, 'AuthenticationFailed');
  assert.match(String(got.headers['www-authenticate']), new RegExp(`^Bearer authorization_uri="https://localhost:${urls.port}/${TENANT}"`));
  assert.equal((await ask('GET', '/subscriptions/s', { host: 'localhost', token: 'bad' })).json.error?.code, 'ExpiredAuthenticationToken');
  assert.equal((await ask('GET', '/metadata/endpoints', { host: 'localhost' })).status, 200);
});

test('a login error has trace, correlation and time; its description has them too', async () => {
  const got = await ask('GET', '/common/wrong', { host: 'localhost', headers: { 'client-request-id': 'my-request' } });
  const error = got.json as unknown as Record<string, unknown>;
  assert.equal(error.error, 'invalid_grant');
  assert.match(
    String(error.error_description),
    /^AADSTS50126: Wrong\. Trace ID: \S+ Correlation ID: my-request Timestamp: \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ$/,
  );
  assert.deepEqual(error.error_codes, [50126]);
  assert.equal(error.correlation_id, 'my-request');
  assert.equal(error.error_uri, `https://localhost:${urls.port}/error?code=50126`);
});

test('a form is read as its fields, the first of each name', async () => {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const got = await ask('POST', '/common/oauth2/token', { host: 'localhost', body: 'a=1&b=two+words&a=2', headers });
  assert.deepEqual(got.json, { a: '1', b: 'two words' });
  assert.equal(got.headers['cache-control'], 'no-store');
});

test('a page goes out as it is', async () => {
  const got = await ask('GET', '/devicelogin', { host: 'localhost' });
  assert.equal(got.text, '<h1>hello</h1>');
  assert.equal(got.headers['content-type'], 'text/html; charset=utf-8');
});

test('each name has a certificate of its own, and a bare address has the one of the fixed names', async () => {
  for (const host of [HSM, 'localhost', 'login.localhost', '127.0.0.1']) {
    assert.equal((await ask('GET', '/metadata/endpoints', { host })).status, host === HSM ? 401 : 200, host);
  }
});

/** The records that a call to the door makes. */
async function recordsOf(call: () => Promise<Got>): Promise<{ got: Got; made: readonly { facts: CallFacts; outcome: Outcome }[] }> {
  const before = records.length;
  const got = await call();
  return { got, made: records.slice(before) };
}

test('every call of an HSM is recorded once, with what was asked and what became of it, whichever way it ends', async () => {
  const cases: readonly [() => Promise<Got>, number, Outcome['decision'], string | undefined, string][] = [
    [() => ask('GET', '/keys/k', { token: GOOD }), 200, 'allowed', undefined, 'GET /keys/:name'],
    [() => ask('DELETE', '/keys/k', { token: GOOD }), 204, 'allowed', undefined, 'DELETE /keys/:name'],
    [() => ask('GET', '/keys/k/missing', { token: GOOD }), 404, 'allowed', 'KeyNotFound', 'GET /keys/:name/missing'],
    [() => ask('GET', '/broken', { token: GOOD }), 500, 'allowed', 'InternalServerError', 'GET /broken'],
    [() => ask('POST', '/keys/k/sign', { token: GOOD, body: '{' }), 400, 'allowed', 'BadParameter', 'POST /keys/:name/sign'],
    [() => ask('POST', '/refused', { token: GOOD }), 403, 'refused', 'AccessDenied', 'POST /refused'],
    [() => ask('GET', '/keys/k'), 401, 'not authenticated', 'no token', 'GET /keys/:name'],
    [() => ask('GET', '/keys/k', { token: 'bad' }), 401, 'not authenticated', 'The token has expired.', 'GET /keys/:name'],
    [() => ask('GET', '/nowhere', { token: GOOD }), 404, 'not decided', 'NotFound', 'UnknownOperation'],
    [() => ask('GET', '/nowhere'), 401, 'not authenticated', 'no token', 'UnknownOperation'],
    [() => ask('GET', '/keys/%', { token: GOOD }), 400, 'not decided', 'BadParameter', 'UnknownOperation'],
  ];
  for (const [call, status, decision, reason, operation] of cases) {
    const { got, made } = await recordsOf(call);
    assert.equal(got.status, status, operation);
    assert.deepEqual(
      made.map(({ facts, outcome }) => [outcome.status, outcome.decision, outcome.reason, facts.operation]),
      [[status, decision, reason, operation]],
    );
  }
});

test('a call that may change something is recorded where the change is made, with the facts of the request', async () => {
  const { made } = await recordsOf(() => ask('POST', '/write?api-version=7.5', { token: GOOD, body: '{}' }));
  assert.deepEqual(made, []);
  const { facts } = written.at(-1) as { facts: CallFacts };
  assert.deepEqual([facts.operation, facts.action, facts.apiVersion, facts.path], ['POST /write', 'keys/create', '7.5', '/write']);
});

test('of the resource manager, the directory and the login only refusals of rows that read are recorded, and a stranger never', async () => {
  const calls: readonly [string, Asked, number][] = [
    ['/subscriptions/s', { host: 'localhost', token: GOOD }, 0],
    ['/subscriptions/s', { host: 'localhost' }, 1],
    ['/v1.0/me', { host: 'localhost', token: 'bad' }, 1],
    ['/devicelogin', { host: 'localhost' }, 0],
    ['/nowhere', { host: 'localhost' }, 0],
    ['/keys/k', { host: 'evil.example' }, 0],
  ];
  for (const [path, asked, count] of calls) {
    const { made } = await recordsOf(() => ask('GET', path, asked));
    assert.equal(made.length, count, `${asked.host}${path}`);
  }
});

test('a record has no token, no body, and no query in whichever disguise', async () => {
  const { made } = await recordsOf(async () => {
    await ask('POST', '/keys/k/sign?api-version=7.5&sig=canary', { token: GOOD, body: '{"value":"canary"}' });
    await ask('GET', '/nowhere%3Fsig=canary', { token: GOOD });
    await ask('GET', '/keys/k%3Fsig=canary', { token: GOOD });
    return ask('GET', '/nowhere;sig=canary', { token: GOOD });
  });
  assert.equal(made.length, 4);
  for (const { facts } of made) assert.doesNotMatch(JSON.stringify(facts), new RegExp(`canary|${GOOD}`));
});

test('what cannot be recorded is refused: before it runs when that is known, and before its answer leaves when not', async () => {
  for (const state of ['is closed', 'fails'] as const) {
    recording.state = state;
    const before = visits.length;
    const got = await ask('GET', '/keys/k', { token: GOOD });
    recording.state = 'works';
    assert.equal(got.status, 503);
    assert.equal(got.json.error?.code, 'AuditUnavailable');
    assert.equal(got.headers['retry-after'], '5');
    assert.equal(visits.length - before, state === 'is closed' ? 0 : 1);
    assert.doesNotMatch(got.text, /seen/);
  }
  assert.equal((await ask('GET', '/keys/k', { token: GOOD })).status, 200);
});

test('what was proven of a caller is not asked again until something is committed, and every call is recorded all the same', async () => {
  const before = visits.length;
  const { made } = await recordsOf(async () => {
    for (const name of ['a', 'b', 'a']) await ask('GET', `/keys/${name}`, { token: LASTING });
    return ask('GET', '/keys/a', { token: LASTING });
  });
  assert.equal(visits.length - before, 2);
  assert.deepEqual(
    made.map(({ facts, outcome }) => [facts.scope, facts.caller.kind, outcome.decision]),
    ['a', 'b', 'a', 'a'].map((name) => [`/keys/${name}`, 'application', 'allowed']),
  );
  versions.touch('anything');
  assert.equal((await ask('GET', '/keys/a', { token: LASTING })).status, 200);
  assert.equal(visits.length - before, 3);
});

test('a steady answer is written once until something is committed', async () => {
  const texts: string[] = [];
  for (let i = 0; i < 3; i += 1) texts.push((await ask('GET', '/steady', { token: LASTING })).text);
  versions.touch('anything');
  texts.push((await ask('GET', '/steady', { token: LASTING })).text);
  assert.deepEqual(texts, ['{"run":1}', '{"run":1}', '{"run":1}', '{"run":2}']);
});
