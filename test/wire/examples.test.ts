// Every recorded example of the data plane, asked of the whole service over HTTPS: request by request, answer by answer. The examples are recordings of
// the live service, published vectors and documented rules; each says which.

import assert from 'node:assert/strict';
import { publicEncrypt, randomBytes, randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { type Got, type House, type Json, openHouse } from '../house.ts';
import { rsaPair } from '../rsa-pairs.ts';
import { activate, BACKUP_USER, CRYPTO_OFFICER, CRYPTO_USER, EKM_ADMINISTRATOR, grant, RESTORE_USER } from './ready.ts';

const FILE = join(resolve(import.meta.dirname, '../..'), '../shared/spec/data-plane-examples.json');

/** A compact JWE with the header of the live service, and no encrypted key. */
const KEY_BACKUP = new RegExp(
  `^${Buffer.from('{"alg":"dir","enc":"A256CBC-HS512","kid":"backup-protection-key"}').toString('base64url')}\\.\\.[\\w-]{22}\\.[\\w-]+\\.[\\w-]{43}$`,
);

const BUILT_IN_ROLES = join(FILE, '../openapi/data-plane/builtin-roles.json');

/** Of the service's own process for backups, which we do not have; and it asks for ten seconds where we ask for one. */
const OTHER_PROCESS: ReadonlySet<string> = new Set(['Server', 'api-supported-versions', 'Retry-After']);

/** Nobody has recorded what the service answers; the status class is all that is compared. */
const GUESSES: ReadonlySet<string> = new Set(['suggested', 'vault-fallback', 'inferred']);

const HSM = 'examples';

suite('the recorded examples', { skip: existsSync(FILE) ? false : 'the examples are not beside the checkout' }, () => {
  let house: House;
  before(async () => {
    house = await openHouse();
    await house.provision(HSM);
    await activate(house, HSM);
    for (const role of [CRYPTO_USER, CRYPTO_OFFICER, EKM_ADMINISTRATOR, BACKUP_USER, RESTORE_USER])
      await grant(house, HSM, role, house.connection.user.objectId);
  });
  after(() => house?.close());

  const cases: readonly Json[] = existsSync(FILE) ? JSON.parse(readFileSync(FILE, 'utf8')).cases : [];
  for (const example of cases) {
    test(`${example.id}: ${example.request.method} ${example.request.path} (${example.source.kind})`, async () => {
      const known = new Map<string, string>([
        ['hsm', `${HSM}.${house.connection.managedHsmSuffix}`],
        ['name', `k-${randomBytes(6).toString('hex')}`],
        ['guid', randomUUID()],
        ['principal', house.connection.servicePrincipal.objectId],
        ['container', 'https://127.0.0.1:1/container'],
        ['sas', 'sv=2022'],
        ['folder', 'mhsm-folder'],
      ]);
      for (const [member, value] of Object.entries(rsaKey())) known.set(`rsa.${member}`, value);
      for (const step of example.setup ?? []) await prepare(step, known);
      const got = await send(example.request, known);
      if (GUESSES.has(example.source.kind)) {
        assert.equal(Math.floor(got.status / 100), Math.floor(example.expect.status / 100), got.text);
        return;
      }
      assert.equal(got.status, example.expect.status, got.text);
      known.set('activityId', got.headers['x-ms-request-id'] ?? '');
      for (const [name, wanted] of Object.entries(example.expect.headers ?? {}))
        if (!OTHER_PROCESS.has(name)) compare(got.headers[name.toLowerCase()], wanted, known, name);
      const raw = example.expect.body?.$raw;
      whole = got.json;
      if (raw === undefined) compare(got.json, example.expect.body, known, 'body');
      else assert.equal(got.text, raw);
      if (got.json.jobId !== undefined) await jobEnded(got.headers['azure-asyncoperation'] ?? '');
    });
  }

  /** No two jobs run at a time. This one fails at once: its address is one that the operator has to allow. */
  async function jobEnded(address: string): Promise<void> {
    for (;;) {
      const got = await house.call('GET', address, { token: await house.token('user', 'hsm') });
      if (got.json.status !== 'InProgress') return assert.match(got.json.error.code, /^Storage/, got.text);
      await new Promise((wake) => setTimeout(wake, 20));
    }
  }

  async function prepare(step: Json, known: Map<string, string>): Promise<void> {
    for (let i = 0; i < (step.createKeys ?? 0); i += 1)
      await house.hsm(HSM, 'POST', `/keys/k-${randomBytes(6).toString('hex')}/create`, { kty: 'EC-HSM' });
    if (step.method === undefined) return;
    const got = await send(step, known);
    assert.ok(got.status < 300, `${step.path}: ${got.text}`);
    for (const [name, path] of Object.entries<string>(step.save ?? {})) known.set(name, saved(got.json, path));
  }

  async function send(request: Json, known: ReadonlyMap<string, string>): Promise<Got> {
    const body = request.rawBody ?? (request.body === undefined ? undefined : await filled(request.body, known));
    const path = String(await filled(request.path, known));
    const url = `https://${known.get('hsm')}${path}`;
    const token = request.auth === false ? null : await house.token('user', 'hsm');
    const headers = { 'content-type': 'application/json' };
    return house.call(request.method, url, { body: body === '' ? undefined : body, headers, token });
  }

  /** Puts what is known in the place of `{…}`; the last segment of a ciphertext made here needs the key's public half. */
  async function filled(value: Json, known: ReadonlyMap<string, string>): Promise<Json> {
    if (Array.isArray(value)) return Promise.all(value.map((item) => filled(item, known)));
    if (typeof value === 'object' && value !== null) {
      if (value.$b64urlRandom !== undefined) return randomBytes(value.$b64urlRandom).toString('base64url');
      return Object.fromEntries(
        await Promise.all(Object.entries(value).map(async ([name, member]) => [name, await filled(member, known)])),
      );
    }
    if (typeof value !== 'string') return value;
    if (value.startsWith('{ciphertext encrypted locally')) return encryptedLocally(known.get('name') ?? '');
    return value.replace(/\{([a-zA-Z.]+)\}/g, (whole, name: string) => known.get(name) ?? whole);
  }

  async function encryptedLocally(name: string): Promise<string> {
    const { key } = (await house.hsm(HSM, 'GET', `/keys/${name}`)).json;
    const jwk = { kty: 'RSA', n: key.n, e: key.e };
    return publicEncrypt({ key: jwk, format: 'jwk', oaepHash: 'sha256', padding: 4 }, Buffer.from('secret')).toString('base64url');
  }
});

function saved(json: Json, path: string): string {
  const [members = '', filter] = path.split('|');
  const value = members.split('.').reduce((object: Json, member) => object?.[member], json);
  return filter === 'lastSegment' ? (String(value).split('/').at(-1) ?? '') : String(value);
}

let pair: Json;

function rsaKey(): Readonly<Record<string, string>> {
  pair ??= rsaPair(2048).privateKey.export({ format: 'jwk' });
  const { n, d, p, q, dp, dq, qi } = pair;
  return { n, d, p, q, dp, dq, qi };
}

type Matcher = (got: Json, wanted: Json, known: ReadonlyMap<string, string>, place: string) => void;

// biome-ignore format: a table reads by its columns
const MATCHERS: Readonly<Record<string, Matcher>> = {
  $re:          (got, wanted, known, place) => assert.match(String(got), new RegExp(withKnown(wanted, known, true)), place),
  $notRe:       (got, wanted, known, place) => assert.doesNotMatch(String(got), new RegExp(withKnown(wanted, known, true)), place),
  $set:         (got, wanted, _known, place) => assert.deepEqual([...got].sort(), [...wanted].sort(), place),
  $absent:      (got, _wanted, _known, place) => assert.equal(got, undefined, place),
  $any:         (got, _wanted, _known, place) => assert.notEqual(got, undefined, place),
  $int:         (got, _wanted, _known, place) => assert.ok(Number.isInteger(got), `${place}: ${got}`),
  $b64urlBytes: (got, wanted, _known, place) => assert.equal(Buffer.from(got, 'base64url').length, wanted, place),
  $len:         (got, wanted, _known, place) => assert.equal(got.length, wanted, place),
  $each:        (got, wanted, known, place) => { for (const [at, item] of got.entries()) compare(item, wanted, known, `${place}[${at}]`); },
  $contains:    (got, wanted, known, place) => assert.ok(got.some((item: Json) => isLike(item, wanted, known)), place),
  $names:       (got, wanted, _known, place) => assert.deepEqual(got.map((item: Json) => item.name), wanted, place),
};

/** The answer that is being compared, for expressions about it. */
let whole: Json;

/** Listed members are compared, others are not looked at. */
function compare(got: Json, wanted: Json, known: ReadonlyMap<string, string>, place: string): void {
  if (Array.isArray(wanted)) {
    assert.equal(got?.length, wanted.length, place);
    for (const [at, item] of wanted.entries()) compare(got[at], item, known, `${place}[${at}]`);
  } else if (typeof wanted === 'object' && wanted !== null) {
    for (const [name, member] of Object.entries(wanted)) {
      const matcher = MATCHERS[name];
      if (matcher !== undefined) matcher(got, member, known, place);
      else if (name === '$matchesFile') assert.deepEqual(got.value, JSON.parse(readFileSync(BUILT_IN_ROLES, 'utf8')).value, place);
      else if (name === '$decodes') assert.match(Buffer.from(got, 'base64url').toString('latin1'), KEY_BACKUP, place);
      else if (name === '$expr') assert.equal(got, evaluated(String(member), whole), place);
      else if (name.startsWith('$')) throw new Error(`${place}: no matcher ${name}`);
      else compare(got?.[name], member, known, `${place}.${name}`);
    }
  } else assert.equal(got, typeof wanted === 'string' ? withKnown(wanted, known, false) : wanted, place);
}

/** `attributes.created + 7776000`: a member of the whole answer, and a number. */
function evaluated(expression: string, answer: Json): number {
  const [, path = '', more = '0'] = /^([\w.]+)(?: \+ (\d+))?$/.exec(expression) ?? [];
  return Number(path.split('.').reduce((object: Json, member) => object?.[member], answer)) + Number(more);
}

function isLike(got: Json, wanted: Json, known: ReadonlyMap<string, string>): boolean {
  try {
    compare(got, wanted, known, '');
    return true;
  } catch {
    return false;
  }
}

function withKnown(text: string, known: ReadonlyMap<string, string>, escaped: boolean): string {
  return text.replace(/\{([a-zA-Z.]+)\}/g, (whole, name: string) => {
    const value = known.get(name);
    if (value === undefined) return whole;
    return escaped ? value.replace(/[.*+?^${}()|[\]\\]/g, '\\$&') : value;
  });
}
